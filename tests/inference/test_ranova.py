"""Deletions of random effects beside lmerTest."""

import numpy as np
import pytest
from reference_models import frame, inference_reference
from scipy.stats import chi2

import lmmcore
from lmmcore.errors import DesignError

REFERENCE = inference_reference("anova")
# lmerTest replaces a slope without an intercept by an intercept; here the whole term is deleted.
OTHERWISE = {"sleep_slope_only_reml", "machines_cat_slope_reml"}


@pytest.mark.parametrize(
    "name", [n for n, m in REFERENCE.items() if "ranova" in m and n not in OTHERWISE]
)
def test_lmertest(name):
    stored = REFERENCE[name]
    model = lmmcore.mixedlm(stored["formula"], frame(stored["data"]), weights=stored["weights"])
    table = model.fit(reml=stored["method"] == "REML").ranova().table
    known = stored["ranova"]
    theirs = sorted((c, d) for c, d in zip(known["LRT"], known["Df"]) if c is not None)
    ours = sorted(zip(table.chisq[1:], table["df"][1:]))
    assert len(ours) == len(theirs)
    for (chisq, df), (lrt, npar) in zip(ours, theirs):
        assert chisq == pytest.approx(lrt, abs=2e-6)
        assert df == npar
    assert table.npar.iloc[0] == known["npar"][0]


def test_a_deleted_term_is_the_model_without_it():
    data = lmmcore.datasets.load_machines()
    table = lmmcore.mixedlm("score ~ Machine + (0 + Machine | Worker)", data).fit().ranova().table
    x = np.column_stack([data.Machine == m for m in "ABC"]).astype(float)
    e = data.score - x @ np.linalg.lstsq(x, data.score, rcond=None)[0]
    x[:, 0] = 1.0  # treatment coding, as in the formula: REML depends on the columns
    m, square = len(data) - 3, float(e @ e)
    llf = -0.5 * (m * (1 + np.log(2 * np.pi * square / m)) + np.linalg.slogdet(x.T @ x)[1])
    assert table.llf.iloc[1] == pytest.approx(llf, abs=1e-8)
    assert table["df"].iloc[1] == 6
    assert np.isnan(table.pvalue_mixture.iloc[1])


def test_the_mixture():
    data = lmmcore.datasets.load_sleepstudy()
    row = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit().ranova().table.iloc[1]
    assert row.pvalue == pytest.approx(chi2.sf(row.chisq, 2))
    assert row.pvalue_mixture == pytest.approx((chi2.sf(row.chisq, 1) + chi2.sf(row.chisq, 2)) / 2)


def test_held_parameters_are_refused():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2))
    with pytest.raises(DesignError, match="held covariance parameters"):
        model.fit(free=free).ranova()

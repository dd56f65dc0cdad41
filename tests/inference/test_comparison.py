"""Likelihood-ratio tests, R² and information criteria beside R, and what they refuse."""

from functools import cache

import numpy as np
import pytest
from reference_models import frame, inference_reference, model_ids, reference
from scipy.stats import chi2

import lmmcore
from lmmcore.errors import DataTypeError, DataValueError, OptionError

REFERENCE = inference_reference("comparison")


@cache
def fitted(name):
    m = reference(name)
    model = lmmcore.mixedlm(m["formula"], frame(m["data"]), weights=m.get("weights"))
    return model.fit(reml=m["method"] == "REML")


KNOWN = set(model_ids("all"))


PAIRS = [t for t in REFERENCE["lrt"] if {t["null"], t["alternative"]} <= KNOWN]


@pytest.mark.parametrize("known", PAIRS, ids=lambda t: t["alternative"])
def test_r(known):
    found = lmmcore.anova(fitted(known["alternative"]), fitted(known["null"])).table.iloc[1]
    assert found.chisq == pytest.approx(known["chisq"], abs=1e-7)
    assert found["df"] == known["df"]
    assert found.pvalue == pytest.approx(known["p"], rel=1e-6)


@pytest.mark.parametrize("name", [n for n in REFERENCE["r2"] if n in KNOWN])
def test_variance_explained(name):
    known, fit = REFERENCE["r2"][name], fitted(name)
    own = known["own"]
    assert fit.r_squared().marginal == pytest.approx(own["r2_marginal"], abs=1e-6)
    assert fit.r_squared().conditional == pytest.approx(own["r2_conditional"], abs=1e-6)
    assert fit.icc().adjusted == pytest.approx(own["icc_adjusted"], abs=1e-6)
    assert fit.icc().unadjusted == pytest.approx(own["icc_unadjusted"], abs=1e-6)
    assert fit.conditional_aic == pytest.approx(known["caic"], abs=1e-4)
    if not fit.reml:
        assert fit.aicc == pytest.approx(known["aicc"], abs=1e-6)


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()

    def fit(formula, reml=True, data=data, **options):
        return lmmcore.mixedlm(formula, data, **options).fit(reml=reml)

    return data, fit


def test_reml_of_different_fixed_effects_is_fitted_again_by_ml(sleep):
    _, fit = sleep
    small, large = fit("Reaction ~ 1 + (Days | Subject)"), fit("Reaction ~ Days + (Days | Subject)")
    found = lmmcore.anova(small, large)
    assert "fitted again, because the fixed effects differ" in found.note
    ml = [fit(f.fit.spec.formula, reml=False) for f in (small, large)]
    assert found.table.chisq.iloc[1] == pytest.approx(2 * (ml[1].llf - ml[0].llf), abs=1e-6)
    assert small.reml and small.model.reml  # noqa: PT018
    with pytest.raises(OptionError, match="cannot be compared, because the fixed effects differ"):
        lmmcore.anova(small, large, refit=False)


def test_the_boundary_mixture(sleep):
    _, fit = sleep
    small, large = (
        fit("Reaction ~ Days + (1 | Subject)"),
        fit("Reaction ~ Days + (Days || Subject)"),
    )
    found = lmmcore.anova(small, large, test="mixture").table.iloc[1]
    assert found.pvalue == pytest.approx(0.5 * chi2.sf(found.chisq, 1), rel=1e-9)
    both = fit("Reaction ~ Days + (Days | Subject)")
    found = lmmcore.anova(small, both, test="mixture").table.iloc[1]
    expected = 0.5 * (chi2.sf(found.chisq, 1) + chi2.sf(found.chisq, 2))
    assert found.pvalue == pytest.approx(expected, rel=1e-9)
    with pytest.raises(OptionError, match="for one more random coefficient"):
        lmmcore.anova(fit("Reaction ~ 1 + (1 | Subject)"), both, test="mixture")


def test_the_parametric_bootstrap():
    rng = np.random.default_rng(2)
    data = {"g": np.repeat(np.arange(8), 5), "x": rng.standard_normal(40)}
    data["y"] = 0.4 * data["x"] + np.repeat(rng.standard_normal(8), 5) + rng.standard_normal(40)
    small, large = (
        lmmcore.mixedlm(f, data).fit(reml=False) for f in ("y ~ 1 + (1 | g)", "y ~ x + (1 | g)")
    )
    one, two = (lmmcore.anova(small, large, test="bootstrap", nrep=400, rng=5) for _ in range(2))
    p = one.table.pvalue.iloc[1]
    assert p == two.table.pvalue.iloc[1]
    wanted = lmmcore.anova(small, large).table.pvalue.iloc[1]
    assert p == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 400) + 0.03)


def test_what_cannot_be_compared(sleep):
    data, fit = sleep
    one = fit("Reaction ~ Days + (1 | Subject)")
    with pytest.raises(OptionError, match="1 model; expected two or more"):
        lmmcore.anova(one)
    with pytest.raises(DataTypeError, match="got a MixedLM; fit it first"):
        lmmcore.anova(one, one.model)
    with pytest.raises(OptionError, match="test='lrt'"):
        lmmcore.anova(one, one, test="lrt")
    with pytest.raises(DataValueError, match="rows; expected the same rows"):
        lmmcore.anova(one, fit("Reaction ~ Days + (Days | Subject)", data=data.iloc[:170]))
    with pytest.raises(DataValueError, match="different responses"):
        lmmcore.anova(one, fit("np.log(Reaction) ~ Days + (Days | Subject)"))
    with pytest.raises(DataValueError, match="different weights"):
        lmmcore.anova(one, fit("Reaction ~ Days + (Days | Subject)", weights=1.0 + data.Days))
    with pytest.raises(
        DataValueError, match=r"not nested: .*fixed effects of the smaller \(Days\)"
    ):
        lmmcore.anova(one, fit("Reaction ~ np.sqrt(Days) + (Days | Subject)"))
    with pytest.raises(DataValueError, match=r"not nested: .*random effects"):
        lmmcore.anova(one, fit("Reaction ~ Days + I(Days**2) + (0 + Days | Subject)", reml=False))


def test_effects_of_cells_are_a_case_of_a_slope_for_each_level():
    data = lmmcore.datasets.load_machines()
    cells = lmmcore.mixedlm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data).fit()
    slopes = lmmcore.mixedlm("score ~ Machine + (0 + Machine | Worker)", data).fit()
    found = lmmcore.anova(cells, slopes).table.iloc[1]
    assert found["df"] == 4
    assert found.chisq == pytest.approx(2 * (slopes.llf - cells.llf))

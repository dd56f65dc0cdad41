"""Deletion diagnostics beside R and beside refits of the reduced data."""

import numpy as np
import pandas as pd
import pytest
from reference_models import frame, inference_reference

import lmmcore
from lmmcore.errors import OptionError

REFERENCE = inference_reference("influence")
CASES = [(n, k) for n, m in REFERENCE.items() for k in ("by_level", "by_row") if k in m]


@pytest.mark.parametrize(("name", "which"), CASES)
def test_r(name, which):
    known = REFERENCE[name]
    fit = lmmcore.mixedlm(known["formula"], frame(known["data"])).fit()
    level = "row" if which == "by_row" else None
    for method, key in (("exact", "exact"), ("fixed", "theta_and_sigma_fixed")):
        found = fit.get_influence(level, method).measures
        if known[which]["deleted"] is not None:
            found = found.set_axis([str(i) for i in found.index]).loc[known[which]["deleted"]]
        for measure, values in known[which][key].items():
            assert found[measure].to_numpy() == pytest.approx(np.array(values), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_refits(reml):
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(9), rng.integers(2, 7, 9))
    data = pd.DataFrame({"g": g, "x": rng.standard_normal(len(g))})
    data["w"] = rng.uniform(0.5, 2.0, len(g))
    b = rng.standard_normal((9, 2))
    data["y"] = b[g, 0] + (1 + b[g, 1]) * data.x + rng.standard_normal(len(g))
    formula = "y ~ x + (1 + x | g)"
    fit = lmmcore.mixedlm(formula, data, weights="w").fit(reml=reml)
    for level, keep in (("g", data.g != 4), ("row", data.index != 7)):
        found = fit.get_influence(level)
        again = lmmcore.mixedlm(formula, data[keep], weights="w").fit(reml=reml)
        at = 4 if level == "g" else 7
        shift = (fit.fe_params - again.fe_params).to_numpy()
        assert found.dfbeta.loc[at].to_numpy() == pytest.approx(shift, abs=1e-6)
        assert found.dfbetas.loc[at].to_numpy() == pytest.approx(
            shift / again.bse_fe.to_numpy(), abs=1e-6
        )
        assert found.parameters.scale[at] == pytest.approx(again.scale, rel=1e-6)
    near = fit.get_influence("row", "one-step").measures.cooks_distance
    exact = fit.get_influence("row").measures.cooks_distance
    assert np.corrcoef(near, exact)[0, 1] > 0.9


def test_what_cannot_be_deleted_is_named():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 4)})
    data["only"] = 1.0 * (data.g == 2)
    data["y"] = rng.standard_normal(24) + rng.standard_normal(6)[data.g]
    found = lmmcore.mixedlm("y ~ only + (1 | g)", data).fit().get_influence(method="fixed")
    assert found.failed == (2,)
    assert found.measures.loc[2].isna().all()
    assert np.isfinite(found.measures.drop(2).to_numpy()).all()
    assert "Not fitted without: 2" in str(found)


def test_errors():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit()
    with pytest.raises(OptionError, match="method='cook'"):
        fit.get_influence(method="cook")
    with pytest.raises(OptionError, match="level='Days'; expected 'Subject' or 'row'"):
        fit.get_influence("Days")
    crossed = lmmcore.mixedlm(
        "diameter ~ 1 + (1 | plate) + (1 | sample)", lmmcore.datasets.load_penicillin()
    ).fit()
    with pytest.raises(OptionError, match="expected one grouping factor"):
        crossed.get_influence()

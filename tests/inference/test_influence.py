"""Deletion diagnostics beside R and beside refits of the reduced data."""

import numpy as np
import pandas as pd
import pytest
from reference_models import frame, inference_reference

import lmmcore
from lmmcore.errors import DataValueError, OptionError

REFERENCE = inference_reference("influence")
CASES = [(n, k) for n, m in REFERENCE.items() for k in ("by_level", "by_row") if k in m]


@pytest.mark.parametrize(("name", "which"), CASES)
def test_r(name, which):
    known = REFERENCE[name]
    fit = lmmcore.mixedlm(known["formula"], frame(known["data"])).fit()
    level = "row" if which == "by_row" else known.get("level")
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
    with pytest.raises(OptionError, match="level='Days'; expected 'row', a grouping factor"):
        fit.get_influence("Days")
    with pytest.raises(DataValueError, match="level has 3 labels; expected 180"):
        fit.get_influence(["a", "b", "c"])
    with pytest.raises(DataValueError, match="index of level"):
        fit.get_influence(data.Subject.iloc[:100])
    held = lmmcore.MixedLMParams.from_components(fe_params=np.ones(2), cov_re=np.zeros((1, 1)))
    with pytest.raises(OptionError, match="held fixed"):
        fit.model.fit(start_params=fit.params_object, free=held).get_influence()


def _refits(formula, data, level, keys, **options):
    """Return dfbeta, θ with σ², Cook's distance and COVRATIO by refits of the data without each key."""
    whole = lmmcore.mixedlm(formula, data, **options).fit()
    out = []
    for key in keys:
        kept = data[data[level] != key] if level != "row" else data.drop(index=key)
        again = lmmcore.mixedlm(formula, kept, **options).fit()
        shift = (whole.fe_params - again.fe_params).to_numpy()
        cov, own = whole.cov_fe.to_numpy(), again.cov_fe.to_numpy()
        cook = shift @ np.linalg.solve(cov, shift) / len(shift)
        ratio = np.linalg.det(own) / np.linalg.det(cov)
        out.append([*shift, *again.theta, again.scale, cook, ratio])
    return whole, np.array(out)


def _found(fit, level, keys, method="exact"):
    found = fit.get_influence(level, method)
    parts = (found.dfbeta, found.parameters, found.measures[["cooks_distance", "covratio"]])
    return np.column_stack([p.loc[keys].to_numpy() for p in parts]), found


@pytest.mark.parametrize(
    ("formula", "level", "keys"),
    [
        ("y ~ x + (1 + x | g)", "row", [3, 300, 900]),
        ("y ~ x + (1 + x | g)", "g", [0, 17, 119]),
        ("y ~ x + (1 | g) + (0 + x | g)", "g", [5, 60]),
        ("y ~ x + (1 | g) + (1 | item)", "item", [0, 3]),
        ("y ~ x + (1 | g) + (1 | item)", "g", [7]),
        ("y ~ x + (1 | g) + (1 | item)", "row", [40]),
        ("y ~ x + (1 | school / g)", "school", [2]),
        ("y ~ x + (1 | school / g)", "school:g", ["1/1"]),
        ("y ~ x + ar1(0 + time | g)", "g", [1, 2]),
    ],
)
def test_exact_is_a_refit(formula, level, keys):
    rng = np.random.default_rng(11)
    n = 1200
    data = pd.DataFrame({"g": np.repeat(np.arange(120), 10), "x": rng.standard_normal(n)})
    data["item"] = np.tile(np.arange(10), 120) % 8
    data["school"] = data.g // 10
    data["time"] = pd.Categorical(np.tile(np.arange(5), 240))
    effects = rng.standard_normal((120, 2)) * [1.0, 0.5]
    data["y"] = effects[data.g, 0] + (1 + effects[data.g, 1]) * data.x
    data["y"] += rng.standard_normal(8)[data["item"]] + rng.standard_normal(12)[data.school]
    data["y"] += rng.standard_normal(n)
    if level == "school:g":
        labels = lmmcore.mixedlm(formula, data).fit().get_influence(level, "fixed").measures.index
        key = labels[15]
        fit = lmmcore.mixedlm(formula, data).fit()
        again = lmmcore.mixedlm(formula, data[data.g != 15]).fit()
        found = fit.get_influence(level)
        shift = (fit.fe_params - again.fe_params).to_numpy()
        assert found.dfbeta.loc[key].to_numpy() == pytest.approx(shift, abs=1e-6)
        return
    fit, known = _refits(formula, data, level, keys)
    values, found = _found(fit, level, keys)
    assert values == pytest.approx(known, rel=2e-6, abs=1e-6)
    assert found.failed == ()


def test_labels_of_all_rows():
    data = lmmcore.datasets.load_sleepstudy()
    formula = "Reaction ~ Days + (1 + Days | Subject)"
    fit = lmmcore.mixedlm(formula, data).fit()
    found = fit.get_influence(data["Days"].rename("day"))
    assert found.level == "day"
    again = lmmcore.mixedlm(formula, data[data.Days != 4]).fit()
    shift = (fit.fe_params - again.fe_params).to_numpy()
    assert found.dfbeta.loc[4].to_numpy() == pytest.approx(shift, abs=1e-5)
    assert found.parameters.scale[4] == pytest.approx(again.scale, rel=1e-6)


def test_components_of_vc_formula():
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(30), 8), "a": np.tile(np.repeat([0, 1, 2, 3], 2), 30)}
    )
    data["x"] = rng.standard_normal(240)
    data["y"] = (
        data.x + rng.standard_normal(30)[data.g] + rng.standard_normal(120)[data.g * 4 + data.a]
    )
    data["y"] += rng.standard_normal(240)
    options = {"groups": "g", "vc_formula": {"a": "0 + C(a)"}, "re_formula": "1"}

    def fitted(frame):
        return lmmcore.MixedLM.from_formula("y ~ x", frame, **options).fit()

    fit, again = fitted(data), fitted(data[data.g != 3])
    found = fit.get_influence()
    assert found.dfbeta.loc[3].to_numpy() == pytest.approx(
        (fit.fe_params - again.fe_params).to_numpy(), abs=1e-6
    )
    assert found.parameters.scale[3] == pytest.approx(again.scale, rel=1e-6)
    again = fitted(data.drop(index=100))
    row = fit.get_influence("row")
    assert row.dfbeta.loc[100].to_numpy() == pytest.approx(
        (fit.fe_params - again.fe_params).to_numpy(), abs=1e-6
    )


def test_one_step_of_many_groups():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(1000), 4), "x": rng.standard_normal(4000)})
    data["y"] = data.x + rng.standard_normal(1000)[data.g] + rng.standard_normal(4000)
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    exact, one = fit.get_influence(), fit.get_influence(method="one-step")
    assert 0 < exact.searches < 60
    assert one.searches == 0
    assert one.parameters.to_numpy() == pytest.approx(exact.parameters.to_numpy(), rel=1e-4)
    again = lmmcore.mixedlm("y ~ x + (1 | g)", data[data.g != 500]).fit()
    assert exact.parameters.scale[500] == pytest.approx(again.scale, rel=1e-7)

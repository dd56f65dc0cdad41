"""Series and frames that are given together have one index."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError


def parts(seed=0, n=60):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"row {i}" for i in range(n)])
    g = np.repeat(np.arange(10), n // 10)
    x = rng.standard_normal(n)
    y = 1.0 + x + rng.standard_normal(10)[g] + 0.5 * rng.standard_normal(n)
    return {
        "endog": pd.Series(y, index, name="y"),
        "exog": pd.DataFrame({"one": 1.0, "x": x}, index),
        "groups": pd.Series(g, index, name="g"),
        "exog_re": pd.DataFrame({"re": 1.0}, index).assign(slope=x),
        "weights": pd.Series(rng.uniform(0.5, 2.0, n), index),
    }


@pytest.mark.parametrize("name", ["exog", "groups", "exog_re", "weights"])
def test_another_order_is_an_error_that_says_how_to_align(name):
    given = parts()
    expected = MixedLM(**given).fit()
    shuffled = given[name].sample(frac=1.0, random_state=1)
    with pytest.raises(DataValueError, match=rf"another order .*{name}\.loc\[endog\.index\]"):
        MixedLM(**{**given, name: shuffled})
    aligned = shuffled.loc[given["endog"].index]
    assert MixedLM(**{**given, name: aligned}).fit().criterion == expected.criterion


@pytest.mark.parametrize("name", ["exog", "groups", "exog_re", "weights"])
@pytest.mark.parametrize("kind", ["default", "other", "repeated"])
def test_other_labels_are_an_error(name, kind):
    given = parts()
    if kind == "repeated":
        given = {k: v.set_axis(["a"] * 30 + ["b"] * 30) for k, v in given.items()}
        MixedLM(**given)
        other = ["a", "b"] * 30
    else:
        other = pd.RangeIndex(60) if kind == "default" else [f"line {i}" for i in range(60)]
    with pytest.raises(DataValueError, match=rf"{name}\.to_numpy\(\)"):
        MixedLM(**{**given, name: given[name].set_axis(other)})
    MixedLM(**{**given, name: given[name].to_numpy()})


def test_the_first_labeled_argument_has_the_index():
    given = parts()
    shuffled = {k: v.sample(frac=1.0, random_state=1) for k, v in given.items()}
    y, x = given["endog"].to_numpy(), given["exog"].to_numpy()
    with pytest.raises(DataValueError, match=r"weights\.loc\[groups\.index\]"):
        MixedLM(y, x, given["groups"], weights=shuffled["weights"])
    # Labels are those of the first one.
    fit = MixedLM(y, given["exog"], given["groups"]).fit()
    assert fit.fittedvalues.index.equals(given["exog"].index)
    # Equal indexes need not be one object.
    MixedLM(**{k: v.set_axis(list(v.index)) for k, v in given.items()})


def test_lengths_differ():
    given = parts()
    with pytest.raises(DataValueError, match="endog 'y' has 60 rows but groups has 59"):
        MixedLM(**{**given, "groups": given["groups"][:-1]}, missing="drop")


def frames():
    given = parts()
    data = given["exog"].assign(y=given["endog"], g=given["groups"])
    return data, given["groups"], given["weights"]


def test_beside_a_formula():
    data, groups, weights = frames()
    expected = lmmcore.mixedlm("y ~ x", data, groups="g", weights=weights.to_numpy()).fit()
    for keywords in (
        {"groups": groups},
        {"groups": groups.to_numpy()},
        {"groups": groups.to_frame()},
    ):
        fit = lmmcore.mixedlm("y ~ x", data, weights=weights, **keywords).fit()
        assert fit.criterion == expected.criterion
    for name, values in (("groups", groups), ("weights", weights)):
        keywords = {"groups": "g", name: values.sample(frac=1.0, random_state=1)}
        with pytest.raises(DataValueError, match=rf"{name}\.loc\[data\.index\]"):
            lmmcore.mixedlm("y ~ x", data, **keywords)
        keywords[name] = values.reset_index(drop=True)
        with pytest.raises(DataValueError, match=rf"{name}\.to_numpy\(\)"):
            lmmcore.mixedlm("y ~ x", data, **keywords)


def test_a_mapping_of_arrays_has_no_index():
    data, groups, _ = frames()
    columns = {name: data[name].to_numpy() for name in data}
    fit = lmmcore.mixedlm("y ~ x", columns, groups=groups).fit()
    assert fit.criterion == lmmcore.mixedlm("y ~ x", data, groups="g").fit().criterion
    with pytest.raises(DataValueError, match="another order"):
        lmmcore.mixedlm("y ~ x", {n: data[n] for n in data}, groups=groups[::-1])


def test_a_subset_is_taken_of_what_is_labeled_as_the_data():
    data, groups, weights = frames()
    part = data[data["x"] > 0]
    expected = lmmcore.mixedlm("y ~ x", part, groups="g", weights=weights[part.index]).fit()
    for subset in (data["x"] > 0, part.index, lambda d: d["x"] > 0, (data["x"] > 0).to_numpy()):
        for given in ((groups, weights), (groups[part.index], weights[part.index])):
            fit = lmmcore.mixedlm("y ~ x", data, groups=given[0], weights=given[1], subset=subset)
            assert fit.fit().criterion == expected.criterion


def test_new_rows():
    data, groups, _ = frames()
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    new = data.head(12).drop(columns="g")
    expected = fit.fittedvalues[:12]
    found = fit.predict(new, random_effects=True, groups=groups[:12])
    np.testing.assert_allclose(found, expected)
    for given in (groups[:12][::-1], {"g": groups[:12][::-1]}):
        with pytest.raises(DataValueError, match=r"\.loc\[exog\.index\]"):
            fit.predict(new, random_effects=True, groups=given)


def test_matrices_of_components():
    rng = np.random.default_rng(3)
    index = pd.Index(list("abcdefghijkl"))
    y, g = pd.Series(rng.standard_normal(12), index), np.repeat([0, 1, 2], 4)
    x = pd.DataFrame({"one": 1.0}, index)
    mats = [pd.DataFrame(np.eye(4)[:, :2], index[g == k]) for k in range(3)]
    names = [[["u", "v"]] * 3]

    def model(mats):
        return MixedLM(y, x, g, exog_vc=lmmcore.VCSpec(["c"], names, [mats]))

    expected = model([m.to_numpy() for m in mats]).loglike([0.5])
    assert model(mats).loglike([0.5]) == expected
    assert model([m.reset_index(drop=True) for m in mats]).loglike([0.5]) == expected
    with pytest.raises(DataValueError, match=r"'c' in group 1 has the rows \['h', 'g'"):
        model([mats[0], mats[1][::-1], mats[2]])


FORMULAS = {
    "fixed effects": "y ~ given + (1 | g)",
    "inside a call": "y ~ np.exp(given) + (1 | g)",
    "response": "given ~ x + (1 | g)",
    "offset": "y ~ x + offset(given) + (1 | g)",
    "random effects": "y ~ x + (given | g)",
}


def llf(where, data, given):
    """The formula reads the argument `given`."""
    return lmmcore.mixedlm(FORMULAS[where], data).fit().llf


@pytest.mark.parametrize("where", FORMULAS)
def test_series_of_the_caller_in_a_formula(where):
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.standard_normal((40, 3)), columns=["y", "x", "z"])
    data["g"] = np.arange(40) % 8
    expected = lmmcore.mixedlm(FORMULAS[where].replace("given", "z"), data).fit().llf
    for given in (data["z"], data["z"].to_numpy()):
        assert llf(where, data, given) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(DataValueError, match="given has the index of data in another order"):
        llf(where, data, data["z"][::-1])
    with pytest.raises(DataValueError, match="labeled by different indexes"):
        llf(where, data, data["z"].set_axis(range(100, 140)))

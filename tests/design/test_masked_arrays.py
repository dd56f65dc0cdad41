"""Masked entries of masked arrays are missing values."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError, LmmcoreError


def parts():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(10), 6)
    x = np.column_stack([np.ones(60), rng.standard_normal(60)])
    y = x[:, 1] + rng.standard_normal(10)[g] + 0.3 * rng.standard_normal(60)
    return {"endog": y, "exog": x, "groups": g, "exog_re": x, "weights": rng.uniform(1, 2, 60)}


def masked(values, row):
    mask = np.zeros(values.shape, dtype=bool)
    mask[row] = True
    filled = values.copy()
    filled[row] = 999  # what lies under the mask is nobody's business
    return np.ma.array(filled, mask=mask)


KINDS = [
    "endog", "exog", "groups", "exog_re", "weights", "int exog", "int endog", "text groups", "float groups",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_arguments(kind):
    given, name = parts(), kind.split()[-1]
    if kind == "text groups":
        given["groups"] = np.array([f"g{i}" for i in given["groups"]])
    elif kind == "float groups":
        given["groups"] = given["groups"] + 0.5
    elif kind != name:
        given[name] = np.round(10 * given[name]).astype(int)
    keep = np.arange(60) != 7
    expected = MixedLM(**{k: v[keep] for k, v in given.items()}).fit()
    spoiled = {**given, name: masked(given[name], (7, 1) if given[name].ndim == 2 else 7)}
    with pytest.raises(LmmcoreError, match=r"missing|not finite|NaN|nan"):
        MixedLM(**spoiled)
    fit = MixedLM(**spoiled, missing="drop").fit()
    assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)
    assert list(fit.random_effects) == list(expected.random_effects)
    whole = {**given, name: np.ma.array(given[name])}
    assert MixedLM(**whole).fit().criterion == MixedLM(**given).fit().criterion


def table():
    given = parts()
    return {"y": given["endog"], "x": given["exog"][:, 1], "g": given["groups"],
            "w": given["weights"]}  # fmt: skip


@pytest.mark.parametrize("name", ["y", "x", "g", "w"])
@pytest.mark.parametrize("kind", [dict, "records"])
def test_columns_of_a_table(name, kind):
    data = table()
    keep = np.arange(60) != 7
    formula = "y ~ x + (1 | g)"
    expected = lmmcore.mixedlm(formula, {k: v[keep] for k, v in data.items()}, weights="w").fit()
    data[name] = masked(data[name], 7)
    if kind == "records":
        records = np.ma.zeros(60, dtype=[(k, v.dtype) for k, v in data.items()])
        for k, v in data.items():
            records[k] = v
        data = records
    fit = lmmcore.mixedlm(formula, data, weights="w", missing="drop").fit()
    assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)


@pytest.mark.parametrize("name", ["groups", "weights"])
def test_beside_a_formula(name):
    data = table()
    keep = np.arange(60) != 7
    expected = lmmcore.mixedlm(
        "y ~ x", {k: v[keep] for k, v in data.items()}, groups="g", weights="w"
    )
    given = {"groups": data["g"], "weights": data["w"]}
    given[name] = masked(given[name], 7)
    fit = lmmcore.mixedlm("y ~ x", data, **given, missing="drop").fit()
    assert fit.criterion == pytest.approx(expected.fit().criterion, rel=1e-12)


def test_matrices_of_components():
    y, g = parts()["endog"][:12], np.repeat([0, 1, 2], 4)
    mats = [np.eye(4)[:, :2] for _ in range(3)]
    mats[1] = np.ma.array(mats[1], mask=mats[1] == 1)
    spec = lmmcore.VCSpec(["c"], [[["u", "v"]] * 3], [mats])
    with pytest.raises(LmmcoreError, match=r"missing|not finite|NaN|nan"):
        MixedLM(y, np.ones((12, 1)), g, exog_vc=spec).fit()
    with pytest.raises(
        LmmcoreError, match=r"missing='drop' cannot drop rows of exog_vc; leave out"
    ):
        MixedLM(y, np.ones((12, 1)), g, exog_vc=spec, missing="drop")


def test_predictions():
    given = parts()
    fit = MixedLM(given["endog"], given["exog"], given["groups"]).fit()
    new, g = given["exog"][:5], given["groups"][:5]
    found = fit.predict(masked(new, (2, 1)))
    assert np.isnan(found).tolist() == [False, False, True, False, False]
    found = fit.predict(new, random_effects=True, groups=masked(g, 2))
    assert np.isnan(found).tolist() == [False, False, True, False, False]
    frame = pd.DataFrame(table())
    plain = lmmcore.mixedlm("y ~ x + (1 | g)", frame).fit()
    found = plain.predict({"x": masked(new[:, 1], 2)})
    assert np.isnan(found).tolist() == [False, False, True, False, False]


def test_variables_of_the_caller():
    """A masked array beside the table, and one that an expression makes."""
    data = table()
    own = masked(data["x"], 3)
    label = np.ma.array(np.tile(["u", "v"], 30), mask=np.arange(60) == 4)
    # NumPy's functions for masked arrays mistake an attribute of a Series before pandas 3 for its values.
    x = "x" if int(pd.__version__.split(".")[0]) >= 3 else "np.asarray(x)"
    for formula, row in (
        ("y ~ own + (1 | g)", 3),
        ("y ~ I(own * 2) + (own | g)", 3),
        ("y ~ np.exp(own / 1000) + offset(own) + (1 | g)", 3),
        ("own ~ x + (1 | g)", 3),
        ("y ~ C(label) + (0 + C(label) | g)", 4),
        (f"y ~ np.ma.masked_greater({x}, np.sort(x)[-2]) + (1 | g)", int(np.argmax(data["x"]))),
    ):
        model = lmmcore.mixedlm(formula, data)
        assert np.setdiff1d(np.arange(60), model.rows_used).tolist() == [row], formula
    del own, label


def test_subsets():
    """What is masked, or missing, is in no subset."""
    frame = pd.DataFrame(table())
    use = np.ma.array(frame["x"] > 0, mask=np.arange(60) < 20)
    found = lmmcore.mixedlm("y ~ x + (1 | g)", frame, subset=use)
    expected = np.flatnonzero((frame["x"] > 0) & (np.arange(60) >= 20))
    np.testing.assert_array_equal(found.rows_used, expected)
    objects = pd.Series(np.where(np.arange(60) < 20, None, frame["x"] > 0), frame.index)
    for subset in (objects, objects.to_numpy(), lambda data: objects):
        model = lmmcore.mixedlm("y ~ x + (1 | g)", frame, subset=subset)
        np.testing.assert_array_equal(model.rows_used, expected)
    for subset in (
        (frame["x"] > 0).astype(int),
        [5, 7, 5, *range(20, 60)],
    ):  # labels, not conditions
        with pytest.raises(DataValueError, match="several times; expected each label of the index"):
            lmmcore.mixedlm("y ~ x + (1 | g)", frame, subset=subset)

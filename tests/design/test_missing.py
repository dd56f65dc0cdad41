"""Rows with missing values: left out by formulas as by hand, counted, named; refused when asked."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError


def table():
    rng = np.random.default_rng(3)
    n = 120
    frame = pd.DataFrame(
        {
            "x": rng.uniform(1, 5, n),
            "z": rng.standard_normal(n),
            "w": rng.uniform(1, 2, n),
            "g": np.repeat(np.arange(12), 10),
            "h": np.tile(np.arange(10), 12),
            "f": rng.choice(list("abc"), n),
        },
        index=[f"row {i}" for i in range(n)],
    )
    frame["y"] = frame["x"] + rng.standard_normal(12)[frame["g"]] + rng.standard_normal(n)
    return frame


def holes(**rows):
    """Return the table with missing values in some rows of some columns."""
    frame = table()
    for name, where in rows.items():
        kind = object if frame[name].dtype.kind not in "f" else float
        frame[name] = frame[name].astype(kind)
        frame.iloc[where, frame.columns.get_loc(name)] = None if kind is object else np.nan
    return frame


CASES = {
    "response": ("y ~ x + (1 | g)", {}, {"y": [3, 4]}),
    "transformed response": ("np.log(y + 20) ~ x + (1 | g)", {}, {"y": [3, 4]}),
    "numeric column": ("y ~ x + (1 | g)", {}, {"x": [3, 50]}),
    "function of a column": ("y ~ np.log(x) + (1 | g)", {}, {"x": [3, 50]}),
    "category": ("y ~ f + (1 | g)", {}, {"f": [3, 50]}),
    "interaction": ("y ~ f * x + (1 | g)", {}, {"f": [3, 50], "x": [50, 51]}),
    "slope": ("y ~ 1 + (x | g)", {}, {"x": [3, 50]}),
    "slope of a category": ("y ~ 1 + (1 | g) + (0 + f | g)", {}, {"f": [3, 50]}),
    "group": ("y ~ x + (1 | g)", {}, {"g": [3, 50]}),
    "second group": ("y ~ x + (1 | g) + (1 | h)", {}, {"h": [3, 50], "g": [7]}),
    "interaction of groups": ("y ~ x + (1 | g:f)", {}, {"f": [3, 50]}),
    "groups=": ("y ~ x", {"groups": "g"}, {"g": [3, 50]}),
    "re_formula": ("y ~ 1", {"groups": "g", "re_formula": "I(x ** 2)"}, {"x": [3, 50]}),
    "component": ("y ~ x", {"groups": "g", "vc_formula": {"f": "0 + C(f)"}}, {"f": [3, 50]}),
    "numeric component": ("y ~ 1", {"groups": "g", "vc_formula": {"s": "0 + x"}}, {"x": [3, 50]}),
    "slope of a component": (
        "y ~ 1", {"groups": "g", "vc_formula": {"s": "0 + C(f):x"}}, {"x": [3], "f": [50]},
    ),
    "computed component": (
        "y ~ 1", {"groups": "g", "vc_formula": {"s": "0 + f:np.log(x)"}}, {"x": [3], "f": [50]},
    ),
    "weight": ("y ~ x + (1 | g)", {"weights": "w"}, {"w": [3, 50]}),
    "offset": ("y ~ x + offset(np.log(w)) + (1 | g)", {}, {"w": [3, 50]}),
    "centered column": ("y ~ center(x) + (1 | g)", {}, {"x": [3, 50], "y": [60]}),
    "spline": ("y ~ bs(x, df=4) + (1 | g)", {}, {"x": [3, 50], "y": [60]}),
    "condition": ("y ~ (x > 2) + (x > 2 | g)", {}, {"x": [3, 50]}),
    "condition on a category": ("y ~ np.where(f == 'a', 1, 0) + (1 | g)", {}, {"f": [3, 50]}),
    "classes": ("y ~ C(np.digitize(x, [2, 3])) + (1 | g)", {}, {"x": [3, 50]}),
    "condition of an offset": ("y ~ offset(x > 2) + (1 | g)", {}, {"x": [3, 50]}),
    "condition of a component": (
        "y ~ 1", {"groups": "g", "vc_formula": {"s": "0 + C(x > 2)"}}, {"x": [3, 50]},
    ),
    "two dimensions": ("y ~ np.column_stack([x, z]) + (1 | g)", {}, {"x": [3], "z": [50]}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reml", [True, False])
def test_rows_are_left_out_as_by_hand(case, reml):
    formula, keywords, where = CASES[case]
    data = holes(**where)
    complete = data.dropna()
    by_hand = lmmcore.mixedlm(formula, complete.infer_objects(), **keywords).fit(reml=reml)
    for missing in ("none", "drop"):
        fit = lmmcore.mixedlm(formula, data, missing=missing, **keywords).fit(reml=reml)
        assert fit.criterion == pytest.approx(by_hand.criterion, rel=1e-12)
        assert list(fit.fe_params.index) == list(by_hand.fe_params.index)
        np.testing.assert_allclose(fit.model.exog, by_hand.model.exog, rtol=1e-13)
        assert list(fit.resid.index) == list(complete.index)
        np.testing.assert_array_equal(fit.model.rows_used, np.flatnonzero(data.notna().all(axis=1)))
        assert fit.model.design.missing == {name: len(rows) for name, rows in where.items()}
    text = fit.summary().as_text()
    assert f"{len(data) - len(complete)} rows with missing values (" in text
    for name, rows in where.items():
        assert f"{name} in {len(rows)}" in text
    with pytest.raises(DataValueError, match=r"missing='drop'|weights has nan"):
        lmmcore.mixedlm(formula, data, missing="raise", **keywords)


def test_nothing_is_said_where_nothing_is_missing():
    data = table()
    unused = data.assign(other=np.nan)
    for frame in (data, unused):
        model = lmmcore.mixedlm("y ~ f * x + (x | g)", frame)
        assert model.nobs == 120
        np.testing.assert_array_equal(model.rows_used, np.arange(120))
        assert "missing" not in model.fit().summary().as_text()
        lmmcore.mixedlm("y ~ f * x + (x | g)", frame, missing="raise")


def test_a_variable_is_missing_once_it_is_evaluated():
    """As in R: the values that the model would use decide, not the columns that they come from."""
    data = holes(x=[3, 50])
    filled = lmmcore.mixedlm("y ~ x.fillna(0) + np.isnan(x) + (1 | g)", data)
    assert filled.nobs == 120
    assert filled.exog_names == ["Intercept", "np.isnan(x)[T.True]", "x.fillna(0)"]
    negative = table()
    negative.iloc[5, negative.columns.get_loc("x")] = -1.0
    with np.errstate(invalid="ignore"):
        logs = lmmcore.mixedlm("y ~ np.log(x) + (1 | g)", negative)
        centered = lmmcore.mixedlm("y ~ center(np.log(x)) + (1 | g)", negative)
    assert logs.nobs == centered.nobs == 119
    assert logs.design.missing == {"np.log(x)": 1}
    assert abs(centered.exog[:, 1].mean()) < 1e-14
    lagged = lmmcore.mixedlm("y ~ x.shift(1) + (1 | g)", table())
    assert lagged.nobs == 119
    np.testing.assert_array_equal(lagged.exog[:, 1], table()["x"].to_numpy()[:-1])


def test_variables_of_the_caller_have_missing_values_too():
    data = table()
    own = data["z"].to_numpy().copy()
    own[[1, 2]] = np.nan
    model = lmmcore.mixedlm("y ~ own + (1 | g)", data)
    assert model.nobs == 118
    assert model.design.missing == {"own": 2}


def test_arrays_of_groups_and_weights_lose_the_same_rows():
    data = holes(x=[3, 50])
    expected = lmmcore.mixedlm("y ~ x + (1 | g)", data.dropna(), weights="w").fit()
    for groups in (data["g"], data["g"].to_numpy(), data["g"].tolist()):
        fit = lmmcore.mixedlm("y ~ x", data, groups=groups, weights=data["w"].to_numpy()).fit()
        assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)


def test_levels_that_lose_all_their_rows_are_gone():
    data = table()
    data["f"] = pd.Categorical(data["f"], ["a", "b", "c"])
    data.loc[data["f"] == "a", "y"] = np.nan
    model = lmmcore.mixedlm("y ~ f + (1 | g)", data)
    assert model.exog_names == ["Intercept", "f[T.c]"]
    data.loc[data["g"] == 4, "y"] = np.nan
    assert 4 not in lmmcore.mixedlm("y ~ f + (1 | g)", data).group_labels


def test_a_subset_comes_first():
    data = holes(x=[3, 50])
    chosen = np.ones(120, dtype=bool)
    chosen[:10] = False
    model = lmmcore.mixedlm("y ~ x + (1 | g)", data, subset=chosen)
    np.testing.assert_array_equal(model.rows_used, np.setdiff1d(np.arange(10, 120), [50]))
    assert model.design.missing == {"x": 1}
    by_label = lmmcore.mixedlm("y ~ x + (1 | g)", data, subset=data.index[chosen][::-1])
    np.testing.assert_array_equal(by_label.rows_used, model.rows_used[::-1])
    by_function = lmmcore.mixedlm("y ~ x + (1 | g)", data, subset=lambda d: d["h"] < 5)
    assert by_function.nobs == 58
    whole = lmmcore.mixedlm("y ~ x + (1 | g)", table(), subset=chosen)
    np.testing.assert_array_equal(whole.rows_used, np.arange(10, 120))


def test_no_row_is_left():
    with pytest.raises(DataValueError, match=r"no rows after 120 with missing.*x in 120"):
        lmmcore.mixedlm("y ~ bs(x, df=4) + (1 | g)", table().assign(x=np.nan))


def test_infinity_is_no_missing_value():
    data = holes(x=[3])
    data.iloc[9, data.columns.get_loc("z")] = np.inf
    with pytest.raises(DataValueError, match=r"'z' has infinity in row 8"):
        lmmcore.mixedlm("y ~ x + z + (1 | g)", data)


def test_arrays_keep_the_error():
    data = holes(x=[3])
    arrays = data["y"], data[["x"]].assign(one=1.0), data["g"]
    for missing in ("none", "raise"):
        with pytest.raises(DataValueError, match=r"'x' has NaN in row 3"):
            MixedLM(*arrays, missing=missing).fit()
    model = MixedLM(*arrays, missing="drop")
    np.testing.assert_array_equal(model.rows_used, np.delete(np.arange(120), 3))


def test_more_columns_than_are_formed_at_once():
    """Cross-products of many columns wait for a fit; rows with missing values are found before."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.standard_normal((40, 60)), columns=[f"x{j}" for j in range(60)])
    data["y"], data["g"] = rng.standard_normal(40), np.repeat(np.arange(8), 5)
    data.loc[7, "x5"] = np.nan
    model = lmmcore.mixedlm("y ~ " + " + ".join(f"x{j}" for j in range(60)) + " + (1 | g)", data)
    assert model.nobs == 39
    assert model.design.missing == {"x5": 1}


def test_new_rows_with_missing_values_are_predicted_as_missing():
    data = table()
    fit = lmmcore.mixedlm("y ~ x + f + bs(z, df=4) + (x | g)", data).fit()
    new = data.copy()
    new.loc["row 2", "x"] = np.nan
    new.loc["row 3", "f"] = None
    new.loc["row 4", "z"] = np.nan
    predicted = fit.predict(new)
    assert list(np.flatnonzero(predicted.isna())) == [2, 3, 4]
    rest = predicted.index.difference(["row 2", "row 3", "row 4"])
    np.testing.assert_allclose(predicted[rest], fit.predict(data)[rest], rtol=1e-12)


def test_a_condition_on_a_missing_value_is_predicted_as_missing():
    data = table()
    fit = lmmcore.mixedlm("y ~ (x > 2) + z:f + offset(w > 1.5) + (x > 2 | g)", data).fit()
    new = data.copy()
    new.loc["row 2", "x"] = np.nan
    new.loc["row 4", "w"] = np.nan
    predicted = fit.predict(new, random_effects=True)
    assert list(np.flatnonzero(predicted.isna())) == [2, 4]


def test_rows_that_were_removed():
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", holes(x=[3])).fit()
    fit.remove_data()
    assert "1 row with missing values (x in 1)" in fit.summary().as_text()
    with pytest.raises(lmmcore.errors.DataRemovedError, match="remove_data"):
        fit.model.rows_used  # noqa: B018

"""Columns of formulas: those of patsy, levels in use, and the same columns from new rows."""

import datetime
import pickle
import sys

import numpy as np
import pandas as pd
import patsy
import pytest

import lmmcore
from lmmcore.design.columns import stack
from lmmcore.design.evaluate import Evaluator, rebuild
from lmmcore.design.formula import parse_terms
from lmmcore.errors import (
    DataTypeError,
    DataValueError,
    FormulaError,
    NameNotFoundError,
    RankDeficientWarning,
)


def table(n=120):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "x": rng.uniform(1, 5, n),
            "z": rng.standard_normal(n),
            "i": rng.integers(0, 4, n),
            "f": rng.choice(list("abc"), n),
            "b": rng.random(n) > 0.5,
            "g": np.repeat(np.arange(12), n // 12),
            "w": rng.uniform(1, 2, n),
        }
    )
    frame["h"] = pd.Categorical(rng.choice(["lo", "mid", "hi"], n), ["lo", "mid", "hi"])
    frame["my x"] = 2.0 * frame["x"]
    frame["y"] = frame["x"] + rng.standard_normal(12)[frame["g"]] + rng.standard_normal(n)
    return frame


def own(values):
    return values**2


TERMS = [
    "0 + f", "f", "f * h", "x:f", "x * f", "f:h", "0 + f:h", "C(i)", "C(i, Sum)", "C(i, Poly)",
    "C(f, Treatment('b'))", "C(f, Treatment(1))", "C(f, Sum('a'))", "C(f, Helmert) + h", "C(f, Diff)",
    "C(i, levels=[3, 2, 1, 0])", "C(f, [[1, 0], [0, 1], [-1, -1]])", "C(C(f, Sum), levels=list('bca'))",
    "center(x)", "standardize(x) + center(np.log(x))", "center(center(x) ** 2)",
    "bs(x, df=4)", "bs(x, knots=[2, 3], degree=2)", "cr(x, df=4)", "cc(x, df=4)",
    "te(cr(x, df=3), cr(z, df=3))", "np.log(x) + I(x ** 2)", "I(x * twice)", "own(x) * f", "b", "b * x",
    "x > 2", "Q('my x'):f", "x ** 2", "(f + h + x) ** 2", "(f + h) ** 2 - f", "f / x", "x + i:z",
    "np.column_stack([x, z]):f", "center(x):f + bs(z, df=3):h", "abs(z) + f.str.upper()", "C(f):C(i) - 1",
    "np.where(f == 'a', 1, 0)", "0 + f + h", "0 + h + f", "h:x:f - 1",
]  # fmt: skip


@pytest.mark.parametrize("text", TERMS)
def test_columns_are_those_of_patsy(text):
    """Names and values, in the rows of a model and in others, also of a copy by pickle."""
    twice = 2.0
    data = table()
    theirs = patsy.dmatrix(text, data)
    columns, names, info = Evaluator(sys._getframe(), data).columns(
        parse_terms(text), "fixed effects"
    )
    expected_names = [x.replace("Q('my x')", "my x") for x in theirs.design_info.column_names]
    assert list(names) == expected_names
    np.testing.assert_allclose(stack(columns, 120), np.asarray(theirs), rtol=1e-13, atol=1e-13)
    new = data.sample(25, random_state=3)
    (expected,) = patsy.build_design_matrices([theirs.design_info], new)
    for kept in (info, pickle.loads(pickle.dumps(info))):
        np.testing.assert_allclose(rebuild(kept, new), expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(rebuild(kept, new[7:9]), expected[7:9], rtol=1e-12, atol=1e-13)
    assert twice == 2.0


def unused():
    """Return a table whose categories have levels without a row: the first and one in between."""
    data = table()
    data["f"] = pd.Categorical(data["f"], ["", "c", "none", "a", "b"])
    data["h"] = data["h"].cat.add_categories(["never"])
    return data


UNUSED = [
    ("y ~ f + (1 | g)", {}),
    ("y ~ f * h + (1 | g)", {}),
    ("y ~ x:f + (1 | g)", {}),
    ("y ~ C(f, Sum) + C(h, Poly) + (1 | g)", {}),
    ("y ~ x + (f | g)", {}),
    ("y ~ x + (0 + f | g)", {}),
    ("y ~ x + (0 + f:x | g)", {}),
    ("y ~ x + cs(0 + f | g)", {}),
    ("y ~ x + (1 | f:g)", {}),
    ("y ~ f", {"groups": "g", "re_formula": "f"}),
    ("y ~ x", {"groups": "g", "vc_formula": {"f": "0 + C(f)", "h": "0 + h"}}),
    ("y ~ x", {"groups": "g", "vc_formula": {"f": "1 + f", "s": "0 + f:x"}}),
]


@pytest.mark.parametrize(("formula", "keywords"), UNUSED)
@pytest.mark.parametrize("reml", [True, False])
def test_levels_without_a_row_are_dropped(formula, keywords, reml):
    data = unused()
    clean = data.assign(**{x: data[x].cat.remove_unused_categories() for x in "fh"})
    fit = lmmcore.mixedlm(formula, data, **keywords).fit(reml=reml)
    expected = lmmcore.mixedlm(formula, clean, **keywords).fit(reml=reml)
    assert fit.model.dropped == ()
    assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)
    assert fit.model.param_names == expected.model.param_names
    np.testing.assert_allclose(fit.fe_params, expected.fe_params, rtol=1e-9)
    np.testing.assert_allclose(fit.cov_re, expected.cov_re, rtol=1e-6, atol=1e-9)


def test_the_first_level_in_use_is_the_reference():
    data = table()
    data["sex"] = pd.Categorical(np.where(data["b"], "f", "m"), ["", "f", "m"])
    model = lmmcore.mixedlm("y ~ sex + (sex | g)", data)
    assert model.exog_names == ["Intercept", "sex[T.m]"]
    assert model.exog_re_names == ["g", "sex[T.m]"]


def test_levels_outside_of_the_subset_are_dropped():
    data = table()
    part = data["h"] != "lo"
    model = lmmcore.mixedlm("y ~ h + C(i) + (1 | g)", data, subset=part & (data["i"] > 0))
    assert model.exog_names == ["Intercept", "h[T.hi]", "C(i)[T.2]", "C(i)[T.3]"]
    with pytest.warns(RankDeficientWarning, match="'h' has only one level in the rows used"):
        model = lmmcore.mixedlm("y ~ h + x + (1 | g)", data, subset=data["h"] == "lo")
    assert model.exog_names == ["Intercept", "x"]


def test_contrasts_of_the_levels_in_use():
    """A position names the level that it had; matrices and scores lose the rows of other levels."""
    data = unused()
    for contrast, names in (
        ("Treatment(3)", ["c", "b"]),
        ("Treatment('a')", ["c", "b"]),
        ("Sum(1)", ["a", "b"]),
    ):
        model = lmmcore.mixedlm(f"y ~ C(f, {contrast}) + (1 | g)", data)
        assert [name[-2] for name in model.exog_names[1:]] == names
    scores = lmmcore.mixedlm("y ~ C(f, Poly([0, 1, 2, 4, 9])) + (1 | g)", data)
    other = lmmcore.mixedlm(
        "y ~ C(f, Poly([1, 4, 9])) + (1 | g)",
        data.assign(f=data["f"].cat.remove_unused_categories()),
    )
    np.testing.assert_allclose(scores.exog, other.exog)
    matrix = np.array([[9, 9], [1, 0], [9, 9], [0, 1], [-1, -1]])
    by_matrix = lmmcore.mixedlm("y ~ C(f, matrix) + (1 | g)", data)
    np.testing.assert_array_equal(by_matrix.exog[:, 1], matrix[data["f"].cat.codes, 0])
    with pytest.raises(FormulaError, match="none"):
        lmmcore.mixedlm("y ~ C(f, Treatment('none')) + (1 | g)", data)


CATEGORICAL = [
    "y ~ f + (1 | g)",
    "y ~ f * x + (f | g)",
    "y ~ C(f, Sum) + (0 + f | g)",
    "y ~ x + offset(np.where(f == 'a', 1.0, 2.0)) + (f | g)",
]


@pytest.mark.parametrize("formula", CATEGORICAL)
def test_new_rows_may_list_other_categories(formula):
    """Fewer, more or in another order, as text or as categories: the label decides."""
    data = table()
    fit = lmmcore.mixedlm(formula, data.astype({"f": "category"})).fit()
    expected = fit.fittedvalues
    for f in (
        data["f"],
        data["f"].astype("string"),
        pd.Series(pd.Categorical(data["f"], list("cab"))),
        pd.Series(pd.Categorical(data["f"], ["unknown", "c", "b", "x", "a"])),
    ):
        predicted = fit.predict(data.assign(f=f), random_effects=True)
        np.testing.assert_allclose(predicted, expected, rtol=1e-9)
    one = data[data["f"] == "b"].copy()
    one["f"] = one["f"].astype("category")
    for rows in (one, one[:1]):
        predicted = fit.predict(rows, random_effects=True)
        np.testing.assert_allclose(predicted, expected[rows.index], rtol=1e-9)


def test_a_model_of_text_predicts_categories():
    data = table()
    fit = lmmcore.mixedlm("y ~ f + C(i) + b + (1 | g)", data).fit()
    new = data.astype({"f": "category", "i": "category", "b": "category"})
    np.testing.assert_allclose(fit.predict(new), fit.predict(data), rtol=1e-12)
    np.testing.assert_allclose(fit.predict(new[3:4]), fit.predict(data)[3:4], rtol=1e-12)


@pytest.mark.parametrize("kind", [str, float, object, "Int64", "category", "string"])
def test_labels_of_another_type(kind):
    """308, 308.0 and "308" are one label where the model has one of them."""
    data = table()
    fit = lmmcore.mixedlm("y ~ C(i) + (0 + C(i) | g)", data).fit()
    new = data.assign(i=data["i"].astype(kind))
    predicted = fit.predict(new, random_effects=True)
    np.testing.assert_allclose(predicted, fit.fittedvalues, rtol=1e-9)
    text = lmmcore.mixedlm("y ~ t + (1 | g)", data.assign(t=data["i"].astype(str))).fit()
    predicted = text.predict(data.assign(t=data["i"].astype(kind)))
    np.testing.assert_allclose(predicted, text.predict(data.assign(t=data["i"].astype(str))))


def test_labels_that_only_look_alike():
    data = table()
    mixed = data.assign(t=np.where(data["b"], "1", "2"))
    mixed["t"] = mixed["t"].astype(object)
    mixed.loc[::2, "t"] = 1
    fit = lmmcore.mixedlm("y ~ t + (1 | g)", mixed).fit()
    assert fit.k_fe == 3
    levels = [fit.predict(data[:1].assign(t=[t])).iloc[0] for t in (1, "1", "2")]
    np.testing.assert_allclose(np.diff([fit.fe_params.iloc[0], *levels])[0], 0.0, atol=1e-12)
    assert len(set(levels)) == 3
    numbers = lmmcore.mixedlm("y ~ C(i) + (1 | g)", data).fit()
    for strange in ("01", "1.0", 1.5):
        with pytest.raises(DataValueError, match=rf"level {strange!r}.*known: 0, 1, 2, 3"):
            numbers.predict(data.assign(i=strange))


@pytest.mark.parametrize("formula", ["y ~ f + (1 | g)", "y ~ x + (f | g)", "y ~ x:C(f) + (1 | g)"])
def test_a_level_never_seen_is_named(formula):
    data = table()
    fit = lmmcore.mixedlm(formula, data).fit()
    for new in ("q", "A"):
        with pytest.raises(DataValueError, match=rf"f.*level '{new}'.*'a', 'b', 'c'"):
            fit.predict(data.assign(f=new), random_effects=True)
    unseen = data.assign(f=pd.Categorical(data["f"], ["q", "a", "b", "c"]))
    fit.predict(unseen, random_effects=True)  # listed, but in no row


def test_a_number_stays_a_number():
    data = table()
    for formula in ("y ~ x + (1 | g)", "y ~ x + f + (1 | g)", "y ~ x:f + (1 | g)"):
        fit = lmmcore.mixedlm(formula, data).fit()
        with pytest.raises(DataTypeError, match="'x'"):
            fit.predict(data.assign(x="3"))
        with pytest.raises(NameNotFoundError, match="'x'"):
            fit.predict(data.drop(columns="x"))
    flags = lmmcore.mixedlm("y ~ d + f + (1 | g)", data.assign(d=data["b"].astype(int))).fit()
    as_flags = flags.predict(data.assign(d=data["b"]))
    np.testing.assert_allclose(as_flags, flags.predict(data.assign(d=data["b"].astype(int))))


def test_names_mean_what_they_meant():
    """A column of the new rows does not take the place of a variable of the caller."""
    twice = 2.0
    data = table()
    fit = lmmcore.mixedlm("y ~ I(x * twice) + (1 | g)", data).fit()
    np.testing.assert_allclose(fit.predict(data.assign(twice=7.0)), fit.predict(data), rtol=1e-12)
    assert twice == 2.0
    values = data["z"].to_numpy()
    by_array = lmmcore.mixedlm("y ~ values * f + (1 | g)", data).fit()
    assert by_array.model.exog_names[3] == "values"
    shifted = by_array.predict(data.assign(values=values + 1.0))
    assert not np.allclose(shifted, by_array.predict(data.assign(values=values)))
    with pytest.raises(NameNotFoundError, match="'values'"):
        by_array.predict(data)
    data["C"] = data["x"]
    both = lmmcore.mixedlm("y ~ C + C(i) + abs(z) + (1 | g)", data)
    assert both.exog_names[-2:] == ["C", "abs(z)"]


def test_transforms_reached_through_a_module():
    """They keep what they learned, as bare names do."""
    data = table()
    fit = lmmcore.mixedlm("y ~ patsy.bs(x, df=4) + (1 | g)", data).fit()
    np.testing.assert_allclose(fit.predict(data[:10]), fit.predict(data)[:10], rtol=1e-12)


def test_components_of_new_rows_are_coded_as_in_the_model():
    """Also where the new rows have fewer levels of a group, and with the caller's functions."""
    data = table()
    for formula in ("1 + f", "0 + f", "0 + f:own(x)", "0 + center(x)"):
        fit = lmmcore.mixedlm("y ~ x", data, groups="g", vc_formula={"a": formula}).fit()
        for rows in (data, data[5:25], data[data["f"] == "c"], data[7:8]):
            predicted = fit.predict(rows, random_effects=True)
            np.testing.assert_allclose(predicted, fit.fittedvalues[rows.index], rtol=1e-8)


def test_components_that_were_selected_are_predicted():
    rng = np.random.default_rng(0)
    data = table(240).assign(h=np.tile(np.arange(10), 24))
    data["y"] += rng.standard_normal((12, 10))[data["g"], data["h"]]
    components = {"a": "0 + C(f)", "b": "0 + C(h)"}
    model = lmmcore.mixedlm("y ~ x", data, groups="g", re_formula="1", vc_formula=components)
    fit = model.select_random_effects().refit()
    assert fit.model.vcomp_names == ["b"]
    np.testing.assert_allclose(fit.predict(data, random_effects=True), fit.fittedvalues, rtol=1e-9)


def dates():
    days = pd.Series(pd.date_range("2020-01-01", periods=120))
    yield "dates", days
    yield "dates with a zone", days.dt.tz_localize("UTC")
    yield "periods", days.dt.to_period("D")
    yield "times", days - days[0]
    yield "objects", days.dt.date.astype(object)
    yield "datetime objects", pd.Series([datetime.datetime(2020, 1, 1)] * 120, dtype=object)


@pytest.mark.parametrize(("kind", "days"), list(dates()), ids=[kind for kind, _ in dates()])
@pytest.mark.parametrize(
    ("formula", "keywords"),
    [
        ("y ~ t + (1 | g)", {}),
        ("y ~ t + f + (1 | g)", {}),
        ("y ~ x:t + (1 | g)", {}),
        ("y ~ I(t) + (1 | g)", {}),
        ("y ~ x + (t | g)", {}),
        ("t ~ x + (1 | g)", {}),
        ("y ~ offset(t) + (1 | g)", {}),
        ("y ~ x", {"groups": "g", "re_formula": "t"}),
        ("y ~ x", {"groups": "g", "vc_formula": {"t": "0 + t"}}),
        ("y ~ x", {"groups": "g", "vc_formula": {"t": "0 + t:x"}}),
    ],
)
def test_a_date_is_no_category(kind, days, formula, keywords):
    with pytest.raises(DataTypeError, match=r"t\)?' holds dates or times.*Convert it to a number"):
        lmmcore.mixedlm(formula, table().assign(t=days), **keywords)


def test_dates_as_numbers_categories_and_groups():
    data = table()
    data["t"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["i"], "D")
    number = data.assign(d=(data["t"] - data["t"].min()) / pd.Timedelta(days=1))
    expected = lmmcore.mixedlm("y ~ i + (1 | g)", data).fit().criterion
    assert lmmcore.mixedlm("y ~ d + (1 | g)", number).fit().criterion == pytest.approx(expected)
    assert lmmcore.mixedlm("y ~ C(t) + (1 | g)", data).k_fe == 4
    assert lmmcore.mixedlm("y ~ x + (1 | t)", data).n_groups == 4
    with pytest.raises(DataTypeError, match=r"exog 't' holds dates"):
        lmmcore.MixedLM(data["y"], data[["x", "t"]], data["g"])


@pytest.mark.parametrize("kind", ["boolean", "string[python]", "string", "category"])
def test_extension_types(kind):
    check_extension_type(kind)


@pytest.mark.parametrize("kind", ["bool[pyarrow]", "string[pyarrow]", "large_string[pyarrow]"])
def test_arrow_types(kind):
    pytest.importorskip("pyarrow")
    check_extension_type(kind)


def check_extension_type(kind):
    data = table()
    plain = data["b"] if "bool" in kind else data["f"]
    for formula in ("y ~ v * x + (1 | g)", "y ~ x + (v | g)", "y ~ C(v) + (1 | g)"):
        expected = lmmcore.mixedlm(formula, data.assign(v=plain)).fit()
        new = data.assign(v=plain.astype(kind))
        fit = lmmcore.mixedlm(formula, new).fit()
        assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)
        assert fit.model.param_names == expected.model.param_names
        np.testing.assert_allclose(expected.predict(new), expected.predict(data.assign(v=plain)))
        holes = new.assign(v=new["v"].where(data["x"] > 1.2))
        assert lmmcore.mixedlm(formula, holes).nobs == int((data["x"] > 1.2).sum())


def test_rows_and_scalars():
    data = table()
    plain = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    shifted = lmmcore.mixedlm("y ~ x + offset(2) + (1 | g)", data).fit()
    assert shifted.fe_params["Intercept"] == pytest.approx(plain.fe_params["Intercept"] - 2.0)
    with pytest.raises(DataValueError, match=r"'np.unique\(i\)' has 4 values for 120 rows"):
        lmmcore.mixedlm("y ~ np.unique(i) + (1 | g)", data)

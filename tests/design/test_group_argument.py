"""The argument `groups`, and what is refused when a model is built."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import (
    DataTypeError,
    DataValueError,
    FormulaError,
    NameNotFoundError,
    OptionError,
)


def data():
    rng = np.random.default_rng(0)
    a, b = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    x = rng.standard_normal(48)
    y = x + rng.standard_normal(8)[a] + rng.standard_normal(6)[b] + rng.standard_normal(48)
    return pd.DataFrame({"y": y, "x": x, "a": a, "b": b})


@pytest.mark.parametrize("kind", ["list", "tuple", "index", "frame", "series", "array"])
def test_one_column(kind):
    table = data()
    groups = {
        "list": ["a"], "tuple": ("a",), "index": pd.Index(["a"]), "frame": table[["a"]],
        "series": table["a"], "array": table[["a"]].to_numpy(),
    }[kind]  # fmt: skip
    expected = lmmcore.mixedlm("y ~ x", table, groups="a").fit()
    fit = lmmcore.mixedlm("y ~ x", table, groups=groups).fit()
    assert fit.criterion == expected.criterion
    if kind != "array":
        found = fit.predict(table, random_effects=True)
        np.testing.assert_allclose(found, expected.fittedvalues)


@pytest.mark.parametrize("kind", ["list", "tuple", "index", "frame"])
def test_several_columns(kind):
    table = data()
    groups = {"list": ["a", "b"], "tuple": ("a", "b"), "index": pd.Index(["a", "b"]),
              "frame": table[["a", "b"]]}[kind]  # fmt: skip
    words = r"'a', 'b'; .*write \(1 \| a\) \+ \(1 \| b\) into a formula; .*\(1 \| a:b\)"
    with pytest.raises(FormulaError, match=words):
        lmmcore.mixedlm("y ~ x", table, groups=groups)


def test_the_error_has_the_names_of_the_columns():
    table = data().rename(columns={"a": "lab", "b": "cab"})
    with pytest.raises(FormulaError, match=r"\(1 \| lab\) \+ \(1 \| cab\) .*\(1 \| lab:cab\)"):
        lmmcore.mixedlm("y ~ x", table, groups=["lab", "cab", "x"])


def test_no_groups():
    table = data()
    with pytest.raises(DataTypeError, match="groups is None"):
        MixedLM(table["y"], table[["x"]])


def test_names_that_are_no_columns():
    with pytest.raises(
        NameNotFoundError, match=r"'aa', which is not a column of data; did you mean 'a'"
    ):
        lmmcore.mixedlm("y ~ x", data(), groups=["aa"])


def test_a_list_of_labels_is_a_list_of_labels():
    table = data()[:12].assign(a=list("uvwuvwuvwuvw"))
    expected = lmmcore.mixedlm("y ~ x", table, groups="a").fit()
    fit = lmmcore.mixedlm("y ~ x", table, groups=table["a"].tolist()).fit()
    assert fit.criterion == expected.criterion


def test_two_columns_of_arrays():
    table = data()
    x = np.ones((48, 1))
    for groups in (table[["a", "b"]], table[["a", "b"]].to_numpy()):
        with pytest.raises(DataValueError, match=r"\(1 \| a\) \+ \(1 \| b\)"):
            MixedLM(table["y"], x, groups)


def test_groups_of_one_text_column_called_group():
    table = data().rename(columns={"a": "Group"})
    fit = lmmcore.mixedlm("y ~ x + (1 | Group)", table).fit()
    np.testing.assert_allclose(fit.predict(table, random_effects=True), fit.fittedvalues)


@pytest.mark.parametrize(
    "build",
    [
        lambda d: lmmcore.mixedlm("y ~ x + antte(1 + x | a)", d),
        lambda d: lmmcore.mixedlm("y ~ x", d, groups="a", re_formula="x", covariance="antte"),
        lambda d: MixedLM(d["y"], d[["x"]], d["a"], exog_re=d[["x"]], covariance={"a": "antte"}),
    ],
)
def test_a_misspelt_structure_fails_when_the_model_is_built(build):
    with pytest.raises(OptionError, match="'antte'"):
        build(data())


def test_a_series_named_like_a_column_that_it_is_not():
    """Predictions look up the groups of new rows in the column of that name only if it holds them."""
    data = lmmcore.datasets.load_sleepstudy()
    data["Subject"] = data["Subject"].astype(str).astype(int)
    pairs = data["Subject"] // 10
    assert pairs.name == "Subject"
    exog = data[["Days", "Subject"]]
    for fit, new in (
        (MixedLM.from_formula("Reaction ~ Days", data, groups=pairs).fit(), data),
        (MixedLM(data["Reaction"], exog, pairs).fit(), exog),
    ):
        with pytest.raises(OptionError, match="groups of the new rows are not given"):
            fit.predict(new, random_effects=True)
    for groups in (
        data["Subject"],
        data[["Subject"]],
        data["Subject"].astype(str),
        data["Subject"].astype(float),
        data["Subject"].astype("category"),
        data["Subject"].astype(float).where(data.index != 4),
        data["Subject"].rename("person"),
    ):
        fit = MixedLM.from_formula("Reaction ~ Days", data, groups=groups).fit()
        found = fit.predict(data.assign(person=data["Subject"]), random_effects=True)
        np.testing.assert_allclose(found[fit.model.rows_used], fit.fittedvalues)

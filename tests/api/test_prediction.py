"""Predictions for new rows, with and without random effects."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError, NameNotFoundError, OptionError


def sleepstudy(formula="Reaction ~ Days + (Days | Subject)", **keywords):
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm(formula, data, **keywords).fit(), data


@pytest.mark.parametrize(
    ("formula", "keywords"),
    [
        ("Reaction ~ Days + (Days | Subject)", {}),
        ("Reaction ~ Days + (Days || Subject)", {}),
        ("Reaction ~ C(Days) + (np.log(Days + 1) + I(Days ** 2) | Subject)", {}),
        ("Reaction ~ Days + (0 + C(Days > 4) | Subject)", {}),
        ("Reaction ~ Days", {"groups": "Subject", "re_formula": "Days"}),
    ],
)
def test_rows_of_the_model_give_the_fitted_values(formula, keywords):
    fit, data = sleepstudy(formula, **keywords)
    np.testing.assert_allclose(fit.predict(data, random_effects=True), fit.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(fit.predict(random_effects=True), fit.fittedvalues)
    shuffled = data.sample(frac=0.5, random_state=1)
    predicted = fit.predict(shuffled, random_effects=True)
    pd.testing.assert_series_equal(predicted, fit.fittedvalues[shuffled.index], rtol=1e-9)
    # The default stays that of statsmodels.
    np.testing.assert_allclose(
        fit.predict(data), fit.model.exog @ fit.fe_params.to_numpy(), rtol=1e-9
    )


def test_new_groups():
    fit, data = sleepstudy()
    new = data.head(4).astype({"Subject": str}).assign(Subject=["308", "new", "309", "other"])
    with pytest.raises(
        DataValueError, match="2 groups of 'Subject' are not in the model, such as new"
    ):
        fit.predict(new, random_effects=True)
    predicted = fit.predict(new, random_effects=True, new_groups="zero")
    fixed = fit.predict(new)
    assert predicted.iloc[[1, 3]].tolist() == fixed.iloc[[1, 3]].tolist()
    b = fit.random_effects["309"]
    assert predicted.iloc[2] - fixed.iloc[2] == pytest.approx(b.iloc[0] + 2 * b.iloc[1])


def test_interactions_of_factors():
    data = lmmcore.datasets.load_machines()
    fit = lmmcore.mixedlm("score ~ Machine + (1 | Worker:Machine)", data).fit()
    np.testing.assert_allclose(fit.predict(data, random_effects=True), fit.fittedvalues)


def test_arrays():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(10), 6)
    x = np.column_stack([np.ones(60), rng.standard_normal(60)])
    y = rng.standard_normal(60) + rng.standard_normal(10)[g]
    fit = MixedLM(y, x, g, exog_re=x).fit()
    np.testing.assert_allclose(
        fit.predict(x, random_effects=True, groups=g, exog_re=x), fit.fittedvalues
    )
    intercepts = MixedLM(y, x, g).fit()
    np.testing.assert_allclose(
        intercepts.predict(x, random_effects=True, groups=g), intercepts.fittedvalues
    )
    for arguments, error, match in (
        ({}, OptionError, "give exog_re="),
        ({"exog_re": x}, OptionError, "expected groups="),
        ({"exog_re": x[:, :1], "groups": g}, DataValueError, "exog_re has 1 columns; expected 2"),
        ({"exog_re": x, "groups": g[:5]}, DataValueError, "groups has 5 labels for 60 rows"),
        ({"exog_re": x, "groups": g, "new_groups": "mean"}, OptionError, "new_groups='mean'"),
    ):
        with pytest.raises(error, match=match):
            fit.predict(x, random_effects=True, **arguments)


def test_what_is_missing_is_named():
    fit, data = sleepstudy()
    with pytest.raises(NameNotFoundError, match="no column 'Subject'"):
        fit.predict(data[["Days"]], random_effects=True)
    raw = pd.DataFrame({"a": 1.0, "b": [0.0, 1.0]})
    np.testing.assert_allclose(
        fit.predict(raw, transform=False), raw.to_numpy() @ fit.fe_params.to_numpy()
    )


@pytest.mark.parametrize("kind", ["bars", "component", "given"])
def test_rows_without_a_group(kind):
    """A missing label is a missing value: NaN where the factor is asked for, and nothing elsewhere."""
    data = lmmcore.datasets.load_pastes()
    fit, data = pastes()
    where: dict = {}
    if kind == "component":
        fit = MixedLM.from_formula(
            "strength ~ 1", data, groups="batch", vc_formula={"cask": "0 + C(cask)"}
        ).fit()
    expected = fit.predict(data, random_effects=True)
    new = data.astype({"batch": object, "cask": object})
    new.loc[[3, 17], "cask" if kind == "bars" else "batch"] = None
    if kind == "given":
        fit = MixedLM.from_formula("strength ~ 1", data, groups=data["batch"].to_numpy()).fit()
        expected = fit.predict(data, random_effects=True, groups=data["batch"])
        where = {"groups": new["batch"]}
    for new_groups in ("error", "zero"):
        found = fit.predict(new, random_effects=True, new_groups=new_groups, **where)
        np.testing.assert_allclose(found.drop([3, 17]), expected.drop([3, 17]), rtol=1e-12)
        assert found[[3, 17]].isna().all()
    assert fit.predict(new).notna().all()
    if kind == "bars":
        assert fit.predict(new, random_effects="batch").notna().all()
    none = new.assign(batch=None, cask=None)
    if kind != "given":
        assert fit.predict(none, random_effects=True).isna().all()


def test_variance_components():
    """Effects of components are found by group and name; unknown ones are an error or zero."""
    data = lmmcore.datasets.load_pastes()
    arguments = {"re_formula": "1", "vc_formula": {"cask": "0 + C(cask)"}, "groups": "batch"}
    fit = MixedLM.from_formula("strength ~ 1", data, **arguments).fit()
    part = data.iloc[[3, 40, 41, 7]]
    np.testing.assert_allclose(
        fit.predict(part, random_effects=True), fit.fittedvalues[part.index], rtol=1e-9
    )
    new = part.assign(cask="z")
    with pytest.raises(DataValueError, match=r"cask\[C\(cask\)\[z\]\].*new_groups='zero'"):
        fit.predict(new, random_effects=True)
    zero = fit.predict(new, random_effects=True, new_groups="zero")
    batches = [fit.random_effects[b]["batch"] for b in part["batch"]]
    np.testing.assert_allclose(zero, fit.fe_params["Intercept"] + np.array(batches), rtol=1e-9)
    # A component that patsy evaluates group by group, and crossed factors in one group.
    sleep = lmmcore.datasets.load_sleepstudy().assign(one=1)
    for keywords in (
        {"groups": "Subject", "re_formula": "1", "vc_formula": {"d": "0 + Days"}},
        {"groups": "Subject", "vc_formula": {"d": "0 + Days + I(Days ** 2)"}},
        {"groups": "one", "vc_formula": {"s": "0 + C(Subject)", "d": "0 + C(Days)"}},
    ):
        fit = MixedLM.from_formula("Reaction ~ Days", sleep, **keywords).fit()
        np.testing.assert_allclose(
            fit.predict(sleep[30:70], random_effects=True), fit.fittedvalues[30:70], rtol=1e-9
        )
    plain = MixedLM.from_formula("strength ~ 1", data, **arguments).fit()
    with pytest.raises(OptionError, match="come from a frame through vc_formula"):
        plain.predict(np.ones((2, 1)), random_effects=True, groups=["A", "B"])


def pastes():
    data = lmmcore.datasets.load_pastes()
    return lmmcore.mixedlm("strength ~ 1 + (1 | batch) + (1 | batch:cask)", data).fit(), data


def test_random_effects_by_name():
    """Of a factor, of a term; for the rows of the model and for new ones."""
    fit, data = pastes()
    fixed = fit.predict()
    cells = fit.random_effects["batch:cask"].iloc[:, 0]
    batch = fit.random_effects["batch"].loc[data["batch"].astype(str)].iloc[:, 0].to_numpy()
    cell = cells.loc[data["batch"].astype(str) + ":" + data["cask"].astype(str)].to_numpy()
    for given, expected in (
        ("batch", batch),
        (["batch"], batch),
        ("(1 | batch)", batch),
        ("1|batch", batch),
        ("batch:cask", cell),
        (("(1 | batch:cask)",), cell),
        (["batch", "batch:cask"], batch + cell),
        ("(1 | batch/cask)", batch + cell),
        ("all", batch + cell),
        (True, batch + cell),
        (np.True_, batch + cell),
        ("none", 0.0),
        (False, 0.0),
        ([], 0.0),
    ):
        np.testing.assert_allclose(fit.predict(random_effects=given), fixed + expected)
        np.testing.assert_allclose(fit.predict(data, random_effects=given), fixed + expected)
    # Factors that are not asked for need no columns.
    np.testing.assert_allclose(fit.predict(data[["batch"]], random_effects="batch"), fixed + batch)
    for given in ("plate", "(cask | batch)", "(0 + cask | batch)", ["batch", "plate"], 1, None, 0.5,
                  "(1 | batch", "|", {"batch": True}, "(1 | cask)", ["batch", 3]):  # fmt: skip
        for exog in (None, data):
            with pytest.raises(OptionError, match=r"'\(1 \| batch\)'"):
                fit.predict(exog, random_effects=given)


def test_random_effects_of_terms():
    data = lmmcore.datasets.load_sleepstudy()
    for formula, keywords in (
        ("Reaction ~ Days + (Days || Subject)", {}),
        ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", {}),
        ("Reaction ~ Days + (1 | Subject) + (0 + np.log(Days + 1) | Subject)", {}),
        ("Reaction ~ Days", {"groups": "Subject", "re_formula": "1 + Days"}),
    ):
        fit = lmmcore.mixedlm(formula, data, **keywords).fit()
        b = fit.random_effects_frame.loc[data["Subject"]].to_numpy()
        z = np.column_stack([np.ones(180), data["Days"]])
        one, slope = ("1", "Days"), ("0 + Days",)
        if "log" in formula:
            z[:, 1], slope = np.log(z[:, 1] + 1), ("0+np.log(Days+1)",)
        parts = [(f"({one[0]} | Subject)", [0]), (f"({slope[0]} | Subject)", [1])]
        if keywords:
            parts = [("(1 + Days | Subject)", [0, 1]), ("(Days|Subject)", [0, 1])]
        for name, columns in [*parts, ("Subject", [0, 1])]:
            expected = fit.predict() + np.sum((z * b)[:, columns], axis=1)
            np.testing.assert_allclose(fit.predict(random_effects=name), expected)
            np.testing.assert_allclose(fit.predict(data, random_effects=name), expected)


def test_variance_components_by_name():
    data = lmmcore.datasets.load_pastes()
    fit = MixedLM.from_formula(
        "strength ~ 1", data, groups="batch", re_formula="1", vc_formula={"cask": "0 + C(cask)"}
    ).fit()
    whole, fixed = fit.predict(random_effects=True), fit.predict()
    batch = fit.random_effects_frame.loc[data["batch"]].to_numpy()[:, 0]
    for exog in (None, data):
        predicted = fit.predict(exog, random_effects="(1 | batch)")
        np.testing.assert_allclose(predicted, fixed + batch, rtol=1e-9)
        for name in ("cask", "batch / cask"):
            predicted = fit.predict(exog, random_effects=name)
            np.testing.assert_allclose(predicted, whole - batch, rtol=1e-9)
        np.testing.assert_allclose(fit.predict(exog, random_effects="batch"), whole, rtol=1e-9)
    crossed = lmmcore.datasets.load_pastes().assign(one=1)
    fit = MixedLM.from_formula(
        "strength ~ 1", crossed, groups="one",
        vc_formula={"b": "0 + C(batch)", "k": "0 + C(sample)"},
    ).fit()  # fmt: skip
    b, k = (fit.predict(random_effects=name) - fixed for name in "bk")
    np.testing.assert_allclose(fixed + b + k, fit.fittedvalues)
    np.testing.assert_allclose(fit.predict(crossed, random_effects="k"), fixed + k)
    assert min(b.abs().max(), k.abs().max()) > 0.1
    with pytest.raises(OptionError, match="'b', 'k'"):
        fit.predict(random_effects="c")


def test_a_series_of_groups_keeps_its_name():
    data = lmmcore.datasets.load_sleepstudy()
    models = (
        MixedLM.from_formula("Reaction ~ Days", data, groups=data["Subject"]),
        MixedLM.from_formula("Reaction ~ Days", data, groups=data[["Subject"]]),
        MixedLM.from_formula("Reaction ~ Days", data, groups=["Subject"]),
        MixedLM(data["Reaction"], data.assign(one=1.0)[["one", "Days"]], data["Subject"]),
    )
    for model in models:
        fit = model.fit()
        new = data.assign(one=1.0)
        found = fit.predict(new, random_effects=True)
        np.testing.assert_allclose(found, fit.fittedvalues)
        np.testing.assert_allclose(fit.predict(new, random_effects="Subject"), fit.fittedvalues)
    # Names of parameters are those of statsmodels.
    assert "Group Var" in models[0].fit().params


@pytest.mark.parametrize("kind", [int, float, "Int64", object])
def test_labels_of_another_type(kind):
    """Text that another reading of the file made numbers, and the other way round."""
    fit, data = sleepstudy()
    numbers = data["Subject"].astype(int).astype(kind)
    text = data["Subject"].astype(str)
    np.testing.assert_allclose(
        fit.predict(data.assign(Subject=numbers), random_effects=True), fit.fittedvalues
    )
    other = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", data.assign(Subject=numbers)
    ).fit()
    np.testing.assert_allclose(
        other.predict(data.assign(Subject=text), random_effects=True), fit.fittedvalues, rtol=1e-6
    )
    for new, words in ((data.assign(Subject="A1"), r"text such as 'A1', where the model has numbers"),
                       (data.assign(Subject=7), "7; expected groups")):  # fmt: skip
        with pytest.raises(DataValueError, match=words):
            other.predict(new, random_effects=True)


def test_labels_of_another_type_that_could_be_several():
    data = lmmcore.datasets.load_sleepstudy()
    names = dict(zip(data["Subject"].unique(), ["7", "07", *map(str, range(100, 116))]))
    data["Subject"] = data["Subject"].astype(str).map(names)
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    for new_groups in ("error", "zero"):
        with pytest.raises(DataValueError, match=r"numbers \(7\) where the model has text \('7', '07'\)|"
                           r"numbers \(7\) where the model has text \('07', '7'\)"):  # fmt: skip
            fit.predict(data.assign(Subject=7), random_effects=True, new_groups=new_groups)


def test_labels_of_another_type_in_interactions_and_components():
    fit, data = pastes()
    numbers = data.assign(batch=data["batch"].cat.codes, cask=data["cask"].cat.codes)
    fit = lmmcore.mixedlm("strength ~ 1 + (1 | batch) + (1 | batch:cask)", numbers).fit()
    component = MixedLM.from_formula(
        "strength ~ 1", numbers, groups="batch", re_formula="1", vc_formula={"cask": "0 + C(cask)"}
    ).fit()
    for kind in (float, str):
        new = numbers.astype({"batch": kind, "cask": kind})
        np.testing.assert_allclose(fit.predict(new, random_effects=True), fit.fittedvalues)
        found = component.predict(new, random_effects=True)
        np.testing.assert_allclose(found, component.fittedvalues, rtol=1e-9)

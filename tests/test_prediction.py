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
        ({"exog_re": x}, OptionError, "give groups="),
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

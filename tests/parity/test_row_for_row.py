"""Code that builds models again: statsmodels' mediation analysis and multiple imputation."""

import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.imputation.mice import MICE, MICEData, PatsyFormula
from statsmodels.iolib.summary2 import summary_col
from statsmodels.stats.mediation import Mediation

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataTypeError, DataValueError, DesignError, LmmcoreWarning, OptionError


def data(n_groups=40):
    rng = np.random.default_rng(1)
    n = 10 * n_groups
    g = np.repeat(np.arange(n_groups), 10)
    t = rng.integers(0, 2, n).astype(float)
    u = rng.standard_normal((n_groups, 2))
    m = 0.5 * t + u[g, 0] + rng.standard_normal(n)
    y = 0.3 * t + 0.7 * m + u[g, 1] + rng.standard_normal(n)
    return pd.DataFrame({"y": y, "m": m, "t": t, "g": g, "z": rng.standard_normal(n)})


SPELLINGS = {
    "groups": (lambda f, d: lmmcore.mixedlm(f, d, groups="g")),
    "bars": (lambda f, d: lmmcore.mixedlm(f + " + (1 | g)", d)),
    "series": (lambda f, d: lmmcore.mixedlm(f, d, groups=d["g"])),
    "components": (lambda f, d: lmmcore.mixedlm(f, d, groups="g", vc_formula={"g": "1"})),
    "subset": (lambda f, d: lmmcore.mixedlm(f + " + (1 | g)", d, subset=d["g"] >= 0)),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_mediation_of_formulas(spelling):
    table, build = data(), SPELLINGS[spelling]
    outcome, mediator = build("y ~ t + m", table), build("m ~ t", table)
    found = Mediation(outcome, mediator, "t", "m").fit(n_rep=60, rng=np.random.default_rng(1))
    b, a = outcome.fit().fe_params["m"], mediator.fit().fe_params["t"]
    summary = found.summary()["Estimate"]
    assert summary["ACME (average)"] == pytest.approx(a * b, abs=0.05)
    assert summary["ADE (average)"] == pytest.approx(outcome.fit().fe_params["t"], abs=0.08)


def test_mediation_is_that_of_statsmodels():
    table = data()
    results = []
    for build in (lmmcore.mixedlm, smf.mixedlm):
        outcome = build("y ~ t + m + t:m", table, groups="g")
        mediator = build("m ~ t", table, groups="g")
        found = Mediation(outcome, mediator, "t", "m").fit(n_rep=20, rng=np.random.default_rng(1))
        results.append(found.summary().to_numpy())
    np.testing.assert_allclose(results[0], results[1], atol=2e-3)
    arrays = []
    x = np.column_stack([np.ones(len(table)), table[["t", "m"]]])
    for build in (MixedLM, sm.MixedLM):
        outcome, mediator = (
            build(table["y"], x, table["g"]),
            build(table["m"], x[:, :2], table["g"]),
        )
        found = Mediation(outcome, mediator, (1, 1), 2).fit(n_rep=20, rng=np.random.default_rng(1))
        arrays.append(found.summary().to_numpy())
    np.testing.assert_allclose(arrays[0], arrays[1], atol=2e-3)


def test_mediation_by_rows_drawn_again_is_refused():
    """Groups would not follow the rows: statsmodels computes nonsense there."""
    table = data()
    outcome, mediator = (SPELLINGS["bars"](f, table) for f in ("y ~ t + m", "m ~ t"))
    with pytest.raises(DataValueError, match=r"drawn again.*method='parametric'"):
        Mediation(outcome, mediator, "t", "m").fit(method="bootstrap", n_rep=3)


def test_a_categorical_exposure_and_transformations():
    table = data().assign(m=lambda d: np.exp(d["m"] / 3))
    outcome = lmmcore.mixedlm("y ~ C(t) + np.log(m) + (1 | g)", table)
    mediator = lmmcore.mixedlm("m ~ C(t) + (1 | g)", table)
    for t in (0.0, 1.0):
        again = MixedLM.from_formula(data=table.assign(t=t), **outcome._get_init_kwds())
        assert again.exog_names == outcome.exog_names
        np.testing.assert_array_equal(again.exog[:, 1], t)
        with pytest.raises(DesignError, match=r"'C\(t\)\[T\.1\.0\]'|'Intercept'"):
            again.fit()
    x = MixedLM.from_formula(data=table, like=mediator).fit()
    assert x.criterion == pytest.approx(mediator.fit().criterion, rel=1e-12)


def test_like_another_model():
    table = data()
    model = lmmcore.mixedlm(
        "y ~ t + m + (1 + m | g) + offset(z)", table, weights=table["z"] ** 2 + 1
    )
    again = MixedLM(model.endog, model.exog, like=model)
    assert again.exog_names == model.exog_names
    assert again.fit().criterion == pytest.approx(model.fit().criterion, rel=1e-12)
    other = MixedLM(table["m"], table[["t"]], like=model).fit()
    same = lmmcore.mixedlm(
        "m ~ 0 + t + (1 + m | g) + offset(z)", table, weights=table["z"] ** 2 + 1
    )
    assert other.criterion == pytest.approx(same.fit().criterion, rel=1e-10)
    assert list(other.fe_params.index) == ["t"]
    MixedLM(
        table["y"].sample(frac=1, random_state=0).to_numpy(), model.exog, like=model
    )  # a permutation
    order = np.random.default_rng(0).permutation(len(table))
    for call, error, match in (
        (
            lambda: MixedLM(model.endog[order], model.exog[order], like=model),
            DataValueError,
            "order",
        ),
        (lambda: MixedLM(model.endog[:9], model.exog[:9], like=model), DataValueError, "9 rows"),
        (lambda: MixedLM(model.endog, model.exog, table["g"], like=model), OptionError, "groups="),
        (lambda: MixedLM(model.endog, model.exog, like=3), DataTypeError, "a int|an int"),
        (lambda: MixedLM.from_formula(data=table[:9], like=model), DataValueError, "9 rows"),
        (lambda: MixedLM.from_formula("y ~ t", table, like=model), OptionError, "formula="),
    ):
        with pytest.raises(error, match=match):
            call()


def test_what_a_model_keeps():
    table = data().assign(unused="x")
    model = lmmcore.mixedlm("y ~ t + (1 | g)", table)
    assert model.data.frame.equals(table)
    again = pickle.loads(pickle.dumps(model))
    assert not hasattr(again.data, "frame")  # files are no larger than the model
    arrays = MixedLM(table["y"], table[["t"]], table["g"])
    assert not hasattr(arrays, "formula")
    assert not hasattr(arrays.data, "frame")
    assert arrays.data.formula is None
    fit = model.fit()
    fit.remove_data()
    assert not hasattr(model.data, "frame")
    assert "like" in inspect.signature(MixedLM).parameters


def test_multiple_imputation():
    table = data()
    missing = np.random.default_rng(0).choice(len(table), 40, replace=False)
    spoiled = table.copy()
    spoiled.loc[missing, "m"] = np.nan
    whole = lmmcore.mixedlm("y ~ t + m + (1 | g)", table).fit()
    for formula, keywords in (("y ~ t + m", {"groups": "g"}), ("y ~ t + m + (1 | g)", {})):
        imputed = MICEData(spoiled, rng=np.random.default_rng(1))
        found = MICE(formula, MixedLM, imputed, init_kwds=keywords).fit(3, 6)
        assert len(found.params) == len(found.bse) == 3
        np.testing.assert_allclose(found.params, whole.fe_params, atol=0.15)
        assert (np.asarray(found.bse) > 0.9 * whole.bse_fe).all()
        text = str(found.summary())
        assert "MixedLM" in text
        assert "m" in text


@pytest.mark.parametrize("perturbation", ["gaussian", "boot"])
def test_a_mixed_model_imputes(perturbation):
    table = data()
    spoiled = table.copy()
    spoiled.loc[np.arange(0, len(table), 9), "m"] = np.nan
    imputed = MICEData(spoiled, rng=np.random.default_rng(0), perturbation_method=perturbation)
    groups = {"groups": PatsyFormula("0 + g")}
    imputed.set_imputer("m", "t + y", model_class=MixedLM, init_kwds=groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imputed.update_all(2)
    assert imputed.data["m"].notna().all()
    assert np.corrcoef(imputed.data["m"], table["m"])[0, 1] > 0.8


def test_tables_of_several_fits():
    table = data()
    fits = [lmmcore.mixedlm(f, table, groups="g").fit() for f in ("y ~ t", "y ~ t + m")]
    theirs = [smf.mixedlm(f, table, groups="g").fit() for f in ("y ~ t", "y ~ t + m")]
    mine, other = summary_col(fits).tables[0], summary_col(theirs).tables[0]
    assert list(mine.index) == list(other.index)
    assert (mine.iloc[:2] == other.iloc[:2]).all(axis=None)


def test_draws_beyond_zero_variances():
    table = data()
    model = lmmcore.mixedlm("y ~ t + (1 + t | g)", table)
    params = model.fit().params.to_numpy().copy()
    params[-3:] = [1.0, 0.0, -0.2]
    with pytest.warns(LmmcoreWarning, match=r"no covariance matrix .* -0\.2\); the nearest one"):
        draws = model.get_distribution(params, 2.0)
    np.testing.assert_allclose(draws.cov_re, [[2.0, 0.0], [0.0, 0.0]], atol=1e-12)
    assert np.isfinite(draws.rvs(rng=0)).all()

"""Residuals of each kind, and the distribution of simulated responses."""

import numpy as np
import pytest
from scipy import stats

import lmmcore
from lmmcore.errors import OptionError


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()
    data["w"] = 1.0 + data.Days % 3
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data, weights="w")
    return data, model.fit()


def test_kinds(sleep):
    data, fit = sleep
    resid, sigma = fit.resid.to_numpy(), np.sqrt(fit.scale)
    assert fit.residuals().to_numpy() == pytest.approx(resid)
    marginal = data.Reaction - fit.fe_params["Intercept"] - fit.fe_params["Days"] * data.Days
    assert fit.residuals("marginal").to_numpy() == pytest.approx(marginal.to_numpy())
    pearson = resid * np.sqrt(data.w.to_numpy()) / sigma
    assert fit.residuals("pearson").to_numpy() == pytest.approx(pearson)
    standardized = pearson / np.sqrt(1 - fit.hat_values.to_numpy())
    assert fit.residuals("standardized").to_numpy() == pytest.approx(standardized)
    with pytest.raises(OptionError, match="kind='deviance'; expected one of conditional"):
        fit.residuals("deviance")


def test_quantile_residuals_are_uniform_if_the_model_is_right():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(300), 3)
    data = {"g": g, "y": rng.standard_normal(300)[g] + rng.standard_normal(900)}
    fit = lmmcore.mixedlm("y ~ 1 + (1 | g)", data).fit()
    found = np.asarray(fit.residuals("quantile", rng=1))
    assert (found > 0).all()
    assert (found < 1).all()
    assert stats.kstest(found[::3], "uniform").pvalue > 0.01
    assert (found == np.asarray(fit.residuals("quantile", rng=1))).all()


def covariance(fit, data):
    x = np.column_stack([np.ones(len(data)), data.Days])
    same = data.Subject.to_numpy()[:, None] == data.Subject.to_numpy()[None, :]
    return (x @ fit.cov_re.to_numpy() @ x.T) * same


def test_simulated_covariances(sleep):
    data, fit = sleep
    rows = data.iloc[:14].reset_index(drop=True)
    new = fit.simulate(6000, data=rows, rng=2).to_numpy()
    wanted = covariance(fit, rows) + fit.scale * np.eye(14)
    assert new.mean(axis=1) == pytest.approx(
        fit.predict(rows).to_numpy(), abs=5 * 60 / np.sqrt(6000)
    )
    assert np.cov(new) == pytest.approx(wanted, abs=0.08 * wanted.max())
    own = fit.simulate(3000, rng=2).to_numpy()[:14]
    wanted = covariance(fit, rows) + np.diag(fit.scale / rows.w)
    assert np.cov(own) == pytest.approx(wanted, abs=0.1 * wanted.max())
    given = fit.simulate(3000, random="given", rng=2).to_numpy()[:14]
    assert given.mean(axis=1) == pytest.approx(fit.fittedvalues.to_numpy()[:14], abs=3)
    assert np.cov(given) == pytest.approx(np.diag(fit.scale / rows.w), abs=0.12 * fit.scale)


def test_new_rows_of_nested_and_crossed_factors():
    pastes = lmmcore.datasets.load_pastes()
    fit = lmmcore.mixedlm("strength ~ 1 + (1 | batch/cask)", pastes).fit()
    drawn = fit.simulate(3000, data=pastes.iloc[:6], rng=1).to_numpy()
    same = (pastes.cask.to_numpy()[:6, None] == pastes.cask.to_numpy()[None, :6]).astype(float)
    variances = {g: v[0, 0] * fit.scale for g, v in zip(fit.fit.layout.groups, fit.fit.relative)}
    inner = next(v for g, v in variances.items() if ":" in g)
    outer = next(v for g, v in variances.items() if ":" not in g)
    wanted = outer + inner * same + fit.scale * np.eye(6)
    assert np.cov(drawn) == pytest.approx(wanted, abs=0.1 * wanted.max())
    with pytest.raises(OptionError, match="random='old'"):
        fit.simulate(random="old")
    with pytest.raises(OptionError, match="n=0"):
        fit.simulate(0)

"""Penalized fits beside statsmodels, and what statsmodels' documentation promises of them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.base import _penalties as penalties
from statsmodels.regression import mixed_linear_model as statsmodels

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import DataValueError, OptionError


def data(seed=3453, n=400, p=5, q=100):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    g = np.repeat(np.arange(q), n // q)
    y = x[:, 0] - x[:, 2 % p] + rng.standard_normal(q)[g] + rng.standard_normal(n)
    return y, x, g


def quietly(call, *arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **keywords)


def objective(fit, alpha, beta):
    """(y − Xβ)'V⁻¹(y − Xβ) + Σ α|β| at the variances of the unpenalized fit, by dense algebra."""
    model = fit.model
    rest = model.endog - model.exog @ beta
    g = np.asarray(fit.cov_re)
    total = float(np.sum(alpha * np.abs(beta)))
    for rows in model.row_indices.values():
        z = model.exog_re[rows]
        v = z @ g @ z.T + fit.scale * np.eye(len(rows))
        total += rest[rows] @ np.linalg.solve(v, rest[rows])
    return total


@examples(30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0, 3))
def test_lasso_is_never_above_that_of_statsmodels(seed, p, decade):
    y, x, g = data(seed, 120, p, 20)
    alpha = np.random.default_rng(seed).uniform(0, 10**decade, p)
    model = MixedLM(y, x, g)
    fit = model.fit_regularized(alpha=alpha)
    plain = model.fit()
    theirs = quietly(statsmodels.MixedLM(y, x, g).fit_regularized, alpha=alpha)
    mine = objective(plain, alpha, np.asarray(fit.fe_params))
    assert mine <= objective(plain, alpha, np.asarray(theirs.fe_params)) * (1 + 1e-10)
    assert fit.gap <= 1e-9 * mine
    np.testing.assert_allclose(fit.cov_re, plain.cov_re)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 10.0, 50.0, 200.0, 1000.0])
def test_lasso_beside_statsmodels(alpha):
    y, x, g = data()
    fit = MixedLM(y, x, g).fit_regularized(alpha=alpha)
    theirs = quietly(statsmodels.MixedLM(y, x, g).fit_regularized, alpha=alpha)
    np.testing.assert_allclose(fit.fe_params, theirs.fe_params, atol=2e-5)
    np.testing.assert_allclose(fit.cov_re, theirs.cov_re, rtol=1e-4)
    # σ² is held with the others; theirs is the one of the penalized β, beside a held cov_re.
    assert fit.scale == fit.model.fit().scale
    own = fit.model.get_scale(fit.fe_params, fit.cov_re_unscaled, [])
    assert own == pytest.approx(theirs.scale, rel=1e-4)
    np.testing.assert_array_equal(np.isnan(fit.bse[:-1]), np.isnan(theirs.bse[:-1]))
    if alpha == 0:
        np.testing.assert_allclose(fit.fe_params, MixedLM(y, x, g).fit().fe_params, atol=1e-6)


def test_the_interface_of_a_penalized_fit():
    y, x, g = data()
    frame = pd.DataFrame(x, columns=list("abcde")).assign(y=y, g=g)
    model = lmmcore.mixedlm("y ~ a + b + c + d + e + (1 | g)", frame)
    weights = np.array([0, 50, 50, 50, 50, 50.0])
    fit = model.fit_regularized(alpha=weights, reml=False)
    assert fit.method == "ML"
    assert list(fit.fe_params.index) == list(model.exog_names)
    gone = fit.fe_params == 0.0
    assert 0 < gone.sum() < 5
    assert not gone["Intercept"]
    assert np.isnan(fit.bse[fit.fe_params.index[gone]]).all()
    assert np.isfinite(fit.bse[fit.fe_params.index[~gone]]).all()
    np.testing.assert_allclose(
        fit.fittedvalues, model.exog @ fit.fe_params.to_numpy()
        + fit.random_effects_frame["g"].to_numpy()[g],
    )  # fmt: skip
    np.testing.assert_allclose(fit.predict(frame), model.exog @ fit.fe_params.to_numpy())
    text = str(fit.summary())
    assert "lasso on 5 of 6 coefficients" in text
    assert "levels do not hold" in text
    assert "nan" not in text
    assert fit.llf < model.fit(reml=False).llf
    # At the variances held, σ² among them; its best value for these coefficients is larger.
    v = np.asarray(fit.cov_re)[0, 0] * (g[:, None] == g) + fit.scale * np.eye(len(y))
    rest = y - model.exog @ fit.fe_params.to_numpy()
    dense = np.linalg.slogdet(2 * np.pi * v)[1] + rest @ np.linalg.solve(v, rest)
    assert fit.llf == pytest.approx(-0.5 * dense, rel=1e-9)
    assert model.loglike(fit.params_object, profile_fe=False) > fit.llf


@pytest.mark.parametrize("penalty", [penalties.L2(), penalties.PseudoHuber(0.3)])
@pytest.mark.parametrize("alpha", [0.0, 3.0, 30.0])
def test_smooth_penalties_penalize(penalty, alpha):
    """statsmodels leaves β at its GLS estimate there; the penalized likelihood is higher here."""
    y, x, g = data()
    model = MixedLM(y, x, g)
    fit = model.fit_regularized(method=penalty, alpha=alpha)
    mine = type(penalty)(*((0.3,) if isinstance(penalty, penalties.PseudoHuber) else ()))
    mine.alpha = alpha
    # Stationary in β and in the variance.
    fe, re, _ = model.score_full(fit.params_object)
    np.testing.assert_allclose(fe, mine.deriv(np.asarray(fit.fe_params)), atol=1e-3)
    np.testing.assert_allclose(re, 0.0, atol=1e-3)
    theirs = quietly(statsmodels.MixedLM(y, x, g).fit_regularized, method=mine, alpha=alpha)
    params = MixedLMParams.from_components(
        np.asarray(theirs.fe_params), np.asarray(theirs.cov_re_unscaled)
    )
    other = model.loglike(params, profile_fe=False) - mine.func(np.asarray(theirs.fe_params))
    assert fit.llf - mine.func(np.asarray(fit.fe_params)) >= other - 1e-7
    if alpha == 0:
        np.testing.assert_allclose(fit.fe_params, theirs.fe_params, atol=1e-4)


def test_the_penalty_object_is_not_changed():
    y, x, g = data()
    penalty = penalties.L2()
    MixedLM(y, x, g).fit_regularized(method=penalty, alpha=7.0)
    assert penalty.alpha == 1.0


def test_a_penalty_on_the_covariance_matrix():
    y, x, g = data()
    z = np.column_stack([np.ones(len(y)), x[:, 0]])
    model = MixedLM(y, x, g, exog_re=z)
    penalty = penalties.PSD(2.0)
    fit = model.fit(cov_pen=penalty)
    assert fit.converged
    cov = np.asarray(fit.cov_re_unscaled)
    assert np.linalg.eigvalsh(cov)[0] > 0
    fe, re, _ = model.score_full(fit.params_object)
    np.testing.assert_allclose(fe, 0.0, atol=1e-3)
    np.testing.assert_allclose(re, penalty.deriv(cov, np.linalg.inv(cov)), atol=1e-2)
    theirs = quietly(statsmodels.MixedLM(y, x, g, exog_re=z).fit, cov_pen=penalties.PSD(2.0))
    other = np.asarray(theirs.cov_re_unscaled)
    params = MixedLMParams.from_components(np.asarray(theirs.fe_params), other)
    value = model.loglike(params, profile_fe=False) - penalty.func(other, np.linalg.inv(other))
    assert fit.llf - penalty.func(cov, np.linalg.inv(cov)) >= value - 1e-6
    # From a start on the boundary, and with a pattern.
    rng = np.random.default_rng(0)
    flat = MixedLM(rng.standard_normal(len(y)), x, g, exog_re=z).fit(cov_pen=penalty)
    assert np.linalg.eigvalsh(flat.cov_re)[0] > 0
    free = MixedLMParams.from_components(np.ones(5), np.eye(2))
    assert model.fit(cov_pen=penalty, free=free).cov_re[0, 1] == 0.0


def test_bad_arguments():
    y, x, g = data()
    model = MixedLM(y, x, g)
    for arguments, error, match in (
        ({"alpha": -1}, OptionError, "alpha=-1"),
        ({"alpha": np.nan}, OptionError, "alpha=nan"),
        ({"alpha": "much"}, OptionError, "alpha='much'"),
        ({"alpha": np.ones(3)}, DataValueError, "expected a number, or 5 numbers"),
        ({"method": "l3"}, OptionError, "penalty 'l3' is not known"),
        ({"method": 3}, OptionError, "method=3"),
        ({"maxit": 0}, OptionError, "maxit=0"),
        ({"ptol": 0}, OptionError, "ptol=0"),
    ):
        with pytest.raises(error, match=match):
            model.fit_regularized(**arguments)
    with pytest.raises(OptionError, match="fe_pen=2"):
        model.fit(fe_pen=2)
    assert model.fit().converged

"""One scale for the strength of a penalty: λ is a slope of the log-likelihood, whatever asks for the fit.

Each test computes that slope with the n × n covariance matrix of the response, and compares it with what
the penalty allows at the `alpha` that was given. No number of rows divides or multiplies it.
"""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from statsmodels.base._penalties import L2

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import ConvergenceError, OptionError

ALPHA = 12.0
LAMBDA = ALPHA / 2


@pytest.fixture(scope="module", params=[1, 4])
def model(request):
    """The same kind of data with 60 and with 240 rows."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(15 * request.param), 4)
    n = len(groups)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 3))])
    y = x @ [1.0, 1.0, -0.8, 0.0] + rng.standard_normal(n // 4)[groups] + rng.standard_normal(n)
    return MixedLM(y, x, groups)


def slope(model, fit):
    """X'V⁻¹(y − Xβ), the slope of the log-likelihood in β, from V (n, n)."""
    same = np.equal.outer(model.groups, model.groups)
    v = fit.scale * np.eye(len(model.endog)) + np.asarray(fit.cov_re)[0, 0] * same
    return model.exog.T @ np.linalg.solve(v, model.endog - model.exog @ np.asarray(fit.fe_params))


@pytest.mark.parametrize("variances", ["held", "joint"])
def test_named_penalties_are_halved(model, variances):
    """λ = alpha/2: the slope at the lasso is ±λ, at ridge λβ; jointly the penalty is one of β/σ."""
    lasso = model.fit_regularized(method="l1", alpha=ALPHA, variances=variances)
    unit = 1.0 if variances == "held" else np.sqrt(lasso.scale)
    beta = np.asarray(lasso.fe_params)
    on = beta != 0
    assert on.sum() >= 3
    np.testing.assert_allclose(
        slope(model, lasso)[on], LAMBDA / unit * np.sign(beta[on]), rtol=1e-6
    )
    assert (np.abs(slope(model, lasso)[~on]) <= LAMBDA / unit * (1 + 1e-6)).all()
    ridge = model.fit_regularized(method="ridge", alpha=ALPHA, variances=variances)
    unit = 1.0 if variances == "held" else ridge.scale
    np.testing.assert_allclose(
        slope(model, ridge), LAMBDA / unit * np.asarray(ridge.fe_params), rtol=1e-5
    )


def test_a_path_has_the_same_alpha(model):
    path = model.fit_regularized_path(alphas=[ALPHA], unpenalized=(), standardize=False)
    one = model.fit_regularized(method="lasso", alpha=ALPHA)
    assert path.alphas.tolist() == [ALPHA]
    np.testing.assert_allclose(path.fit(0).fe_params, one.fe_params, rtol=1e-8)


def test_penalty_weights_multiply_alpha(model):
    w = np.array([0.0, 1.0, 0.5, 2.0])
    path = model.fit_regularized_path(
        alphas=[ALPHA], penalty_weights=w, unpenalized=(), standardize=False
    )
    each = model.fit_regularized(method="lasso", alpha=ALPHA * w)
    np.testing.assert_allclose(path.fit(0).fe_params, each.fe_params, rtol=1e-7, atol=1e-10)


def test_smooth_penalties_are_subtracted_as_they_are(model):
    """statsmodels' L2 is alpha β'β, with no half anywhere: its slope is 2 alpha β."""
    by_method = model.fit_regularized(method=L2(), alpha=LAMBDA)
    penalty = L2()
    penalty.alpha = LAMBDA
    by_argument = model.fit(fe_pen=penalty)
    for fit in (by_method, by_argument):
        expected = np.asarray(penalty.deriv(np.asarray(fit.fe_params)))
        np.testing.assert_allclose(expected, 2 * LAMBDA * np.asarray(fit.fe_params))
        # σ² of a smooth fit is at the penalized β, and REML has n − p in place of n.
        np.testing.assert_allclose(slope(model, fit), expected, rtol=1e-4)


def test_random_effects_have_the_same_alpha(model):
    """−2 log-likelihood + 2 P(Λ; alpha/2) for a random intercept, where Λ is its relative sd."""
    path = model.select_random_effects(alphas=[0.0, ALPHA / 4], adaptive=False)

    def objective(root):
        params = lmmcore.MixedLMParams.from_components(np.zeros(4), np.array([[root**2]]))
        return -model.loglike(params, profile_fe=True) + ALPHA / 8 * root

    root = minimize_scalar(objective, bounds=(1e-3, 5), method="bounded", options={"xatol": 1e-9}).x
    params = lmmcore.MixedLMParams.from_components(np.zeros(4), np.array([[root**2]]))
    beta = model.get_fe_params(np.array([[root**2]]), np.array([]))[0]
    scale = model.get_scale(beta, np.array([[root**2]]), np.array([]))
    assert params.cov_re[0, 0] > 1e-2
    assert path.sds.iloc[1, 0] == pytest.approx(root * np.sqrt(scale), rel=1e-4)
    assert path.sds.iloc[1, 0] < 0.999 * path.sds.iloc[0, 0]


def test_maxit_is_a_number_of_sweeps():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 5)
    x = rng.standard_normal((100, 25)) + 100.0 * rng.standard_normal((100, 1))
    y = x[:, 0] - x[:, 1] + rng.standard_normal(20)[groups] + rng.standard_normal(100)
    model = MixedLM(y, x, groups)
    with pytest.raises(ConvergenceError, match="in maxit=3 sweeps"):
        model.fit_regularized(alpha=1.0, maxit=3)
    with pytest.raises(ConvergenceError, match="in maxit=3 sweeps"):
        model.fit_regularized_path(n_alphas=5, smallest=1e-6, standardize=False, maxit=3)
    whole = model.fit_regularized(alpha=1.0)
    too_few, enough, said = 3, 2000, ""
    while enough - too_few > 1:  # the least number of sweeps that suffices
        middle = (too_few + enough) // 2
        try:
            found = model.fit_regularized(alpha=1.0, maxit=middle)
        except ConvergenceError as exc:
            too_few, said = middle, str(exc)
        else:
            enough = middle
            np.testing.assert_allclose(found.fe_params, whole.fe_params, rtol=0.0, atol=1e-9)
    assert 3 < enough < 2000
    assert f"in maxit={too_few} sweeps" in said
    for wrong in (0, -1, 2.5, True, "50"):
        with pytest.raises(OptionError, match="positive whole number of sweeps"):
            model.fit_regularized(alpha=1.0, maxit=wrong)


CHOICES = [
    {"variances": v, "standardize": s}
    for v in ("held", "joint")
    for s in (False, True, "information")
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_weights_in_another_unit_give_the_same_fit(choice):
    """Weights w and 4w are one model: V is the same, and σ² four times as large."""
    data = lmmcore.datasets.load_orthodont()
    w = np.where(data.age > 10, 0.5, 2.0)
    fits = [
        lmmcore.mixedlm(
            "distance ~ age * Sex + (1 | Subject)", data, weights=weights
        ).fit_regularized(method="l1", alpha=20, unpenalized=["Intercept"], **choice)
        for weights in (w, 4.0 * w)
    ]
    np.testing.assert_allclose(fits[0].fe_params, fits[1].fe_params, rtol=1e-6, atol=1e-8)
    assert fits[1].scale == pytest.approx(4.0 * fits[0].scale, rel=1e-6)


def test_equal_weights_are_none():
    """Weights that are all alike change nothing, on a path either."""
    data = lmmcore.datasets.load_orthodont()
    formula = "distance ~ age * Sex + (1 | Subject)"
    paths = [
        lmmcore.mixedlm(formula, data, weights=weights).fit_regularized_path(alphas=[30.0, 3.0])
        for weights in (None, np.full(len(data), 9.0))
    ]
    np.testing.assert_allclose(*(path.coefficients for path in paths), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("method", ["l1", "adaptive_lasso"])
def test_a_refit_is_the_fit_of_a_fresh_model(choice, method):
    """Scales are computed again for the new response, and from the rows that a bootstrap draws."""
    data = lmmcore.datasets.load_orthodont()
    formula = "distance ~ age * Sex + (1 | Subject)"
    keywords = {"method": method, "alpha": 20, "unpenalized": ["Intercept"], **choice}
    rng = np.random.default_rng(1)
    other = data.distance + 3.0 * rng.standard_normal(27)[data.Subject.cat.codes]
    first = lmmcore.mixedlm(formula, data).fit_regularized(**keywords)
    again = first.refit(other)
    fresh = lmmcore.mixedlm(formula, data.assign(distance=other)).fit_regularized(**keywords)
    np.testing.assert_allclose(again.fe_params, fresh.fe_params, rtol=1e-6, atol=1e-8)
    assert again.llf == pytest.approx(fresh.llf, abs=1e-6)


def test_a_refit_of_a_path():
    data = lmmcore.datasets.load_orthodont()
    formula = "distance ~ age * Sex + (1 | Subject)"
    other = (
        data.distance + 3.0 * np.random.default_rng(1).standard_normal(27)[data.Subject.cat.codes]
    )
    first, fresh = (
        lmmcore.mixedlm(formula, d).fit_regularized_path(alphas=[30.0, 20.0, 3.0]).fit(1)
        for d in (data, data.assign(distance=other))
    )
    np.testing.assert_allclose(first.refit(other).fe_params, fresh.fe_params, rtol=1e-6, atol=1e-8)

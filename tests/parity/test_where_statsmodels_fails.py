"""Situations in which statsmodels raises, stops short or is silently wrong, as its users report them.

The number of the report in statsmodels' tracker stands with each, where there is one.
"""

import numpy as np
import pandas as pd
import pytest

import lmmcore
import lmmcore.api as smf
from lmmcore import MixedLM


def test_no_variance_between_groups():
    """A singular matrix there (#7051): the optimum is at zero, and all but its standard error exists."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 6)
    y = rng.standard_normal(60)
    y -= (np.bincount(g, y) / 6)[g]  # group means exactly equal
    data = pd.DataFrame({"y": y, "g": g, "x": rng.standard_normal(60)})
    fit = smf.mixedlm("y ~ x", data, groups=data["g"]).fit()
    assert fit.converged
    assert fit.cov_re.iloc[0, 0] == 0.0
    assert all(e.iloc[0] == 0.0 for e in fit.random_effects.values())
    assert np.isnan(fit.bse["Group Var"])
    assert "boundary" in fit.cov_params_note
    slope, intercept = np.polyfit(data["x"], y, 1)
    np.testing.assert_allclose(fit.fe_params, [intercept, slope], atol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(20))
def test_groups_without_a_meaning(seed):
    """Three groups dealt out in turn (#7051): many of these fits end at zero, none with a warning."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.standard_normal((100, 2)), columns=["Y", "X"])
    data["class"] = np.arange(100) % 3
    fit = smf.mixedlm("Y ~ X", data, groups=data["class"]).fit()
    assert fit.converged
    assert fit.convergence.singular == (fit.cov_re.iloc[0, 0] == 0.0)
    assert np.isfinite(fit.random_effects_frame).all(axis=None)
    assert np.isfinite(fit.bse_fe).all()
    assert "Newton decrement" in str(fit.summary())


@pytest.mark.filterwarnings("error")
def test_three_groups_along_the_covariate():
    """No convergence, a `free` without effect and penalties that spoil a fit (#3654)."""
    rng = np.random.default_rng(7)
    x = np.arange(50.0, 100.0, 0.5)
    g = np.digitize(x, [67.0, 86.0])
    y = np.array([20.0, 40.0, 70.0])[g] + np.array([0.5, 0.4, 0.6])[g] * x
    y += rng.standard_normal(len(x))
    exog = np.column_stack([np.ones(len(x)), x])
    model = MixedLM(y, exog, g, exog_re=exog)
    fit = model.fit()
    assert fit.converged
    assert fit.llf >= max(model.fit(method=m).llf for m in ("bfgs", "lbfgs", "powell")) - 1e-6
    # Independent coefficients, and the variance of the intercepts held at a value.
    diagonal = model.fit(free=lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2)))
    assert diagonal.converged
    assert diagonal.cov_re[0, 1] == 0.0
    assert diagonal.llf <= fit.llf + 1e-9
    start = lmmcore.MixedLMParams.from_components(np.zeros(2), np.diag([300.0, 0.01]))
    held = lmmcore.MixedLMParams.from_components(np.ones(2), np.diag([0.0, 1.0]))
    fixed = model.fit(start_params=start, free=held)
    assert fixed.converged
    assert fixed.cov_re_unscaled[0, 0] == pytest.approx(300.0, rel=1e-12)
    assert fixed.llf <= diagonal.llf + 1e-9
    # The ridge's solution in closed form, given the variances: (X'V⁻¹X/σ² + 2w) β = X'V⁻¹y/σ².
    ridge = model.fit(fe_pen=Ridge(weights := np.array([0.0, 5.0])))
    assert ridge.converged
    v = exog @ ridge.cov_re_unscaled @ exog.T * (g[:, None] == g) + np.eye(len(x))
    vx = np.linalg.solve(v, exog)
    left = exog.T @ vx / ridge.scale + 2.0 * np.diag(weights)
    np.testing.assert_allclose(left @ ridge.fe_params, vx.T @ y / ridge.scale, rtol=1e-4)
    assert abs(ridge.fe_params[1]) < abs(fit.fe_params[1])


class Ridge:
    def __init__(self, weights):
        self.weights = weights

    def func(self, params):
        return float(np.sum(self.weights * params**2))

    def deriv(self, params):
        return 2.0 * self.weights * params


def test_as_many_groups_as_take_statsmodels_forty_minutes():
    """125,066 pairs, two categorical variables and a number (#9097), where lmer takes seconds."""
    rng = np.random.default_rng(8)
    q = 125_066
    unit = np.repeat(np.arange(q), 2)
    data = pd.DataFrame({"unit": unit, "number": rng.standard_normal(2 * q)})
    data["one"] = pd.Categorical.from_codes(rng.integers(0, 3, 2 * q), ["a", "b", "c"])
    data["two"] = pd.Categorical.from_codes(rng.integers(0, 4, 2 * q), ["d", "e", "f", "g"])
    data["value"] = 0.5 * data["number"] + data["one"].cat.codes + rng.standard_normal(2 * q)
    data["value"] += 0.8 * rng.standard_normal(q)[unit]
    fit = smf.mixedlm("value ~ C(one) + C(two) + number", data, groups=data["unit"]).fit()
    assert fit.converged
    assert fit.nfev <= 15
    assert fit.fe_params["number"] == pytest.approx(0.5, abs=5 * fit.bse_fe["number"])
    assert fit.cov_re.iloc[0, 0] == pytest.approx(0.64, abs=5 * fit.bse_variances.iloc[0])
    assert fit.scale == pytest.approx(1.0, abs=5 * fit.bse_variances.iloc[1])


def test_every_covariate_as_random_slope():
    """The same formula for fixed and random effects, with far too little data for it (#9138)."""
    rng = np.random.default_rng(2)
    n, q = 200, 25
    g = np.repeat(np.arange(q), n // q)
    data = pd.DataFrame(rng.standard_normal((n, 4)), columns=list("abcd"))
    data["y"] = data["a"] + rng.standard_normal(q)[g] + rng.standard_normal(n)
    covariates = "a + b + c + d"
    fit = smf.mixedlm(f"y ~ {covariates}", data, groups=g, re_formula=covariates).fit()
    assert fit.converged
    assert np.linalg.eigvalsh(fit.cov_re)[0] > -1e-12
    assert fit.convergence.boundary
    assert fit.random_effects_frame.shape == (q, 5)
    assert np.isfinite(fit.fittedvalues).all()


def test_two_groups_with_slopes():
    """The answer must not depend on the optimizer (#3604)."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    g = np.repeat([1, 2], 100)
    y = np.where(g == 1, 3 * x, 2 * x) + rng.standard_normal(200)
    data = pd.DataFrame({"x": x, "y": y, "id": g})
    model = smf.mixedlm("y ~ x", data, groups=data["id"], re_formula="~ x")
    fits = [model.fit(method=m) for m in (None, "cg", "bfgs", "lbfgs", "powell", "nm")]
    best = min(f.criterion for f in fits)
    assert all(f.criterion == pytest.approx(best, abs=1e-6) for f in fits)
    assert fits[0].converged
    assert fits[0].scale == pytest.approx(1.0, abs=0.25)


def test_many_groups_with_a_variance_near_zero():
    """Reported to run indefinitely (#4847): ten thousand groups whose variance is at the boundary."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10_000), 5)
    x = np.column_stack([np.ones(50_000), rng.standard_normal((50_000, 3))])
    fit = MixedLM(rng.standard_normal(50_000), x, g).fit()
    assert fit.converged
    assert fit.nfev <= 15
    assert 0 <= fit.cov_re[0, 0] < 0.01


@pytest.mark.parametrize("variance", [0.0, 1e-14, 1e-10, 1e-9, 1e-8])
def test_fixed_effects_at_a_vanishing_variance(variance):
    """Between-group coefficients become 0.0 there, without a word, below a variance of 1e-10 (#10239)."""
    rng = np.random.default_rng(1)
    subject = np.repeat(np.arange(40), 4)
    x = rng.standard_normal(160)
    b = (subject % 2).astype(float)
    y = 10 + 3 * b + 2 * x + 0.5 * rng.standard_normal(160)
    exog = np.column_stack([np.ones(160), b, x])
    model = MixedLM(y, exog, subject)
    beta, _ = model.get_fe_params(np.array([[variance]]), np.zeros(0))
    np.testing.assert_allclose(beta, np.linalg.lstsq(exog, y, rcond=None)[0], atol=1e-6)
    with_slope = MixedLM(y, exog, subject, exog_re=exog[:, [0, 2]])
    beta, _ = with_slope.get_fe_params(np.diag([variance, 2.0]), np.zeros(0))
    near, _ = with_slope.get_fe_params(np.diag([1e-7, 2.0]), np.zeros(0))
    np.testing.assert_allclose(beta, near, rtol=1e-5)


def test_missing_values_of_arrays_are_dropped():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(10), 5)
    x = pd.DataFrame({"const": 1.0, "x": rng.standard_normal(50)})
    y = pd.Series(rng.standard_normal(50) + (g % 3), name="y")
    y.iloc[[3, 17]] = np.nan
    fit = MixedLM(y, x, groups=g, missing="drop").fit()
    assert fit.nobs == 48
    whole = y.notna().to_numpy()
    again = MixedLM(y[whole], x[whole], groups=g[whole]).fit()
    assert fit.llf == pytest.approx(again.llf, rel=1e-12)
    assert list(fit.resid.index) == list(y.index[whole])


def test_shares_that_sum_to_one():
    """Proportions and an intercept (#6140): one of them goes, with its name in the warning."""
    rng = np.random.default_rng(6)
    shares = rng.dirichlet(np.ones(4), size=120)
    data = pd.DataFrame(shares, columns=["s1", "s2", "s3", "s4"])
    g = np.repeat(np.arange(12), 10)
    data["y"] = 3 * shares[:, 0] + rng.standard_normal(12)[g] + rng.standard_normal(120)
    with pytest.warns(lmmcore.errors.RankDeficientWarning, match="s4"):
        fit = smf.mixedlm("y ~ s1 + s2 + s3 + s4", data, groups=g).fit()
    assert fit.converged
    without = smf.mixedlm("y ~ 0 + s1 + s2 + s3 + s4", data, groups=g).fit()
    assert fit.fittedvalues.to_numpy() == pytest.approx(without.fittedvalues.to_numpy(), abs=1e-6)


def test_units_of_a_slope():
    """A covariate in millions: the same fit as in ones."""
    data = lmmcore.datasets.load_sleepstudy()
    plain = smf.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="Days").fit(
        reml=False
    )
    large = data.assign(Days=data["Days"] * 1e6)
    other = smf.mixedlm("Reaction ~ Days", large, groups="Subject", re_formula="Days").fit(
        reml=False
    )
    assert other.llf == pytest.approx(plain.llf, abs=1e-8)
    assert other.cov_re.iloc[1, 1] * 1e12 == pytest.approx(plain.cov_re.iloc[1, 1], rel=1e-6)

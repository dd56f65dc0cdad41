"""Situations in which statsmodels raises, stops short or is silently wrong, as its users report them."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
import lmmcore.api as smf
from lmmcore import MixedLM


def test_no_variance_between_groups():
    """A singular matrix there: the optimum is at zero, and all but its standard error exists."""
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


def test_every_covariate_as_random_slope():
    """The same formula for fixed and random effects, with far too little data for it."""
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
    """The answer must not depend on the optimizer."""
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
    """Reported to run indefinitely: ten thousand groups whose variance is at the boundary."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10_000), 5)
    x = np.column_stack([np.ones(50_000), rng.standard_normal((50_000, 3))])
    fit = MixedLM(rng.standard_normal(50_000), x, g).fit()
    assert fit.converged
    assert fit.nfev <= 15
    assert 0 <= fit.cov_re[0, 0] < 0.01


@pytest.mark.parametrize("variance", [0.0, 1e-14, 1e-10, 1e-9, 1e-8])
def test_fixed_effects_at_a_vanishing_variance(variance):
    """Between-group coefficients become 0.0 there, without a word, below a variance of 1e-10."""
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
    """Proportions and an intercept: one of them goes, with its name in the warning."""
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

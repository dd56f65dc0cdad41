"""Designs whose fixed and random effects can reproduce every row."""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import ConvergenceError, ConvergenceWarning, NotIdentifiedWarning
from lmmcore.testing.dense import DenseModel


def drawn(seed, sizes, k, p=1):
    """Rows in groups of given sizes, k random coefficients with columns of their own."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(len(sizes)), sizes)
    n = len(g)
    z, x = rng.normal(size=(n, k)), rng.normal(size=(n, p))
    x[:, 0] = 1.0
    y = (rng.normal(size=(len(sizes), k))[g] * z).sum(axis=1) + rng.normal(size=n)
    return y, x, g, z


def outcome(model, reml):
    """A fit and no words, or None and those of the error."""
    try:
        return model.fit(reml=reml), ""
    except ConvergenceError as exc:
        return None, str(exc)


def dense_limit(y, x, g, z, reml, floors):
    """The smallest criterion found by the dense likelihood over G, for large relative variances."""
    model = DenseModel.from_groups(y, x, g, [z], reml=reml)
    rng = np.random.default_rng(0)
    k = z.shape[1]
    out = []
    for size in floors:
        roots = [np.eye(k), *rng.standard_normal((30, k, k))]
        out.append(min(model.criterion([size * r @ r.T]) for r in roots))
    return out


def test_ml_is_unbounded_where_z_has_a_lower_rank_than_all_columns():
    """Six rows' worth of random effects and a constant for seven rows: for every response."""
    y, x, g, z = drawn(0, [2, 2, 1, 1, 1], 2)
    z[g == 0, 1] = z[g == 0, 0]  # rank one in the first group
    low, lower = dense_limit(y, x, g, z, False, (1e6, 1e9))
    assert lower < low - 5.0
    with pytest.raises(ConvergenceError, match=r"unbounded.*all 7 rows"):
        MixedLM(y, x, g, z).fit(reml=False)


def test_a_singular_matrix_that_reproduces_all_rows():
    """One coefficient for each row, and enough shapes of G to make the residual vanish."""
    errors = 0
    for seed in range(12):
        y, x, g, z = drawn(seed, [1, 1, 1, 1, 2, 2, 3], 3, p=3)
        for reml in (True, False):
            fit, said = outcome(MixedLM(y, x, g, z), reml)
            errors += fit is None
            if fit is None:
                assert "unbounded" in said
            else:  # never without a word
                assert "without bound" in fit.convergence.caution
                assert "without bound" in str(fit.summary())
    assert errors >= 20


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_proper_maximum_is_found(seed, reml):
    """Two rows and two coefficients in many groups: no matrix of rank one reproduces the rows."""
    y, x, g, z = drawn(seed, [2] * 40, 2)
    fit = MixedLM(y, x, g, z).fit(reml=reml)
    assert fit.converged
    assert fit.convergence.identified
    assert not fit.convergence.caution
    model = DenseModel.from_groups(y, x, g, [z], reml=reml)
    best = model.criterion([np.asarray(fit.cov_re_unscaled)])
    assert best < min(dense_limit(y, x, g, z, reml, (1e2, 1e4, 1e8)))
    rng = np.random.default_rng(seed)
    for root in rng.standard_normal((50, 2, 2)) * 10.0 ** rng.uniform(-1, 1, (50, 1, 1)):
        assert best <= model.criterion([root @ root.T]) + 1e-6


def test_the_limit_of_no_residual_variance_is_compared():
    """One slope for each row: the limit is finite, and the maximum is there or at a positive σ²."""
    outcomes = set()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0.5, 5.0, 40)
        noise = 0.0 if seed % 2 else 3.0
        data = pd.DataFrame({"x": x, "row": range(40)})
        data["y"] = 1.0 + x * rng.normal(size=40) + noise * rng.normal(size=40)
        model = lmmcore.mixedlm("y ~ x + (0 + x | row)", data)
        limit = model.equations.likelihood(True)
        at = min(limit.value(np.array([t])) for t in (1e3, 1e4, 1e5))
        fit = model.fit()
        assert fit.converged
        zero = any("residual variance is zero" in words for words in fit.convergence.boundary)
        outcomes.add("at zero" if zero else "inside")
        if zero:  # y ~ N(Xβ, x² times a variance), weighted least squares
            least = np.polyfit(x, data.y, 1, w=1 / x, full=True)[1][0]
            assert fit.cov_re.iloc[0, 0] == pytest.approx(least / 38, rel=1e-3)
            assert fit.criterion == pytest.approx(at, abs=1e-3)
            assert np.isnan(fit.bse_variances).all()
        else:
            assert fit.criterion < at - 1e-6
    assert outcomes == {"at zero", "inside"}


@pytest.mark.parametrize("reml", [True, False])
def test_no_random_effects_at_all(reml):
    """A variance at zero in a design that could reproduce all rows is an ordinary boundary."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"row": range(60), "x": rng.normal(size=60)})
    data["y"] = 1.0 + rng.normal(size=60) / (0.3 + data.x**2)
    fit = lmmcore.mixedlm("y ~ 1 + (0 + x | row)", data).fit(reml=reml)
    assert fit.converged
    assert fit.convergence.boundary


def test_designs_with_residual_degrees_of_freedom_are_not_searched(monkeypatch):
    """The search is for designs that can reproduce all rows alone."""
    import lmmcore.fitting.estimate as estimation

    def never(*arguments):
        raise AssertionError("searched")

    monkeypatch.setattr(estimation, "large_starts", never)
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    assert fit.convergence.caution == ""


def test_crossed_factors():
    """As many levels as rows, all told: nothing is left for the residual, and that is said."""
    rng = np.random.default_rng(1)
    n = 12
    data = pd.DataFrame({"a": np.arange(n) // 2, "b": (np.arange(n) + 1) // 2 % 6 + 10})
    data["x"], data["y"] = rng.normal(size=(2, n))
    model = lmmcore.mixedlm("y ~ x + (1 | a) + (x | b)", data)
    dense = model.equations.likelihood(False)
    assert dense.engine.columns >= n
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few digits are left there
        fit, said = outcome(model, False)
    said += "" if fit is None else str(fit.convergence)
    assert "residual variance" in said
    assert "all 12 rows" in said


@pytest.mark.parametrize("seed", range(12))
def test_flat_variances_are_named_where_the_residual_variance_is_zero(seed):
    """REML knows nothing of the variance of h beside the fixed effects of h, whatever the response."""
    rng = np.random.default_rng(seed)
    e = np.zeros((20, 5))
    e[:, 0] = rng.standard_normal(20)
    for t in range(1, 5):
        e[:, t] = 0.6 * e[:, t - 1] + 0.8 * rng.standard_normal(20)
    ids, day = np.repeat(np.arange(20), 5), np.tile(np.arange(5), 20)
    data = pd.DataFrame({"id": ids, "day": day, "h": ids % 4, "y": e.ravel()})
    with pytest.warns(NotIdentifiedWarning, match="intercept of h"):
        fit = lmmcore.mixedlm("y ~ C(h) + ar1(0 + C(day) | id) + (1 | h)", data).fit()
    assert fit.convergence.not_identified == (
        "the data cannot tell the variance of the random intercept of h from the fixed effects",
    )
    free = lmmcore.mixedlm("y ~ 1 + ar1(0 + C(day) | id)", data).fit()
    assert free.convergence.identified

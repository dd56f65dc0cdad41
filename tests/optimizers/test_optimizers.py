"""Every optimizer by name, and the boundary that all of them share."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from drawn import examples
from hypothesis import assume, given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import ConvergenceWarning, OptionError
from lmmcore.fitting.start_params import start_of
from lmmcore.optimizers.newton import _subproblem, newton_decrement
from lmmcore.testing.strategies import grouped_models

GRADIENT = ["newton", "bfgs", "lbfgs", "cg", "slsqp", "tnc", "newton-cg", "trust-exact", "trust-ncg",
            "trust-krylov"]  # fmt: skip
VALUE = ["powell", "nelder-mead", "cobyqa", "em", "basinhopping", "differential-evolution"]


@pytest.mark.parametrize("method", GRADIENT + VALUE)
def test_sleepstudy_by_every_optimizer(method):
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit(method=method)
    assert fit.criterion == pytest.approx(1743.6282719584906, abs=2e-6)
    assert fit.convergence.converged
    assert fit.convergence.optimizer == method


@pytest.mark.parametrize("method", ["newton", "bfgs", "lbfgs", "nelder-mead", "em", "powell"])
@pytest.mark.parametrize("reml", [True, False])
def test_a_singular_fit_is_a_boundary_optimum(method, reml):
    data = lmmcore.datasets.load_dyestuff2()
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit(reml=reml, method=method)
    assert fit.convergence.converged
    assert fit.convergence.singular
    assert fit.cov_re.iloc[0, 0] == 0.0
    (sentence,) = fit.convergence.boundary
    assert "the variance of the random intercept of Batch is zero" in sentence
    assert fit.criterion == pytest.approx(
        161.8282778122884 if reml else 162.8730366538257, abs=1e-6
    )


@pytest.mark.parametrize("method", ["newton", "bfgs", "cg", "trust-exact"])
def test_a_start_on_the_boundary_is_left(method):
    """Λ = 0 is stationary for any data; no optimizer may stop there when a variance is positive."""
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    for cov_re in (np.zeros((2, 2)), np.diag([1.0, 0.0]), np.diag([0.0, 0.1])):
        start = MixedLMParams.from_components(np.zeros(2), cov_re)
        fit = model.fit(start_params=start, method=method)
        assert fit.criterion == pytest.approx(1743.6282719584906, abs=1e-6)
        assert not fit.convergence.boundary


def test_a_perfect_correlation_is_said_in_words():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(40), 8)
    x = np.column_stack([np.ones(320), rng.standard_normal(320)])
    b = rng.standard_normal(40)
    y = b[g] - 0.7 * b[g] * x[:, 1] + 0.5 * rng.standard_normal(320)
    fit = MixedLM(y, x, g, exog_re=x).fit()
    assert fit.convergence.converged
    if fit.convergence.singular:
        (sentence,) = fit.convergence.boundary
        assert "correlation" in sentence
        assert "at −1" in sentence
        assert np.linalg.eigvalsh(fit.cov_re)[0] == pytest.approx(0.0, abs=1e-9)
    # A sample in which it is singular, so that the branch above is not skipped by chance.
    assert fit.convergence.singular


@examples(60)
@given(grouped_models(decades=3.0, max_k=3, max_groups=20), st.booleans())
def test_drawn_models_converge_to_an_optimum(problem, reml):
    """Every fit converges, and none falsely: EM from other starts finds nothing lower."""
    model = MixedLM(
        problem.y, problem.x, problem.groups, exog_re=problem.z, weights=problem.weights
    )
    n, p = problem.x.shape
    # With a random coefficient for every row, σ² is not identified.
    assume(model.equations.engine.rank < n - p - 1)
    assume(problem.groups.max() >= 4)
    fit = model.fit(reml=reml)
    assert fit.converged
    k = problem.z.shape[1]
    size = np.sqrt(np.mean(problem.z**2, axis=0))
    for factor in (1e-4, 0.1, 10.0):
        start = MixedLMParams.from_components(
            fit.fe_params, factor * np.eye(k) / np.outer(size, size)
        )
        likelihood = model.equations.likelihood(reml)
        theta = start_of(model.spec.layout, len(fit.fe_params), True, likelihood, start)
        for _ in range(60):
            theta = likelihood.em_step(theta)
        reached = likelihood.value(theta)
        assert fit.criterion <= reached + 1e-7 * (1 + abs(reached))


def test_methods_are_tried_in_turn():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    with pytest.warns(ConvergenceWarning, match="maxiter=1"):
        fit = model.fit(method="em", maxiter=1, start_params=[3.0, 0.0, 3.0])
    assert not fit.converged
    assert "Not converged" in fit.summary().as_text()
    fit = model.fit(method=["em", "newton"], maxiter=5, start_params=[3.0, 0.0, 3.0])
    assert fit.convergence.optimizer == "newton"
    assert fit.converged


def test_callback_and_path():
    data = lmmcore.datasets.load_dyestuff()
    seen = []
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit(
        callback=lambda i, value: seen.append((i, value)), start_params=[0.1]
    )
    assert seen
    assert seen[-1][1] == pytest.approx(fit.criterion)
    assert [i for i, _ in fit.convergence.path][:2] == [0, 1]
    with pytest.raises(OptionError, match="'newton' got the option 'gtl'"):
        lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit(gtl=1)


@pytest.mark.parametrize("method", [*GRADIENT, *VALUE, "cobyla", "minimize"])
def test_the_callback_hears_of_the_start_and_of_each_iteration(method):
    """Also where the start is the optimum, as in balanced data."""
    model = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    seen = []
    options = {"maxiter": 2} if method == "differential-evolution" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmmcore.LmmcoreWarning)
        fit = model.fit(method=method, callback=lambda *told: seen.append(told), **options)
    numbers = [i for i, _ in seen]
    assert numbers[0] == 0
    # From a second start they count anew.
    assert all(b in (a + 1, 0) for a, b in pairwise(numbers))
    assert seen[0][1] == pytest.approx(1743.6282719)
    assert all(isinstance(i, int) and isinstance(v, float) for i, v in seen)
    assert fit.convergence.path == tuple(seen)


@given(st.integers(1, 6), st.floats(0.01, 10.0), st.integers(0, 2**32 - 1))
def test_the_trust_region_subproblem(m, radius, seed):
    """The step is no worse than any of many points inside the region."""
    rng = np.random.default_rng(seed)
    w = np.sort(rng.standard_normal(m) * 10.0 ** rng.integers(-3, 3, m))
    g = rng.standard_normal(m) * (rng.random(m) < 0.7)
    step = _subproblem(w, g, radius)
    assert np.linalg.norm(step) <= radius * (1 + 2e-3)
    points = rng.standard_normal((400, m))
    points *= (radius * rng.random((400, 1)) ** (1 / m)) / np.linalg.norm(points, axis=1)[:, None]
    best = (points @ g + 0.5 * points**2 @ w).min()
    mine = g @ step + 0.5 * step**2 @ w
    assert mine <= best + 5e-3 * abs(best) + 1e-9


def test_newton_decrement():
    assert newton_decrement(np.array([2.0]), np.array([2.0])) == 1.0
    assert newton_decrement(np.array([-1.0, 2.0]), np.array([0.0, 1.0])) is None
    assert newton_decrement(np.array([0.0, 2.0]), np.array([1.0, 2.0])) == 1.0
    assert newton_decrement(np.array([0.0]), np.array([0.0])) == 0.0

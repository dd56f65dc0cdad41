"""Criterion, gradient and Hessian against dense algebra on drawn models."""

import numpy as np
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st

from lmmcore import MixedLM
from lmmcore.likelihood.independent import engine as grouped
from lmmcore.testing.dense import complex_step_gradient
from lmmcore.testing.strategies import GroupedProblem, grouped_models


def likelihood_and_point(problem: GroupedProblem, reml: bool, seed: int):
    """Return the likelihood, a random θ and the G in the user's units that it stands for."""
    model = MixedLM(
        problem.y, problem.x, problem.groups, exog_re=problem.z, weights=problem.weights
    )
    likelihood = model.equations.likelihood(reml)
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(likelihood.n_parameters) * 10.0 ** rng.uniform(-1, 0.7)
    g = [t.to_user(c) for t, c in zip(likelihood.terms, likelihood.covariances(theta))]
    return likelihood, theta, g


@examples(100)
@given(grouped_models(), st.booleans(), st.integers(0, 2**32 - 1))
def test_criterion_and_derivatives(problem, reml, seed):
    likelihood, theta, g = likelihood_and_point(problem, reml, seed)
    dense = problem.dense(reml)
    value, gradient, hessian = likelihood.value_gradient_hessian(theta)

    expected = dense.criterion(g)
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9 * len(problem.y))

    # The gradient in θ by complex steps through the dense criterion.
    def directions(at):
        (term,), (factor,) = likelihood.terms, likelihood.factors(at)
        slopes = likelihood.structures[0].factor_derivative(at, term.k)
        return [[term.to_user(s @ factor.T + factor @ s.T)] for s in slopes]

    def dense_gradient(at):
        g_at = [t.to_user(c) for t, c in zip(likelihood.terms, likelihood.covariances(at))]
        return complex_step_gradient(dense, g_at, directions(at))

    size = 1.0 + np.abs(gradient).max()
    np.testing.assert_allclose(gradient, dense_gradient(theta), rtol=1e-6, atol=1e-6 * size)

    # The Hessian by differences of fourth order of that gradient.
    step = 1e-3 * (1.0 + np.abs(theta).max())
    for i in range(len(theta)):
        e = np.zeros_like(theta)
        e[i] = step
        near = dense_gradient(theta + e) - dense_gradient(theta - e)
        far = dense_gradient(theta + 2 * e) - dense_gradient(theta - 2 * e)
        farther = dense_gradient(theta + 3 * e) - dense_gradient(theta - 3 * e)
        difference = (45 * near - 9 * far + farther) / (60 * step)
        np.testing.assert_allclose(
            hessian[i], difference, rtol=1e-6, atol=1e-6 * (1.0 + np.abs(hessian).max())
        )


@examples(20)
@given(st.integers(1, 6), st.integers(2, 40), st.booleans(), st.integers(0, 2**32 - 1))
def test_sums_by_products_of_matrices(k, n_groups, reml, seed):
    """The Hessian's sums for many columns, a product of matrices, equal those pair by pair."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_groups), 7)
    z = rng.standard_normal((len(codes), k))
    engine = MixedLM(
        rng.standard_normal(len(codes)), z[:, :1], codes, exog_re=z
    ).equations.plain_engine
    roots = [np.tril(rng.standard_normal((k, k)))]
    state = engine.state(roots)
    found = []
    before = grouped.WIDE
    try:
        for grouped.WIDE in (1, 99):
            found.append(engine.derivatives(roots, state, reml, (-1.0, 2.0, 5.0)))
    finally:
        grouped.WIDE = before
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-11 * (1.0 + np.abs(b).max()))

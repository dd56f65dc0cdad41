"""The penalised quadratic: the kernel beside its twin, certificates, special cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmcore.errors import ConvergenceError
from lmmcore.penalties._descent import descend
from lmmcore.penalties.quadratic import duality_gap, solve
from lmmcore.testing import twins


def drawn(seed, p, collinear=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((p + 5, p)) * 10.0 ** rng.uniform(-2, 2, p)
    if collinear and p > 1:
        x[:, -1] = 2 * x[:, 0]
    h = x.T @ x
    c = x.T @ rng.standard_normal(p + 5)
    l1 = rng.uniform(0, 1, p) * np.abs(c)
    return h, c, l1, rng.choice([0.0, 1.0]) * rng.uniform(0, 1, p) * np.diag(h)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 5))
def test_kernel_beside_its_twin(seed, p, sweeps):
    h, c, l1, l2 = drawn(seed, p)
    beta, rest = np.zeros(p), c.copy()
    descend(h, l1, l2, beta, rest, 1, 0.0)
    np.testing.assert_allclose(beta, twins.descend(h, c, l1, l2, 1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(rest, c - h @ beta, atol=1e-9 * np.abs(c).max())


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_the_minimum_is_certified(seed, p, collinear):
    """No other point is lower, nor can be; also with a column twice."""
    h, c, l1, l2 = drawn(seed, p, collinear)
    found = solve(h, c, l1, l2)
    size = abs(found.objective) + 1e-300
    assert 0 <= found.gap <= 1e-9 * max(size, c @ np.linalg.lstsq(h, c, rcond=None)[0])

    def objective(b):
        return 0.5 * b @ h @ b - c @ b + l1 @ np.abs(b) + 0.5 * l2 @ b**2

    assert objective(found.beta) == pytest.approx(found.objective, rel=1e-9, abs=1e-12)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        step = rng.standard_normal(p) / np.sqrt(np.diag(h)) * 10.0 ** rng.uniform(-6, 1)
        assert objective(found.beta + step) >= found.objective - 1e-9 * size
    # The conditions of Karush, Kuhn and Tucker.
    slope = c - h @ found.beta - l2 * found.beta
    tolerance = 1e-4 * np.sqrt(np.diag(h)) * np.sqrt(size) + 1e-9 * np.abs(c).max()
    zero = found.beta == 0
    assert np.all(np.abs(slope[zero]) <= l1[zero] + tolerance[zero])
    on = ~zero
    assert np.all(np.abs(slope[on] - l1[on] * np.sign(found.beta[on])) <= tolerance[on])


def test_special_cases():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 4))
    h, c = x.T @ x, x.T @ rng.standard_normal(40)
    none = np.zeros(4)
    np.testing.assert_allclose(solve(h, c, none, none).beta, np.linalg.solve(h, c), rtol=1e-6)
    ridge = np.linalg.solve(h + np.diag([1.0, 2, 3, 4]), c)
    np.testing.assert_allclose(solve(h, c, none, np.arange(1.0, 5)).beta, ridge, rtol=1e-6)
    assert not solve(h, c, np.abs(c) * 1.0000001, none).beta.any()
    diagonal = np.diag([1.0, 2, 4, 8])
    soft = np.sign(c) * np.maximum(np.abs(c) - 0.5, 0) / np.diag(diagonal)
    np.testing.assert_allclose(solve(diagonal, c, np.full(4, 0.5), none).beta, soft, atol=1e-12)
    # A warm start at the solution stays there.
    first = solve(h, c, np.ones(4), none)
    np.testing.assert_allclose(
        solve(h, c, np.ones(4), none, start=first.beta).beta, first.beta, rtol=1e-6
    )


def test_a_gap_that_stays_is_an_error():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 30)) + 30 * rng.standard_normal((60, 1))
    h, c = x.T @ x, x.T @ rng.standard_normal(60)
    with pytest.raises(ConvergenceError, match="duality gap"):
        solve(h, c, np.full(30, 0.1), np.zeros(30), max_sweeps=1)
    assert duality_gap(h, c, np.full(30, 0.1), np.zeros(30), np.zeros(30)) > 0

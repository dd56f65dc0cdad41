"""Banded Toeplitz matrices: their zeros, all of them, their coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.covariance.banded import Banded, Tridiagonal
from lmmcore.covariance.correlation import root_derivative
from lmmcore.extension import find


@given(st.integers(2, 5), st.integers(2, 9), st.floats(0.1, 30.0), st.integers(0, 2**32 - 1))
def test_a_banded_matrix_is_toeplitz_with_zeros(n, k, size, seed):
    banded = Banded(n)
    phi = np.random.default_rng(seed).uniform(-size, size, banded.n_angles(k))
    root = banded.root(phi, k)
    c = root @ root.T
    np.testing.assert_allclose(np.diag(c), 1.0, atol=1e-12)
    for lag in range(1, k):
        np.testing.assert_allclose(np.diag(c, lag), c[0, lag], atol=1e-12)
        assert lag < n or abs(c[0, lag]) < 1e-15
    again = banded.root(banded.angles(c), k)
    np.testing.assert_allclose(again @ again.T, c, atol=1e-2)


@given(st.integers(2, 4), st.integers(5, 8), st.integers(0, 2**32 - 1))
def test_every_banded_matrix_has_its_coordinates(n, k, seed):
    """Not only moving averages: any r for which the matrix is positive definite."""
    rng = np.random.default_rng(seed)
    r = rng.standard_normal(n - 1)
    c = np.zeros((k, k))
    for lag, value in enumerate(r, 1):
        c += value * (np.eye(k, k, lag) + np.eye(k, k, -lag))
    c = np.eye(k) - 0.99 * rng.uniform() * c / np.linalg.eigvalsh(c)[0]
    root = Banded(n).root(Banded(n).angles(c), k)
    np.testing.assert_allclose(root @ root.T, c, atol=1e-10)


@given(st.integers(1, 9), st.floats(-7.0, 7.0))
def test_one_correlation_of_neighbors(k, angle):
    family = Tridiagonal()
    phi = np.full(family.n_angles(k), angle)
    root = family.root(phi, k)
    r = family.describe(phi, list("abcdefghi"[:k])).get("corr(lag 1)", 0.0)
    np.testing.assert_allclose(
        root @ root.T, np.eye(k) + r * (np.eye(k, k, 1) + np.eye(k, k, -1)), atol=1e-14
    )
    again = family.root(family.angles(root @ root.T), k)
    np.testing.assert_allclose(again @ again.T, root @ root.T, atol=1e-12)
    other = Banded(2)  # of the same matrices, if the angle is not at the bound
    if abs(np.sin(angle)) < 0.999:
        root = other.root(other.angles(again @ again.T), k)
        np.testing.assert_allclose(root @ root.T, again @ again.T, atol=1e-10)


@pytest.mark.parametrize("k", range(2, 8))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_correlation_of_neighbors_is_an_ordinary_point(k, sign):
    family, phi = Tridiagonal(), np.array([sign * np.pi / 2])
    root, derivative = family.root(phi, k), root_derivative(family, phi, k)[0]
    c = root @ root.T
    assert np.linalg.eigvalsh(c)[0] == pytest.approx(0.0, abs=1e-14)
    step = 1e-6
    moved = [family.root(phi + s, k) for s in (step, -step)]
    np.testing.assert_allclose(derivative, (moved[0] - moved[1]) / (2 * step), atol=1e-9)
    assert np.abs(derivative).max() > 0.1  # of L; that of C is zero
    np.testing.assert_allclose(derivative @ root.T + root @ derivative.T, 0.0, atol=1e-14)


@pytest.mark.parametrize("closed", [True, False])
def test_beyond_the_boundary_is_pulled_inside(closed):
    family = Tridiagonal() if closed else Banded(2)
    root = family.root(family.angles(np.full((3, 3), 0.9) + 0.1 * np.eye(3)), 3)
    c = root @ root.T
    # 1 / sqrt(2) is the largest correlation of neighbors when the ends do not correlate.
    assert c[0, 1] == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert c[0, 2] == pytest.approx(0.0, abs=1e-15)


def test_one_band_is_no_correlation():
    theta = np.array([0.7])
    homogeneous, identity = find("covariance", "toep1"), find("covariance", "id")
    assert homogeneous.n_parameters(3) == 1
    root = homogeneous.factor(theta, 3)
    np.testing.assert_allclose(root @ root.T, identity.factor(theta, 3) @ identity.factor(theta, 3))
    assert find("covariance", "toeph1").n_parameters(3) == 3
    description = find("covariance", "toep2").describe(np.array([1.0, 0.5]), ["a", "b", "c"], 2.0)
    assert list(description) == ["sd", "corr(lag 1)"]

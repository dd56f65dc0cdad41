"""Banded Toeplitz matrices: their zeros, their weights, their fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.covariance.banded import Banded, _weights
from lmmcore.extension import find


@given(st.integers(2, 5), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_a_banded_matrix_is_toeplitz_with_zeros(n, k, seed):
    banded = Banded(n)
    phi = np.random.default_rng(seed).uniform(-2, 2, banded.n_angles(k))
    root = banded.root(phi, k)
    c = root @ root.T
    np.testing.assert_allclose(np.diag(c), 1.0, atol=1e-12)
    for lag in range(1, k):
        np.testing.assert_allclose(np.diag(c, lag), c[0, lag], atol=1e-12)
        assert lag < n or c[0, lag] == 0.0
    # The same matrix from its own angles, unless the factorisation meets roots on the unit circle.
    again = banded.root(banded.angles(c), k)
    np.testing.assert_allclose(again @ again.T, c, atol=2e-3)


def test_weights():
    np.testing.assert_allclose(_weights(np.zeros(2)), [1.0, 0.0, 0.0])
    # (1, 1/2) has lag-one correlation 0.5 / 1.25.
    np.testing.assert_allclose(_weights(np.array([0.4])), np.array([1.0, 0.5]) / np.sqrt(1.25))
    # No moving average has 0.9: the nearest in that direction is 1/2.
    psi = _weights(np.array([0.9]))
    assert psi[0] * psi[1] == pytest.approx(0.5, abs=1e-5)


def test_one_band_is_no_correlation():
    theta = np.array([0.7])
    homogeneous, identity = find("covariance", "toep1"), find("covariance", "id")
    assert homogeneous.n_parameters(3) == 1
    root = homogeneous.factor(theta, 3)
    np.testing.assert_allclose(root @ root.T, identity.factor(theta, 3) @ identity.factor(theta, 3))
    assert find("covariance", "toeph1").n_parameters(3) == 3
    description = find("covariance", "toep2").describe(np.array([1.0, 0.5]), ["a", "b", "c"], 2.0)
    assert list(description) == ["sd", "corr(lag 1)"]

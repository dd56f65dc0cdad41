"""Small symmetric matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.extension import eigh

numbers = st.floats(-1e100, 1e100, allow_subnormal=False)


@given(numbers, numbers, numbers)
def test_two_by_two(p, q, r):
    a = np.array([[p, q], [q, r]])
    values, vectors = eigh(a)
    size = np.abs(a).max() + 1e-300
    assert values[0] <= values[1]
    np.testing.assert_allclose(values / size, np.linalg.eigvalsh(a / size), atol=1e-15 * 4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-15 * 4)
    np.testing.assert_allclose((vectors * (values / size)) @ vectors.T, a / size, atol=1e-15 * 4)


@pytest.mark.parametrize(
    "a", [np.zeros((2, 2)), np.eye(2), np.diag([3.0, 1.0]), np.full((2, 2), 2.0), np.eye(2)[::-1]]
)
def test_special_cases(a):
    values, vectors = eigh(a)
    np.testing.assert_allclose((vectors * values) @ vectors.T, a, atol=1e-15)


def test_graded_matrices_keep_their_small_eigenvalue():
    values, _ = eigh(np.array([[1e12, 1.0], [1.0, 1e-6]]))
    assert values[0] == pytest.approx(1e-6 - 1e-12, rel=1e-12)

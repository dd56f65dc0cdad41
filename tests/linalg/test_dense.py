"""The kernels on small matrices beside NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.linalg import _dense
from lmmcore.linalg.matrices import WIDEST, eigh, identity, semidefinite_cholesky


@st.composite
def positive(draw, largest=WIDEST + 2):
    k = draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    rows = rng.standard_normal((k + 3, k)) * 10.0 ** rng.uniform(-2, 2, k)
    return rows.T @ rows


def in_units(a):
    size = np.sqrt(a.diagonal())
    return a / np.outer(size, size)


@given(positive())
def test_eigh(a):
    a = in_units(a)
    values, vectors = eigh(a)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), atol=1e-13)
    np.testing.assert_allclose((vectors * values) @ vectors.T, a, atol=1e-13)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(a)), atol=1e-13)


def test_eigh_hands_over_what_it_does_not_take():
    assert _dense.eigh(np.eye(WIDEST + 1)) is None
    for k in (1, 2, 3):
        assert _dense.eigh(np.full((k, k), np.nan)) is None


@given(positive())
def test_cholesky_of_a_positive_definite_matrix(a):
    size = np.sqrt(a.diagonal())
    found = semidefinite_cholesky(a) / size[:, None]
    np.testing.assert_allclose(found, np.linalg.cholesky(in_units(a)), atol=1e-10)


@given(positive(6), st.integers(1, 5))
def test_cholesky_of_a_singular_matrix(a, rank):
    root = a[:, : min(rank, len(a))]
    g = in_units(root @ root.T)
    found = semidefinite_cholesky(g)
    np.testing.assert_allclose(found @ found.T, g, atol=1e-5)
    assert not np.triu(found, 1).any()


@given(positive())
def test_solve_positive(a):
    b = np.linspace(-1.0, 2.0, len(a)) * np.sqrt(a.diagonal())
    found = _dense.solve_positive(a, b)
    np.testing.assert_allclose(a @ found, b, atol=1e-9 * np.sqrt(a.diagonal().max()))


@pytest.mark.parametrize(
    "a", [np.ones((2, 2)), -np.eye(2), np.zeros((1, 1)), np.full((2, 2), np.nan)]
)
def test_what_is_not_positive_definite_is_not_solved(a):
    assert _dense.solve_positive(a, np.ones(len(a))) is None


@given(positive())
def test_log_det(a):
    root = np.linalg.cholesky(a)
    assert _dense.log_det(root, len(a)) == pytest.approx(np.linalg.slogdet(a)[1], abs=1e-8)


def test_identity_is_a_fresh_matrix():
    identity(3)[0, 0] = 5.0
    np.testing.assert_array_equal(identity(3), np.eye(3))


@given(positive())
def test_orthonormal(a):
    m, pivot = _dense.orthonormal(np.tril(a))
    np.testing.assert_allclose(m.T @ a @ m, np.eye(len(a)), atol=1e-9)
    assert not np.tril(m, -1).any()
    assert pivot == pytest.approx(np.linalg.cholesky(in_units(a)).diagonal().min(), rel=1e-9)


@pytest.mark.parametrize("diagonal", [0.0, -1.0, np.nan, np.inf])
def test_orthonormal_where_there_is_none(diagonal):
    assert _dense.orthonormal(np.diag([1.0, diagonal]))[1] == 0.0
    assert _dense.orthonormal(np.ones((2, 2)))[1] == 0.0


@given(positive())
def test_symmetric(a):
    np.testing.assert_array_equal(_dense.symmetric(np.tril(a)), a)
    np.testing.assert_array_equal(_dense.symmetric(np.asfortranarray(np.tril(a))), a)

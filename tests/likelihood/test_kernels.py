"""The Cython kernels against their twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.likelihood.independent import _groups, _products
from lmmcore.likelihood.independent.classes import compress
from lmmcore.likelihood.independent.engine import _pack, _pairs
from lmmcore.linalg._dense import cholesky_inverse
from lmmcore.testing import twins

shapes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 21))


def drawn(shape, seed):
    k, q, g = shape
    rng = np.random.default_rng(seed)
    r = np.triu(rng.standard_normal((g, k, k)))
    w = rng.standard_normal((g, k, q))
    multiplicity = rng.integers(0, 4, g).astype(float)
    lam = np.tril(rng.standard_normal((k, k)))
    return r, w, multiplicity, lam


def batch_of(r, w, multiplicity):
    k = r.shape[1]
    pairs = _pairs((k,), (1,))
    return _groups.Batch(_pack(r), _pack(w), _pack(multiplicity), pairs, k * (k + 1) // 2)


@given(shapes, st.integers(0, 2**32 - 1))
def test_criterion(shape, seed):
    r, w, multiplicity, lam = drawn(shape, seed)
    batch = batch_of(r, w, multiplicity)
    gram = np.zeros((shape[1], shape[1]))
    log_det = batch.criterion(lam, 0, batch.n_blocks, gram)
    expected_det, expected = twins.grouped_criterion(r, w, multiplicity, lam)
    assert log_det == pytest.approx(expected_det, rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(np.tril(gram), np.tril(expected), rtol=1e-9, atol=1e-11)


@given(shapes, st.integers(0, 2**32 - 1), st.booleans())
def test_derivatives(shape, seed, reml):
    k, q, _ = shape
    r, w, multiplicity, lam = drawn(shape, seed)
    batch = batch_of(r, w, multiplicity)
    rng = np.random.default_rng(seed)
    inverse = np.tril(rng.standard_normal((q, q)))
    m = k * (k + 1) // 2
    rows, cols = np.tril_indices(k)
    patterns = np.zeros((m, k, k))
    patterns[np.arange(m), rows, cols] = patterns[np.arange(m), cols, rows] = 1.0
    weights = (-1.0, 2.0 if reml else 0.0, 3.0)
    trace, quad = np.zeros(m), np.zeros((m, m))
    outer = np.zeros((m, q * (q + 1) // 2))
    batch.derivatives(
        lam, inverse, reml, *weights, 0, batch.n_blocks, trace, quad, outer
    )  # fmt: skip
    expected = twins.grouped_derivatives(r, w, multiplicity, lam, inverse, patterns, weights)
    np.testing.assert_allclose(trace, expected[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(quad, expected[1], rtol=1e-8, atol=1e-9)
    lower = np.tril_indices(q)
    used = lower[0] >= (0 if reml else q - 1)
    packed = expected[2][:, lower[0], lower[1]]
    np.testing.assert_allclose(outer[:, used], packed[:, used], rtol=1e-8, atol=1e-9)
    assert not outer[:, ~used].any()


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_whiten(k, q, rows, seed):
    """Also where the group has fewer rows than columns, so that Z'Z is singular."""
    rng = np.random.default_rng(seed)
    z, x = rng.standard_normal((rows, k)), rng.standard_normal((rows, q))
    s, w = (z.T @ z)[None], (z.T @ x)[None]
    r, out, seen = np.zeros((1, k, k)), np.empty((1, k, q)), np.empty((1, k), dtype=np.bool_)
    unit = np.triu(rng.standard_normal((k, k)))
    _groups.whiten(np.tril(s), w, unit, 1e-11, 0, 1, r, out, seen)
    expected_r, expected = twins.whiten(s[0], w[0], 1e-11)
    np.testing.assert_allclose(r[0], expected_r @ unit, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(out[0], expected, rtol=1e-5, atol=1e-6)
    assert seen.sum() == min(k, rows)


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_cholesky_inverse(n, seed):
    a = np.random.default_rng(seed).standard_normal((n, n + 2))
    a = a @ a.T + 0.01 * np.eye(n)
    root = a.copy()
    inverse, ok = cholesky_inverse(root)
    assert ok
    np.testing.assert_allclose(np.tril(root), np.linalg.cholesky(a), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(inverse @ np.tril(root), np.eye(n), atol=1e-9)


def test_cholesky_inverse_says_when_it_cannot():
    assert not cholesky_inverse(np.array([[1.0, 2.0], [2.0, 1.0]]))[1]
    assert not cholesky_inverse(np.array([[np.nan]]))[1]


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_classes_change_nothing(k, q, seed):
    """Groups of a few classes, and some of no class, give the same sums after compression."""
    rng = np.random.default_rng(seed)
    n_groups = 700
    roots = np.triu(rng.standard_normal((3, k, k)))
    kind = rng.integers(0, 3, n_groups)
    r = roots[kind]
    r[:20] = np.triu(rng.standard_normal((20, k, k)))
    s = np.tril(np.swapaxes(r, 1, 2) @ r)
    s[20:] = np.tril(np.swapaxes(roots, 1, 2) @ roots)[kind[20:]]
    w = rng.standard_normal((n_groups, k, q))
    lam = np.tril(rng.standard_normal((k, k)))
    small = compress(s, r, w)
    assert len(small[0]) <= 20 + 3 * k * q
    before = twins.grouped_criterion(r, w, np.ones(n_groups), lam)
    after = twins.grouped_criterion(*small, lam)
    assert after[0] == pytest.approx(before[0], rel=1e-11)
    np.testing.assert_allclose(after[1], before[1], rtol=1e-9, atol=1e-9)
    m = k * (k + 1) // 2
    rows, cols = np.tril_indices(k)
    patterns = np.zeros((m, k, k))
    patterns[np.arange(m), rows, cols] = patterns[np.arange(m), cols, rows] = 1.0
    inverse = np.tril(rng.standard_normal((q, q)))
    weights = (-1.0, 2.0, 5.0)
    before3 = twins.grouped_derivatives(r, w, np.ones(n_groups), lam, inverse, patterns, weights)
    after3 = twins.grouped_derivatives(*small, lam, inverse, patterns, weights)
    for a, b in zip(after3, before3):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-7)


@given(shapes, st.integers(0, 2**32 - 1))
def test_product_derivative(shape, seed):
    k, q, g = shape
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((g, k + 2, k))
    s, w = np.tril(z.swapaxes(1, 2) @ z), rng.standard_normal((g, k, q))
    root = np.tril(rng.standard_normal((k, k)))
    half = rng.standard_normal((q - 1, q - 1))
    solution, of_residual = rng.standard_normal(q), float(rng.uniform(0.0, 3.0))
    arguments = s, w, root, half @ half.T, solution, of_residual
    zz, zx = np.empty((g, k, k)), np.zeros((g, k, q))
    _products.product_derivative(*arguments, np.arange(q), 0, g, zz, zx)
    expected_zz, expected_zx = twins.grouped_product_derivative(*arguments)
    np.testing.assert_allclose(zz, expected_zz, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(zx, expected_zx, rtol=1e-9, atol=1e-10)

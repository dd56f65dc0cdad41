"""The row kernel against its twin, for every kind of column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.crossproducts import _rows
from lmmcore.testing import twins

KINDS = ["f8", "f4", "i8", "i4", "?", "strided", "fortran", "reversed", "readonly"]


def column(rng, n, kind):
    values = rng.integers(-50, 50, n)
    if kind == "strided":
        return rng.standard_normal((n, 3))[:, 1]
    if kind == "fortran":
        return np.asfortranarray(rng.standard_normal((n, 2)))[:, 0]
    if kind == "reversed":
        return rng.standard_normal(n)[::-1]
    if kind == "readonly":
        out = rng.standard_normal(n)
        out.flags.writeable = False
        return out
    return (values % 2 == 0) if kind == "?" else values.astype(kind)


@given(
    st.integers(1, 900),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_accumulate(n, x_kinds, z_kinds, with_basis, weighted, in_order, seed):
    rng = np.random.default_rng(seed)
    x = [column(rng, n, kind) for kind in x_kinds]
    z = [column(rng, n, kind) for kind in z_kinds]
    c, k, q = len(x) + 1, len(z), 7
    shift = rng.standard_normal(c)
    shift[0] = 0.0
    z_shift = rng.standard_normal(k)
    basis = np.triu(rng.standard_normal((c, c))) if with_basis else None
    weights = rng.uniform(0.1, 3, n) if weighted else None
    codes = rng.integers(0, q, n).astype(np.int32)
    codes = np.sort(codes) if in_order else codes
    total, s, w = np.zeros((c, c)), np.zeros((q, k, k)), np.zeros((q, k, c))
    half = n // 2
    for start, stop in ((0, half), (half, n)):
        _rows.accumulate(
            _rows.Columns((None, *x), n), shift, basis,
            None if weights is None else _rows.Columns((weights,), n),
            start, stop, total, _rows.Columns(z, n), z_shift, codes, s, w,
        )  # fmt: skip
    dense_x = np.column_stack([np.ones(n), *(col.astype(float) for col in x)])
    dense_z = np.column_stack([col.astype(float) for col in z])
    expected = twins.accumulate(dense_x, shift, basis, weights, dense_z, z_shift, codes, q)
    for mine, twin in zip((total, s, w), expected):
        lower = np.tril(mine) if mine is not w else mine
        reference = np.tril(twin) if mine is not w else twin
        np.testing.assert_allclose(
            lower, reference, rtol=1e-8, atol=1e-7 * (1 + np.abs(twin).max())
        )


def test_columns_refuse_what_they_cannot_read():
    with pytest.raises(TypeError, match="type"):
        _rows.Columns((np.zeros(3, dtype=complex),), 3)
    with pytest.raises(ValueError, match="n_rows"):
        _rows.Columns((np.zeros(3),), 4)
    with pytest.raises(ValueError, match="byte order"):
        _rows.Columns((np.zeros(3, dtype=">f8"),), 3)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=60))
def test_integer_codes(values):
    array = np.array(values, dtype=np.int64)
    assert _rows.integer_range(array) == (array.min(), array.max())
    codes, labels, in_order = _rows.code_integers(array, array.min(), array.max())
    expected_labels, expected = np.unique(array, return_inverse=True)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(labels, expected_labels)
    assert in_order == bool(np.all(np.diff(expected) >= 0))


@given(
    st.integers(0, 700),
    st.lists(st.sampled_from([None, *KINDS]), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(0, 100),
)
def test_typical(n, kinds, step, seed):
    rng = np.random.default_rng(seed)
    columns = [None if kind is None else column(rng, n, kind) for kind in kinds]
    found = _rows.Columns(columns, n).typical(step)
    for value, c in zip(found, columns):
        expected = 0.0 if c is None or n == 0 else np.mean(c[::step], dtype=float)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_typical_of_what_is_not_finite():
    columns = [np.array([1.0, np.nan]), np.array([np.inf, 0.0]), np.array([1.0, 3.0])]
    assert _rows.Columns(columns, 2).typical(1).tolist() == [0.0, 0.0, 2.0]

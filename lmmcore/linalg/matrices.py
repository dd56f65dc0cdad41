"""Small symmetric matrices: helpers for the core and for authors of structures."""

from __future__ import annotations

from functools import cache
from math import isfinite

import numpy as np

from . import _dense
from ._dense import cholesky_inverse

__all__ = [
    "all_finite",
    "cholesky_inverse",
    "eigh",
    "gram_rank",
    "identity",
    "lower_indices",
    "semidefinite_cholesky",
    "symmetric",
    "symmetric_index",
]

WIDEST = 16  # matrices for which a call of LAPACK without NumPy's checks pays


@cache
def lower_indices(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the lower triangle of a k × k matrix, row by row."""
    rows, cols = np.tril_indices(k)
    rows.flags.writeable = cols.flags.writeable = False
    return rows, cols


@cache
def _unit(k: int) -> np.ndarray:
    return np.eye(k)


def identity(k: int) -> np.ndarray:
    """Return ``numpy.eye(k)``, at a third of its time."""
    return _unit(k).copy()


@cache
def symmetric_index(k: int) -> np.ndarray:
    """Return the (k, k) index that spreads a packed lower triangle over a symmetric matrix."""
    rows, cols = lower_indices(k)
    index = np.empty((k, k), dtype=np.intp)
    index[rows, cols] = index[cols, rows] = np.arange(len(rows))
    index.flags.writeable = False
    return index


def symmetric(a: np.ndarray) -> np.ndarray:
    """Return the symmetric matrices (…, k, k) whose lower triangles are given."""
    if a.ndim == 2 and a.dtype == float:
        return _dense.symmetric(a)
    rows, cols = lower_indices(a.shape[-1])
    return a[..., rows, cols][..., symmetric_index(a.shape[-1])]


def eigh(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues in ascending order and eigenvectors, as ``numpy.linalg.eigh`` does."""
    if len(a) <= WIDEST:
        found = _dense.eigh(a)
        if found is not None:
            return found
    return np.linalg.eigh(a)


def gram_rank(gram: np.ndarray, tolerance: float = 1e-9) -> int:
    """Return the rank of a matrix of cross-products (m, m), columns in any units."""
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return int((np.linalg.eigvalsh(gram / np.outer(size, size)) > tolerance).sum())


def semidefinite_cholesky(g: np.ndarray, tolerance: float = 1e-12) -> np.ndarray:
    """Return the lower triangular Λ with ΛΛ' = g for a positive semidefinite g.

    A column whose pivot is below `tolerance` times its diagonal entry is zero.
    """
    return _dense.semidefinite_cholesky(np.asarray(g, dtype=float), tolerance)


def all_finite(a: np.ndarray) -> bool:
    """Return whether all entries are finite; the sum of squares, which mostly is, is looked at first."""
    return isfinite(np.vdot(a, a)) or bool(np.isfinite(a).all())


def sandwich(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a x_g a' (G, r, r) for symmetric matrices x (G, k, k) and a (r, k), by two large products."""
    groups, k, _ = x.shape
    right = (x.reshape(groups * k, k) @ a.T).reshape(groups, k, len(a))
    left = right.swapaxes(1, 2).reshape(groups * len(a), k) @ a.T
    return left.reshape(groups, len(a), len(a))

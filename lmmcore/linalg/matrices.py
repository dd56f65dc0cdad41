"""Small symmetric matrices: helpers for the core and for authors of structures."""

from __future__ import annotations

from functools import cache
from math import copysign, hypot, isfinite

import numpy as np

from ._dense import cholesky_inverse

__all__ = [
    "cholesky_inverse",
    "eigh",
    "gram_rank",
    "lower_indices",
    "semidefinite_cholesky",
    "symmetric",
    "symmetric_index",
]


@cache
def lower_indices(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the lower triangle of a k × k matrix, row by row."""
    rows, cols = np.tril_indices(k)
    rows.flags.writeable = cols.flags.writeable = False
    return rows, cols


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
    rows, cols = lower_indices(a.shape[-1])
    return a[..., rows, cols][..., symmetric_index(a.shape[-1])]


def eigh(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues in ascending order and eigenvectors; 1 × 1 and 2 × 2 cost no LAPACK call."""
    if len(a) == 1:
        return a[0].copy(), np.ones((1, 1))
    if len(a) == 2:
        (p, _), (q, r) = a.tolist()
        if isfinite(p + q + r):
            return _rotated(p, q, r)
    return np.linalg.eigh(a)


def _rotated(p: float, q: float, r: float) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and vectors of [[p, q], [q, r]] by Jacobi's rotation (Rutishauser 1966)."""
    t = 0.0
    if q != 0.0:
        tau = (r - p) / (2.0 * q)
        t = copysign(1.0, tau) / (abs(tau) + hypot(1.0, tau))
    c = 1.0 / hypot(1.0, t)
    s = t * c
    low, high = p - t * q, r + t * q
    if low <= high:
        return np.array([low, high]), np.array([[c, s], [-s, c]])
    return np.array([high, low]), np.array([[s, c], [c, -s]])


def gram_rank(gram: np.ndarray, tolerance: float = 1e-9) -> int:
    """Return the rank of a matrix of cross-products (m, m), columns in any units."""
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return int((np.linalg.eigvalsh(gram / np.outer(size, size)) > tolerance).sum())


def semidefinite_cholesky(g: np.ndarray, tolerance: float = 1e-12) -> np.ndarray:
    """Return the lower triangular Λ with ΛΛ' = g for a positive semidefinite g.

    A column whose pivot is below `tolerance` times its diagonal entry is zero.
    """
    k = len(g)
    factor = np.zeros((k, k))
    rest = np.array(g, dtype=float)
    for j in range(k):
        pivot = rest[j, j]
        if pivot > tolerance * max(g[j, j], 0.0) and pivot > 0.0:
            factor[j:, j] = rest[j:, j] / np.sqrt(pivot)
            rest[j:, j:] -= np.outer(factor[j:, j], factor[j:, j])
    return factor

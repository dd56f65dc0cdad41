"""Small symmetric matrices: helpers for the core and for authors of structures."""

from __future__ import annotations

from functools import cache

import numpy as np


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
    """Return eigenvalues in ascending order and eigenvectors; 1 × 1 costs no LAPACK call."""
    if len(a) == 1:
        return a[0].copy(), np.ones((1, 1))
    return np.linalg.eigh(a)


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

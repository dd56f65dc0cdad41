"""Matrix helpers for authors of structures."""

from __future__ import annotations

import numpy as np


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

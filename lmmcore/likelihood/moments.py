"""Traces of products of patterns, from sums over pairs of levels."""

from __future__ import annotations

import numpy as np

from ..linalg.matrices import lower_indices


def spread(sums: np.ndarray, k_t: int, k_u: int) -> np.ndarray:
    """Return tr(C E_c F E_d) (m_t, m_u) from sums[a, b', b, a'] over pairs of levels."""
    sums = sums.reshape(k_t, k_u, k_t, k_u)
    a, b = lower_indices(k_t)
    c, d = lower_indices(k_u)
    out = np.zeros((len(a), len(c)))
    for one, other, off in ((a, b, None), (b, a, a != b)):
        for three, four, off_u in ((c, d, None), (d, c, c != d)):
            part = sums[one[:, None], four, other[:, None], three]
            if off is not None:
                part = part * off[:, None]
            if off_u is not None:
                part = part * off_u
            out += part
    return out

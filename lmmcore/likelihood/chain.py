"""The chain rule from the entries of G to the parameters θ of its covariance structure, by matrix products.

The loops of `_groups.chain_rule` cost O(m² k² w) for m parameters. They are
faster for few parameters, but for many they would dominate a fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..linalg.matrices import lower_indices
from .independent import _groups
from .state import TermShape

MANY = 20  # entries of G from which products of matrices are faster


def chain_rule(
    g: np.ndarray,
    h: np.ndarray,
    terms: Sequence[TermShape],
    roots: list[np.ndarray],
    slopes: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient (m,) and Hessian (m, m) in θ, as if each Λ were linear in θ.

    Parameters
    ----------
    g, h : arrays
        Gradient and Hessian in γ.
    terms : sequence of TermShape
    roots : list of arrays (k, w)
        Λ of each term.
    slopes : list of arrays (m_t, k, w)
        ∂Λ/∂θ of each term.
    """
    if len(g) < MANY:
        return _groups.chain_rule(g, h, roots, slopes)
    sizes = [len(slope) for slope in slopes]
    jacobian = np.zeros((sum(sizes), len(g)))
    hessian = np.zeros((sum(sizes), sum(sizes)))
    start = 0
    for term, root, slope, m in zip(terms, roots, slopes, sizes):
        rows, cols = lower_indices(term.k)
        moved = slope @ root.T
        at = slice(start, start + m)
        jacobian[at, term.coordinates] = moved[:, rows, cols] + moved[:, cols, rows]
        bent = term.matrix(g) @ slope
        hessian[at, at] = 2.0 * slope.reshape(m, -1) @ bent.reshape(m, -1).T
        start += m
    hessian += jacobian @ h @ jacobian.T
    return jacobian @ g, 0.5 * (hessian + hessian.T)

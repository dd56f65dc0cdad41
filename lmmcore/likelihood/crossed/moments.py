"""Start values of a crossed model from quadratic forms of its least-squares residual.

With V = I the unbiased quadratic estimates of the covariance matrices (MINQUE with zero a priori
variances: Rao 1971) need sums of squares of the cross-products and no factorization. The loss of
degrees of freedom to X is left out: a start need not be exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...crossproducts.crossed import PairProducts
from ...linalg.matrices import symmetric_index
from ..moments import spread


def frobenius(
    places: Sequence[tuple[int, int, int]],
    blocks: Sequence[np.ndarray],
    pairs: dict[tuple[int, int], PairProducts],
) -> np.ndarray:
    """Return tr(Z'Z E_c Z'Z E_d) (m, m) for all coordinates.

    Parameters
    ----------
    places : sequence of (factor, first column, columns)
        Of each term.
    blocks : sequence of arrays (q_f, k_f, k_f)
    pairs : dict
        As for `plan_elimination`.
    """
    sizes = [k * (k + 1) // 2 for _, _, k in places]
    first = np.concatenate([[0], np.cumsum(sizes)])
    out = np.zeros((first[-1], first[-1]))
    for t, (f, at, k) in enumerate(places):
        for u, (g, at_u, k_u) in enumerate(places):
            if f == g:
                values = blocks[f]
                if (f, f) in pairs:
                    own = pairs[f, f].values
                    values = np.concatenate([values, own, own.transpose(0, 2, 1)])
            elif f < g:
                values = pairs[f, g].values
            else:
                values = pairs[g, f].values.transpose(0, 2, 1)
            flat = values[:, at : at + k, at_u : at_u + k_u].reshape(-1, k * k_u)
            out[first[t] : first[t + 1], first[u] : first[u + 1]] = spread(flat.T @ flat, k, k_u)
    return out


def moment_estimates(
    products: np.ndarray,
    traces: np.ndarray,
    squares: np.ndarray,
    residual: float,
    df: int,
    sizes: Sequence[int],
) -> list[np.ndarray]:
    """Return G_t (k, k) relative to σ²; they may be indefinite.

    Parameters
    ----------
    products : array (m, m)
        tr(Z'Z E_c Z'Z E_d).
    traces : array (m,)
        tr(Z'Z E_c).
    squares : array (m,)
        tr(E_c Σ_ℓ Z_ℓ'e e'Z_ℓ) for the residual e.
    residual : float
        e'e.
    df : int
        n − p.
    sizes : sequence of int
        k of each term.
    """
    m = len(traces)
    left = np.empty((m + 1, m + 1))
    left[:m, :m], left[m, :m], left[:m, m], left[m, m] = products, traces, traces, df
    right = np.append(squares, residual)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(left), np.finfo(float).tiny))
    found = np.linalg.lstsq(left * np.outer(scale, scale), right * scale, rcond=1e-10)[0] * scale
    # A tenth of the whole variation where the equations would leave nothing to the residual.
    sigma2 = max(float(found[m]), 0.1 * residual / df)
    out, at = [], 0
    for k in sizes:
        size = k * (k + 1) // 2
        out.append(found[at : at + size][symmetric_index(k)] / sigma2)
        at += size
    return out

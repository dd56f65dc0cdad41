"""Banded Toeplitz correlation matrices: correlations of near columns, none of far ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .correlation import Stationary, mean_known


class Banded:
    """Correlations at distances 1 … n - 1, zero from n on: a moving average of order n - 1.

    The weights ψ of the moving average have length one, and are given by their angles (spherical
    coordinates). A moving average is a correlation matrix for any number of columns; so with two bands
    the correlation is at most 1/2. k ≤ n columns have no far ones: there it is any Toeplitz matrix.

    Parameters
    ----------
    n : int
        Bands, the diagonal among them.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.whole = Stationary()

    def n_angles(self, k: int) -> int:
        return min(self.n, k) - 1

    def angles(self, c: np.ndarray) -> np.ndarray:
        k = len(c)
        if k <= self.n:
            return self.whole.angles(c)
        r = np.array([mean_known(np.diag(c, lag)) for lag in range(1, self.n)])
        psi = _weights(np.nan_to_num(r))
        # φ_j is the angle between ψ_j and the length of what comes after it.
        after = np.sqrt(np.cumsum(psi[::-1] ** 2)[::-1])
        out = np.arctan2(after[1:], psi[:-1])
        if len(out) and psi[-1] < 0.0:
            out[-1] = -out[-1]
        return out

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        if k <= self.n:
            return self.whole.root(phi, k)
        psi = np.ones(self.n, dtype=phi.dtype)
        psi[1:] = np.cumprod(np.sin(phi))
        psi[:-1] = psi[:-1] * np.cos(phi)
        out = np.zeros((k, k + self.n - 1), dtype=phi.dtype)
        for lag in range(self.n):
            out[np.arange(k), np.arange(k) + lag] = psi[lag]
        return out

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        k = len(names)
        root = self.root(np.asarray(phi, dtype=float), k)
        first = root @ root[0]
        return {f"corr(lag {lag})": float(first[lag]) for lag in range(1, min(self.n, k))}


def _weights(r: np.ndarray) -> np.ndarray:
    """Return ψ (n,), of length one, with autocorrelations r (n - 1,), or ones close to r.

    Spectral factorisation: the polynomial Σ r_|j| z^j has its roots in pairs z, 1/z, and ψ takes one of
    each pair.
    """
    n = len(r) + 1
    lags, grid = np.arange(1, n), np.linspace(0.0, np.pi, 513)
    spectrum = 1.0 + 2.0 * np.cos(np.outer(grid, lags)) @ r
    lowest = float(spectrum.min())
    if lowest < 1e-6:  # no moving average has r: shrink it until one does
        r = r * (1.0 - 1e-6) / (1.0 - lowest)
    last = np.flatnonzero(np.abs(r) > 1e-12)
    psi = np.zeros(n)
    if not len(last):
        psi[0] = 1.0
        return psi
    r = r[: last[-1] + 1]
    roots = np.roots(np.concatenate([r[::-1], [1.0], r]))
    inside = roots[np.argsort(np.abs(roots))[: len(r)]]
    found = np.real(np.poly(inside))
    psi[: len(found)] = found / np.sqrt(found @ found)
    return psi

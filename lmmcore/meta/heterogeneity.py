"""Quadratic forms of effects with known covariances: Q, the typical variance, Q-profile limits.

With M = V + τ²I, V known and block-diagonal, and ``P = M⁻¹ − M⁻¹X(X'M⁻¹X)⁻¹X'M⁻¹``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from ..errors import ConvergenceError

Block = tuple[np.ndarray, np.ndarray]  # rows (t,), covariance matrix (t, t)
LARGEST = 1e12  # τ², in parts of the variance of the effects, at which the search for a limit ends


@dataclass(frozen=True, eq=False)
class KnownEffects:
    """Effects y (k,), their columns X (k, p), and their known covariance matrix.

    Attributes
    ----------
    variances : array (k,)
    blocks : list of (rows, matrix)
        Those of several rows.
    """

    y: np.ndarray
    x: np.ndarray
    variances: np.ndarray
    blocks: list[Block]

    @property
    def df(self) -> int:
        """k − p."""
        return len(self.y) - self.x.shape[1]

    def _solved(self, tau2: float, columns: np.ndarray) -> np.ndarray:
        """Return M⁻¹ times columns (k, r)."""
        out = columns / (self.variances + tau2)[:, None]
        for rows, matrix in self.blocks:
            out[rows] = np.linalg.solve(matrix + tau2 * np.eye(len(rows)), columns[rows])
        return out

    def _inverses(self, tau2: float) -> Iterator[np.ndarray]:
        """Yield the inverse of each block of M: those of single rows as a vector, then matrices."""
        alone = np.ones(len(self.y), dtype=bool)
        for rows, matrix in self.blocks:
            alone[rows] = False
            yield np.linalg.inv(matrix + tau2 * np.eye(len(rows)))
        yield 1.0 / (self.variances + tau2)[alone]

    def q(self, tau2: float = 0.0) -> float:
        """Return y'Py: Cochran's Q at τ² = 0."""
        both = self._solved(tau2, np.column_stack([self.x, self.y]))
        mx, my = both[:, :-1], both[:, -1]
        inner = np.linalg.solve(self.x.T @ mx, mx.T @ self.y) if mx.shape[1] else np.zeros(0)
        return float(self.y @ my - self.y @ mx @ inner)

    def trace_p(self) -> float:
        """Return tr P at τ² = 0."""
        mx = self._solved(0.0, self.x)
        own = sum(float(np.trace(i) if i.ndim == 2 else i.sum()) for i in self._inverses(0.0))
        return own - float(np.trace(np.linalg.solve(self.x.T @ mx, mx.T @ mx)))

    def information(self, tau2: float, reml: bool) -> float:
        """Return the expected information of τ²: tr(PP)/2, by ML tr(M⁻²)/2."""
        own = sum(float(np.sum(i * i)) for i in self._inverses(tau2))
        if not reml:
            return 0.5 * own
        first = self._solved(tau2, self.x)
        second = self._solved(tau2, first)
        h = np.linalg.inv(self.x.T @ first)
        middle = h @ (first.T @ first)
        return 0.5 * (
            own - 2.0 * float(np.trace(h @ (first.T @ second))) + float(np.sum(middle * middle.T))
        )

    @property
    def typical_variance(self) -> float:
        """The variance of a typical study: (k − p)/tr P (Higgins and Thompson 2002, Stat. Med. 21, 1539)."""
        return self.df / self.trace_p()

    def q_profile(self, level: float) -> tuple[float, float]:
        """Return the limits of τ² where Q(τ²) is a quantile of χ² (Viechtbauer 2007, Stat. Med. 26, 37).

        Raises
        ------
        ConvergenceError
            The upper limit is beyond any number that makes sense.
        """
        from scipy.optimize import brentq

        alpha, largest = 1.0 - level, LARGEST * max(float(np.var(self.y)), 1e-300)
        limits = []
        for part in (1.0 - alpha / 2.0, alpha / 2.0):
            target = float(chdtri(self.df, 1.0 - part))
            if self.q(0.0) <= target:
                limits.append(0.0)
                continue
            high = max(float(np.mean(self.variances)), 1e-300)
            while self.q(high) > target:
                high *= 4.0
                if high > largest:
                    raise ConvergenceError(
                        "the Q-profile has no upper limit; expected more than p + 1 effects"
                    )
            limits.append(
                float(brentq(lambda t, q=target: self.q(t) - q, 0.0, high, xtol=1e-14, rtol=1e-12))
            )
        return limits[0], limits[1]

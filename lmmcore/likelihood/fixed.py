"""An unstructured covariance matrix with some parameters held at given values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..extension.structures import sd_and_correlations
from ..linalg.matrices import lower_indices, semidefinite_cholesky


class FixedPattern:
    """Unstructured, with entries of the Cholesky factor held fixed.

    Parameters
    ----------
    free : bool array (k (k + 1) / 2,)
        Which entries of the lower triangle, row by row, are estimated.
    values : array (k (k + 1) / 2,)
        Values of the entries that are held, in the engine's columns.
    order : sequence of int, optional
        Order in which the columns are factored: to hold the variance of a column fixed, it comes
        first.
    """

    def __init__(
        self, free: np.ndarray, values: np.ndarray, order: Sequence[int] | None = None
    ) -> None:
        self.free = np.asarray(free, dtype=bool)
        self.values = np.asarray(values, dtype=float)
        self.order = None if order is None else np.asarray(order, dtype=np.intp)

    def n_parameters(self, k: int) -> int:
        return int(self.free.sum())

    def parameters(self, g: np.ndarray) -> np.ndarray:
        if self.order is not None:
            g = g[np.ix_(self.order, self.order)]
        k = len(g)
        rows, cols = lower_indices(k)
        factor = semidefinite_cholesky(g)
        factor[rows[~self.free], cols[~self.free]] = self.values[~self.free]
        # The variances are kept where covariances are held fixed.
        for i in range(k):
            factor[i, i] = np.sqrt(max(g[i, i] - float(np.sum(factor[i, :i] ** 2)), 0.0))
        return factor[rows, cols][self.free]

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        packed = self.values.copy()
        packed[self.free] = theta
        factor = np.zeros((k, k))
        factor[lower_indices(k)] = packed
        if self.order is None:
            return factor
        out = np.empty((k, k))
        out[self.order] = factor
        return out

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        rows, cols = lower_indices(k)
        where = rows if self.order is None else self.order[rows]
        out = np.zeros((len(theta), k, k))
        out[np.arange(len(theta)), where[self.free], cols[self.free]] = 1.0
        return out

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        factor = sigma * self.factor(theta, len(names))
        return sd_and_correlations(factor @ factor.T, tuple(names))

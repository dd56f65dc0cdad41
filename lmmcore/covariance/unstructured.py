"""The unstructured covariance matrix: any positive semidefinite matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..extension import lower_indices, sd_and_correlations, semidefinite_cholesky


@cache
def _pattern(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, cols = lower_indices(k)
    derivative = np.zeros((len(rows), k, k))
    derivative[np.arange(len(rows)), rows, cols] = 1.0
    derivative.flags.writeable = False
    return rows, cols, derivative


class Unstructured:
    """Any covariance matrix: θ is the lower triangle of its Cholesky factor, row by row."""

    closed_under = "shifting"

    def n_parameters(self, k: int) -> int:
        return k * (k + 1) // 2

    def parameters(self, g: np.ndarray) -> np.ndarray:
        rows, cols, _ = _pattern(len(g))
        return semidefinite_cholesky(g)[rows, cols]

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        if k == 1:
            return theta.copy().reshape(1, 1)
        rows, cols, _ = _pattern(k)
        factor = np.zeros((k, k))
        factor[rows, cols] = theta
        return factor

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return _pattern(k)[2]

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        factor = sigma * self.factor(theta, len(names))
        return sd_and_correlations(factor @ factor.T, tuple(names))

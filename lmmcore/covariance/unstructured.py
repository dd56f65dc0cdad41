"""The unstructured covariance matrix: any positive semidefinite matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ..extension import lower_indices, semidefinite_cholesky


@cache
def _pattern(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, cols = lower_indices(k)
    derivative = np.zeros((len(rows), k, k))
    derivative[np.arange(len(rows)), rows, cols] = 1.0
    derivative.flags.writeable = False
    return rows, cols, derivative


class Unstructured:
    """Any covariance matrix: θ is the lower triangle of its Cholesky factor, row by row."""

    def n_parameters(self, k: int) -> int:
        return k * (k + 1) // 2

    def parameters(self, g: np.ndarray) -> np.ndarray:
        rows, cols, _ = _pattern(len(g))
        return semidefinite_cholesky(g)[rows, cols]

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        rows, cols, _ = _pattern(k)
        factor = np.zeros((k, k))
        factor[rows, cols] = theta
        return factor

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return _pattern(k)[2]

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, g: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        sd = np.sqrt(np.diag(g))
        out = {f"sd({name})": float(s) for name, s in zip(names, sd)}
        for i in range(len(names)):
            for j in range(i):
                scale = sd[i] * sd[j]
                out[f"corr({names[j]}, {names[i]})"] = (
                    float(g[i, j] / scale) if scale > 0 else float("nan")
                )
        return out

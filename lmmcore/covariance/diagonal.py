"""The diagonal covariance matrix: independent coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Diagonal:
    """Independent coefficients, each with a variance of its own: θ are relative sds."""

    def n_parameters(self, k: int) -> int:
        return k

    def parameters(self, g: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(g), 0.0))

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return np.diag(theta)

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        out = np.zeros((k, k, k))
        out[np.arange(k), np.arange(k), np.arange(k)] = 1.0
        return out

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, g: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        return {f"sd({name})": float(np.sqrt(v)) for name, v in zip(names, np.diag(g))}

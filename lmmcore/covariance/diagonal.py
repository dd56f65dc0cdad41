"""The diagonal covariance matrix: independent coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Diagonal:
    """Independent coefficients, each with its own variance. θ are the relative standard deviations."""

    closed_under = "scaling"

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

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        return {f"sd({name})": float(sigma * abs(t)) for name, t in zip(names, theta)}

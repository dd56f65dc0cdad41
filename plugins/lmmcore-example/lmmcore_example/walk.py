"""A covariance structure: a random walk along the columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Walk:
    """G_ij = θ² min(i, j): each column is the one before it plus a step of sd θ."""

    def n_parameters(self, k: int) -> int:
        return 1

    def parameters(self, g: np.ndarray) -> np.ndarray:
        # trace G = θ² (1 + 2 + … + k)
        k = len(g)
        return np.array([np.sqrt(max(float(np.trace(g)), 0.0) * 2.0 / (k * (k + 1)))])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return theta[0] * np.tri(k)

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return np.tri(k)[None]

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None  # the factor is linear in θ

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        return {"sd(step)": float(sigma * abs(theta[0]))}


WALK = Walk()

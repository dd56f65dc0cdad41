"""A penalty: a price on negative coefficients."""

from __future__ import annotations

import numpy as np

from lmmcore.extension import Coefficients, DataValueError


class Nonnegative:
    """P(β; λ) = λ Σ w_j max(−β_j, 0): coefficients are zero rather than a little negative."""

    concavity = 0.0  # it is convex

    def __init__(self, coefficients: Coefficients | None = None) -> None:
        self.coefficients = coefficients

    def bind(self, coefficients: Coefficients) -> Nonnegative:
        return Nonnegative(coefficients)

    def value(self, beta: np.ndarray, strength: float) -> float:
        return float(strength * (self._weights(beta) @ np.maximum(-beta, 0.0)))

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        moved = np.minimum(point + step * strength * self._weights(point), 0.0)
        return np.where(point < 0.0, moved, point)

    def _weights(self, beta: np.ndarray) -> np.ndarray:
        weights = np.ones(len(beta)) if self.coefficients is None else self.coefficients.weights
        if weights.shape != np.shape(beta):
            raise DataValueError(
                f"β has shape {np.shape(beta)}; expected {len(weights)} coefficients, as were bound"
            )
        return weights


NONNEGATIVE = Nonnegative()

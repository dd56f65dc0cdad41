"""A structure for the user's columns, seen from the engine's columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..extension.protocols import CovarianceStructure


class InUsersColumns:
    """G of the engine is B⁻¹ G B'⁻¹ for (Z of the user) B = Z of the engine, θ stays the user's.

    Parameters
    ----------
    structure : CovarianceStructure
    basis : array (k, k)
        B.
    """

    def __init__(self, structure: CovarianceStructure, basis: np.ndarray) -> None:
        self.structure, self.basis = structure, basis
        self.inverse = np.linalg.inv(basis)

    def n_parameters(self, k: int) -> int:
        return self.structure.n_parameters(k)

    def rank(self, k: int) -> int:
        return self.structure.rank(k) if hasattr(self.structure, "rank") else k

    def parameters(self, g: np.ndarray) -> np.ndarray:
        return self.structure.parameters(self.basis @ g @ self.basis.T)

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return self.inverse @ self.structure.factor(theta, k)

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return self.inverse @ self.structure.factor_derivative(theta, k)

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray | None:
        second = self.structure.factor_second_derivative(theta, k)
        return None if second is None else self.inverse @ second

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        return self.structure.describe(theta, names, sigma)

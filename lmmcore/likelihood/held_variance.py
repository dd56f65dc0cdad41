"""A covariance structure with one variance held at a given value, for profile likelihoods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..extension.protocols import CovarianceStructure


class HeldVariance:
    """The members of a structure in which the variance of one column has a given value.

    A member G is multiplied by what makes its variance right: ``Λ = r Λ₀`` with ``r² = value / (Λ₀Λ₀')_cc``.
    So the structure has to be closed under multiplication (`is_cone`), and the length of θ has no effect.

    Parameters
    ----------
    structure : CovarianceStructure
        Gives Λ₀.
    column : int
        c.
    value : float
        The variance, in the units of G.
    """

    def __init__(self, structure: CovarianceStructure, column: int, value: float) -> None:
        self.structure, self.column, self.value = structure, column, value

    def n_parameters(self, k: int) -> int:
        return self.structure.n_parameters(k)

    def rank(self, k: int) -> int:
        return self.structure.rank(k) if hasattr(self.structure, "rank") else k

    def parameters(self, g: np.ndarray) -> np.ndarray:
        return self.structure.parameters(g)

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        root = self.structure.factor(theta, k)
        return root * self._ratio(root)

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        root = self.structure.factor(theta, k)
        slope = self.structure.factor_derivative(theta, k)
        r = self._ratio(root)
        row = root[self.column]
        first = -r * (slope[:, self.column] @ row) / (row @ row)
        return first[:, None, None] * root + r * slope

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        root = self.structure.factor(theta, k)
        slope = self.structure.factor_derivative(theta, k)
        bent = self.structure.factor_second_derivative(theta, k)
        r, row, slopes = self._ratio(root), root[self.column], slope[:, self.column]
        square = row @ row
        v = slopes @ row / square  # ∂log of the variance of Λ₀, halved
        w = slopes @ slopes.T / square
        if bent is not None:
            w = w + bent[:, :, self.column] @ row / square
        second = r * (3.0 * np.outer(v, v) - w)
        cross = -r * v[:, None, None, None] * slope
        out = second[:, :, None, None] * root + cross + cross.swapaxes(0, 1)
        return out if bent is None else out + r * bent

    def _ratio(self, root: np.ndarray) -> float:
        row = root[self.column]
        square = float(row @ row)
        return float(np.sqrt(self.value / square)) if square > 0.0 else np.inf

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        r = self._ratio(self.structure.factor(theta, len(names)))
        return self.structure.describe(theta, names, r * sigma)


def is_cone(structure: CovarianceStructure, g: np.ndarray) -> bool:
    """Return whether twice a member G (k, k) of a structure is a member, too."""
    root = structure.factor(structure.parameters(2.0 * g), len(g))
    return bool(np.abs(root @ root.T - 2.0 * g).max() <= 1e-6 * np.abs(g).max())

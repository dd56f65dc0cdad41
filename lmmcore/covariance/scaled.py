"""Structures made of standard deviations and a family of correlation matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..extension import DerivedStructure
from .correlation import Correlation


def _correlation_of(g: np.ndarray) -> np.ndarray:
    """Return correlations; NaN where a column does not vary."""
    sd = np.sqrt(np.maximum(np.diag(g), 0.0))
    scale = np.where(sd > 0, sd, np.nan)
    out = g / np.outer(scale, scale)
    np.fill_diagonal(out, 1.0)
    return out


class Homogeneous(DerivedStructure):
    """One standard deviation for all columns: θ is the relative sd and the angles."""

    def __init__(self, correlation: Correlation, title: str) -> None:
        self.correlation = correlation
        self.__doc__ = title

    def n_parameters(self, k: int) -> int:
        return 1 + self.correlation.n_angles(k)

    def parameters(self, g: np.ndarray) -> np.ndarray:
        sd = np.sqrt(max(float(np.mean(np.diag(g))), 0.0))
        # The average covariance, not the average correlation: the same for a member.
        c = g / sd**2 if sd > 0 else np.eye(len(g))
        return np.concatenate([[sd], self.correlation.angles(c)])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return theta[0] * self.correlation.root(theta[1:], k)

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        sd = {"sd": float(sigma * abs(theta[0]))}
        return sd | self.correlation.describe(theta[1:], names)


class Heterogeneous(DerivedStructure):
    """A standard deviation for each column: θ is the roots of the relative sds, and the angles.

    An sd of negative sign would turn the signs of its column's correlations, which is another family:
    a root that is squared cannot.
    """

    closed_under = "scaling"

    def __init__(self, correlation: Correlation, title: str) -> None:
        self.correlation = correlation
        self.__doc__ = title

    def n_parameters(self, k: int) -> int:
        return k + self.correlation.n_angles(k)

    def parameters(self, g: np.ndarray) -> np.ndarray:
        roots = np.maximum(np.diag(g), 0.0) ** 0.25
        return np.concatenate([roots, self.correlation.angles(_correlation_of(g))])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return theta[:k, None] ** 2 * self.correlation.root(theta[k:], k)

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        sd = {f"sd({name})": float(sigma * t**2) for name, t in zip(names, theta)}
        return sd | self.correlation.describe(theta[len(names) :], names)

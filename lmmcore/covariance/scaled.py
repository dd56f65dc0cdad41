"""Structures made of standard deviations and a family of correlation matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .correlation import Correlation, root_derivative, root_second_derivative


def _correlation_of(g: np.ndarray) -> np.ndarray:
    """Return correlations; NaN where a column does not vary."""
    sd = np.sqrt(np.maximum(np.diag(g), 0.0))
    scale = np.where(sd > 0, sd, np.nan)
    out = g / np.outer(scale, scale)
    np.fill_diagonal(out, 1.0)
    return out


class Homogeneous:
    """One standard deviation for all columns. θ is the relative standard deviation and the angles."""

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

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        root = self.correlation.root(theta[1:], k)
        return np.concatenate(
            [root[None], theta[0] * root_derivative(self.correlation, theta[1:], k)]
        )

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        out = np.zeros((len(theta), len(theta), k, k))
        out[0, 1:] = out[1:, 0] = root_derivative(self.correlation, theta[1:], k)
        out[1:, 1:] = theta[0] * root_second_derivative(self.correlation, theta[1:], k)
        return out

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        sd = {"sd": float(sigma * abs(theta[0]))}
        return sd | self.correlation.describe(theta[1:], names)


class Heterogeneous:
    """A standard deviation for each column. θ is the square roots of the relative sds, and the angles.

    With the sds themselves as parameters, a negative one would change the signs of the correlations of its
    column. The squares cannot be negative.
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

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        out = np.zeros((len(theta), k, k))
        i = np.arange(k)
        out[i, i] = 2.0 * theta[:k, None] * self.correlation.root(theta[k:], k)
        out[k:] = theta[:k, None] ** 2 * root_derivative(self.correlation, theta[k:], k)
        return out

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        m, i = len(theta), np.arange(k)
        out = np.zeros((m, m, k, k))
        out[i, i, i] = 2.0 * self.correlation.root(theta[k:], k)
        by_angle = 2.0 * theta[:k, None] * root_derivative(self.correlation, theta[k:], k)
        for a, slope in enumerate(by_angle, start=k):
            out[i, a, i] = out[a, i, i] = slope
        second = root_second_derivative(self.correlation, theta[k:], k)
        out[k:, k:] = theta[:k, None] ** 2 * second
        return out

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        sd = {f"sd({name})": float(sigma * t**2) for name, t in zip(names, theta)}
        return sd | self.correlation.describe(theta[len(names) :], names)

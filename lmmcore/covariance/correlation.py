"""Families of correlation matrices C = L L', with L a smooth function of angles φ.

A correlation (or partial correlation) is the sine of an angle, so its bounds ±1 are ordinary
points. Every L accepts complex angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..extension.structures import SECOND_STEP, STEP


class Correlation(Protocol):
    """A family of k × k correlation matrices."""

    def n_angles(self, k: int) -> int:
        """Return the number of angles for k columns."""
        ...

    def angles(self, c: np.ndarray) -> np.ndarray:
        """Return the angles of a member close to a correlation matrix c, NaN if unknown."""
        ...

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        """Return L (k, k)."""
        ...

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        """Return the correlations by name."""
        ...


def root_derivative(family: Correlation, phi: np.ndarray, k: int) -> np.ndarray:
    """Return ∂L/∂φ (n, k, k), accurate to rounding (complex-step differentiation)."""
    out = np.zeros((len(phi), k, k))
    for a in range(len(phi)):
        moved = phi.astype(complex)
        moved[a] += 1j * STEP
        out[a] = family.root(moved, k).imag / STEP
    return out


def root_second_derivative(family: Correlation, phi: np.ndarray, k: int) -> np.ndarray:
    """Return ∂²L/∂φ∂φ (n, n, k, k): central differences of first derivatives."""
    out = np.zeros((len(phi), len(phi), k, k))
    for a in range(len(phi)):
        step = np.zeros(len(phi))
        step[a] = SECOND_STEP * max(1.0, abs(phi[a]))
        up, down = (root_derivative(family, phi + s, k) for s in (step, -step))
        out[a] = (up - down) / (2.0 * step[a])
    return 0.5 * (out + out.swapaxes(0, 1))


def mean_known(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


class Exchangeable:
    """The same correlation ρ between any two columns, -1/(k-1) ≤ ρ ≤ 1."""

    def n_angles(self, k: int) -> int:
        return int(k > 1)

    def angles(self, c: np.ndarray) -> np.ndarray:
        k = len(c)
        if k == 1:
            return np.zeros(0)
        rho = np.nan_to_num(mean_known(c[np.tril_indices(k, -1)]))
        # The eigenvalue of the mean, 1 + (k - 1) ρ, is k sin²φ; the others are k/(k - 1) cos²φ.
        return np.array([np.arcsin(np.sqrt(np.clip((1 + (k - 1) * rho) / k, 0.0, 1.0)))])

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        if k == 1:
            return np.ones((1, 1), dtype=phi.dtype)
        mean = np.full((k, k), 1.0 / k)
        a, b = np.sqrt(k / (k - 1)) * np.cos(phi[0]), np.sqrt(k) * np.sin(phi[0])
        return a * (np.eye(k) - mean) + b * mean

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        k = len(names)
        return {"corr": float((k * np.sin(phi[0]) ** 2 - 1) / (k - 1))} if k > 1 else {}


class Autoregressive:
    """Correlation ρ^|i-j| of columns i and j, in the order of the columns."""

    def n_angles(self, k: int) -> int:
        return int(k > 1)

    def angles(self, c: np.ndarray) -> np.ndarray:
        if len(c) == 1:
            return np.zeros(0)
        lags = [(lag, mean_known(np.diag(c, lag))) for lag in range(1, len(c))]
        lag, value = next(((n, r) for n, r in lags if not np.isnan(r)), (1, 0.0))
        return np.array(
            [np.arcsin(np.clip(np.copysign(abs(value) ** (1 / lag), value), -1.0, 1.0))]
        )

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        if k == 1:
            return np.ones((1, 1), dtype=phi.dtype)
        lag = np.subtract.outer(np.arange(k), np.arange(k))
        out = np.where(lag >= 0, np.sin(phi[0]) ** np.maximum(lag, 0), 0.0)
        out[:, 1:] = out[:, 1:] * np.cos(phi[0])
        return out

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        return {"corr(lag 1)": float(np.sin(phi[0]))} if len(names) > 1 else {}


class Stationary:
    """A correlation for each distance between columns (Toeplitz).

    The sines of the angles are partial autocorrelations, which can take any values in [-1, 1] (Levinson's
    recursion).
    """

    def n_angles(self, k: int) -> int:
        return k - 1

    def angles(self, c: np.ndarray) -> np.ndarray:
        k = len(c)
        r = np.nan_to_num([mean_known(np.diag(c, lag)) for lag in range(k)])
        partial, a, variance = np.zeros(k - 1), np.zeros(0), 1.0
        for m in range(k - 1):
            value = (r[m + 1] - a @ r[m:0:-1]) / variance if variance > 1e-12 else 0.0
            partial[m] = np.clip(value, -1.0, 1.0)
            a = np.append(a - partial[m] * a[::-1], partial[m])
            variance *= 1.0 - partial[m] ** 2
        return np.arcsin(partial)

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        partial, cosine = np.sin(phi), np.cos(phi)
        # Row i: the value at i in terms of the innovations 0 … i, each of unit variance.
        out = np.zeros((k, k), dtype=phi.dtype)
        out[0, 0] = 1.0
        sd = np.ones(k, dtype=phi.dtype)
        sd[1:] = np.cumprod(cosine)
        a = np.zeros(0, dtype=phi.dtype)
        for i in range(1, k):
            a = np.append(a - partial[i - 1] * a[::-1], partial[i - 1])
            out[i, :i] = a @ out[i - 1 :: -1, :i]
            out[i, i] = sd[i]
        return out

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        k = len(names)
        root = self.root(np.asarray(phi), k)
        first = root @ root[0]
        return {f"corr(lag {lag})": float(first[lag]) for lag in range(1, k)}

"""Correlation as a function of h = distance / range, with its slope."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import special

from lmmcore.extension import DataValueError


class Correlogram(Protocol):
    """A correlation that is one at h = 0 and falls."""

    def value(self, h: np.ndarray) -> np.ndarray:
        """Return the correlation at h ≥ 0."""
        ...

    def slope(self, h: np.ndarray) -> np.ndarray:
        """Return its derivative."""
        ...


class ExponentialDecay:
    """exp(−h)."""

    def value(self, h: np.ndarray) -> np.ndarray:
        return np.exp(-h)

    def slope(self, h: np.ndarray) -> np.ndarray:
        return -np.exp(-h)


class GaussianDecay:
    """exp(−h²)."""

    def value(self, h: np.ndarray) -> np.ndarray:
        return np.exp(-(h**2))

    def slope(self, h: np.ndarray) -> np.ndarray:
        return -2.0 * h * np.exp(-(h**2))


class SphericalDecay:
    """1 − 3h/2 + h³/2 for h < 1, else 0: the overlap of two balls (in up to three dimensions)."""

    def value(self, h: np.ndarray) -> np.ndarray:
        return np.where(h < 1.0, 1.0 - 1.5 * h + 0.5 * h**3, 0.0)

    def slope(self, h: np.ndarray) -> np.ndarray:
        return np.where(h < 1.0, -1.5 + 1.5 * h**2, 0.0)


class MaternDecay:
    """2^(1−ν)/Γ(ν) h^ν K_ν(h) (Stein 1999, without a factor of ν in the range).

    Parameters
    ----------
    nu : float
        Smoothness, above zero.
    """

    def __init__(self, nu: float) -> None:
        if not 0.0 < nu <= 50.0:
            raise DataValueError(
                f"the smoothness of Matérn is {nu!r}; expected a number above 0, up to 50"
            )
        self.nu = float(nu)
        self._scale = 2.0 ** (1.0 - self.nu) / special.gamma(self.nu)

    def _times_bessel(self, h: np.ndarray, order: float) -> np.ndarray:
        # K is infinite at zero and underflows far away, where the product has a limit.
        with np.errstate(all="ignore"):
            return np.nan_to_num(self._scale * h**self.nu * special.kv(order, h), posinf=0.0)

    def value(self, h: np.ndarray) -> np.ndarray:
        return np.where(h < 1e-10, 1.0, self._times_bessel(np.maximum(h, 1e-10), self.nu))

    def slope(self, h: np.ndarray) -> np.ndarray:
        # (h^ν K_ν)' = −h^ν K_{ν−1}
        return -self._times_bessel(np.maximum(h, 1e-10), self.nu - 1.0)

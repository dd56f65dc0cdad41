"""Covariance structures in space: one sd, and correlations by distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize

from lmmcore.extension import DataValueError, DerivedStructure, analytic_cholesky

from .correlograms import Correlogram, ExponentialDecay, GaussianDecay, MaternDecay, SphericalDecay
from .positions import read_positions

RANGES = np.linspace(-3.0, 3.0, 61)  # log ranges among which a start is searched


class Spatial(DerivedStructure):
    """One sd, and correlations that fall with the distance of positions.

    θ is the relative sd and the log of range / mean distance.

    Parameters
    ----------
    correlogram : Correlogram
    title : str
        One line of help.
    positions : array (k,) or (k, dimensions), optional
        By default they are read from the names of the columns.

    Raises
    ------
    DataValueError
        Positions that are not finite, or two columns at one position.
    """

    def __init__(self, correlogram: Correlogram, title: str, positions: Any = None) -> None:
        self.correlogram, self.title, self.__doc__ = correlogram, title, title
        self.positions = None if positions is None else _checked(positions)
        if self.positions is not None:
            gaps = self.positions[:, None] - self.positions[None]
            distance = np.sqrt(np.sum(gaps**2, axis=-1))
            k = len(distance)
            self.unit = float(distance.sum() / (k * (k - 1))) if k > 1 else 1.0
            self.distance = distance / self.unit

    def bind(self, names: Sequence[str]) -> Spatial:
        """Return the structure for columns with these names."""
        if self.positions is None:
            return Spatial(self.correlogram, self.title, read_positions(names))
        if len(self.positions) != len(names):
            raise DataValueError(
                f"{len(self.positions)} positions were given; expected {len(names)}, one for each of "
                f"{', '.join(names)}"
            )
        return self

    def n_parameters(self, k: int) -> int:
        return 1 + int(k > 1)

    def parameters(self, g: np.ndarray) -> np.ndarray:
        k = len(g)
        variance = max(float(np.mean(np.diag(g))), 0.0)
        if k == 1 or variance == 0.0:
            return np.append(np.sqrt(variance), np.zeros(int(k > 1)))

        def wrong(t: float) -> float:
            return float(
                np.sum((self.correlogram.value(self.distance / np.exp(t)) - g / variance) ** 2)
            )

        near = RANGES[int(np.argmin([wrong(t) for t in RANGES]))]
        found = optimize.minimize_scalar(
            wrong, bounds=(near - 0.1, near + 0.1), method="bounded", options={"xatol": 1e-9}
        )
        return np.array([np.sqrt(variance), found.x])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        if k == 1:
            return theta[:1, None].copy()
        t = theta[1]
        h = self.distance * np.exp(-t.real)
        c = self.correlogram.value(h)
        if np.iscomplexobj(theta):  # to first order, which is all that a complex step asks for
            c = c - 1j * self.correlogram.slope(h) * h * t.imag
        return theta[0] * analytic_cholesky(c)

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        out = {"sd": float(sigma * abs(theta[0]))}
        return out if len(names) == 1 else out | {"range": float(self.unit * np.exp(theta[1]))}


class Exponential(Spatial):
    """Exponential in the distance of positions: one sd, a range."""

    def __init__(self, positions: Any = None) -> None:
        super().__init__(ExponentialDecay(), type(self).__doc__ or "", positions)


class Gaussian(Spatial):
    """Gaussian in the distance of positions: one sd, a range."""

    def __init__(self, positions: Any = None) -> None:
        super().__init__(GaussianDecay(), type(self).__doc__ or "", positions)


class Spherical(Spatial):
    """Spherical in the distance of positions: one sd, a range."""

    def __init__(self, positions: Any = None) -> None:
        super().__init__(SphericalDecay(), type(self).__doc__ or "", positions)


class Matern(Spatial):
    """Matérn in the distance of positions, of smoothness nu: one sd, a range."""

    def __init__(self, nu: float, positions: Any = None) -> None:
        super().__init__(MaternDecay(nu), type(self).__doc__ or "", positions)


def _checked(positions: Any) -> np.ndarray:
    found = np.array(positions, dtype=float)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or not np.isfinite(found).all():
        raise DataValueError(
            f"positions have shape {np.shape(positions)}; expected (k, dimensions) finite numbers"
        )
    if len(np.unique(found, axis=0)) < len(found):
        raise DataValueError(
            f"two columns have one position: {found.tolist()}; expected different ones, as their "
            "correlation would be one"
        )
    return found


EXP, GAU, SPH = Exponential(), Gaussian(), Spherical()
MAT12, MAT32, MAT52 = Matern(0.5), Matern(1.5), Matern(2.5)

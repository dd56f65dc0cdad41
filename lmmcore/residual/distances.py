"""Structures by the distance between rows: in time, or in several coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extension import DataValueError, OptionError
from ..extension.residuals import BoundResidual, Positions
from .checks import one_coordinate, refuse_options, refuse_single_rows, refuse_ties


@dataclass(frozen=True, eq=False)
class OfDistance:
    """A correlation that is a function of distance and a range, with or without a nugget.

    Attributes
    ----------
    function : callable
        (distance over range) → correlation.
    scale : float
        A typical distance, the unit of the range.
    nugget : bool
        Whether a part of the variance belongs to each row alone.
    """

    function: Callable[[np.ndarray], np.ndarray]
    scale: float
    nugget: bool
    vectorized = True

    @property
    def n_parameters(self) -> int:
        return 1 + self.nugget

    @property
    def starts(self) -> list[np.ndarray]:
        own = [np.array([x]) for x in (0.0, -1.5, 1.0)]
        return [np.append(s, -1.5) for s in own] if self.nugget else own

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return C (…, t, t) for values (…, t, d)."""
        difference = values[..., :, None, :] - values[..., None, :, :]
        distance = np.sqrt(np.sum(difference**2, axis=-1))
        found = self.function(distance / (self.scale * np.exp(u[0])))
        if self.nugget:
            share = 1.0 / (1.0 + np.exp(-u[1]))
            found = (1.0 - share) * found
        diagonal = np.arange(values.shape[-2])
        found[..., diagonal, diagonal] = 1.0
        return found

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return range and nugget."""
        out = {"range": float(self.scale * np.exp(u[0]).real)}
        if self.nugget:
            out["nugget"] = float((1.0 / (1.0 + np.exp(-u[1]))).real)
        return out


def _spherical(x: np.ndarray) -> np.ndarray:
    return np.where(x.real < 1.0, 1.0 - 1.5 * x + 0.5 * x**3, 0.0)


def _exponential(x: np.ndarray) -> np.ndarray:
    return np.exp(-x)


def _gaussian(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2))


def _ratio(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + x**2)


def _matern_3(x: np.ndarray) -> np.ndarray:
    y = np.sqrt(3.0) * x
    return (1.0 + y) * np.exp(-y)


def _matern_5(x: np.ndarray) -> np.ndarray:
    y = np.sqrt(5.0) * x
    return (1.0 + y + y**2 / 3.0) * np.exp(-y)


def _matern(nu: float) -> Callable[[np.ndarray], np.ndarray]:
    forms = {0.5: _exponential, 1.5: _matern_3, 2.5: _matern_5}
    if nu not in forms:
        raise OptionError(f"matern has nu={nu!r}; expected 0.5, 1.5 or 2.5")
    return forms[nu]


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": _exponential,
    "Gaussian": _gaussian,
    "rational quadratic": _ratio,
    "spherical": _spherical,
}


@dataclass(frozen=True)
class Distance:
    """A correlation by distance, as nlme's corExp, corGaus, corRatio and corSpher, or Matérn's."""

    title: str

    def bind(self, positions: Positions, **options: Any) -> BoundResidual:
        """Return the structure for the coordinates of a model."""
        known = ("nugget", "nu") if self.title == "Matérn" else ("nugget",)
        refuse_options(options, self.title, known)
        refuse_single_rows(positions, self.title)
        if positions.levels is not None and positions.names != ("order",):
            raise DataValueError(
                f"{self.title}: {positions.names[0]} is categorical; expected coordinates that are numbers"
            )
        nugget = options.get("nugget", False)
        if not isinstance(nugget, bool):
            raise OptionError(f"{self.title} has nugget={nugget!r}; expected True or False")
        refuse_ties(positions, self.title)
        nu = options.get("nu", 1.5)
        function = _matern(nu) if self.title == "Matérn" else FUNCTIONS[self.title]
        return OfDistance(function, _typical(positions), nugget)


def _typical(positions: Positions) -> float:
    """Return about the distance of neighbors within groups."""
    order = np.lexsort((positions.values[:, 0], positions.groups))
    step = np.diff(positions.values[order], axis=0)
    inside = np.diff(positions.groups[order]) == 0
    found = np.sqrt(np.sum(step[inside] ** 2, axis=1))
    found = found[found > 0.0]
    return 2.0 * float(np.median(found)) if len(found) else 1.0


@dataclass(frozen=True, eq=False)
class OfTime:
    """Correlation ρ^|t − s| of times t and s."""

    scale: float
    n_parameters: int = 1
    vectorized = True

    @property
    def starts(self) -> list[np.ndarray]:
        return [np.array([x]) for x in (0.0, 1.5, -1.0)]

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return C (…, t, t) for values (…, t, 1)."""
        time = values[..., 0]
        distance = np.abs(time[..., :, None] - time[..., None, :]) / self.scale
        return np.exp(-distance * np.exp(-u[0]))

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return ρ at distance one."""
        return {"rho": float(np.exp(-np.exp(-u[0]) / self.scale).real)}


@dataclass(frozen=True)
class ContinuousAR1:
    """The correlation ρ^|t − s| at any times, 0 < ρ < 1, as nlme's corCAR1."""

    title: str = "continuous AR(1)"

    def bind(self, positions: Positions, **options: object) -> BoundResidual:
        """Return the structure for the times of a model."""
        refuse_options(options, self.title)
        refuse_single_rows(positions, self.title)
        one_coordinate(positions, self.title)
        refuse_ties(positions, self.title)
        return OfTime(_typical(positions))


CAR1 = ContinuousAR1()
EXP, GAU = Distance("exponential"), Distance("Gaussian")
RATIO, SPH = Distance("rational quadratic"), Distance("spherical")
MATERN = Distance("Matérn")

"""Variance functions: how the standard deviation of a residual depends on a column of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from ..errors import DataValueError, OptionError
from .terms import FITTED, VarianceTerm


class BoundVariance(Protocol):
    """Standard deviations of the residuals, relative to σ, as a function of free parameters."""

    @property
    def n_parameters(self) -> int: ...

    def logarithm(self, u: np.ndarray) -> np.ndarray:
        """Return the logarithm of the standard deviation of each row (n,)."""
        ...

    def slopes(self, u: np.ndarray) -> np.ndarray:
        """Return its derivative (n_parameters, n)."""
        ...

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters by name."""
        ...


@dataclass(frozen=True, eq=False)
class Linear:
    """The logarithm is a given one plus a combination of columns: strata, a power, an exponential.

    Attributes
    ----------
    names : tuple of str
        Of the parameters.
    offset : array (n,)
    columns : array (n_parameters, n)
    ratios : bool
        Whether people see the exponential of the parameters.
    """

    names: tuple[str, ...]
    offset: np.ndarray
    columns: np.ndarray
    ratios: bool = False

    @property
    def n_parameters(self) -> int:
        return len(self.names)

    def logarithm(self, u: np.ndarray) -> np.ndarray:
        out: np.ndarray = self.offset + u @ self.columns
        return out

    def slopes(self, u: np.ndarray) -> np.ndarray:
        return self.columns

    def describe(self, u: np.ndarray) -> dict[str, float]:
        return dict(zip(self.names, (np.exp(u) if self.ratios else u).tolist()))


@dataclass(frozen=True, eq=False)
class ConstantPlusPower:
    """c + |v|^δ.

    Attributes
    ----------
    name : str
    log_v : array (n,)
    """

    name: str
    log_v: np.ndarray
    n_parameters: int = 2

    def logarithm(self, u: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.logaddexp(u[0], u[1] * self.log_v)
        return out

    def slopes(self, u: np.ndarray) -> np.ndarray:
        share = np.exp(u[0] - self.logarithm(u))
        return np.vstack([share, (1.0 - share) * self.log_v])

    def describe(self, u: np.ndarray) -> dict[str, float]:
        return {f"constant({self.name})": float(np.exp(u[0])), f"power({self.name})": float(u[1])}


@dataclass(frozen=True, eq=False)
class Product:
    """A product of variance functions: their logarithms are added."""

    parts: Sequence[BoundVariance]

    @property
    def n_parameters(self) -> int:
        return sum(p.n_parameters for p in self.parts)

    def _split(self, u: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([p.n_parameters for p in self.parts])[:-1]
        return np.split(u, ends)

    def logarithm(self, u: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.sum(
            [p.logarithm(v) for p, v in zip(self.parts, self._split(u))], axis=0
        )
        return out

    def slopes(self, u: np.ndarray) -> np.ndarray:
        return np.concatenate([p.slopes(v) for p, v in zip(self.parts, self._split(u))])

    def describe(self, u: np.ndarray) -> dict[str, float]:
        out = dict[str, float]()
        for p, v in zip(self.parts, self._split(u)):
            out.update(p.describe(v))
        return out


def bind_variances(
    parts: Sequence[VarianceTerm], column: Callable[[VarianceTerm], pd.Series]
) -> BoundVariance:
    """Return a variance function, or a product of several, for the rows of a model.

    Raises
    ------
    DataValueError
        A stratum or a covariate that cannot be used.
    OptionError
        The same function twice.
    """
    if len(set(parts)) < len(parts):
        raise OptionError(
            f"variance={' * '.join(map(str, parts))!r} has a function twice; expected each once"
        )
    found = [bind_variance(part, column(part)) for part in parts]
    return found[0] if len(found) == 1 else Product(found)


def bind_variance(term: VarianceTerm, column: pd.Series) -> BoundVariance:
    """Return a variance function for the rows of a model.

    Raises
    ------
    DataValueError
        A stratum or a covariate that cannot be used.
    """
    name, what = term.covariate, f"variance={str(term)!r}"
    if name == FITTED and term.name in ("by", "fixed"):
        raise OptionError(f"{what}; expected power, exp or constpower of the fitted values")
    if column.isna().any():
        row = column.index[int(np.flatnonzero(column.isna())[0])]
        raise DataValueError(f"{what}: {name} is missing in row {row}; leave out the row")
    if term.name == "by":
        return _by(what, name, column)
    try:
        v = column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise DataValueError(f"{what}: {name} is {column.dtype}; expected numbers") from None
    if not np.isfinite(v).all():
        raise DataValueError(f"{what}: {name} is not finite in all rows; expected finite numbers")
    nothing = np.zeros(len(v))
    if term.name == "exp":
        return Linear((f"exp({name})",), nothing, v[None, :])
    bad = np.flatnonzero(v <= 0.0 if term.name == "fixed" else v == 0.0)
    if len(bad):
        expected = "positive numbers" if term.name == "fixed" else "numbers other than zero"
        raise DataValueError(
            f"{what}: {name} is {v[bad[0]]:g} in row {column.index[bad[0]]}; expected {expected}"
        )
    log_v = np.log(np.abs(v))
    if term.name == "fixed":
        return Linear((), 0.5 * log_v, np.zeros((0, len(v))))
    if term.name == "power":
        return Linear((f"power({name})",), nothing, log_v[None, :])
    return ConstantPlusPower(name, log_v)


def _by(what: str, name: str, column: pd.Series) -> BoundVariance:
    values = column.astype("category").cat.remove_unused_categories()
    codes, levels = values.cat.codes.to_numpy(), [str(x) for x in values.cat.categories]
    if len(levels) < 2:
        raise DataValueError(
            f"{what}: {name} has the one level {levels[0]}; expected two or more levels"
        )
    indicators = np.array([codes == j for j in range(1, len(levels))], dtype=float)
    names = tuple(f"sd({level}) / sd({levels[0]})" for level in levels[1:])
    return Linear(names, np.zeros(len(codes)), indicators, True)

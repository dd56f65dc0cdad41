"""One residual structure for all groups, or one with parameters of its own for each stratum of groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataValueError
from ..extension.residuals import BoundResidual, Positions


@dataclass(frozen=True, eq=False)
class Strata:
    """A structure with parameters of its own in each stratum, as SAS' GROUP=.

    The parameters are those of the first stratum, of the second and so on, then the logarithms of the ratios
    of their standard deviations to that of the first.

    Attributes
    ----------
    bound : BoundResidual
    labels : tuple of str
        Of the strata; one, "", if there is no division.
    """

    bound: BoundResidual
    labels: tuple[str, ...] = ("",)

    @property
    def n_parameters(self) -> int:
        return len(self.labels) * self.bound.n_parameters + len(self.labels) - 1

    @property
    def vectorized(self) -> bool:
        """Whether `matrix` takes values of several groups at once."""
        return bool(getattr(self.bound, "vectorized", False))

    @property
    def starts(self) -> list[np.ndarray]:
        more = np.zeros(len(self.labels) - 1)
        return [np.concatenate([*[s] * len(self.labels), more]) for s in self.bound.starts]

    def matrix(self, u: np.ndarray, values: np.ndarray, stratum: int) -> np.ndarray:
        """Return R (…, t, t) of rows (…, t, d) of groups of one stratum, relative to σ²."""
        m = self.bound.n_parameters
        found = self.bound.matrix(u[stratum * m : (stratum + 1) * m], values)
        if stratum:
            found = found * np.exp(2.0 * u[len(self.labels) * m + stratum - 1])
        return found

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters as people name them."""
        if len(self.labels) == 1:
            return self.bound.describe(u)
        m, out = self.bound.n_parameters, dict[str, float]()
        for i, label in enumerate(self.labels):
            own = self.bound.describe(u[i * m : (i + 1) * m])
            out.update({f"{label}: {name}": value for name, value in own.items()})
        ratios = np.exp(u[len(self.labels) * m :]).real
        out.update({
            f"sd({label}) / sd({self.labels[0]})": float(r) for label, r in zip(self.labels[1:], ratios)
        })  # fmt: skip
        return out

    def natural(self, u: np.ndarray) -> list[float]:
        """Return variances relative to σ², correlations and ranges: what second derivatives are taken in."""
        m, out = self.bound.n_parameters, list[float]()
        squares = np.append(1.0, np.exp(2.0 * u[len(self.labels) * m :]).real)
        for i, square in enumerate(squares):
            own = self.bound.describe(u[i * m : (i + 1) * m])
            out += [square * v**2 if name.startswith("sd(") else v for name, v in own.items()]
        return [*out, *squares[1:].tolist()]


def strata_of(
    positions: Positions, column: pd.Series | None, bound: BoundResidual, what: str
) -> tuple[Strata, np.ndarray]:
    """Return the strata and the stratum of each row.

    Raises
    ------
    DataValueError
        A stratum that is missing, that varies within a group, or only one.
    """
    if column is None:
        return Strata(bound), np.zeros(len(positions.groups), dtype=np.intp)
    name = str(column.name)
    if column.isna().any():
        row = positions.rows[int(np.flatnonzero(column.isna())[0])]
        raise DataValueError(f"{what}: {name} is missing in row {row}; leave out the row")
    values = column.astype("category").cat.remove_unused_categories()
    codes = values.cat.codes.to_numpy().astype(np.intp)
    labels = tuple(str(x) for x in values.cat.categories)
    if len(labels) < 2:
        raise DataValueError(
            f"{what}: {name} has the one level {labels[0]}; expected two or more levels"
        )
    first = np.empty(int(positions.groups.max()) + 1, dtype=np.intp)
    first[positions.groups[::-1]] = codes[::-1]
    other = np.flatnonzero(codes != first[positions.groups])
    if len(other):
        group = positions.group_labels[int(positions.groups[other[0]])]
        raise DataValueError(
            f"{what}: {name} varies within the group {group} (row {positions.rows[other[0]]}); expected one "
            "level for each group"
        )
    return Strata(bound, labels), codes

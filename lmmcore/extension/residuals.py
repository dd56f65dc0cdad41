"""The contract of plugins of kind "residual": correlations and variances of the residuals within groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Positions:
    """Where the rows of a model stand within their groups.

    Attributes
    ----------
    values : array (n, d)
        Coordinates: numbers, the number of a level (0, 1, …), or the order of the row in its group.
    names : tuple of str
        Of the coordinates; ("order",) for the order of the rows.
    levels : tuple of str or None
        What the numbers stand for, if the coordinate is categorical or the order of the rows.
    groups : int array (n,)
        Group of each row.
    group_labels : sequence
        Labels of the groups.
    rows : sequence
        Labels of the rows, for messages.
    """

    values: np.ndarray
    names: tuple[str, ...]
    levels: tuple[str, ...] | None
    groups: np.ndarray
    group_labels: Sequence[object]
    rows: Sequence[object]


class BoundResidual(Protocol):
    """A residual structure that knows the positions of all rows.

    Attributes
    ----------
    n_parameters : int
    starts : list of arrays (n_parameters,)
        Parameters from which a search may begin, the best guess first.
    vectorized : bool, optional
        Whether `matrix` also takes values (g, t, d) of several groups and returns (g, t, t). Groups whose
        rows all have different coordinates are then computed together.
    """

    @property
    def n_parameters(self) -> int: ...

    @property
    def starts(self) -> list[np.ndarray]: ...

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return R (t, t) of rows of one group, relative to σ².

        Where it is not positive definite, the parameters count as out of range. Prefer parameters for which
        it always is.

        Parameters
        ----------
        u : array (n_parameters,)
            Free parameters: any real numbers. They may be complex, as derivatives are taken by complex steps.
        values : array (t, d)
            Their coordinates.
        """
        ...

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters as people name them: correlations, ranges, ratios of standard deviations."""
        ...


class ResidualStructure(Protocol):
    """The protocol of a plugin of kind "residual".

    Attributes
    ----------
    title : str
        What summaries print, such as "AR(1)".
    """

    title: str

    def bind(self, positions: Positions, **options: object) -> BoundResidual:
        """Return the structure for the rows of a model.

        Raises
        ------
        DataValueError
            Positions that it cannot use, such as equal times in one group; with the row and the group.
        OptionError
            An unknown option.
        """
        ...

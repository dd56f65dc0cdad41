"""Checks of positions that several structures share."""

from __future__ import annotations

import numpy as np

from ..errors import DataValueError, DesignError, OptionError
from ..extension.residuals import Positions


def refuse_ties(positions: Positions, title: str) -> None:
    """Raise a DataValueError if two rows of a group have the same coordinates.

    Raises
    ------
    DataValueError
    """
    keys = np.column_stack([positions.groups, positions.values])
    order = np.lexsort(keys.T[::-1])
    same = np.flatnonzero(np.all(keys[order[1:]] == keys[order[:-1]], axis=1))
    if len(same):
        a, b = order[same[0]], order[same[0] + 1]
        value = positions.values[a]
        at = ", ".join(
            positions.levels[int(v)] if positions.levels is not None else f"{v:g}" for v in value
        )
        group = positions.group_labels[int(positions.groups[a])]
        raise DataValueError(
            f"{title}: the rows {positions.rows[min(a, b)]} and {positions.rows[max(a, b)]} of the group "
            f"{group} have the same {' and '.join(positions.names)} ({at}); expected different ones within a "
            "group. Remove one of the rows, or give a finer grouping"
        )


def refuse_single_rows(positions: Positions, title: str) -> None:
    """Raise a DesignError if no group has two rows, so that no correlation can be estimated.

    Raises
    ------
    DesignError
    """
    if len(positions.groups) and np.bincount(positions.groups).max() < 2:
        raise DesignError(
            f"{title}: every group has one row, so that the correlation within groups cannot be estimated; "
            "expected groups with several rows"
        )


def refuse_options(options: dict[str, object], title: str, known: tuple[str, ...] = ()) -> None:
    """Raise an OptionError for options that a structure does not have.

    Raises
    ------
    OptionError
    """
    for name in options:
        if name not in known:
            raise OptionError(
                f"{title} has no option {name!r}; expected "
                + (f"some of {', '.join(known)}" if known else "none")
            )


def one_coordinate(positions: Positions, title: str) -> None:
    """Raise a DataValueError unless there is one coordinate.

    Raises
    ------
    DataValueError
    """
    if positions.values.shape[1] != 1:
        raise DataValueError(
            f"{title} has one coordinate, and was given {', '.join(positions.names)}; expected one. For "
            "several use exp, gau, ratio, sph or matern"
        )


def whole_positions(positions: Positions, title: str) -> int:
    """Return the number of different whole positions 0 … k − 1 that levels, or the order of rows, have.

    Raises
    ------
    DataValueError
        The coordinate is numeric and no whole number.
    """
    one_coordinate(positions, title)
    if positions.levels is not None:
        return len(positions.levels)
    values = positions.values[:, 0]
    if np.any(values != np.round(values)):
        row = int(np.flatnonzero(values != np.round(values))[0])
        raise DataValueError(
            f"{title}: {positions.names[0]} is {values[row]:g} in row {positions.rows[row]}; expected whole "
            "numbers, or a categorical variable. For other times use car1"
        )
    return int(values.max() - values.min()) + 1

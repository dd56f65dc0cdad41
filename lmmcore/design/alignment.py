"""Rows are matched by position, so labeled objects must have the same index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError


def check_alignment(given: Iterable[tuple[str, Any]]) -> None:
    """Raise an error if Series and frames have different indexes.

    Parameters
    ----------
    given : iterable of (str, object)
        Arguments with their names. Objects other than Series and frames are ignored.

    Raises
    ------
    DataValueError
        The labels, or their order, differ. Different
        numbers of rows are checked by the design.
    """
    first: tuple[str, pd.Index] | None = None
    for name, values in given:
        if not isinstance(values, (pd.Series, pd.DataFrame)):
            continue
        if first is None:
            first = name, values.index
            continue
        of, index = first
        if len(index) == len(values) and not (values.index is index or values.index.equals(index)):
            raise _not_aligned(name, values.index, of, index)


def _not_aligned(name: str, own: pd.Index, of: str, index: pd.Index) -> DataValueError:
    others = own[~own.isin(index)].tolist()
    where = f"{name}.loc[{of}.index]"
    if others:
        return DataValueError(
            f"{name} and {of} are labeled by different indexes ({name} has {others[0]!r}, which {of} does "
            f"not have); expected the same index, because rows are matched by position. Give "
            f"{name}.to_numpy() if "
            f"its rows are in the order of {of}; otherwise give it the index of {of} and then {where}"
        )
    if own.is_unique and index.is_unique:
        row = int((own != index).argmax())
        return DataValueError(
            f"{name} has the index of {of} in another order (row {row} is {own.tolist()[row]!r} in {name} "
            f"and {index.tolist()[row]!r} in {of}); expected the same order, because rows are matched by "
            f"position. "
            f"Give {where}"
        )
    return DataValueError(
        f"{name} and {of} have different indexes with labels that occur several times, so rows cannot "
        f"be matched; expected one index. Give {name}.to_numpy() if its rows are in the order of "
        f"{of}; otherwise reset the indexes before sorting"
    )


def in_subset(values: Any, index: pd.Index, rows: np.ndarray) -> Any:
    """Return some rows of values that have the index of the whole table, or else all values."""
    labeled = isinstance(values, (pd.Series, pd.DataFrame)) and values.index.equals(index)
    return values.iloc[rows] if labeled else values


def is_labeled(data: Any) -> bool:
    """Whether the user labeled the rows of a table: a frame, or a mapping of Series."""
    if isinstance(data, pd.DataFrame):
        return True
    columns = getattr(data, "values", None)
    return callable(columns) and any(isinstance(column, pd.Series) for column in columns())

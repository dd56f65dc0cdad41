"""Columns of a design: one-dimensional numeric arrays, used where they lie, never copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ..errors import DataTypeError, DataValueError, refuse_sparse

Column: TypeAlias = "np.ndarray | None"
"""A 1-d array that the row kernel reads, or None for a column of ones."""

# What the row kernel reads as it lies; anything else numeric is converted to float64 once.
READABLE = frozenset(np.dtype(t) for t in (np.float64, np.float32, np.int64, np.int32, np.bool_))


def as_column(values: Any, name: str, role: str) -> np.ndarray:
    """Return values as a 1-d array of a type that the row kernel reads.

    Parameters
    ----------
    values : array_like
        Numbers or booleans; pandas' nullable types become float64 with NaN for missing values.
    name, role : str
        For the error message: the variable and the part it plays ("endog", "weights", …).
    """
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, np.dtype):
            values = values.to_numpy()
        elif isinstance(values.dtype, pd.CategoricalDtype):
            raise _not_numeric(name, role, f"categories {list(values.cat.categories[:3])!r}…")
        elif pd.api.types.is_numeric_dtype(values.dtype):
            values = values.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values = values.to_numpy()
    array = np.asarray(values)
    if array.ndim != 1:
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        else:
            refuse_sparse(values, role)
            raise DataValueError(
                f"{role} {name!r} has shape {array.shape}; expected one number per row"
            )
    if array.dtype in READABLE and array.flags.aligned:
        return array
    kind = array.dtype.kind
    if kind == "O":
        return _from_objects(array, name, role)
    if kind not in "fiub":
        raise _not_numeric(name, role, f"values of type {array.dtype}, such as {array[:1]!r}")
    return array.astype(np.float64)


def _from_objects(array: np.ndarray, name: str, role: str) -> np.ndarray:
    for value in array:
        if isinstance(value, (str, bytes)):
            raise _not_numeric(name, role, f"text such as {value!r}")
    try:
        missing = pd.isna(array)
        return np.where(missing, np.nan, array).astype(np.float64)
    except (TypeError, ValueError) as exc:
        example = next((v for v in array if not isinstance(v, (int, float))), array[0])
        raise _not_numeric(name, role, f"objects such as {example!r}") from exc


def _not_numeric(name: str, role: str, given: str) -> DataTypeError:
    return DataTypeError(
        f"{role} {name!r} holds {given}; expected numbers. Convert it (pandas.to_numeric), "
        "or use it as a factor in a formula"
    )


def table_column(table: pd.DataFrame, name: str) -> Any:
    """Return a column of a frame, as an array where pandas gives it without building a Series.

    Raises
    ------
    KeyError
        There is no such column.
    """
    at = table.columns.get_loc(name)
    if not isinstance(at, int):
        raise DataValueError(f"data has several columns named {name!r}; expected one")
    # Building a Series costs more than everything else that is done with a column of a small frame.
    direct = getattr(table, "_get_column_array", None)
    return table.iloc[:, at] if direct is None else direct(at)


def matrix_columns(
    values: Any, names: Sequence[str] | None, prefix: str, role: str
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """Split a matrix-like (array, frame, series, list) into columns and their names."""
    if isinstance(values, pd.DataFrame):
        found = [str(c) for c in values.columns]
        columns = tuple(
            as_column(values.iloc[:, j], found[j], role) for j in range(values.shape[1])
        )
    elif isinstance(values, pd.Series):
        found = [str(values.name)] if values.name is not None else []
        columns = (as_column(values, found[0] if found else prefix, role),)
    else:
        array = np.asarray(values)
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2:
            refuse_sparse(values, role)
            raise DataValueError(
                f"{role} has shape {array.shape}; expected a matrix with one row per observation"
            )
        found = []
        columns = tuple(as_column(array[:, j], f"column {j}", role) for j in range(array.shape[1]))
    if names is not None:
        found = [str(n) for n in names]
        if len(found) != len(columns):
            raise DataValueError(
                f"{role} has {len(columns)} columns but {len(found)} names were given"
            )
    if not found:
        found = [f"{prefix}{j + 1}" for j in range(len(columns))]
    return columns, tuple(found)


def stack(columns: Iterable[Column], n_rows: int) -> np.ndarray:
    """Return the columns as one float64 matrix in Fortran order, shape (n_rows, k)."""
    columns = tuple(columns)
    out = np.empty((n_rows, len(columns)), order="F")
    for j, column in enumerate(columns):
        out[:, j] = 1.0 if column is None else column
    return out

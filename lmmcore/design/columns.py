"""Columns of a design: one-dimensional numeric arrays, used in place and not copied."""

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


def unmasked(values: Any) -> Any:
    """Return a masked array of numbers with NaN for masked entries, and any other value unchanged."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    mask = np.ma.getmaskarray(values)
    if not mask.any():
        return values.data
    if values.dtype.kind in "fiub":
        return np.where(mask, np.nan, values.data)
    out = values.data.astype(object)
    out[mask] = None
    return out


def one_per_row(values: Any, role: str, name: str, what: str, advice: str = "") -> Any:
    """Return values as one entry for each row: an array of NumPy or pandas of one dimension.

    Parameters
    ----------
    role, name, what, advice : str
        For the error message: the role of the variable, its name, what an
        entry is, and what to do instead of giving several columns.
    """
    if isinstance(values, pd.DataFrame):
        if values.shape[1] != 1:
            raise _not_one(role, name, f"the columns {list(values.columns)!r}", what, advice)
        values = values.iloc[:, 0]
    if isinstance(values, (pd.Series, pd.Index)):
        values = values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return values
    refuse_sparse(values, role)
    array = values if isinstance(values, np.ndarray) else _as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise _not_one(role, name, f"shape {array.shape}", what, advice)
    return array


def _as_array(values: Any) -> np.ndarray:
    """Return an array of a list; of one that holds tuples, or mixes text with other things, objects.

    NumPy would make numbers text, and columns of tuples of equal length.
    """
    array: np.ndarray = np.asarray(values)
    if array.dtype.kind in "US" and not all(isinstance(v, (str, bytes)) for v in values):
        return np.array(values, dtype=object)
    return array


def _not_one(role: str, name: str, given: str, what: str, advice: str) -> DataValueError:
    return DataValueError(
        f"{role} {name!r} has {given}; expected one {what} for each row"
        + (f". {advice}" if advice else "")
    )


def as_column(values: Any, name: str, role: str) -> np.ndarray:
    """Return values as a 1-d array of a type that the row kernel reads.

    Parameters
    ----------
    values : array_like
        Numbers or booleans; pandas' nullable types become float64 with NaN for missing values.
    name, role : str
        For the error message: the variable and its role ("endog", "weights", …).
    """
    if type(values) is np.ndarray and values.ndim == 1 and _is_readable(values):
        return values
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        values = values.iloc[:, 0]
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, np.dtype):
            values = values.to_numpy()
        elif isinstance(values.dtype, pd.CategoricalDtype):
            raise _not_numeric(name, role, f"categories {list(values.cat.categories[:3])!r}…")
        elif pd.api.types.is_numeric_dtype(values.dtype):
            values = values.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values = values.to_numpy()
    array = np.asarray(unmasked(values))
    if array.ndim != 1:
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        else:
            refuse_sparse(values, role)
            raise DataValueError(
                f"{role} {name!r} has shape {array.shape}; expected one number per row"
            )
    if _is_readable(array):
        return array
    kind = array.dtype.kind
    if kind == "O":
        return _from_objects(array, name, role)
    if kind in "mM":
        raise is_date(name, role)
    if kind not in "fiub":
        raise _not_numeric(name, role, f"values of type {array.dtype}, such as {array[:1]!r}")
    return array.astype(np.float64)


def _is_readable(array: np.ndarray) -> bool:
    return array.dtype in READABLE and array.flags.aligned


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


def is_date(name: str, role: str = "variable") -> DataTypeError:
    """Return the error for dates instead of numbers."""
    return DataTypeError(
        f"{role} {name!r} holds dates or times; expected numbers. Convert it to a number first, such as "
        "days since the first for a column d: (d - d.min()) / pandas.Timedelta(days=1); in a formula "
        f"C({name}) is a category for each date"
    )


def _not_numeric(name: str, role: str, given: str) -> DataTypeError:
    return DataTypeError(
        f"{role} {name!r} holds {given}; expected numbers. Convert it (pandas.to_numeric), "
        "or use it as a category in a formula: C(…)"
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
        array = np.asarray(unmasked(values))
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

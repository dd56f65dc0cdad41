"""Values of a formula's expressions: numbers, or categories as levels and codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import patsy.builtins

from ..errors import DataTypeError, DataValueError, FormulaError
from .columns import as_column, is_date, unmasked
from .expression import plain_dtype
from .factorize import factorize

_BOX = type(patsy.builtins.C([]))
_OF_OBJECTS = {
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "number"),
    **dict.fromkeys(("datetime64", "datetime", "date", "timedelta64", "timedelta", "time"), "date"),
    "period": "date",
    "boolean": "boolean",
}


@dataclass(frozen=True, eq=False)
class Categories:
    """A categorical variable in some rows.

    Attributes
    ----------
    codes : int array (n,)
        Level of each row, -1 where it is missing.
    levels : tuple
    contrast : object
        What ``C(variable, contrast)`` was given, or None.
    """

    codes: np.ndarray
    levels: tuple[Any, ...]
    contrast: Any = None

    def in_use(self, rows: np.ndarray | None) -> Categories:
        """Return the variable in some rows, with those of its levels that occur there, in their order."""
        codes = self.codes if rows is None else self.codes[rows]
        used = np.bincount(codes + 1, minlength=len(self.levels) + 1)[1:] > 0
        if used.all():
            return replace(self, codes=codes)
        levels = tuple(level for level, use in zip(self.levels, used) if use)
        number = np.append(np.cumsum(used) - 1, -1)
        return Categories(number[codes], levels, _contrast(self.contrast, self.levels, used))


def _contrast(contrast: Any, levels: tuple[Any, ...], used: np.ndarray) -> Any:
    """Return a contrast for the levels in use: positions become levels, matrices lose rows."""
    for name in ("reference", "omit"):
        at = getattr(contrast, name, None)
        if isinstance(at, int) and at not in levels and -len(levels) <= at < len(levels):
            return type(contrast)(levels[at])
    if isinstance(getattr(contrast, "scores", None), (list, tuple, np.ndarray)):
        return type(contrast)(np.asarray(contrast.scores)[used])
    if isinstance(contrast, patsy.ContrastMatrix):
        return patsy.ContrastMatrix(contrast.matrix[used], contrast.column_suffixes)
    if isinstance(contrast, (list, tuple, np.ndarray)):
        return np.asarray(contrast)[used]
    return contrast


def with_missing(values: np.ndarray | Categories, rows: np.ndarray) -> np.ndarray | Categories:
    """Return values that are missing in some rows."""
    if not rows.any():
        return values
    if isinstance(values, Categories):
        return replace(values, codes=np.where(rows, -1, values.codes))
    out = values.astype(np.float64)
    out[rows] = np.nan
    return out


def read(value: Any, name: str, n: int, categorical: bool = False) -> np.ndarray | Categories:
    """Return the value of an expression as numbers (n,) or (n, k), or as categories.

    Parameters
    ----------
    value : array_like
    name : str
        The expression, for error messages.
    n : int
        Number of rows.
    categorical : bool
        Whether numbers are categories too.

    Raises
    ------
    DataTypeError
        Dates, or objects that are neither numbers nor categories.
    DataValueError
        A value that has not one entry for each row.
    """
    boxed = isinstance(value, _BOX)
    contrast, levels = (value.contrast, value.levels) if boxed else (None, None)
    value = value.data if boxed else value
    if isinstance(value, pd.DataFrame):
        value = value.iloc[:, 0] if value.shape[1] == 1 else value.to_numpy()
    if np.ndim(value) == 0 and not boxed:
        value = np.full(n, value)
    if not isinstance(value, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        value = np.asarray(unmasked(value))
        value = value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value
    if len(value) != n:
        raise DataValueError(
            f"{name!r} has {len(value)} values for {n} rows; expected one for each row"
        )
    if value.ndim > 1:
        if value.ndim > 2 or value.dtype.kind not in "fiub" or categorical:
            raise DataValueError(
                f"{name!r} has shape {value.shape} and type {value.dtype}; expected a number or a "
                "category for each row, or columns of numbers"
            )
        return value.astype(np.float64)
    if not isinstance(value, np.ndarray):
        value = plain_dtype(pd.Series(value))
        value = value.to_numpy() if isinstance(value.dtype, np.dtype) else value.array
    if isinstance(value, pd.Categorical):
        found = Categories(np.asarray(value.codes), tuple(value.categories), contrast)
        return found if levels is None else _with_levels(found, levels, name)
    kind = kind_of(value)
    if kind == "number" and not (boxed or categorical):
        return as_column(value, name, "variable")
    if kind == "date" and not (boxed or categorical):
        raise is_date(name)
    if kind == "complex":
        raise DataTypeError(f"{name!r} holds complex numbers; expected real numbers or categories")
    found = _factorized(value, kind, contrast)
    return found if levels is None else _with_levels(found, levels, name)


def kind_of(values: Any) -> str:
    """Return "number", "boolean", "date", "complex" or "category" for an array."""
    dtype = values.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return "date"
    if isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype)):
        return "category"
    found = {"b": "boolean", "M": "date", "m": "date", "c": "complex"}.get(dtype.kind)
    if found is None and dtype.kind == "O":
        # Numbers among objects are numbers; patsy would take them for categories.
        inferred = pd.api.types.infer_dtype(values, skipna=True)
        found = _OF_OBJECTS.get(inferred, "category")
    return found or ("number" if dtype.kind in "fiu" else "category")


def _factorized(values: Any, kind: str, contrast: Any) -> Categories:
    if kind == "boolean" and isinstance(values, np.ndarray) and values.dtype == bool:
        return Categories(values.astype(np.intp), (False, True), contrast)
    codes, uniques = factorize(values)
    levels = pd.Index(uniques).tolist()
    try:
        order = sorted(range(len(levels)), key=levels.__getitem__)
    except TypeError:  # levels of several types have no order of their own
        order = sorted(range(len(levels)), key=lambda i: (type(levels[i]).__name__, str(levels[i])))
    rank = np.empty(len(order) + 1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return Categories(rank[codes], tuple(levels[i] for i in order), contrast)


def _with_levels(found: Categories, levels: Sequence[Any], name: str) -> Categories:
    """Return the variable with the levels that ``C(variable, levels=…)`` was given."""
    levels = tuple(levels)
    codes, unknown = matched(found, levels)
    if unknown:
        raise FormulaError(
            f"{name!r} has the value {unknown[0]!r}, which is not one of its levels "
            f"{', '.join(map(repr, levels[:10]))}; expected all values among the levels"
        )
    return Categories(codes, levels, found.contrast)


def matched(found: Categories, levels: tuple[Any, ...]) -> tuple[np.ndarray, list[Any]]:
    """Return the codes of rows in known levels, -2 for a level not known, and the levels not known.

    Labels of another type match where their text does: 308, 308.0 and ``"308"`` are one label
    unless two of the known levels have that text.
    """
    occurs = np.bincount(found.codes + 1, minlength=len(found.levels) + 1)[1:] > 0
    known = {level: i for i, level in enumerate(levels)}
    texts: dict[str, int] = {}
    at = np.full(len(found.levels) + 1, -1, dtype=np.intp)
    unknown = []
    for i, level in enumerate(found.levels):
        if not occurs[i]:
            continue
        place = known.get(level)
        if place is None:
            if not texts:
                for j, other in enumerate(levels):
                    text = as_text(other)
                    texts[text] = -2 if text in texts else j
            place = texts.get(as_text(level), -2)
        if place < 0:
            unknown.append(level)
        at[i] = place
    return at[found.codes], unknown


def as_text(level: Any) -> str:
    """Return the text of a label: 308, 308.0 and "308" are one."""
    number = isinstance(level, (float, np.floating)) and float(level).is_integer()
    return str(int(level)) if number else str(level)

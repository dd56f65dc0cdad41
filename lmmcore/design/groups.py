"""Grouping factors: labels of any type to codes 0 … q-1 in the sorted order of the labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..crossproducts._rows import code_integers
from ..errors import DataValueError, refuse_sparse


@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor.

    Attributes
    ----------
    name : str
    codes : int32 array (n,)
        Level of each row.
    labels : array (q,)
        The levels that occur, sorted (categories: in their order).
    in_order : bool
        Whether the codes never decrease, so that each level is one run of rows.
    variables : tuple of str
        The columns of a table whose combinations are the levels; empty when labels were given.
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    in_order: bool
    variables: tuple[str, ...] = ()

    @property
    def n_levels(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Grouping:
        """Return the factor on a subset of rows, without levels that no longer occur."""
        return replace(
            _from_codes(self.name, self.codes[rows], self.labels), variables=self.variables
        )


def missing_labels(values: Any) -> np.ndarray:
    """Return a mask of the rows whose label is missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return np.zeros(len(values), dtype=bool)
    return np.asarray(pd.isna(values))


def code_groups(values: Any, name: str) -> Grouping:
    """Code a grouping variable.

    Parameters
    ----------
    values : array_like (n,)
        Integers, text, booleans, floats, dates or a categorical; no missing values.
    name : str
        Name of the factor.
    """
    if isinstance(values, pd.Series):
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.cat
            codes = np.asarray(values.codes)
            _refuse_missing(codes < 0, name)
            return _from_codes(name, codes, np.asarray(values.categories))
        values = values.array if not isinstance(values.dtype, np.dtype) else values.to_numpy()
    if isinstance(values, pd.Categorical):
        codes = np.asarray(values.codes)
        _refuse_missing(codes < 0, name)
        return _from_codes(name, codes, np.asarray(values.categories))
    array = values if isinstance(values, np.ndarray) else None
    if array is None and not isinstance(values, pd.api.extensions.ExtensionArray):
        array = np.asarray(values)
    if array is not None and array.ndim != 1:
        if array.ndim != 2 or array.shape[1] != 1:
            refuse_sparse(values, "groups")
            raise DataValueError(
                f"groups {name!r} has shape {array.shape}; expected one label per row"
            )
        array = array[:, 0]
    if array is not None and array.dtype.kind in "iu" and len(array):
        low, high = int(array.min()), int(array.max())
        if high - low <= 4 * len(array) + 1024 and low > -(2**62) and high < 2**62:
            integers = np.ascontiguousarray(array, dtype=np.int64)
            codes, labels, in_order = code_integers(integers, low, high)
            return Grouping(name, codes, labels.astype(array.dtype, copy=False), in_order)
    source: Any = array if array is not None else values
    if array is not None and array.dtype.kind == "O":
        source = pd.Series(
            [v.item() if isinstance(v, np.generic) else v for v in array], dtype=object
        )
    codes, uniques = pd.factorize(source)
    _refuse_missing(codes < 0, name)
    labels = np.asarray(uniques)
    try:
        order = np.argsort(labels, kind="stable")
    except TypeError:  # labels of mixed types have no order of their own
        order = np.argsort([f"{type(v).__name__}\0{v}" for v in labels], kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return _from_codes(name, rank[codes] if len(codes) else codes, labels[order], complete=True)


def interaction(parts: list[Grouping]) -> Grouping:
    """Return the factor ``a:b:…`` of all combinations that occur, labelled ``"a:b"``."""
    codes = parts[0].codes.astype(np.int64)
    for part in parts[1:]:
        codes = codes * part.n_levels + part.codes
    cells, compact = np.unique(codes, return_inverse=True)
    names = []
    for cell in cells.tolist():
        label = []
        for part in reversed(parts[1:]):
            cell, level = divmod(cell, part.n_levels)
            label.append(str(part.labels[level]))
        label.append(str(parts[0].labels[cell]))
        names.append(":".join(reversed(label)))
    return _from_codes(
        ":".join(p.name for p in parts), compact, np.array(names, dtype=object), complete=True
    )


def _from_codes(
    name: str, codes: np.ndarray, labels: np.ndarray, complete: bool = False
) -> Grouping:
    """Drop levels that do not occur."""
    codes = np.ascontiguousarray(codes, dtype=np.int32)
    if not complete:
        used = np.zeros(len(labels), dtype=bool)
        used[codes] = True
        if not used.all():
            codes = (np.cumsum(used, dtype=np.int32) - np.int32(1))[codes]
            labels = labels[used]
    in_order = bool(np.all(codes[1:] >= codes[:-1]))
    return Grouping(name, codes, labels, in_order)


def _refuse_missing(mask: np.ndarray, name: str) -> None:
    if mask.any():
        raise DataValueError(
            f"groups {name!r} is missing in {int(mask.sum())} of {len(mask)} rows (first: row "
            f"{int(np.argmax(mask))}); expected a label in every row. Use missing='drop', "
            "or give these rows a label"
        )

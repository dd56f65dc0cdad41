"""Grouping factors: labels of any type to codes 0 … q-1 in the sorted order of the labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..crossproducts._rows import code_integers, integer_range
from ..errors import DataValueError, NotFiniteError
from .columns import one_per_row
from .factorize import factorize


def advice_for_two(a: str = "a", b: str = "b") -> str:
    """Return what to do with two grouping factors, in words."""
    return (
        f"For two grouping factors write (1 | {a}) + (1 | {b}) into a formula; for the combinations of "
        f"their labels write (1 | {a}:{b})"
    )


@dataclass(frozen=True, eq=False)
class GroupingFactor:
    """A grouping factor without rows: its name and its levels.

    Attributes
    ----------
    name : str
    labels : array (q,)
        The levels that occur, sorted (categories: in their order).
    variables : tuple of str
        The columns of a table whose combinations are the levels; empty when labels were given.
    part_labels : tuple of arrays
        Of an interaction, the labels of each of its factors; empty for any other.
    part_levels : int array (q, number of parts) or None
        Of an interaction, which of these labels each level has.
    """

    name: str
    labels: np.ndarray
    variables: tuple[str, ...] = ()
    part_labels: tuple[np.ndarray, ...] = ()
    part_levels: np.ndarray | None = None

    @property
    def keys(self) -> list[Any]:
        """The levels as Python's own values, dates as Timestamps."""
        if self.labels.dtype.kind in "mM":  # whose nanoseconds would become integers
            return list(pd.Index(self.labels))
        return list(self.labels.tolist())

    @property
    def n_levels(self) -> int:
        return len(self.labels)

    def take(self, levels: np.ndarray) -> GroupingFactor:
        """Return the factor with some of its levels."""
        parts = None if self.part_levels is None else self.part_levels[levels]
        return replace(self, labels=self.labels[levels], part_levels=parts)


@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor and the level of each row.

    Attributes
    ----------
    factor : GroupingFactor
    codes : int32 array (n,)
        Level of each row.
    in_order : bool
        Whether the codes never decrease, so that each level is one run of rows.
    """

    factor: GroupingFactor
    codes: np.ndarray
    in_order: bool

    @property
    def name(self) -> str:
        return self.factor.name

    @property
    def labels(self) -> np.ndarray:
        return self.factor.labels

    @property
    def n_levels(self) -> int:
        return len(self.factor.labels)

    def take(self, rows: np.ndarray) -> Grouping:
        """Return the factor on a subset of rows, without levels that no longer occur."""
        found = _from_codes(self.name, self.codes[rows], np.arange(self.n_levels))
        return Grouping(self.factor.take(found.labels), found.codes, found.in_order)


def missing_labels(values: Any) -> np.ndarray:
    """Return a mask of the rows whose label is missing; masked entries are."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getmaskarray(values) | missing_labels(values.data)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        return np.zeros(len(values), dtype=bool)
    return np.asarray(pd.isna(values))


def code_groups(values: Any, name: str, variables: tuple[str, ...] = ()) -> Grouping:
    """Code a grouping variable.

    Parameters
    ----------
    values : array_like (n,)
        Integers, text, booleans, floats, dates or a categorical; no missing values.
    name : str
        Name of the factor.
    variables : tuple of str
        The columns of a table that the labels are, if any.
    """
    values = one_label_per_row(values, name)
    if isinstance(values, np.ma.MaskedArray):
        _refuse_missing(np.ma.getmaskarray(values), name)
        values = values.data
    if isinstance(values, pd.Categorical):
        codes = np.asarray(values.codes)
        _refuse_missing(codes < 0, name)
        return _from_codes(name, codes, np.asarray(values.categories), variables=variables)
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.dtype.kind in "iu" and len(array):
        # Integers of 2⁶³ and more become negative ones, too small to be dense.
        integers = np.ascontiguousarray(array, dtype=np.int64)
        low, high = integer_range(integers)
        if _is_dense(low, high, len(array)):
            codes, labels, in_order = code_integers(integers, low, high)
            labels = labels.astype(array.dtype, copy=False)
            return Grouping(GroupingFactor(name, labels, variables), codes, in_order)
    codes, uniques = factorize(values)
    if len(codes) and codes.min() < 0:
        _refuse_missing(codes < 0, name)
    labels, order = _in_order(np.asarray(uniques))
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    codes = rank[codes] if len(codes) else codes
    return _from_codes(name, codes, labels, complete=True, variables=variables)


def one_label_per_row(values: Any, name: str) -> Any:
    """Return labels as an array of NumPy or pandas with one dimension."""
    return one_per_row(values, "groups", name, "label", advice_for_two())


def _is_dense(low: int, high: int, n: int) -> bool:
    """Whether a table of all integers from low to high is worth its memory."""
    return high - low <= 4 * n + 1024 and low > -(2**62) and high < 2**62


def _in_order(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return different labels sorted, and the order that sorts them."""
    if labels.dtype.kind != "O":
        order = np.argsort(labels, kind="stable")
        return labels[order], order
    # Python sorts text about twice as fast as NumPy sorts objects.
    keys = [_plain(v) if isinstance(v, np.generic) else v for v in labels.tolist()]
    try:
        places = sorted(range(len(keys)), key=keys.__getitem__)
    except TypeError:  # labels of mixed types have no order of their own
        texts = [f"{type(v).__name__}\0{v}" for v in keys]
        places = sorted(range(len(keys)), key=texts.__getitem__)
    return _objects([keys[i] for i in places]), np.array(places, dtype=np.intp)


def _plain(scalar: np.generic) -> Any:
    """Return a scalar of NumPy as one of Python; times stay, whose nanoseconds would become integers."""
    return scalar if isinstance(scalar, (np.datetime64, np.timedelta64)) else scalar.item()


def _objects(values: list[Any]) -> np.ndarray:
    """Return a 1-d array of objects, also of tuples."""
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def interaction(parts: list[Grouping], variables: tuple[str, ...] = ()) -> Grouping:
    """Return the factor ``a:b:…`` of all combinations that occur, labeled ``"a:b"``.

    Raises
    ------
    DataValueError
        Two combinations would have one label, as labels contain colons.
    """
    codes, levels = parts[0].codes, [np.arange(parts[0].n_levels)]
    for part in parts[1:]:
        pair = codes.astype(np.int64) * part.n_levels + part.codes
        codes, cells = _dense_codes(pair)
        left, right = np.divmod(cells, max(part.n_levels, 1))
        levels = [*(own[left] for own in levels), right]
    texts = [[str(label) for label in part.labels] for part in parts]
    columns = [[text[i] for i in own.tolist()] for text, own in zip(texts, levels)]
    labels = list(map(":".join, zip(*columns)))
    name = ":".join(p.name for p in parts)
    if len(set(labels)) < len(labels):
        twice = labels[int(np.argmax(pd.Index(labels).duplicated()))]
        raise DataValueError(
            f"two combinations of {name} have the label {twice!r}, because labels contain ':'; expected "
            "labels that stay different when joined by ':'. Rename the levels"
        )
    found = _from_codes(name, codes, _objects(labels), complete=True)
    factor = GroupingFactor(
        name, found.labels, variables, tuple(part.labels for part in parts), np.column_stack(levels)
    )
    return replace(found, factor=factor)


def _dense_codes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes in the order of the values, and the values that occur; whole numbers."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if len(values) and _is_dense(low, high, len(values)):
        codes, cells, _ = code_integers(values, low, high)
        return codes, cells
    cells, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int32), cells


def _from_codes(
    name: str,
    codes: np.ndarray,
    labels: np.ndarray,
    complete: bool = False,
    variables: tuple[str, ...] = (),
) -> Grouping:
    """Return a factor of codes, without levels that do not occur."""
    codes = np.ascontiguousarray(codes, dtype=np.int32)
    if not complete:
        used = np.zeros(len(labels), dtype=bool)
        used[codes] = True
        if not used.all():
            codes = (np.cumsum(used, dtype=np.int32) - np.int32(1))[codes]
            labels = labels[used]
    in_order = bool(np.all(codes[1:] >= codes[:-1]))
    return Grouping(GroupingFactor(name, labels, variables), codes, in_order)


def _refuse_missing(mask: np.ndarray, name: str) -> None:
    if mask.any():
        raise NotFiniteError(
            f"groups {name!r} is missing in {int(mask.sum())} of {len(mask)} rows (first: row "
            f"{int(np.argmax(mask))}); expected a label in every row. Use missing='drop', "
            "or give these rows a label"
        )

"""Variance components inside groups: columns that belong to a single group.

statsmodels' ``exog_vc`` gives every group a matrix per component; the columns of one component
share one variance. Here all components together are one sparse matrix over *named* columns, so
that a group knows its columns by label and groups of two chunks of data can be matched.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataTypeError, DataValueError, DeprecatedFormatWarning
from .columns import unmasked
from .groups import Grouping
from .levels import Levels


@dataclass(frozen=True)
class VCSpec:
    """Variance components in the form of statsmodels.

    Parameters
    ----------
    names : list of str
        ``names[j]`` is the name of component j.
    colnames : list of list of list of str
        ``colnames[j][g]`` names the columns of ``mats[j][g]``.
    mats : list of list of array_like
        ``mats[j][g]`` (rows of group g, columns) is the design of component j in group g, groups
        in the sorted order of their labels, rows in the order of the data.
    """

    names: list[str]
    colnames: list[list[list[str]]]
    mats: list[list[Any]]


@dataclass(frozen=True, eq=False)
class Components:
    """The entries of all components, row by row (compressed sparse rows).

    Attributes
    ----------
    names : tuple of str
        Names of the components; each has one variance.
    indptr : int64 array (n + 1,)
    columns : int64 array (entries,)
        Column of each entry, an index into `labels`.
    values : float64 array (entries,)
    labels : tuple of (int, str)
        Component and name of each column.
    """

    names: tuple[str, ...]
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    labels: tuple[tuple[int, str], ...]

    def take(self, rows: np.ndarray) -> Components:
        """Return the entries of a subset of rows."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        at = np.repeat(self.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return Components(self.names, indptr, self.columns[at], self.values[at], self.labels)


def one_column(component: int, name: str, values: np.ndarray) -> Components:
    """Return a component with one column, which is the same for all groups."""
    n = len(values)
    return Components(
        (name,),
        np.arange(n + 1, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
        np.asarray(values, dtype=np.float64),
        ((component, name),),
    )


def indicator(component: int, name: str, factor: Grouping) -> Components:
    """Return a component with one indicator column for each level of a grouping factor."""
    n = len(factor.codes)
    return Components(
        (name,),
        np.arange(n + 1, dtype=np.int64),
        factor.codes.astype(np.int64),
        np.ones(n),
        tuple((component, f"{name}[{label}]") for label in factor.labels),
    )


def join(parts: Sequence[Components]) -> Components:
    """Return all components side by side."""
    if len(parts) == 1:
        return parts[0]
    lengths = [np.diff(p.indptr) for p in parts]
    indptr = np.concatenate([[0], np.cumsum(np.sum(lengths, axis=0))]).astype(np.int64)
    columns = np.empty(indptr[-1], dtype=np.int64)
    values = np.empty(indptr[-1])
    offset, start = 0, indptr[:-1].copy()
    for part, length in zip(parts, lengths):
        at = np.repeat(start - part.indptr[:-1], length) + np.arange(part.indptr[-1])
        columns[at] = part.columns + offset
        values[at] = part.values
        offset += len(part.labels)
        start = start + length
    names = tuple(name for part in parts for name in part.names)
    return Components(names, indptr, columns, values, tuple(x for p in parts for x in p.labels))


def from_spec(
    spec: VCSpec | Mapping[str, Any], grouping: Grouping, index: pd.Index | None = None
) -> Components | None:
    """Read statsmodels' VCSpec, or a mapping name → group label → matrix.

    Parameters
    ----------
    index : pandas.Index, optional
        Labels of the rows. Frames among the matrices must have
        these labels, or number the rows of their group.

    Raises
    ------
    DataValueError
        The number of groups, or of rows in a matrix, does not match the groups.
    """
    if isinstance(spec, Mapping):
        warnings.warn(
            "Using deprecated variance components format: exog_vc is a mapping; build a VCSpec",
            DeprecatedFormatWarning,
            stacklevel=5,
        )
        names = sorted(spec)
        mats = [[_lookup(spec[n], label, n) for label in grouping.factor.keys] for n in names]
        colnames = [[[str(j) for j in range(_width(m))] for m in row] for row in mats]
        spec = VCSpec(list(names), colnames, mats)
    if not hasattr(spec, "names") or not hasattr(spec, "mats"):
        raise DataTypeError(
            f"exog_vc is a {type(spec).__name__}; expected a VCSpec or a mapping "
            "{name: {group label: matrix}}"
        )
    if not spec.names:
        return None
    order = np.argsort(grouping.codes, kind="stable")
    sizes = np.bincount(grouping.codes, minlength=grouping.n_levels)
    ends = np.cumsum(sizes)
    keys = grouping.factor.keys
    parts = []
    for j, name in enumerate(spec.names):
        mats = list(spec.mats[j])
        if len(mats) != grouping.n_levels:
            raise DataValueError(
                f"exog_vc has {len(mats)} matrices for component {name!r}; expected one for each "
                f"of the {grouping.n_levels} groups, in the sorted order of their labels"
            )
        ids: dict[str, int] = {}
        rows, columns, values = [], [], []
        for g, given in enumerate(mats):
            at = order[ends[g] - sizes[g] : ends[g]]
            _refuse_other_rows(given, index, at, f"{name!r} in group {keys[g]!r}")
            mat = _matrix(given)
            if mat.ndim != 2 or mat.shape[0] != sizes[g]:
                raise DataValueError(
                    f"exog_vc: the matrix of component {name!r} in group {keys[g]!r} has "
                    f"shape {mat.shape}; expected ({sizes[g]}, columns)"
                )
            labels = [str(c) for c in spec.colnames[j][g]] if spec.colnames else []
            if len(labels) != mat.shape[1]:
                labels = [str(c) for c in range(mat.shape[1])]
            cols = np.array([ids.setdefault(label, len(ids)) for label in labels], dtype=np.int64)
            rows.append(np.repeat(at, mat.shape[1]))
            columns.append(np.tile(cols, mat.shape[0]))
            values.append(mat.ravel())
        row = np.concatenate(rows)
        by_row = np.argsort(row, kind="stable")
        lengths = np.bincount(row, minlength=len(grouping.codes))
        parts.append(
            Components(
                (name,),
                np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                np.concatenate(columns)[by_row],
                np.concatenate(values)[by_row],
                tuple((j, label) for label in ids),
            )
        )
    return join(parts)


def _matrix(given: Any) -> np.ndarray:
    """Return the matrix of a group; missing entries are NaN."""
    dense = given.toarray() if hasattr(given, "toarray") else unmasked(given)
    return np.asarray(dense, dtype=float)


def _refuse_other_rows(given: Any, index: pd.Index | None, rows: np.ndarray, what: str) -> None:
    """Refuse a frame whose rows are labeled, and not as the rows of its group are."""
    if index is None or not isinstance(given, (pd.DataFrame, pd.Series)):
        return
    if len(rows) != len(given) or given.index.equals(pd.RangeIndex(len(rows))):
        return
    if not given.index.equals(index[rows]):
        raise DataValueError(
            f"exog_vc: the matrix of component {what} has the rows {list(given.index[:4])!r}…; expected "
            f"{list(index[rows][:4])!r}…, the rows of its group in the order of the data. Align it by "
            "matrix.loc[…], or give an array"
        )


def _lookup(by_group: Any, label: Any, name: str) -> Any:
    try:
        if isinstance(by_group, Mapping) and label not in by_group:
            keys = list(by_group)
            level = int(Levels(keys, name).find([label])[0])
            label = label if level < 0 else keys[level]
        return by_group[label]
    except (KeyError, IndexError, TypeError) as exc:
        raise DataValueError(
            f"exog_vc: component {name!r} has no matrix for group {label!r}; "
            "expected {name: {group label: matrix}} with every group"
        ) from exc


def _width(mat: Any) -> int:
    shape = np.shape(mat) if not hasattr(mat, "shape") else mat.shape
    return int(shape[1]) if len(shape) == 2 else 1


def vc_spec(components: Components | None, rows_of: Mapping[Any, Sequence[int]]) -> VCSpec:
    """Return the components as one matrix for each component and group: the inverse of `from_spec`."""
    if components is None:
        return VCSpec([], [], [])
    of_column = np.array([t for t, _ in components.labels])
    lengths = np.diff(components.indptr)
    colnames: list[list[list[str]]] = [[] for _ in components.names]
    mats: list[list[Any]] = [[] for _ in components.names]
    for rows in rows_of.values():
        at = np.concatenate(
            [np.arange(components.indptr[i], components.indptr[i + 1]) for i in rows]
        )
        row = np.repeat(np.arange(len(rows)), lengths[np.asarray(rows)])
        for t in range(len(components.names)):
            mine = of_column[components.columns[at]] == t
            columns, inverse = np.unique(components.columns[at][mine], return_inverse=True)
            matrix = np.zeros((len(rows), len(columns)))
            matrix[row[mine], inverse] = components.values[at][mine]
            mats[t].append(matrix)
            colnames[t].append([components.labels[j][1] for j in columns])
    return VCSpec(list(components.names), colnames, mats)

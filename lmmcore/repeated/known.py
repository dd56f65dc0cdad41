"""Residuals with a known covariance matrix: sampling variances, as in a meta-analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..arguments import numbers
from ..design.groups import code_groups
from ..errors import DataValueError, DesignError, NameNotFoundError, OptionError, suggest

SYMMETRIC = 1e-10  # difference of two entries, relative to the largest, that is rounding
Block = tuple[np.ndarray, np.ndarray]  # rows (t,), covariance matrix (t, t)


@dataclass(frozen=True, eq=False)
class Known:
    """A known covariance matrix V of the residuals, for ``residual=``. σ² is 1, and not estimated.

    Attributes
    ----------
    v : str, array or mapping
        As given.
    groups : str or array, optional
        The groups of the blocks.
    """

    v: Any
    groups: Any = None
    name = "known"
    coordinates: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"known({self.v})" if isinstance(self.v, str) else "known(V)"

    def blocks(self, table: pd.DataFrame) -> tuple[np.ndarray, list[Block]]:
        """Return the variances (n,) of the rows of a table, and the blocks of several rows.

        Raises
        ------
        NameNotFoundError, DataValueError, DesignError
            An unknown column; no covariance matrix; another number of rows.
        """
        n, labels = len(table), list(table.index)
        if isinstance(self.v, str):
            if self.v not in table.columns:
                names = map(str, table.columns)
                raise NameNotFoundError(
                    f"residual={self}: {self.v!r} is no column of the data{suggest(self.v, names)}"
                )
            return _variances(table[self.v], labels, str(self)), []
        if self.groups is not None or isinstance(self.v, Mapping):
            found = self._by_group(table, n)
        else:
            v = np.asarray(numbers(self.v, f"residual={self}: V", "numbers"), dtype=float)
            if v.ndim == 1:
                return _variances(v, labels, str(self)), []
            if v.shape != (n, n):
                raise DataValueError(
                    f"residual={self}: V has shape {v.shape}; expected ({n}, {n}), a row and a column for "
                    f"each row of data, or ({n},)"
                )
            _refuse_not_symmetric(v, labels, "V")
            found = _components(v)
        variances = np.empty(n)
        several = []
        for rows, block in found:
            _refuse_not_positive(block, [labels[i] for i in rows[:4]], len(rows))
            variances[rows] = np.diag(block)
            if len(rows) > 1:
                several.append((rows, block))
        return variances, several

    def _by_group(self, table: pd.DataFrame, n: int) -> list[Block]:
        groups = self.groups
        if groups is None:
            raise OptionError(
                "residual=known({…}) has a matrix for each group and no groups=; expected known({…}, "
                'groups="trial")'
            )
        if isinstance(groups, str):
            if groups not in table.columns:
                names = map(str, table.columns)
                raise NameNotFoundError(
                    f"residual=known(…, groups={groups!r}): no column of the data{suggest(groups, names)}"
                )
            groups = table[groups]
        if len(groups) != n:
            raise DataValueError(f"known: groups has {len(groups)} labels; expected {n}")
        grouping = code_groups(groups, "groups")
        keys = list(grouping.factor.keys)
        if isinstance(self.v, Mapping):
            missing = [k for k in keys if k not in self.v]
            if missing:
                raise DataValueError(
                    f"residual={self} has no matrix for the group {missing[0]!r} "
                    f"({len(missing)} such groups); expected one for each group of the data"
                )
            matrices = [self.v[k] for k in keys]
        elif isinstance(self.v, Sequence) and len(self.v) == len(keys):
            first = pd.unique(np.asarray(grouping.codes))  # groups in the order of the data
            matrices = [None] * len(keys)
            for code, matrix in zip(first.tolist(), self.v):
                matrices[code] = matrix
        else:
            raise DataValueError(
                f"residual={self} with groups of {len(keys)} levels; expected a mapping from group to "
                f"matrix, or a list of {len(keys)} matrices in the order of the data"
            )
        out = []
        order = np.argsort(grouping.codes, kind="stable")
        ends = np.cumsum(np.bincount(grouping.codes, minlength=len(keys)))[:-1]
        for key, rows, given in zip(keys, np.split(order, ends), matrices):
            what = f"residual={self}: the matrix of group {key!r}"
            block = np.atleast_2d(numbers(given, what, "numbers"))
            if block.shape != (len(rows), len(rows)):
                raise DataValueError(
                    f"residual={self}: the matrix of group {key!r} has shape {block.shape}; expected "
                    f"({len(rows)}, {len(rows)}), as the group has {len(rows)} rows"
                )
            _refuse_not_symmetric(block, [table.index[i] for i in rows], f"V of group {key!r}")
            out.append((rows, block))
        return out


def known(v: Any, groups: Any = None) -> Known:
    """Return a known covariance matrix of the residuals, for ``residual=``.

    Parameters
    ----------
    v : str, array_like or mapping
        A column of variances, by name or as numbers (n,); a covariance matrix (n, n); or, with `groups`, a
        mapping from group to the covariance matrix of its rows, or a list of them in the order of the
        groups' first rows. Rows are those of the data as given: where rows are left out, so are
        theirs of V.
    groups : str or array_like (n,), optional
        A column of the data, or labels.

    Returns
    -------
    Known

    Notes
    -----
    Residual variances are V itself: σ² is held at 1. Blocks are what the zeros of V leave connected.

    Examples
    --------
    >>> import lmmcore, pandas as pd
    >>> data = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.9], "v": [0.04, 0.02, 0.05, 0.03], "study": [1, 2, 3, 4]})
    >>> fit = lmmcore.mixedlm("y ~ 1 + (1 | study)", data, residual=lmmcore.known("v")).fit()
    >>> fit.fe_params.round(3).to_dict()
    {'Intercept': 0.413}
    """
    return Known(v, groups)


@dataclass(frozen=True, eq=False)
class KnownCorrelation:
    """The correlation matrices of the blocks, as a bound residual structure without parameters.

    A position is (number of the matrix, place in it).
    """

    matrices: list[np.ndarray]
    n_parameters: int = 0

    @property
    def starts(self) -> list[np.ndarray]:
        return [np.zeros(0)]

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the correlations (t, t) of some rows of a block."""
        at = values[:, 1].astype(np.intp)
        return self.matrices[int(values[0, 0])][np.ix_(at, at)].astype(u.dtype)

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return nothing: no parameter is estimated."""
        return {}


def positions_of_blocks(
    blocks: list[Block], kept: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, KnownCorrelation]:
    """Return values (m, 2) and groups (m,) of the kept rows, and the correlation matrices.

    Parameters
    ----------
    kept : int array (m,)
        Rows of the data that are used.
    n : int
        Rows of the data.
    """
    values, groups = np.zeros((n, 2)), np.arange(n, dtype=np.intp)
    matrices: list[np.ndarray] = [np.eye(1)]
    numbers: dict[bytes, int] = {}
    for rows, block in blocks:
        sd = np.sqrt(np.diag(block))
        correlation = block / np.outer(sd, sd)
        number = numbers.setdefault(correlation.tobytes(), len(matrices))
        if number == len(matrices):
            matrices.append(correlation)
        values[rows, 0], values[rows, 1] = number, np.arange(len(rows))
        groups[rows] = rows[0]
    _, codes = np.unique(groups[kept], return_inverse=True)
    alone = np.bincount(codes)[codes] == 1  # single rows all have the correlation matrix 1
    values = values[kept]
    values[alone] = 0.0
    return values, codes.astype(np.intp), KnownCorrelation(matrices)


def _variances(given: Any, labels: list[Any], what: str) -> np.ndarray:
    v = np.asarray(numbers(given, f"residual={what}: the variances", "numbers"), dtype=float)
    if len(v) != len(labels):
        raise DataValueError(
            f"residual={what}: {len(v)} variances; expected {len(labels)}, one for each row of data"
        )
    bad = np.flatnonzero(~(v > 0.0) & ~np.isnan(v) | np.isinf(v))
    if len(bad):
        raise DataValueError(
            f"residual={what}: the variance is {v[bad[0]]:g} in row {labels[bad[0]]}; expected "
            "positive numbers"
        )
    return v


def _refuse_not_symmetric(v: np.ndarray, labels: list[Any], what: str) -> None:
    if not np.isfinite(v).all():
        i, j = np.argwhere(~np.isfinite(v))[0]
        raise DataValueError(
            f"residual=known: {what} is {v[i, j]} in row {labels[i]}, column {labels[j]}; expected "
            "finite numbers"
        )
    off = np.abs(v - v.T)
    if off.max(initial=0.0) > SYMMETRIC * np.abs(v).max():
        i, j = np.unravel_index(int(np.argmax(off)), v.shape)
        raise DataValueError(
            f"residual=known: {what} is not symmetric: {v[i, j]:.6g} in row {labels[i]}, column {labels[j]}, "
            f"and {v[j, i]:.6g} in row {labels[j]}, column {labels[i]}"
        )


def _components(v: np.ndarray) -> list[Block]:
    """Return the blocks of a matrix: rows that nonzero entries connect."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, code = connected_components(csr_array(v != 0.0), directed=False)
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code, minlength=count))[:-1]
    return [(rows, v[np.ix_(rows, rows)]) for rows in np.split(order, ends)]


def _refuse_not_positive(block: np.ndarray, labels: list[Any], size: int) -> None:
    values = np.linalg.eigvalsh(block)
    if values[0] <= 1e-12 * max(values[-1], 0.0) or values[-1] <= 0.0:
        shown = ", ".join(map(str, labels)) + (", …" if size > len(labels) else "")
        raise DesignError(
            f"residual=known: V is not positive definite: its block of {size} rows ({shown}) has the "
            f"smallest eigenvalue {values[0]:.3g}; expected a covariance matrix without linear dependence"
        )


@dataclass(frozen=True, eq=False)
class KnownBlocks:
    """A known covariance matrix for the rows of a table.

    Attributes
    ----------
    term : Known
    variances : array (n,)
    blocks : list of (rows, matrix)
        Those of several rows.
    """

    term: Known
    variances: np.ndarray
    blocks: list[Block]

    def __str__(self) -> str:
        return str(self.term)

    def equals(self, other: Any) -> bool:
        """Return whether another matrix is the same."""
        return (
            isinstance(other, KnownBlocks)
            and np.array_equal(self.variances, other.variances)
            and len(self.blocks) == len(other.blocks)
            and all(
                np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])
                for a, b in zip(self.blocks, other.blocks)
            )
        )


def known_blocks(term: Known, table: pd.DataFrame, given: Mapping[str, Any]) -> KnownBlocks:
    """Return a known covariance matrix for the rows of a table.

    Parameters
    ----------
    given : mapping
        The other arguments that say something of the residuals.

    Raises
    ------
    OptionError
        One of them was given.
    """
    for name, value in given.items():
        if value is not None:
            raise OptionError(
                f"residual={term} and {name}= were given; expected one of the two, as known covariances of "
                "the residuals hold σ² and the weights"
            )
    return KnownBlocks(term, *term.blocks(table))

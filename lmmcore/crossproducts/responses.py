"""Products of new responses with the columns of a design that has been read.

Only ``Z'Wy``, ``X'Wy`` and ``y'Wy`` depend on the response. Each response becomes its residual from ordinary
least squares on X, scaled to a mean square of about one, as the first one did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2, sqrt
from typing import Any

import numpy as np

from ..design.columns import Column
from ..design.design import Design
from ..design.factors import crossed_factors, factors_of_terms
from ..errors import DesignError
from .basis import Basis
from .crossed import CrossedProducts
from .crossproducts import CrossProducts

KEPT = 1 << 18  # rows times columns of X up to which rows in the basis are kept
AT_ONCE = 1 << 15  # rows times columns that are formed at once otherwise: they stay in the cache
ROUNDING = 1e-6  # a residual below this part of the response is formed twice


@dataclass(frozen=True, eq=False)
class ResponseBlock:
    """Responses as residuals, and their products with the stored columns of Z.

    Attributes
    ----------
    zy : tuple of arrays (levels, k, r)
        Z_ℓ'We: for each block of groups, or for each grouping factor.
    yy : array (r,)
        e'We.
    xy : array (p, r)
        X'We in the basis: zero, except for rounding and dependent columns.
    map : array (p + 1, r)
        ``[X y] @ map`` is the residual e, with X in the order of the basis.
    """

    zy: tuple[np.ndarray, ...]
    yy: np.ndarray
    xy: np.ndarray
    map: np.ndarray

    def take(self, index: np.ndarray) -> ResponseBlock:
        """Return some of the responses."""
        return ResponseBlock(
            tuple(zy[:, :, index] for zy in self.zy), self.yy[index], self.xy[:, index],
            self.map[:, index],
        )  # fmt: skip

    def basis(self, basis: Basis, j: int) -> Basis:
        """Return the basis with response j in its last column."""
        new = basis.map.copy()
        new[:, -1] = self.map[:, j]
        return replace(basis, map=new)

    def products(
        self, cp: CrossProducts | CrossedProducts, j: int
    ) -> CrossProducts | CrossedProducts:
        """Return the cross-products with response j instead of their own."""
        total = cp.total.copy()
        total[-1, :-1] = total[:-1, -1] = self.xy[:, j]
        total[-1, -1] = self.yy[j]
        basis = self.basis(cp.basis, j)
        if isinstance(cp, CrossedProducts):
            factors = tuple(
                replace(f, w=_with_last(f.w, zy[:, :, j])) for f, zy in zip(cp.factors, self.zy)
            )
            return replace(cp, basis=basis, total=total, factors=factors)
        blocks = tuple(
            replace(b, w=_with_last(b.w, zy[:, :, j])) for b, zy in zip(cp.blocks, self.zy)
        )
        return replace(cp, basis=basis, total=total, blocks=blocks)


def _with_last(w: np.ndarray, zy: np.ndarray) -> np.ndarray:
    out = w.copy()
    out[:, :, -1] = zy
    return out


class ResponseReader:
    """Reads responses of the rows of a design.

    Parameters
    ----------
    design : Design
    cp : CrossProducts or CrossedProducts
        Of the design.
    """

    def __init__(self, design: Design, cp: CrossProducts | CrossedProducts) -> None:
        self.n, self.p = design.n_rows, len(cp.basis.order)
        self._root = None if design.weights is None else np.sqrt(design.weights)
        basis = cp.basis
        self._map = basis.map[: self.p, : self.p]
        self._matrix, self._shift = basis.matrix[: self.p, : self.p], basis.shift[: self.p]
        self._kept = basis.kept
        self._columns = tuple(design.fixed[j] for j in basis.order)
        self._whole: np.ndarray | None = None
        if self.n * max(1, self.p) <= KEPT:
            self._whole = self._rows(0, self.n)
        self._z = _z_of(design, cp)

    def _rows(self, start: int, stop: int) -> np.ndarray:
        """Return weighted rows of X in the basis."""
        if self._whole is not None:
            return self._whole[start:stop]
        x = np.empty((stop - start, self.p))
        for j, column in enumerate(self._columns):
            x[:, j] = (1.0 if column is None else column[start:stop]) - self._shift[j]
        x = x @ self._matrix
        return x if self._root is None else x * self._root[start:stop, None]

    @property
    def parts(self) -> list[_Levels | _OwnColumns]:
        """The columns of Z of each part of the cross-products."""
        return self._z

    def fixed_rows(self, start: int, stop: int) -> np.ndarray:
        """Return rows of X in the basis, without their weights."""
        x = self._rows(start, stop)
        return x if self._root is None else x / self._root[start:stop, None]

    def _chunks(self) -> list[tuple[int, int]]:
        if self._whole is not None:
            return [(0, self.n)]
        step = max(256, AT_ONCE // max(1, self.p))
        return [(i, min(self.n, i + step)) for i in range(0, self.n, step)]

    def read(self, y: np.ndarray) -> ResponseBlock:
        """Return the products of responses (n, r), offsets subtracted.

        Raises
        ------
        DesignError
            A response is constant.
        """
        constant = np.flatnonzero(y.min(axis=0) == y.max(axis=0))
        if len(constant):
            raise DesignError(
                f"the response in column {int(constant[0])} is constant, so there is nothing to explain"
                "; expected values that vary"
            )
        residual = y.astype(np.float64) if self._root is None else y * self._root[:, None]
        before = np.einsum("ij,ij->j", residual, residual)
        b = np.zeros((self.p, y.shape[1]))
        for _ in range(3):
            step = self._project(residual)
            b += step
            after = np.einsum("ij,ij->j", residual, residual)
            if (after > ROUNDING * before).all():
                break
            before = after
        size = np.sqrt(after)
        scale = np.ones_like(size)
        at = size > 0.0
        scale[at] = [2.0 ** round(log2(sqrt(self.n) / s)) for s in size[at].tolist()]
        residual *= scale
        new = np.vstack([-(self._map @ b) * scale, scale])
        xy = np.zeros((self.p, y.shape[1]))
        if len(self._kept) < self.p:
            for start, stop in self._chunks():
                xy += self._rows(start, stop).T @ residual[start:stop]
            xy[self._kept] = 0.0
        zy = tuple(z.products(residual, self._root) for z in self._z)
        return ResponseBlock(zy, after * scale**2, xy, new)

    def _project(self, residual: np.ndarray) -> np.ndarray:
        """Subtract the part of the responses in the columns of X, in place; return its coordinates."""
        b = np.zeros((self.p, residual.shape[1]))
        kept = self._kept
        for start, stop in self._chunks():
            b[kept] += self._rows(start, stop)[:, kept].T @ residual[start:stop]
        for start, stop in self._chunks():
            residual[start:stop] -= self._rows(start, stop)[:, kept] @ b[kept]
        return b


class _Levels:
    """Columns of Z that all levels of a factor have."""

    def __init__(
        self, codes: np.ndarray, q: int, columns: tuple[Column, ...], shift: np.ndarray
    ) -> None:
        self.codes, self.q, self.columns, self.shift = codes, q, columns, shift

    def rows(self, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return positions among some rows, their level and stored columns (m, k), without weights."""
        codes = self.codes[rows]
        z = np.ones((len(codes), len(self.columns)))
        for j, column in enumerate(self.columns):
            if column is not None:
                z[:, j] = column[rows] - self.shift[j]
        return slice(None), codes, z

    def products(self, residual: np.ndarray, root: np.ndarray | None) -> np.ndarray:
        """Return Z_ℓ'W^½ residual (q, k, r)."""
        n, r = residual.shape
        out = np.empty((self.q, len(self.columns), r))
        matrix = None
        if r > 4:
            from scipy.sparse import csr_array

            matrix = csr_array(
                (np.ones(n), self.codes.astype(np.int32), np.arange(n + 1, dtype=np.int32)),
                shape=(n, self.q),
            ).T.tocsr()
        for j, column in enumerate(self.columns):
            z = root
            if column is not None:
                z = column - self.shift[j]
                z = z if root is None else z * root
            times = residual if z is None else residual * z[:, None]
            if matrix is not None:
                out[:, j] = matrix @ times
                continue
            for i in range(r):
                out[:, j, i] = np.bincount(self.codes, times[:, i], self.q)
        return out


class _OwnColumns:
    """Columns of Z of groups that have columns of their own, as one sparse matrix."""

    def __init__(self, design: Design, cp: CrossProducts, block: int) -> None:
        from scipy.sparse import csr_array

        part, components = cp.blocks[block], design.components
        assert components is not None
        assert part.columns is not None
        n_terms, k = len(design.terms), sum(part.widths)
        rank = {int(g): i for i, g in enumerate(part.groups)}
        numbers = {label: j for j, label in enumerate(components.labels)}
        place = {
            (int(g), numbers[t - n_terms, str(name)]): i * k + j
            for i, (g, columns) in enumerate(zip(part.groups, part.columns))
            for j, (t, name) in enumerate(columns)
            if t >= n_terms
        }
        codes = design.grouping.codes
        mine = np.isin(codes, part.groups)
        rows = np.repeat(np.arange(design.n_rows), np.diff(components.indptr))
        own = mine[rows] & (components.values != 0.0)
        cols = [
            place[g, c] for g, c in zip(codes[rows[own]].tolist(), components.columns[own].tolist())
        ]
        row_parts, col_parts, values = (
            [rows[own]],
            [np.array(cols, dtype=np.intp)],
            [components.values[own]],
        )
        at = np.flatnonzero(mine)
        first = k * np.array([rank[int(g)] for g in codes[at]], dtype=np.intp)
        for j, column in enumerate(design.random):
            row_parts.append(at)
            col_parts.append(first + j)
            values.append(np.ones(len(at)) if column is None else column[at].astype(float))
        self.shape = (len(part.groups), k)
        self.matrix = csr_array(
            (np.concatenate(values), (np.concatenate(col_parts), np.concatenate(row_parts))),
            shape=(len(part.groups) * k, design.n_rows),
        )

    def rows(self, rows: slice) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return which of some rows are here, their group and stored columns (m, k), without weights."""
        k = self.shape[1]
        some = self.matrix[:, rows.start : rows.stop].T.tocsr()
        filled = np.diff(some.indptr)
        at = np.flatnonzero(filled)
        row = np.repeat(np.arange(some.shape[0]), filled)
        z = np.zeros((some.shape[0], k))
        z[row, some.indices % k] = some.data
        return at, some.indices[some.indptr[at]] // k, z[at]

    def products(self, residual: np.ndarray, root: np.ndarray | None) -> np.ndarray:
        times = residual if root is None else residual * root[:, None]
        return np.ascontiguousarray((self.matrix @ times).reshape(*self.shape, residual.shape[1]))


def _z_of(design: Design, cp: CrossProducts | CrossedProducts) -> list[_Levels | _OwnColumns]:
    if isinstance(cp, CrossedProducts):
        factors = crossed_factors(design) or factors_of_terms(design)
        return [
            _Levels(f.grouping.codes, f.grouping.n_levels, f.columns, _shift(part.z_map))
            for f, part in zip(factors, cp.factors)
        ]
    if not design.random and design.components is None:
        return []
    if design.components is None:
        z_map = np.eye(len(design.random)) if cp.z_map is None else cp.z_map
        grouping = design.grouping
        return [_Levels(grouping.codes, grouping.n_levels, design.random, _shift(z_map))]
    return [_OwnColumns(design, cp, i) for i in range(len(cp.blocks))]


def _shift(z_map: np.ndarray) -> np.ndarray:
    """Return by what the columns of Z were shifted along the first one."""
    shift = z_map[0].copy()
    shift[0] = 0.0
    return shift

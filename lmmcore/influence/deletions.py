"""Which rows a deletion leaves out, and cross-products without them: the other rows are not read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..design.factors import crossed_factors
from ..design.groups import Grouping, code_groups
from ..errors import DataValueError, OptionError
from ..refitting import reader_of

Part = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Deletions:
    """Sets of rows, each of which is left out in turn.

    Attributes
    ----------
    level : str
        A grouping factor, or "row".
    labels : list
    order : int array (n,)
        Rows, those of a deletion side by side.
    bounds : int array (deletions + 1,)
        Where each deletion begins in `order`.
    """

    level: str
    labels: list[Any]
    order: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, d: int) -> np.ndarray:
        """Return the rows of a deletion."""
        return self.order[self.bounds[d] : self.bounds[d + 1]]


def deletions_of(model: Any, level: Any) -> Deletions:
    """Return the deletions of each row, or of each level of a factor.

    Parameters
    ----------
    level : "row", the name of a grouping factor, or array_like (n,)
        None: the first grouping factor.

    Raises
    ------
    OptionError
        The model has no such grouping factor.
    DataValueError
        Labels that are not one for each row.
    """
    design = model.design
    n = design.n_rows
    if isinstance(level, str) and level == "row":
        labels = range(n) if design.row_labels is None else design.row_labels
        return Deletions("row", list(labels), np.arange(n), np.arange(n + 1))
    known = {g.name: g for g in groupings_of(design)}
    if level is None:
        level = next(iter(known))
    if isinstance(level, str):
        if level not in known:
            names = ", ".join(map(repr, known))
            raise OptionError(
                f"level={level!r}; expected 'row', a grouping factor of the model ({names}), or the labels "
                f"of all {n} rows"
            )
        return _by_level(known[level])
    return _by_level(_labels_of_rows(level, design))


def groupings_of(design: Any) -> list[Grouping]:
    """Return the grouping factors of a design; components of vc_formula that cross are factors too."""
    factors = crossed_factors(design)
    return list(design.groupings) if factors is None else [f.grouping for f in factors]


def _labels_of_rows(labels: Any, design: Any) -> Grouping:
    n, index = design.n_rows, design.row_labels
    if isinstance(labels, pd.Series) and index is not None and not labels.index.equals(index):
        if not index.isin(labels.index).all() or not labels.index.is_unique:
            raise DataValueError(
                "the index of level does not contain the model's rows once; expected a Series with the index "
                "of the model's data, or an array"
            )
        labels = labels.loc[index]
    if len(labels) != n:
        raise DataValueError(f"level has {len(labels)} labels; expected {n}, one for each row used")
    name = getattr(labels, "name", None)
    return code_groups(labels, "level" if name is None else str(name))


def _by_level(grouping: Grouping) -> Deletions:
    order = np.argsort(grouping.codes, kind="stable")
    bounds = np.searchsorted(grouping.codes[order], np.arange(grouping.n_levels + 1))
    return Deletions(grouping.name, grouping.factor.keys, order, bounds)


class Rows:
    """The rows of a model as its cross-products store them, times the roots of their weights.

    Attributes
    ----------
    xy : array (n, p + 1)
        [X y] in the basis.
    z : list of arrays (n, k)
        Columns of Z of each block of groups, or of each grouping factor; zero for rows that are not there.
    levels : list of int arrays (n,)
        Group in the block, or level of the factor; −1 for rows that are not there.
    log_weights : array (n,)
    """

    def __init__(self, model: Any, cp: CrossProducts | CrossedProducts) -> None:
        design, basis, reader = model.design, cp.basis, reader_of(model)
        n, p = design.n_rows, len(basis.order)
        weights = np.ones(n) if design.weights is None else np.asarray(design.weights, dtype=float)
        x, root = reader.fixed_rows(0, n), np.sqrt(weights)[:, None]
        of_y = np.linalg.solve(basis.map[:p, :p], basis.map[:p, -1])
        y = x @ of_y + np.asarray(design.endog, dtype=float) * basis.map[-1, -1]
        self.xy = np.column_stack([x, y]) * root
        self.log_weights = np.log(weights)
        self.z: list[np.ndarray] = []
        self.levels: list[np.ndarray] = []
        for part in reader.parts:
            at, codes, z = part.rows(slice(0, n))
            if isinstance(cp, CrossProducts) and cp.blocks[0].columns is None:
                place = np.empty(len(cp.labels), dtype=np.intp)
                place[cp.blocks[0].groups] = np.arange(len(cp.blocks[0].groups))
                codes = place[codes]
            columns, own = np.zeros((n, z.shape[1])), np.full(n, -1)
            columns[at], own[at] = z, codes
            self.z.append(columns * root)
            self.levels.append(own)


def without(
    cp: CrossProducts | CrossedProducts, rows: Rows, deleted: np.ndarray
) -> CrossProducts | CrossedProducts:
    """Return the cross-products without some rows. Levels without rows stay, as zeros."""
    xy = rows.xy[deleted]
    common = {
        "n": cp.n - len(deleted),
        "log_weights": cp.log_weights - float(rows.log_weights[deleted].sum()),
        "total": cp.total - np.tril(xy.T @ xy),
    }
    z = [own[deleted] for own in rows.z]
    levels = [own[deleted] for own in rows.levels]
    if isinstance(cp, CrossedProducts):
        return _of_crossed(cp, common, xy, z, levels)
    blocks = []
    for block, own, at in zip(cp.blocks, z, levels):
        mine = at >= 0
        smaller = _smaller(block, own[mine], xy[mine], at[mine])
        keep = smaller.counts > 0
        if not keep.all():  # a group without rows
            columns = smaller.columns
            smaller = replace(
                smaller, groups=smaller.groups[keep], s=smaller.s[keep], w=smaller.w[keep],
                counts=smaller.counts[keep],
                columns=columns and tuple(c for c, kept in zip(columns, keep) if kept),
            )  # fmt: skip
        if len(smaller.groups):
            blocks.append(smaller)
    return replace(cp, blocks=tuple(blocks), **common)


def _smaller(part: Any, z: np.ndarray, xy: np.ndarray, at: np.ndarray) -> Any:
    """Return a block of groups, or a factor, without rows."""
    s, w, counts = part.s.copy(), part.w.copy(), part.counts.copy()
    np.subtract.at(s, at, np.tril(z[:, :, None] * z[:, None, :]))
    np.subtract.at(w, at, z[:, :, None] * xy[:, None, :])
    np.subtract.at(counts, at, 1)
    gone = counts == 0
    s[gone], w[gone] = 0.0, 0.0
    return replace(part, s=s, w=w, counts=counts)


def _of_crossed(
    cp: CrossedProducts, common: dict[str, Any], xy: np.ndarray, z: list[np.ndarray],
    levels: list[np.ndarray],
) -> CrossedProducts:  # fmt: skip
    factors = tuple(_smaller(f, own, xy, at) for f, own, at in zip(cp.factors, z, levels))
    pairs = {}
    for (f, g), pair in cp.pairs.items():
        width = len(cp.factors[g].labels)
        keys = pair.rows.astype(np.int64) * width + pair.cols
        place = np.searchsorted(keys, levels[f].astype(np.int64) * width + levels[g])
        values = pair.values.copy()
        np.subtract.at(values, place, z[f][:, :, None] * z[g][:, None, :])
        values[(factors[f].counts[pair.rows] == 0) | (factors[g].counts[pair.cols] == 0)] = 0.0
        pairs[f, g] = replace(pair, values=values)
    return replace(cp, factors=factors, pairs=pairs, **common)


def each(
    cp: CrossProducts | CrossedProducts, rows: Rows, deletions: Deletions, chosen: np.ndarray
) -> Iterator[tuple[int, CrossProducts | CrossedProducts]]:
    """Yield the number of each chosen deletion and the cross-products without its rows."""
    for d in chosen.tolist():
        yield d, without(cp, rows, deletions.rows(d))

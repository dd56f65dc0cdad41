"""Cross-products of a design. A fit needs nothing else of the rows.

`CrossProducts` form a commutative monoid: the sum of those of two chunks of rows is that of
all rows. Groups, and columns that belong to a single group, are matched by label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..linalg.matrices import symmetric
from .basis import Basis, change_of_basis, dependent_in_either, reorthogonalized
from .merging import match_labels, refuse_other_columns

ColumnLabel = tuple[int, int | str]
"""Term of a column that a group has, and its number (shared columns) or name (its own)."""


@dataclass(frozen=True, eq=False)
class GroupBlock:
    """Groups with the same number of columns in each term.

    Attributes
    ----------
    widths : tuple of int
        Number of columns of each term in each of these groups.
    groups : int array (G,)
        Index of each group into `CrossProducts.labels`.
    s : array (G, k, k)
        Lower triangles of Z_g' W Z_g.
    w : array (G, k, p + 1)
        Z_g' W [X y] in the basis.
    counts : int array (G,)
        Rows of each group.
    columns : tuple of tuple of ColumnLabel, or None
        Columns of each group; None when they are the same in all groups.
    """

    widths: tuple[int, ...]
    groups: np.ndarray
    s: np.ndarray
    w: np.ndarray
    counts: np.ndarray
    columns: tuple[tuple[ColumnLabel, ...], ...] | None = None


@dataclass(frozen=True, eq=False)
class CrossProducts:
    """The cross-products ``[Z X y]' W [Z X y]``, blocked by group.

    Attributes
    ----------
    n : int
        Rows.
    log_weights : float
        Σ log w.
    fixed_names : tuple of str
    term_columns : tuple of tuple of str
        Column names of each term (one name for a variance component).
    labels : array (q,)
        Sorted labels of the groups.
    basis : Basis
        The basis of the columns of X and y.
    total : array (p + 1, p + 1)
        Lower triangle of [X y]' W [X y] in the basis.
    blocks : tuple of GroupBlock
    z_map : array (k, k), upper triangular, or None
        Z = (stored Z) @ z_map when Z was shifted; k is the number of shared columns.
    """

    n: int
    log_weights: float
    fixed_names: tuple[str, ...]
    term_columns: tuple[tuple[str, ...], ...]
    labels: np.ndarray
    basis: Basis
    total: np.ndarray
    blocks: tuple[GroupBlock, ...]
    z_map: np.ndarray | None

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.total.nbytes + sum(
            b.s.nbytes + b.w.nbytes + b.groups.nbytes + b.counts.nbytes for b in self.blocks
        )

    def __add__(self, other: CrossProducts) -> CrossProducts:
        """Return the cross-products of both sets of rows.

        Raises
        ------
        DataValueError
            When the two have other columns.
        """
        if not isinstance(other, CrossProducts):
            return NotImplemented
        refuse_other_columns(self, other, ("fixed_names", "term_columns"))
        doubtful = dependent_in_either(self.basis, other.basis)
        other = other._in_terms_of(self)
        labels, first, second = match_labels(self.labels, other.labels)
        if _is_uniform(self) and _is_uniform(other):
            blocks: tuple[GroupBlock, ...] = (
                _add_uniform(self.blocks[0], other.blocks[0], first, second, len(labels)),
            )
        else:
            blocks = _add_ragged([(self, first), (other, second)], len(self.term_columns))
        total = self.total + other.total
        merged = replace(
            self,
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            labels=labels,
            total=total,
            blocks=blocks,
        )
        basis, change = reorthogonalized(self.basis, symmetric(total), doubtful)
        return replace(merged._mapped(change, None), basis=basis)

    def _in_terms_of(self, first: CrossProducts) -> CrossProducts:
        """Return the same cross-products in the basis of another instance."""
        z_change = None
        if self.z_map is not None and first.z_map is not None:
            z_change = self.z_map @ np.linalg.inv(first.z_map)
        change = change_of_basis(self.basis, first.basis)
        return replace(self._mapped(change, z_change), basis=first.basis, z_map=first.z_map)

    def _mapped(self, change: np.ndarray, z_change: np.ndarray | None) -> CrossProducts:
        total = change.T @ symmetric(self.total) @ change
        blocks = []
        for b in self.blocks:
            s, w = b.s, b.w @ change
            if z_change is not None and not np.array_equal(z_change, np.eye(len(z_change))):
                full = symmetric(s)
                s, w = z_change.T @ full @ z_change, z_change.T @ w
            blocks.append(replace(b, s=np.ascontiguousarray(s), w=np.ascontiguousarray(w)))
        return replace(self, total=total, blocks=tuple(blocks))


def _is_uniform(cp: CrossProducts) -> bool:
    return len(cp.blocks) == 1 and cp.blocks[0].columns is None


def _add_uniform(
    a: GroupBlock, b: GroupBlock, first: np.ndarray, second: np.ndarray, q: int
) -> GroupBlock:
    s = np.zeros((q, *a.s.shape[1:]))
    w = np.zeros((q, *a.w.shape[1:]))
    counts = np.zeros(q, dtype=np.int64)
    for block, where in ((a, first), (b, second)):
        at = where[block.groups]
        s[at] += block.s
        w[at] += block.w
        counts[at] += block.counts
    return GroupBlock(a.widths, np.arange(q), s, w, counts)


def _add_ragged(
    parts: list[tuple[CrossProducts, np.ndarray]], n_terms: int
) -> tuple[GroupBlock, ...]:
    """Merge group by group, matching columns by label."""
    found: dict[int, list[tuple[tuple[ColumnLabel, ...], np.ndarray, np.ndarray, int]]] = {}
    for cp, where in parts:
        for block in cp.blocks:
            assert block.columns is not None
            for i, g in enumerate(block.groups):
                entry = (block.columns[i], symmetric(block.s[i]), block.w[i], block.counts[i])
                found.setdefault(int(where[g]), []).append(entry)
    merged = []
    for g, entries in sorted(found.items()):
        names = sorted({c for e in entries for c in e[0]}, key=_in_order)
        at = {name: i for i, name in enumerate(names)}
        s = np.zeros((len(names), len(names)))
        w = np.zeros((len(names), entries[0][2].shape[1]))
        for columns, s_part, w_part, _ in entries:
            index = np.array([at[c] for c in columns], dtype=np.intp)
            s[np.ix_(index, index)] += s_part
            w[index] += w_part
        merged.append((g, tuple(names), s, w, sum(int(e[3]) for e in entries)))
    return batch_groups(merged, n_terms)


def _in_order(label: ColumnLabel) -> tuple[int, int, str]:
    """Shared columns are numbered and keep their order; a group's own are sorted by name."""
    term, name = label
    return (term, name, "") if isinstance(name, int) else (term, 0, str(name))


def batch_groups(
    groups: list[tuple[int, tuple[ColumnLabel, ...], np.ndarray, np.ndarray, int]], n_terms: int
) -> tuple[GroupBlock, ...]:
    """Collect groups ``(index, columns, s, w, rows)`` by the shape of their columns."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, (_, columns, *_rest) in enumerate(groups):
        terms = [c[0] for c in columns]
        shape = tuple(terms.count(t) for t in range(n_terms))
        shapes.setdefault(shape, []).append(i)
    blocks = []
    for shape in sorted(shapes):
        chosen = [groups[i] for i in shapes[shape]]
        blocks.append(
            GroupBlock(
                shape,
                np.array([c[0] for c in chosen]),
                np.ascontiguousarray(np.stack([c[2] for c in chosen])),
                np.ascontiguousarray(np.stack([c[3] for c in chosen])),
                np.array([c[4] for c in chosen], dtype=np.int64),
                tuple(c[1] for c in chosen),
            )
        )
    return tuple(blocks)

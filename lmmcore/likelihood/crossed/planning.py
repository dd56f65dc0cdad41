"""From the pattern of the cross-products to the elimination plan; see `plan` for what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ...crossproducts.merging import sorted_pairs
from .plan import DenseArrays, EliminationPlan, NodeArrays, Pairs, Placement

NODE_WORK = 200_000  # numbers in a chunk of nodes
ROW_WORK = 400_000  # numbers in a chunk of dense rows


def order_of_factors(
    ks: Sequence[int], counts: Sequence[np.ndarray], pairs: Pairs
) -> tuple[list[int], list[int]]:
    """Return the factors that are eliminated level by level, in order, and the dense ones.

    Parameters
    ----------
    ks : sequence of int
        Columns per level of each factor.
    counts : sequence of arrays (q_f,)
        Rows of each level.
    """
    size = [k * len(c) for k, c in zip(ks, counts)]
    order = sorted(range(len(ks)), key=lambda f: (-size[f], f))
    chain, dense = list[int](), list[int]()
    for f in order:
        apart = (f, f) not in pairs  # its levels do not occur together
        (chain if apart and all(_is_nested(c, f, pairs) for c in chain) else dense).append(f)
    return chain, dense


def _is_nested(f: int, g: int, pairs: Pairs) -> bool:
    """Return whether every level of f occurs with one level of g."""
    pair = pairs[min(f, g), max(f, g)]
    levels = pair.rows if f < g else pair.cols
    return int(np.bincount(levels).max(initial=0)) <= 1


def plan_elimination(
    ks: Sequence[int], counts: Sequence[np.ndarray], pairs: Pairs
) -> EliminationPlan:
    """Return order and storage; of the cross-products only the pattern counts.

    Parameters
    ----------
    ks : sequence of int
        Columns per level of each factor.
    counts : sequence of arrays (q_f,)
        Rows of each level.
    pairs : dict
        The pairs of levels that occur together; (f, f) holds pairs of levels of one factor.
    """
    chain, dense = order_of_factors(ks, counts, pairs)
    leaf = _leaves(chain, dense, counts, pairs)
    starts = [np.zeros(len(c), dtype=np.int64) for c in counts]
    node_parts: list[tuple[int, np.ndarray]] = []  # factor and levels, stage by stage
    if leaf.any():
        node_parts.append((dense[0], np.flatnonzero(leaf)))
    node_parts += [(f, np.arange(len(counts[f]))) for f in chain]
    at = _number(node_parts, ks, starts, 0)
    m1 = at
    dense_parts = []
    for f in dense:
        levels = np.argsort(counts[f], kind="stable")
        if f == dense[0] and leaf.any():
            levels = levels[~leaf[levels]]
        dense_parts.append((f, levels))
    at = _number(dense_parts, ks, starts, at)
    nodes = _Nodes(ks, node_parts, m1, at)
    base = _Base(ks, dense_parts, starts, m1, at)
    for (f, g), pair in pairs.items():
        one, two = starts[f][pair.rows], starts[g][pair.cols]
        forth = one < two
        for mask, early, late, ke, kl, back in (
            (forth, one, two, f, g, False),
            (~forth, two, one, g, f, True),
        ):
            is_node = np.flatnonzero(mask & (early < m1))
            if len(is_node):
                nodes.add((f, g), is_node, back, early[is_node], late[is_node], ke, kl)
            is_base = np.flatnonzero(mask & (early >= m1))
            if len(is_base):
                rows, cols = late[is_base] - m1, early[is_base] - m1
                base.add((f, g), is_base, not back, rows, cols, kl, ke)
    node_arrays, entries, flops = nodes.arrays()
    dense_arrays, base_places = base.arrays()
    work = _row_work(node_arrays)
    edges = np.concatenate([[0], np.cumsum([len(levels) for _, levels in node_parts])])
    load = np.diff(node_arrays.vptr) + 16
    stages = [_chunks(load[a:b], NODE_WORK) + a for a, b in pairwise(edges)]
    m2 = at - m1
    flops |= {"dense rows": float(work.sum()), "dense Cholesky": m2**3 / 6.0}
    return EliminationPlan(
        tuple(chain), tuple(dense), int(leaf.sum()), starts, node_arrays, dense_arrays, node_parts,
        entries, base_places, stages, _chunks(work + 16, ROW_WORK), flops,
    )  # fmt: skip


def _number(
    parts: Sequence[tuple[int, np.ndarray]], ks: Sequence[int], starts: list[np.ndarray], at: int
) -> int:
    """Number the columns of levels one after the other, from `at` on; return the next number."""
    for f, levels in parts:
        starts[f][levels] = at + ks[f] * np.arange(len(levels))
        at += ks[f] * len(levels)
    return at


def _leaves(
    chain: Sequence[int], dense: Sequence[int], counts: Sequence[np.ndarray],
    pairs: Pairs,
) -> np.ndarray:  # fmt: skip
    """Return a mask of the levels of the first dense factor that meet one level of the first factor."""
    if not dense or not chain or (dense[0], dense[0]) in pairs:
        return np.zeros(len(counts[dense[0]]) if dense else 0, dtype=bool)
    f, g = chain[0], dense[0]
    pair = pairs[min(f, g), max(f, g)]
    levels = pair.cols if f < g else pair.rows
    return np.bincount(levels, minlength=len(counts[g])) == 1


def _row_work(nodes: NodeArrays) -> np.ndarray:
    """Return the multiplications that each dense row costs."""
    node, entry = nodes.dense_node, nodes.dense_entry
    length = (entry - nodes.rfirst[node] + 1) * nodes.ks[nodes.factor[node]]
    total = np.concatenate([[0], np.cumsum(length)])
    work: np.ndarray = np.diff(total[nodes.dense_ptr])
    return work


def _chunks(work: np.ndarray, limit: int) -> np.ndarray:
    """Return borders of runs whose work is about `limit`; they depend on the data alone."""
    n = len(work)
    if n == 0:
        return np.zeros(1, dtype=np.int64)
    total = np.cumsum(work)
    n_chunks = max(1, int(total[-1] // limit))
    inner = np.searchsorted(total, total[-1] * np.arange(1, n_chunks) / n_chunks)
    return np.unique(np.concatenate([[0], inner, [n]])).astype(np.int64)


class _Nodes:
    """Collects the entries of all nodes, then sorts them."""

    def __init__(
        self, ks: Sequence[int], parts: Sequence[tuple[int, np.ndarray]], m1: int, m: int
    ) -> None:
        self.ks, self.m1, self.m = ks, m1, m
        none = [np.zeros(0, dtype=np.int32)]
        self.factor = np.concatenate(none + [np.full(len(x), f, dtype=np.int32) for f, x in parts])
        self.k = np.array(ks, dtype=np.int64)[self.factor]
        self.start = np.concatenate([[0], np.cumsum(self.k)])
        self.node_of = np.repeat(np.arange(len(self.factor), dtype=np.int32), self.k)
        self.early: list[np.ndarray] = []
        self.late: list[np.ndarray] = []
        self.found: list[tuple[tuple[int, int], np.ndarray, bool, int, int]] = []

    def add(
        self, source: tuple[int, int], index: np.ndarray, flipped: bool, early: np.ndarray,
        late: np.ndarray, f: int, g: int,
    ) -> None:  # fmt: skip
        """Add blocks (m, k_f, k_g) of nodes of factor f with columns of factor g."""
        k = self.ks[g]
        self.early.append(np.repeat(self.node_of[early], k))
        self.late.append((late[:, None] + np.arange(k)).ravel())
        self.found.append((source, index, flipped, f, g))

    def arrays(self) -> tuple[NodeArrays, list[Placement], dict[str, float]]:
        n_nodes, m1 = len(self.factor), self.m1
        empty = np.zeros(0, dtype=np.int64)
        node = np.concatenate([*self.early, empty]).astype(np.int64)
        col = np.concatenate([*self.late, empty]).astype(np.int64)
        order = sorted_pairs(node, col)[0] if len(node) else empty
        rank = np.empty(len(node), dtype=np.int64)
        rank[order] = np.arange(len(node))
        node, col = node[order], col[order]
        lengths = np.bincount(node, minlength=n_nodes)
        cptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        vptr = np.concatenate([[0], np.cumsum(lengths * self.k)]).astype(np.int64)
        place = vptr[node] + (np.arange(len(node)) - cptr[node]) * self.k[node]
        is_dense = col >= m1
        by_column = np.flatnonzero(is_dense)
        dense_cols = col[by_column] - m1
        if len(by_column):
            by_column = by_column[sorted_pairs(dense_cols, by_column)[0]]
        per_column = np.bincount(dense_cols, minlength=self.m - m1)
        kin = self._kin(node, col, cptr, is_dense)
        has_child = np.diff(kin["child_ptr"]) > 0
        own = np.where(has_child, lengths * self.k, 0)
        kptr = np.where(has_child, np.concatenate([[0], np.cumsum(own)[:-1]]), -1)
        arrays = NodeArrays(
            factor=self.factor, start=self.start, ks=np.array(self.ks, dtype=np.int32),
            node_of=self.node_of, cptr=cptr, vptr=vptr,
            dptr=np.concatenate([[0], np.cumsum(self.k**2)]).astype(np.int64),
            rfirst=cptr[:-1] + np.bincount(node[~is_dense], minlength=n_nodes),
            cols=np.append(col, 0).astype(np.int32), kptr=kptr.astype(np.int64),
            n_kappa=int(own.sum()),
            dense_ptr=np.concatenate([[0], np.cumsum(per_column)]).astype(np.int64),
            dense_entry=by_column, dense_node=node[by_column].astype(np.int32),
            longest=int(lengths.max(initial=0)), **kin,
        )  # fmt: skip
        flops = {"nodes": float(np.sum(lengths * self.k**2) + np.sum(self.k**3))}
        return arrays, self._placements(place[rank]), flops

    def _placements(self, place: np.ndarray) -> list[Placement]:
        """Return where the blocks go; `place` has the first number of each entry as it was added."""
        out, done = [], 0
        for source, index, flipped, f, g in self.found:
            k, size = self.ks[g], len(index) * self.ks[g]
            first = place[done : done + size].reshape(len(index), 1, k)
            at = first + np.arange(self.ks[f])[:, None]
            out.append(Placement(source, False, index, flipped, f, g, at))
            done += size
        return out

    def _kin(
        self, node: np.ndarray, col: np.ndarray, cptr: np.ndarray, is_dense: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return for every node the earlier nodes that reduce it, and where their entries are in it."""
        first = np.flatnonzero(~is_dense)  # entries that are the first column of a later node
        parent = self.node_of[col[first]].astype(np.int64)
        leading = col[first] == self.start[parent]
        first, parent = first[leading], parent[leading]
        child = node[first]
        rest = first + self.k[parent]
        tails = cptr[child + 1] - rest
        offset = np.concatenate([[0], np.cumsum(tails)])
        entries = np.repeat(rest - offset[:-1], tails) + np.arange(offset[-1])
        owner = np.repeat(parent, tails)
        keys = node * self.m + col
        wanted = owner * self.m + col[entries]
        at = np.searchsorted(keys, wanted)
        if len(wanted) and not np.array_equal(keys[np.minimum(at, len(keys) - 1)], wanted):
            raise AssertionError("the elimination has fill-in that the plan does not contain")
        entry_map = np.full(len(node) + 1, -1, dtype=np.int64)
        entry_map[first] = offset[:-1]
        by_parent = np.argsort(parent, kind="stable")
        per_parent = np.bincount(parent, minlength=len(self.factor))
        return {
            "tmap": np.append(at - cptr[owner], 0).astype(np.int32),
            "entry_map": entry_map,
            "child_ptr": np.concatenate([[0], np.cumsum(per_parent)]).astype(np.int64),
            "child_node": child[by_parent].astype(np.int32),
            "child_entry": first[by_parent].astype(np.int64),
            "child_map": offset[:-1][by_parent].astype(np.int64),
        }


class _Base:
    """Collects the cross-products of the dense columns as compressed lower rows."""

    def __init__(
        self, ks: Sequence[int], parts: Sequence[tuple[int, np.ndarray]],
        starts: Sequence[np.ndarray], m1: int, m: int,
    ) -> None:  # fmt: skip
        self.ks, self.m2 = ks, m - m1
        none = [np.zeros(0, np.int32)]
        self.k = np.concatenate(none + [np.full(len(x) * ks[f], ks[f], np.int32) for f, x in parts])
        self.factor = np.concatenate(
            none + [np.full(len(x) * ks[f], f, np.int32) for f, x in parts]
        )
        self.found: list[tuple[Placement, np.ndarray, np.ndarray]] = []
        for f, levels in parts:
            at = starts[f][levels] - m1
            self.add((f, f), levels, False, at, at, f, f, own=True)

    def add(
        self, source: tuple[int, int], index: np.ndarray, flipped: bool, rows: np.ndarray,
        cols: np.ndarray, f: int, g: int, own: bool = False,
    ) -> None:  # fmt: skip
        """Add blocks (m, k_f, k_g) with the given first rows and columns."""
        k, w = self.ks[f], self.ks[g]
        shape = (len(rows), k, w)
        row = np.broadcast_to(rows[:, None, None] + np.arange(k)[:, None], shape)
        col = np.broadcast_to(cols[:, None, None] + np.arange(w), shape)
        self.found.append((Placement(source, own, index, flipped, f, g, np.zeros(0)), row, col))

    def arrays(self) -> tuple[DenseArrays, list[Placement]]:
        empty = [np.zeros(0, dtype=np.int64)]
        row = np.concatenate([*(r.ravel() for _, r, _ in self.found), *empty])
        col = np.concatenate([*(c.ravel() for *_, c in self.found), *empty])
        kept = np.flatnonzero(col <= row)
        order = kept[sorted_pairs(row[kept], col[kept])[0]] if len(kept) else kept
        at = np.full(len(row), len(kept), dtype=np.int64)  # upper triangles go to the last place
        at[order] = np.arange(len(kept))
        places, done = [], 0
        for place, rows, _ in self.found:
            places.append(replace(place, at=at[done : done + rows.size].reshape(rows.shape)))
            done += rows.size
        ptr = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=self.m2))])
        arrays = DenseArrays(
            self.k, self.factor, ptr.astype(np.int64), np.append(col[order], 0).astype(np.int32)
        )
        return arrays, places

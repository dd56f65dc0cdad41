"""The symbolic phase of the crossed engine: once per model, before any number is known.

**Order.** The factor with most columns comes first: its levels do not occur together, so that its block
is block-diagonal, and eliminating it level by level costs little. A later factor in which all
these are nested stays block-diagonal when they are gone, and is eliminated in the same way. What is
left is one dense lower triangle. A level of its largest factor that occurs with one level
of the first factor only ("leaf") is eliminated before everything else: no new entry comes of it.

**Storage.** Levels eliminated one by one are *nodes*. The columns of a node are k; its *entries* are
the later columns that occur together with it, so that a nested design has no other numbers than its
data. Levels of the dense factors are sorted by frequency: the frequent ones, which all others meet, lie
together at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..crossproducts.crossed import PairProducts
from ..crossproducts.merging import sorted_pairs

NODE_WORK = 200_000  # numbers in a chunk of nodes
ROW_WORK = 400_000  # numbers in a chunk of dense rows


@dataclass(frozen=True, eq=False)
class BaseBlocks:
    """Cross-products of dense columns: blocks (m, k_row, k_column) and where their numbers go."""

    row_factor: int
    col_factor: int
    values: np.ndarray
    at: np.ndarray


@dataclass(frozen=True, eq=False)
class Symbolic:
    """The order of elimination and the places of all numbers.

    Attributes
    ----------
    chain : tuple of int
        Factors eliminated level by level, in order.
    dense : tuple of int
        The others.
    peeled : int
        Levels of the first dense factor that are eliminated before all others.
    starts : list of int64 arrays (q_f,)
        First column of each level.
    arrays : dict
        What `_crossed.Elimination` takes.
    base : list of BaseBlocks
    base_values : array
        Cross-products of the dense columns (compressed lower rows), and a place for what is not kept.
    stages : list of int arrays
        Borders of chunks of nodes that can be eliminated at the same time, stage by stage.
    row_chunks : int array
        Borders of chunks of dense rows.
    flops : dict
        Multiplications of an evaluation by part.
    """

    chain: tuple[int, ...]
    dense: tuple[int, ...]
    peeled: int
    starts: list[np.ndarray]
    arrays: dict[str, Any]
    base: list[BaseBlocks]
    base_values: np.ndarray
    stages: list[np.ndarray]
    row_chunks: np.ndarray
    flops: dict[str, float]

    @property
    def m1(self) -> int:
        """Columns of nodes."""
        return len(self.arrays["node_of"])

    @property
    def m2(self) -> int:
        """Dense columns."""
        return len(self.arrays["dense_k"])


def order_of_factors(
    ks: Sequence[int], counts: Sequence[np.ndarray], pairs: dict[tuple[int, int], PairProducts]
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
    chain, dense = order[:1], list[int]()
    for f in order[1:]:
        (chain if all(_is_nested(c, f, pairs) for c in chain) else dense).append(f)
    return chain, dense


def _is_nested(f: int, g: int, pairs: dict[tuple[int, int], PairProducts]) -> bool:
    """Return whether every level of f occurs with one level of g."""
    pair = pairs[min(f, g), max(f, g)]
    levels = pair.rows if f < g else pair.cols
    return int(np.bincount(levels).max(initial=0)) <= 1


def analyse(
    ks: Sequence[int],
    counts: Sequence[np.ndarray],
    blocks: Sequence[np.ndarray],
    pairs: dict[tuple[int, int], PairProducts],
) -> Symbolic:
    """Return order and storage.

    Parameters
    ----------
    ks : sequence of int
        Columns per level of each factor.
    counts : sequence of arrays (q_f,)
        Rows of each level.
    blocks : sequence of arrays (q_f, k_f, k_f)
        Z_ℓ'Z_ℓ, symmetric.
    pairs : dict
        Z_i'Z_j of the pairs of levels that occur together.
    """
    chain, dense = order_of_factors(ks, counts, pairs)
    leaf = _leaves(chain, dense, counts, pairs)
    starts = [np.zeros(len(c), dtype=np.int64) for c in counts]
    node_parts: list[tuple[int, np.ndarray]] = []  # factor and levels, stage by stage
    if leaf.any():
        node_parts.append((dense[0], np.flatnonzero(leaf)))
    node_parts += [(f, np.arange(len(counts[f]))) for f in chain]
    at = 0
    for f, levels in node_parts:
        starts[f][levels] = at + ks[f] * np.arange(len(levels))
        at += ks[f] * len(levels)
    m1 = at
    dense_parts = []
    for f in dense:
        levels = np.argsort(counts[f], kind="stable")
        if f == dense[0] and leaf.any():
            levels = levels[~leaf[levels]]
        starts[f][levels] = at + ks[f] * np.arange(len(levels))
        at += ks[f] * len(levels)
        dense_parts.append((f, levels))
    nodes = _Nodes(ks, node_parts, blocks, starts, m1, at)
    base = _Base(ks, dense_parts, blocks, starts, m1, at)
    for (f, g), pair in pairs.items():
        one, two = starts[f][pair.rows], starts[g][pair.cols]
        forth = one < two
        for mask, early, late, ke, kl, values in (
            (forth, one, two, f, g, pair.values),
            (~forth, two, one, g, f, pair.values.transpose(0, 2, 1)),
        ):
            is_node = mask & (early < m1)
            if is_node.any():
                nodes.add(early[is_node], late[is_node], ke, kl, values[is_node])
            is_base = mask & (early >= m1)
            if is_base.any():
                flipped = values[is_base].transpose(0, 2, 1)
                base.add(late[is_base] - m1, early[is_base] - m1, kl, ke, flipped)
    arrays, flops = nodes.arrays()
    base_arrays, base_blocks, base_values = base.arrays()
    arrays |= base_arrays
    work = _row_work(arrays)
    stage_sizes = [len(levels) for _, levels in node_parts]
    edges = np.concatenate([[0], np.cumsum(stage_sizes)])
    load = np.diff(arrays["vptr"]) + 16
    stages = [_chunks(load[a:b], NODE_WORK) + a for a, b in pairwise(edges)]
    m2 = at - m1
    flops |= {"dense rows": float(work.sum()), "dense Cholesky": m2**3 / 6.0}
    return Symbolic(
        tuple(chain), tuple(dense), int(leaf.sum()), starts, arrays, base_blocks, base_values,
        stages, _chunks(work + 16, ROW_WORK), flops,
    )  # fmt: skip


def _leaves(
    chain: Sequence[int], dense: Sequence[int], counts: Sequence[np.ndarray],
    pairs: dict[tuple[int, int], PairProducts],
) -> np.ndarray:  # fmt: skip
    """Return a mask of the levels of the first dense factor that meet one level of the first factor."""
    if not dense:
        return np.zeros(0, dtype=bool)
    f, g = chain[0], dense[0]
    pair = pairs[min(f, g), max(f, g)]
    levels = pair.cols if f < g else pair.rows
    return np.bincount(levels, minlength=len(counts[g])) == 1


def _row_work(arrays: dict[str, Any]) -> np.ndarray:
    """Return the multiplications that each dense row costs."""
    nodes, entries = arrays["dense_node"], arrays["dense_entry"]
    length = (entries - arrays["rfirst"][nodes] + 1) * arrays["ks"][arrays["factor"][nodes]]
    total = np.concatenate([[0], np.cumsum(length)])
    work: np.ndarray = np.diff(total[arrays["dense_ptr"]])
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
        self, ks: Sequence[int], parts: Sequence[tuple[int, np.ndarray]],
        blocks: Sequence[np.ndarray], starts: Sequence[np.ndarray], m1: int, m: int,
    ) -> None:  # fmt: skip
        self.ks, self.m1, self.m = ks, m1, m
        self.factor = np.concatenate([np.full(len(x), f, dtype=np.int32) for f, x in parts])
        self.k = np.array(ks, dtype=np.int64)[self.factor]
        self.start = np.concatenate([[0], np.cumsum(self.k)])
        self.node_of = np.repeat(np.arange(len(self.factor), dtype=np.int32), self.k)
        self.diag = np.concatenate([blocks[f][x].ravel() for f, x in parts])
        self.early: list[np.ndarray] = []
        self.late: list[np.ndarray] = []
        self.values: list[np.ndarray] = []  # (m k_late, k_early)

    def add(self, early: np.ndarray, late: np.ndarray, f: int, g: int, values: np.ndarray) -> None:
        """Add blocks (m, k_f, k_g) of nodes of factor f with columns of factor g."""
        k = self.ks[g]
        self.early.append(np.repeat(self.node_of[early], k))
        self.late.append((late[:, None] + np.arange(k)).ravel())
        self.values.append(values.transpose(0, 2, 1).reshape(-1, self.ks[f]))

    def arrays(self) -> tuple[dict[str, Any], dict[str, float]]:
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
        vals = np.zeros(max(1, int(vptr[-1])))
        done = 0
        for part in self.values:
            at = place[rank[done : done + len(part)]]
            vals[at[:, None] + np.arange(part.shape[1])] = part
            done += len(part)
        is_dense = col >= m1
        rfirst = cptr[:-1] + np.bincount(node[~is_dense], minlength=n_nodes)
        kin = self._kin(node, col, cptr, is_dense)
        by_column = np.flatnonzero(is_dense)
        dense_cols = col[by_column] - m1
        if len(by_column):
            by_column = by_column[sorted_pairs(dense_cols, by_column)[0]]
        per_column = np.bincount(dense_cols, minlength=self.m - m1)
        has_child = np.diff(kin["child_ptr"]) > 0
        own = np.where(has_child, lengths * self.k, 0)
        kptr = np.where(has_child, np.concatenate([[0], np.cumsum(own)[:-1]]), -1)
        squares = self.k**2
        dptr = np.concatenate([[0], np.cumsum(squares)]).astype(np.int64)
        size = int(dptr[-1])
        arrays: dict[str, Any] = {
            "factor": self.factor, "ks": np.array(self.ks, dtype=np.int32), "start": self.start,
            "node_of": self.node_of, "cptr": cptr, "vptr": vptr, "dptr": dptr, "rfirst": rfirst,
            "cols": np.append(col, 0).astype(np.int32), "vals": vals, "diag": self.diag,
            "asm": np.zeros(len(vals)), "w": np.zeros(len(vals)), "mbuf": np.zeros(size),
            "bbuf": np.zeros(size), "selfk": np.zeros(size),
            "kappa": np.zeros(max(1, int(own.sum()))), "kptr": kptr.astype(np.int64),
            "dense_ptr": np.concatenate([[0], np.cumsum(per_column)]).astype(np.int64),
            "dense_entry": by_column, "dense_node": node[by_column].astype(np.int32),
            "kmax": max(self.ks), "longest": int(lengths.max(initial=0)), **kin,
        }  # fmt: skip
        flops = {"nodes": float(np.sum(lengths * self.k**2) + np.sum(self.k**3))}
        return arrays, flops

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
            raise AssertionError("the elimination has fill that the symbolic phase does not know")
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
        blocks: Sequence[np.ndarray], starts: Sequence[np.ndarray], m1: int, m: int,
    ) -> None:  # fmt: skip
        self.ks, self.m2 = ks, m - m1
        self.dense_k = np.concatenate(
            [np.zeros(0, np.int32)] + [np.full(len(x) * ks[f], ks[f], np.int32) for f, x in parts]
        )
        self.dense_factor = np.concatenate(
            [np.zeros(0, np.int32)] + [np.full(len(x) * ks[f], f, np.int32) for f, x in parts]
        )
        self.found: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray]] = []
        for f, levels in parts:
            at = starts[f][levels] - m1
            self.add(at, at, f, f, blocks[f][levels])

    def add(self, rows: np.ndarray, cols: np.ndarray, f: int, g: int, values: np.ndarray) -> None:
        """Add blocks (m, k_f, k_g) with the given first rows and columns."""
        k, w = self.ks[f], self.ks[g]
        shape = (len(rows), k, w)
        row = np.broadcast_to(rows[:, None, None] + np.arange(k)[:, None], shape)
        col = np.broadcast_to(cols[:, None, None] + np.arange(w), shape)
        self.found.append((f, g, np.ascontiguousarray(values), row, col))

    def arrays(self) -> tuple[dict[str, Any], list[BaseBlocks], np.ndarray]:
        empty = [np.zeros(0, dtype=np.int64)]
        row = np.concatenate([*(x[3].ravel() for x in self.found), *empty])
        col = np.concatenate([*(x[4].ravel() for x in self.found), *empty])
        kept = np.flatnonzero(col <= row)
        order = kept[sorted_pairs(row[kept], col[kept])[0]] if len(kept) else kept
        place = np.full(len(row), len(kept), dtype=np.int64)  # upper triangles go to the last place
        place[order] = np.arange(len(kept))
        values = np.zeros(len(kept) + 1)
        blocks, done = [], 0
        for f, g, block, *_ in self.found:
            at = place[done : done + block.size].reshape(block.shape)
            values[at] = block
            blocks.append(BaseBlocks(f, g, block, at))
            done += block.size
        values[-1] = 0.0
        per_row = np.bincount(row[kept], minlength=self.m2)
        arrays = {
            "dense_k": self.dense_k, "dense_factor": self.dense_factor,
            "base_ptr": np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64),
            "base_col": np.append(col[order], 0).astype(np.int32),
        }  # fmt: skip
        return arrays, blocks, values

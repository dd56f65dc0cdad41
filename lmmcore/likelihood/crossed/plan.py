"""The elimination plan of the crossed engine: once per model, before any number is known.

**Order.** The grouping factor with most columns comes first: its levels do not occur together, so that its
block is block-diagonal, and eliminating it level by level costs little. A later factor in which all
these are nested stays block-diagonal when they are gone, and is eliminated in the same way. What is
left is one dense lower triangle. A level of its largest factor that occurs with one level
of the first factor only ("leaf") is eliminated before everything else: no new entry comes of it.
Where residuals are correlated, levels of one factor may occur together; such a factor is dense.

**Storage.** Levels eliminated one by one are *nodes*. The columns of a node are k; its *entries* are
the later columns that occur together with it, so that a nested design has no other numbers than its
data. Levels of the dense factors are sorted by frequency: the frequent ones, which all others meet, lie
together at the end.

A plan holds positions alone. `EliminationPlan.numbers` puts the cross-products of a model into their
places; the same plan serves other numbers of the same pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...crossproducts.crossed import PairProducts

Pairs = dict[tuple[int, int], PairProducts]


@dataclass(frozen=True, eq=False)
class NodeArrays:
    """The entries of all nodes, in compressed form, as `_crossed.Elimination` reads them.

    Attributes
    ----------
    factor, start : arrays (nodes,), (nodes + 1,)
        Grouping factor and first column of each node.
    ks : int32 array (factors,)
        Columns per level of each factor.
    node_of : int32 array (m1,)
        Node of each column.
    cptr, vptr, dptr : int64 arrays (nodes + 1,)
        Where the entries, the numbers of the entries, and the k x k blocks of each node begin.
    rfirst : int64 array (nodes,)
        First entry of each node that is a dense column.
    cols : int32 array (entries + 1,)
        Column of each entry.
    kptr : int64 array (nodes,)
        Where the blocks of a node that other nodes need begin; -1 where none is needed.
    n_kappa : int
        Numbers of these blocks.
    tmap, entry_map, child_ptr, child_node, child_entry, child_map : arrays
        For every node the earlier nodes that reduce it, and where their entries are in it.
    dense_ptr, dense_entry, dense_node : arrays
        For every dense column the entries that reduce it.
    longest : int
        Most entries of a node.
    """

    factor: np.ndarray
    start: np.ndarray
    ks: np.ndarray
    node_of: np.ndarray
    cptr: np.ndarray
    vptr: np.ndarray
    dptr: np.ndarray
    rfirst: np.ndarray
    cols: np.ndarray
    kptr: np.ndarray
    n_kappa: int
    tmap: np.ndarray
    entry_map: np.ndarray
    child_ptr: np.ndarray
    child_node: np.ndarray
    child_entry: np.ndarray
    child_map: np.ndarray
    dense_ptr: np.ndarray
    dense_entry: np.ndarray
    dense_node: np.ndarray
    longest: int

    @property
    def kmax(self) -> int:
        return int(self.ks.max())


@dataclass(frozen=True, eq=False)
class DenseArrays:
    """The cross-products of the dense columns as compressed lower rows.

    Attributes
    ----------
    k, factor : int32 arrays (m2,)
        Columns per level and factor of each dense column's level.
    ptr : int64 array (m2 + 1,)
    col : int32 array
    """

    k: np.ndarray
    factor: np.ndarray
    ptr: np.ndarray
    col: np.ndarray


@dataclass(frozen=True, eq=False)
class Placement:
    """Blocks of the cross-products, and where their numbers go.

    Attributes
    ----------
    source : (int, int)
        Pair of factors, or a factor twice for the blocks of its levels.
    own : bool
        Whether these are the blocks of levels with themselves.
    index : array
        Which of the blocks.
    flipped : bool
        Whether the blocks are transposed.
    row_factor, col_factor : int
        Factors of the rows and columns of the blocks when they are in place.
    at : int64 array (m, k_row, k_col)
    """

    source: tuple[int, int]
    own: bool
    index: np.ndarray
    flipped: bool
    row_factor: int
    col_factor: int
    at: np.ndarray


@dataclass(frozen=True, eq=False)
class DenseBlocks:
    """Cross-products of dense columns: blocks (m, k_row, k_column) and where their numbers go."""

    row_factor: int
    col_factor: int
    values: np.ndarray
    at: np.ndarray


@dataclass(frozen=True, eq=False)
class Numbers:
    """The cross-products of a model in the places of its plan.

    Attributes
    ----------
    diag : array
        Z_v'Z_v of each node.
    vals : array
        The numbers of the entries of each node.
    dense : array
        Cross-products of the dense columns (compressed lower rows), and a place for what is not kept.
    blocks : list of DenseBlocks
        The same, block by block.
    """

    diag: np.ndarray
    vals: np.ndarray
    dense: np.ndarray
    blocks: list[DenseBlocks]


@dataclass(frozen=True, eq=False)
class EliminationPlan:
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
    nodes : NodeArrays
    rows : DenseArrays
    node_parts : list of (factor, levels)
        The nodes, stage by stage.
    entries : list of Placement
        Of the cross-products that are entries of nodes.
    base : list of Placement
        Of those between dense columns.
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
    nodes: NodeArrays
    rows: DenseArrays
    node_parts: list[tuple[int, np.ndarray]]
    entries: list[Placement]
    base: list[Placement]
    stages: list[np.ndarray]
    row_chunks: np.ndarray
    flops: dict[str, float]

    @property
    def m1(self) -> int:
        """Columns of nodes."""
        return len(self.nodes.node_of)

    @property
    def m2(self) -> int:
        """Dense columns."""
        return len(self.rows.k)

    def numbers(self, blocks: Sequence[np.ndarray], pairs: Pairs) -> Numbers:
        """Return cross-products in their places.

        Parameters
        ----------
        blocks : sequence of arrays (q_f, k_f, k_f)
            Z_ℓ'Z_ℓ, symmetric.
        pairs : dict
            Z_i'Z_j of the pairs of levels that occur together.
        """

        def of(place: Placement) -> np.ndarray:
            f, g = place.source
            values = (blocks[f] if place.own else pairs[f, g].values)[place.index]
            return values.transpose(0, 2, 1) if place.flipped else values

        of_nodes = [blocks[f][levels].ravel() for f, levels in self.node_parts]
        diag = np.concatenate([np.zeros(0), *of_nodes])
        vals = np.zeros(max(1, int(self.nodes.vptr[-1])))
        for place in self.entries:
            vals[place.at] = of(place)
        dense = np.zeros(len(self.rows.col))
        found = []
        for place in self.base:
            values = np.ascontiguousarray(of(place))
            dense[place.at] = values
            found.append(DenseBlocks(place.row_factor, place.col_factor, values, place.at))
        dense[-1] = 0.0
        return Numbers(diag, vals, dense, found)

"""What the crossed engine does with a model, for a person to see; and whether memory suffices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...crossproducts.crossed import CrossedProducts, FactorProducts
from ...errors import DesignError
from ...memory import available_memory
from .plan import EliminationPlan

SMALL = 2**20  # bytes that are not worth the question whether they are free


@dataclass(frozen=True)
class Block:
    """One block of ``Λ'Z'ZΛ + I`` in the order of elimination."""

    row: str
    column: str
    shape: tuple[int, int]
    storage: str
    bytes: int


@dataclass(frozen=True)
class Structure:
    """Order, storage and cost of an evaluation of the criterion.

    Attributes
    ----------
    factors : tuple of (name, levels, columns per level, how it is treated)
        In the order of elimination.
    blocks : tuple of Block
    peeled : int
        Levels that are eliminated first, as they meet one level of the first factor only.
    bytes : int
        The workspace of an evaluation.
    flops : dict
        Multiplications of an evaluation by part.
    """

    factors: tuple[tuple[str, int, int, str], ...]
    blocks: tuple[Block, ...]
    peeled: int
    bytes: int
    flops: dict[str, float]

    @classmethod
    def of(cls, factors: Sequence[FactorProducts], plan: EliminationPlan, p: int) -> Structure:
        """Describe an elimination plan."""
        order = [*plan.chain, *plan.dense]
        rows = []
        for f in order:
            how = "dense triangle"
            if f in plan.chain:
                how = "level by level" if f == plan.chain[0] else "level by level (others nested)"
            rows.append((factors[f].name, len(factors[f].labels), factors[f].k, how))
        nodes = plan.nodes
        node_bytes = sum(a.nbytes for a in vars(nodes).values() if isinstance(a, np.ndarray))
        node_bytes += 8 * (3 * int(nodes.vptr[-1]) + 4 * int(nodes.dptr[-1]) + nodes.n_kappa)
        dense = plan.m2**2 * 8
        return cls(
            tuple(rows),
            tuple(_blocks(factors, plan)),
            plan.peeled,
            node_bytes + dense + 2 * 8 * (plan.m1 + plan.m2) * (p + 1),
            plan.flops,
        )

    def __str__(self) -> str:
        lines = ["Order of elimination"]
        wide = max(len(name) for name, *_ in self.factors)
        for name, levels, k, how in self.factors:
            per = "1 column" if k == 1 else f"{k} columns"
            lines.append(f"  {name:{wide}}  {levels:>9,} levels, {per} each: {how}")
        if self.peeled:
            lines.append(
                f"  {self.peeled:,} levels of {self.factors[-1][0]} are leaves and go first"
            )
        lines.append("Blocks")
        for b in self.blocks:
            name = f"{b.row} x {b.column}"
            size = f"{b.shape[0]:,} x {b.shape[1]:,}"
            lines.append(f"  {name:{2 * wide + 3}}  {size:>19}  {b.storage}, {_size(b.bytes)}")
        parts = ", ".join(f"{name} {flops:.2g}" for name, flops in self.flops.items())
        lines.append(f"Workspace {_size(self.bytes)}; multiplications of an evaluation: {parts}")
        return "\n".join(lines)


def _blocks(factors: Sequence[FactorProducts], plan: EliminationPlan) -> list[Block]:
    out = []
    order = [*plan.chain, *plan.dense]
    nodes = plan.nodes
    cols = nodes.cols[:-1]
    node = np.repeat(np.arange(len(nodes.factor)), np.diff(nodes.cptr))
    row_factor = nodes.factor[node]
    owner = np.full(plan.m1 + plan.m2, -1)
    for f in order:
        owner[plan.starts[f][:, None] + np.arange(factors[f].k)] = f
    for i, f in enumerate(order):
        q, k = len(factors[f].labels), factors[f].k
        if f in plan.chain:
            kind = "diagonal" if k == 1 else "block-diagonal"
            out.append(Block(factors[f].name, factors[f].name, (q * k,) * 2, kind, q * k * k * 8))
        for g in order[i + 1 :]:
            shape = (q * k, len(factors[g].labels) * factors[g].k)
            if f in plan.chain:
                mine = (row_factor == f) & (owner[cols] == g)
                stored = int(np.sum(mine)) * k
                out.append(Block(factors[f].name, factors[g].name, shape, "sparse", stored * 12))
    if plan.dense:
        name = "+".join(factors[f].name for f in plan.dense)
        m2 = plan.m2
        out.append(Block(name, name, (m2, m2), "dense triangle", m2 * m2 * 8))
    return out


def check_memory(cp: CrossedProducts, chain: Sequence[int], dense: Sequence[int]) -> None:
    """Refuse a model whose dense rest does not fit into memory.

    Raises
    ------
    DesignError
    """
    columns = {f: len(cp.factors[f].labels) * cp.factors[f].k for f in dense}
    m2 = sum(columns.values())
    numbers = sum(p.values.size for p in cp.pairs.values())
    needed = 8 * m2 * m2 + 4 * 8 * numbers
    if needed <= SMALL:
        return
    free = available_memory()
    if free is None or needed <= free:
        return
    largest = max(columns, key=lambda f: columns[f]) if columns else chain[0]
    factor = cp.factors[largest]
    other = cp.factors[chain[0]].name if chain else "the groups of the residuals"
    raise DesignError(
        f"the model needs {_size(needed)} of memory, {_size(free)} are available: "
        f"{factor.name} has {len(factor.labels):,} levels with {factor.k} column"
        f"{'' if factor.k == 1 else 's'} each that are crossed with {other}; "
        f"expected that the crossed factors beside the largest one have some "
        f"{int((free / 8) ** 0.5):,} columns together. Make {factor.name} a fixed effect or remove "
        "it, merge its rare levels, remove its random slopes, or use a machine with more memory"
    )


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    raise AssertionError

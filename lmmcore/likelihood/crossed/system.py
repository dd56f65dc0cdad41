"""The equations of a model with several grouping factors: everything that no fit changes.

Columns of Z are numbered in the order of elimination. With ``Ω = Λ'Z'ZΛ + I = LL'`` (Λ the Cholesky factors
of all covariance matrices) and ``T = L⁻¹Λ'Z'[X y]``: ``log|V| = log|Ω|``,
``[X y]'V⁻¹[X y] = [X y]'[X y] − T'T``, ``Z'V⁻¹[X y] = Z'[X y] − Z'Z K Z'[X y]`` with ``K = ΛΩ⁻¹Λ'``,
``C = Z'V⁻¹Z = Z'Z − Z'Z K Z'Z``. Only Λ is used, never its inverse, but where it is far from singular.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import log2

import numpy as np

from ...crossproducts.crossed import CrossedProducts, FactorProducts
from ...errors import DesignError
from ...linalg.matrices import symmetric
from ..state import SMALLEST, TermShape, zero_words
from ._elimination import Elimination
from .moments import frobenius
from .plan import EliminationPlan
from .planning import order_of_factors, plan_elimination
from .structure import check_memory

EXACT = 400  # columns of Z up to which the Hessian is exact in every evaluation


class System:
    """The equations of a model.

    Parameters
    ----------
    cp : CrossedProducts
    term_sizes : sequence of int
        Columns per level of each term.
    centered : bool
        Whether columns may stay shifted along a constant first one, as they were read.
    units : System, optional
        Equations of other products of the same columns, whose units are kept; also their plan, if the
        same levels occur together.

    Attributes
    ----------
    n, p, columns : int
        Rows, fixed effects, columns of Z over all levels.
    kept : int array (p,)
        Positions of the fixed effects in the cross-products, which have `width` columns of [X y].
    factors : tuple of FactorProducts
    pairs : dict of (int, int) to PairProducts
    column_maps : list of arrays (k, k)
        (Stored Z)⁻¹(Z of the engine) of each grouping factor.
    terms : list of TermShape
    place : list of (int, int)
        Grouping factor of each term, and its first column there.
    index : list of arrays (levels, k)
        Columns of each term.
    n_coordinates : int
    plan : EliminationPlan
    numbers : Numbers
    total : array (p + 1, p + 1)
        [X y]'[X y].
    zxy : array (columns, p + 1)
        Z'[X y].
    block_sums : list of arrays (k, k)
        Σ_ℓ Z_ℓ'Z_ℓ of each grouping factor.
    frobenius : array (n_coordinates, n_coordinates)
        tr(Z'Z E_c Z'Z E_d).

    Raises
    ------
    DesignError
        A column that is zero everywhere, or more columns than fit into memory.
    """

    def __init__(
        self, cp: CrossedProducts, term_sizes: Sequence[int], centered: bool = False,
        units: System | None = None,
    ) -> None:  # fmt: skip
        self.n = cp.n
        self.kept = cp.basis.kept
        self.p = len(self.kept)
        self.width = len(cp.basis.order) + 1
        self.factors = cp.factors
        self.shifted = centered
        self.pairs = cp.pairs
        self.terms: list[TermShape]
        self.column_maps: list[np.ndarray]
        if units is None:
            self.terms, self.column_maps = self._shapes_and_maps(cp, term_sizes)
        else:
            self.terms, self.column_maps = units.terms, units.column_maps
        self.place = self._place()
        self.n_coordinates = self.terms[-1].coordinates.stop
        blocks = [u.T @ symmetric(f.s) @ u for f, u in zip(cp.factors, self.column_maps)]
        pairs = {
            (f, g): type(p)(p.rows, p.cols, self.column_maps[f].T @ p.values @ self.column_maps[g])
            for (f, g), p in cp.pairs.items()
        }
        self.block_sums = [b.sum(axis=0) for b in blocks]
        self.plan: EliminationPlan = self._plan(cp, units)
        self.numbers = self.plan.numbers(blocks, pairs)
        self.columns = self.plan.m1 + self.plan.m2
        shapes = [(f, at, t.k) for (f, at), t in zip(self.place, self.terms)]
        self.frobenius = frobenius(shapes, blocks, pairs)
        self.index: list[np.ndarray] = [
            self.plan.starts[f][:, None] + at + np.arange(t.k)
            for (f, at), t in zip(self.place, self.terms)
        ]
        self._read(cp)
        # Of a model of few columns, Z'Z as a whole.
        self.zz: np.ndarray | None = None
        if self.columns <= EXACT:
            self.zz = self.multiply(self.elimination(), np.eye(self.columns))

    @staticmethod
    def _plan(cp: CrossedProducts, units: System | None) -> EliminationPlan:
        if units is not None and units.pairs.keys() == cp.pairs.keys():
            of_units = units.pairs
            if all(
                p.rows is of_units[k].rows and p.cols is of_units[k].cols
                for k, p in cp.pairs.items()
            ):
                return units.plan
        ks, counts = [f.k for f in cp.factors], [f.counts for f in cp.factors]
        check_memory(cp, *order_of_factors(ks, counts, cp.pairs))
        return plan_elimination(ks, counts, cp.pairs)

    def _read(self, cp: CrossedProducts) -> None:
        """Take in the products with [X y]."""
        cols = np.append(self.kept, self.width - 1)
        total = symmetric(cp.total)
        self.residual = float(total[-1, -1])  # least squares
        self.total = np.ascontiguousarray(total[np.ix_(cols, cols)])
        self.zxy = np.empty((self.columns, self.p + 1))
        for at, factor, unit in zip(self.plan.starts, cp.factors, self.column_maps):
            self.zxy[at[:, None] + np.arange(factor.k)] = unit.T @ factor.w[:, :, cols]

    def with_response(self, cp: CrossedProducts) -> System:
        """Return the equations of the same design with another response."""
        new = copy(self)
        new._read(cp)
        return new

    @property
    def is_exact(self) -> bool:
        """Whether the Hessian of an evaluation is exact, not the average information."""
        return self.columns <= EXACT

    def elimination(self) -> Elimination:
        """Return a new workspace of the kernels."""
        return Elimination(self.plan.nodes, self.plan.rows, self.numbers)

    def multiply(self, elimination: Elimination, x: np.ndarray) -> np.ndarray:
        """Return Z'Z x (columns, r)."""
        if self.zz is not None:
            product: np.ndarray = self.zz @ x
            return product
        out = np.empty_like(x)
        elimination.multiply(np.ascontiguousarray(x), self.numbers.dense, out)
        return out

    def dense_starts(self, f: int) -> np.ndarray:
        """Return the first dense column of each level of a factor that was not peeled."""
        at = self.plan.starts[f]
        return at[at >= self.plan.m1] - self.plan.m1

    def roots(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return Λ of each grouping factor (factors, kmax, kmax): those of its terms side by side."""
        kmax = max(f.k for f in self.factors)
        out = np.zeros((len(self.factors), kmax, kmax))
        for (f, at), term, factor in zip(self.place, self.terms, factors):
            out[f, at : at + term.k, at : at + term.k] = factor
        return out

    def basis(self, f: int) -> np.ndarray:
        """Return (Z of the user)⁻¹(Z of the engine) of a grouping factor (k, k)."""
        out = np.zeros((self.factors[f].k,) * 2)
        for (g, at), term in zip(self.place, self.terms):
            if g == f:
                out[at : at + term.k, at : at + term.k] = term.basis
        return out

    def _place(self) -> list[tuple[int, int]]:
        out = [(0, 0)] * len(self.terms)
        for f, factor in enumerate(self.factors):
            firsts = np.cumsum([0, *factor.sizes])
            for t, first in zip(factor.terms, firsts.tolist()):
                out[t] = (f, first)
        return out

    def _shapes_and_maps(
        self, cp: CrossedProducts, sizes: Sequence[int]
    ) -> tuple[list[TermShape], list[np.ndarray]]:
        """Return the shape of each term and (stored Z)⁻¹(Z of the engine) of each factor."""
        bases: dict[int, np.ndarray] = {}
        levels: dict[int, int] = {}
        column_maps = []
        for factor in cp.factors:
            raw_map = np.eye(factor.k) if self.shifted else factor.z_map
            full = symmetric(factor.s.sum(axis=0))
            square = ((full @ raw_map) * raw_map).sum(axis=0)
            users = ((full @ factor.z_map) * factor.z_map).sum(axis=0)
            _refuse_zero(cp, factor, square, users)
            scale = np.array([2.0 ** -round(0.5 * log2(x / cp.n)) for x in square.tolist()])
            column_maps.append(raw_map * scale)
            basis = (np.linalg.inv(factor.z_map) if self.shifted else np.eye(factor.k)) * scale
            at = 0
            for t, size in zip(factor.terms, factor.sizes):
                bases[t] = basis[at : at + size, at : at + size]
                levels[t] = len(factor.labels)
                at += size
        shapes, start = [], 0
        for t, k in enumerate(sizes):
            n_coordinates = k * (k + 1) // 2
            shapes.append(TermShape(k, bases[t], levels[t], slice(start, start + n_coordinates)))
            start += n_coordinates
        return shapes, column_maps


def _refuse_zero(
    cp: CrossedProducts, factor: FactorProducts, square: np.ndarray, users: np.ndarray
) -> None:
    bad = np.flatnonzero(~(square > 1e-26 * users) | (square <= SMALLEST * cp.n))
    if len(bad):
        names = [x for t in factor.terms for x in cp.term_columns[t]]
        zero = not users[bad[0]] > SMALLEST * cp.n
        what = zero_words(users[bad] / cp.n) if zero else "does not vary beside the constant"
        raise DesignError(
            f"the random effects column {names[bad[0]]!r} of {factor.name} {what}; expected a column "
            "that varies. Remove it"
        )

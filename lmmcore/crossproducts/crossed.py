"""Cross-products of a design with several grouping factors.

They contain, for each grouping factor, the blocks of each level with itself and with [X y]; and for each
pair of grouping factors, the blocks of pairs of levels that occur together. They can be added like
`CrossProducts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..design.columns import Column
from ..design.design import Design
from ..design.factors import Factor
from ..errors import DesignError
from ..linalg.matrices import all_finite, symmetric
from . import _rows
from .accumulate import center, first_pass, grouped, non_finite
from .basis import Basis, change_of_basis, dependent_in_either, reorthogonalized
from .merging import match_labels, refuse_other_columns, sorted_pairs


@dataclass(frozen=True, eq=False)
class FactorProducts:
    """Cross-products of one grouping factor.

    Attributes
    ----------
    name : str
    labels : array (q,)
    terms : tuple of int
        Positions of its random-effects terms.
    sizes : tuple of int
        Columns of each term; k is their sum.
    s : array (q, k, k)
        Lower triangles of Z_ℓ' W Z_ℓ.
    w : array (q, k, p + 1)
        Z_ℓ' W [X y] in the basis.
    counts : int array (q,)
        Rows of each level.
    z_map : array (k, k), upper triangular
        Z = (stored Z) @ z_map: the stored columns may be shifted.
    """

    name: str
    labels: np.ndarray
    terms: tuple[int, ...]
    sizes: tuple[int, ...]
    s: np.ndarray
    w: np.ndarray
    counts: np.ndarray
    z_map: np.ndarray

    @property
    def k(self) -> int:
        """Columns per level."""
        return sum(self.sizes)


@dataclass(frozen=True, eq=False)
class PairProducts:
    """Cross-products of two grouping factors, for the pairs of levels that occur together.

    Attributes
    ----------
    rows, cols : int32 arrays (m,)
        Levels of the first and of the second grouping factor, sorted by (row, column).
    values : array (m, k_first, k_second)
        Z_i' W Z_j.
    """

    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class CrossedProducts:
    """The cross-products ``[Z X y]' W [Z X y]`` of a model with several grouping factors.

    Attributes
    ----------
    n : int
        Rows.
    log_weights : float
        Σ log w.
    fixed_names : tuple of str
    term_columns : tuple of tuple of str
        Column names of each term.
    basis : Basis
        The basis of the columns of X and y.
    total : array (p + 1, p + 1)
        Lower triangle of [X y]' W [X y] in the basis.
    factors : tuple of FactorProducts
    pairs : dict of (int, int) to PairProducts
        For every pair f < g of grouping factors.
    """

    n: int
    log_weights: float
    fixed_names: tuple[str, ...]
    term_columns: tuple[tuple[str, ...], ...]
    basis: Basis
    total: np.ndarray
    factors: tuple[FactorProducts, ...]
    pairs: dict[tuple[int, int], PairProducts]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        own = sum(f.s.nbytes + f.w.nbytes + f.counts.nbytes for f in self.factors)
        return (
            self.total.nbytes
            + own
            + sum(p.values.nbytes + p.rows.nbytes + p.cols.nbytes for p in self.pairs.values())
        )

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the grouping factors."""
        return tuple(f.name for f in self.factors)

    def __add__(self, other: CrossedProducts) -> CrossedProducts:
        """Return the cross-products of both sets of rows; levels are matched by label.

        Raises
        ------
        DataValueError
            When the two have other columns or factors.
        """
        if not isinstance(other, CrossedProducts):
            return NotImplemented
        refuse_other_columns(self, other, ("fixed_names", "term_columns", "factor_names"))
        doubtful = dependent_in_either(self.basis, other.basis)
        changes = [b.z_map @ np.linalg.inv(a.z_map) for a, b in zip(self.factors, other.factors)]
        maps = [a.z_map for a in self.factors]
        other = other._mapped(change_of_basis(other.basis, self.basis), changes, maps)
        factors, places = [], []
        for a, b in zip(self.factors, other.factors):
            labels, first, second = match_labels(a.labels, b.labels)
            places.append((first, second))
            factors.append(_add_factors(a, b, labels, first, second))
        pairs = {}
        for f, g in self.pairs:
            one, two = self.pairs[f, g], other.pairs[f, g]
            rows = np.concatenate([places[f][0][one.rows], places[f][1][two.rows]])
            cols = np.concatenate([places[g][0][one.cols], places[g][1][two.cols]])
            values = np.concatenate([one.values, two.values])
            pairs[f, g] = _sum_pairs(rows, cols, values)
        total = self.total + other.total
        merged = replace(
            self,
            n=self.n + other.n,
            log_weights=self.log_weights + other.log_weights,
            total=total,
            factors=tuple(factors),
            pairs=pairs,
        )
        basis, change = reorthogonalized(self.basis, symmetric(total), doubtful)
        return replace(merged._mapped(change), basis=basis)

    def _mapped(
        self,
        change: np.ndarray,
        z_changes: Sequence[np.ndarray] | None = None,
        z_maps: Sequence[np.ndarray] | None = None,
    ) -> CrossedProducts:
        """Return the cross-products of the rows times `change`, columns of Z times `z_changes`."""
        factors = [replace(f, w=f.w @ change) for f in self.factors]
        pairs = self.pairs
        if z_changes is not None and z_maps is not None:
            factors = [
                replace(f, s=c.T @ symmetric(f.s) @ c, w=c.T @ f.w, z_map=m)
                for f, c, m in zip(factors, z_changes, z_maps)
            ]
            pairs = {
                (f, g): replace(p, values=z_changes[f].T @ p.values @ z_changes[g])
                for (f, g), p in pairs.items()
            }
        total = change.T @ symmetric(self.total) @ change
        return replace(self, total=total, factors=tuple(factors), pairs=pairs)


def crossed_products(design: Design, factors: Sequence[Factor]) -> CrossedProducts:
    """Return the cross-products of a design for its grouping factors.

    Raises
    ------
    DataValueError
        NaN or infinity in a column, weights that are not positive.
    """
    n = design.n_rows
    log_weights, weights, raw, shift, basis, matrix = first_pass(design)
    found = []
    total = np.zeros((len(shift), len(shift)))
    shifts = []
    for factor in factors:
        z = _rows.Columns(factor.columns, n)
        z_shift, z_map = center(z, factor.centered and factor.columns[0] is None)
        total, s, w = grouped(n, raw, shift, matrix, weights, z, z_shift, factor.grouping)
        if not all_finite(s):
            raise non_finite(design)
        counts = np.bincount(factor.grouping.codes, minlength=factor.grouping.n_levels)
        found.append(
            FactorProducts(
                factor.grouping.name, factor.grouping.labels, factor.terms, factor.sizes, s, w,
                counts, z_map,
            )
        )  # fmt: skip
        shifts.append(z_shift)
    pairs = {
        (f, g): _pair(factors[f], shifts[f], factors[g], shifts[g], design.weights)
        for f in range(len(factors))
        for g in range(f + 1, len(factors))
    }
    components = () if design.components is None else design.components.names
    names = tuple(t.names for t in design.terms) + tuple((name,) for name in components)
    return CrossedProducts(
        n, log_weights, design.fixed_names, names, basis, total, tuple(found), pairs
    )


def refuse_equal_factors(cp: CrossedProducts, factors: Sequence[Factor]) -> None:
    """Raise an error if two grouping factors differ only in names, and have a column in common.

    Raises
    ------
    DesignError
    """
    for (f, g), pair in cp.pairs.items():
        one, two = factors[f], factors[g]
        if not len(pair.rows) == one.grouping.n_levels == two.grouping.n_levels:
            continue
        if any(x is y for x in one.columns for y in two.columns):
            raise DesignError(
                f"the grouping factors {one.grouping.name} and {two.grouping.name} have the same "
                f"levels under other "
                "names and a random coefficient in common, so that its variances cannot be told apart; "
                "expected grouping factors that divide the rows in different ways. Remove one of "
                "the two terms"
            )


def _pair(
    one: Factor, shift_one: np.ndarray, two: Factor, shift_two: np.ndarray,
    weights: np.ndarray | None,
) -> PairProducts:  # fmt: skip
    """Return the blocks of two factors: rows are sorted by their pair of levels once."""
    order, first = sorted_pairs(one.grouping.codes, two.grouping.codes)
    n = len(order)
    a, b = one.grouping.codes[order[first]], two.grouping.codes[order[first]]
    values = np.empty((len(first), len(one.columns), len(two.columns)))
    plain = weights is None
    for i, x in enumerate(one.columns):
        left = None if x is None and plain else _sorted_column(x, shift_one[i], order)
        if weights is not None:
            assert left is not None
            left *= weights[order]
        for j, y in enumerate(two.columns):
            if left is None and y is None:  # counts of rows
                values[:, i, j] = np.diff(np.append(first, n))
                continue
            right = 1.0 if y is None else _sorted_column(y, shift_two[j], order)
            product = right if left is None else left * right
            values[:, i, j] = np.add.reduceat(np.asarray(product), first)
    return PairProducts(a, b, values)


def _sorted_column(column: Column, shift: float, order: np.ndarray) -> np.ndarray:
    if column is None:
        return np.ones(len(order))
    return column[order].astype(np.float64) - shift


def _add_factors(
    a: FactorProducts, b: FactorProducts, labels: np.ndarray, first: np.ndarray, second: np.ndarray
) -> FactorProducts:
    q = len(labels)
    s, w = np.zeros((q, *a.s.shape[1:])), np.zeros((q, *a.w.shape[1:]))
    counts = np.zeros(q, dtype=np.int64)
    for part, where in ((a, first), (b, second)):
        s[where] += part.s
        w[where] += part.w
        counts[where] += part.counts
    return replace(a, labels=labels, s=s, w=w, counts=counts)


def _sum_pairs(rows: np.ndarray, cols: np.ndarray, values: np.ndarray) -> PairProducts:
    """Add the blocks of equal pairs of levels."""
    order, first = sorted_pairs(rows, cols)
    at = order[first]
    summed = np.add.reduceat(values[order], first, axis=0)
    return PairProducts(rows[at].astype(np.int32), cols[at].astype(np.int32), summed)

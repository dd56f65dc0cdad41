"""The engine of independent groups: criterion and derivatives from sums over the groups.

Columns of Z are divided by about their root mean square (a power of two).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property, lru_cache
from itertools import accumulate
from math import isfinite, log2

import numpy as np

from ...crossproducts.crossproducts import CrossProducts, GroupBlock
from ...errors import DesignError
from ...linalg._dense import cholesky_inverse
from ...linalg.matrices import symmetric, symmetric_index
from ...parallel import map_chunks
from ..moments import spread
from ..products import ProductDerivative
from ..state import (
    SMALLEST,
    State,
    TermShape,
    quadratic_weights,
    state_without_effects,
    zero_words,
)  # fmt: skip
from . import _groups
from .adjustment import adjustment_of_groups
from .classes import compress
from .products import product_derivative

CHUNK = 256  # lane blocks
LANES = _groups.LANES
WIDE = 4  # columns from which the sums of the Hessian are a product of matrices
RANK_TOLERANCE = 1e-13
INSIDE = 1e-9  # part of the length of a column of X that is orthogonal to Z


class IndependentEngine:
    """Criterion and derivatives from cross-products of independent groups.

    Parameters
    ----------
    cp : CrossProducts
    term_sizes : sequence of int
        Columns per level of each term.
    centered : bool
        Whether a term whose first column is constant may have the others shifted along it. Any
        covariance matrix stays one, but a structure such as the diagonal does not.
    """

    is_exact = True  # gradient_hessian returns the exact Hessian, at little cost

    def __init__(
        self, cp: CrossProducts, term_sizes: Sequence[int], centered: bool = False
    ) -> None:
        self._shifted = centered and cp.z_map is not None and len(term_sizes) == 1
        self.terms = self._term_shapes(cp, term_sizes)
        self.n_coordinates = self.terms[-1].coordinates.stop if self.terms else 0
        self._read(cp)

    def _read(self, cp: CrossProducts) -> None:
        """Take in the products, scaled as the columns of Z are."""
        self.n = cp.n
        self._cp = cp
        kept = cp.basis.kept
        self.p = len(kept)
        total = symmetric(cp.total)
        self.residual = float(total[-1, -1])  # least squares
        self._whole = not cp.basis.dependent
        index: np.ndarray | None = None
        if not self._whole:
            index = np.append(kept, len(cp.basis.order))
            total = total[np.ix_(index, index)]
        self.total = total
        self.rank = 0
        self.columns = max((b.s.shape[1] for b in cp.blocks), default=0)
        self._batches: list[tuple[tuple[int, ...], _groups.Batch]] = []
        for block in cp.blocks:
            if block.s.shape[1]:
                self._add(block, index)
        between = np.zeros_like(total)
        zero = [np.zeros((t.k, t.k)) for t in self.terms]
        for levels, batch in self._batches:
            self._sum_criterion(batch, self.factor(levels, zero), between)
        self.within = total - symmetric(between)
        diagonal = self.within.reshape(-1)[:: self.p + 2]
        np.maximum(diagonal, 0.0, out=diagonal)
        self.starts: dict[bool, list[np.ndarray]] = {}
        for found_later in ("within_variance", "least_squares"):
            self.__dict__.pop(found_later, None)

    @cached_property
    def within_variance(self) -> float | None:
        """σ² of the regression inside groups, None when there are no degrees of freedom."""
        return _variance_inside(self.within, self.n - self.rank)

    @cached_property
    def least_squares(self) -> State | None:
        """The pieces of the criterion without random effects."""
        return state_without_effects(self.total)

    def with_response(self, cp: CrossProducts) -> IndependentEngine:
        """Return the engine of the same design with another response."""
        new = copy(self)
        new._read(cp)
        return new

    def with_products(self, cp: CrossProducts) -> IndependentEngine:
        """Return the engine for other cross-products of the same columns, in the same units."""
        return self.with_response(cp)

    def _term_shapes(self, cp: CrossProducts, sizes: Sequence[int]) -> list[TermShape]:
        shapes: list[TermShape] = []
        start = 0
        levels = [0] * len(sizes)
        square = np.zeros(sum(sizes))
        raw = square  # mean squares of the columns as the user gave them
        bounds = [0, *accumulate(sizes)]
        for block in cp.blocks:
            if cp.z_map is not None and block.columns is None:
                full = symmetric(block.s.sum(axis=0))
                raw = ((full @ cp.z_map) * cp.z_map).sum(axis=0)
                diagonal = full.diagonal() if self._shifted else raw
            else:
                diagonal = np.einsum("gjj->j", block.s)
            at = 0
            for t, width in enumerate(block.widths):
                k = sizes[t]
                part = diagonal[at : at + width].reshape(-1, k).sum(axis=0)
                square[bounds[t] : bounds[t + 1]] += part
                levels[t] += len(block.groups) * (width // k)
                at += width
        for t, k in enumerate(sizes):
            columns = slice(bounds[t], bounds[t + 1])
            size = square[columns] / cp.n
            if not (size - 1e-26 / cp.n * raw[columns]).min() > SMALLEST:
                which = cp.term_columns[t][int(np.argmin(size))]
                own = raw[columns] / cp.n
                tiny = bool(np.any((own > 0.0) & (own <= SMALLEST)))
                shifted = self._shifted and not tiny
                what = "does not vary beside the constant" if shifted else zero_words(own)
                raise DesignError(
                    f"the random effects column {which!r} {what}; expected a column that varies. "
                    "Remove it"
                )
            scales = np.array([2.0 ** round(0.5 * log2(x)) for x in size.tolist()])
            if self._shifted:
                assert cp.z_map is not None
                # z_map shifts columns along the first: I + N with N² = 0, so that its inverse is I - N.
                basis = -cp.z_map / scales
                basis.flat[:: k + 1] = 1.0 / scales
            else:
                basis = np.zeros((k, k))
                basis.flat[:: k + 1] = 1.0 / scales
            n_coordinates = k * (k + 1) // 2
            where = slice(start, start + n_coordinates)
            shapes.append(TermShape(k, basis, levels[t], where))
            start += n_coordinates
        return shapes

    def _add(self, block: GroupBlock, index: np.ndarray | None) -> None:
        levels = tuple(width // t.k for width, t in zip(block.widths, self.terms))
        r, white, seen = self.whitened(block, block.w if index is None else block.w[:, :, index])
        self.rank += int(np.count_nonzero(seen))
        r, white, multiplicity = compress(block.s, r, white)
        batch = _groups.Batch(
            _pack(r),
            _pack(white),
            _pack(multiplicity),
            _pairs(tuple(t.k for t in self.terms), levels),
            self.n_coordinates,
        )
        self._batches.append((levels, batch))

    def whitened(
        self, block: GroupBlock, w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return R_g (G, k, k), Q_g'[…] for ``w = Z_g'[…]``, and which rows of Q_g' exist (G, k).

        Z_g = Q_g R_g for the columns of the engine.
        """
        g, k, _ = block.s.shape
        unit, w = np.ascontiguousarray(self.unit(block)), np.ascontiguousarray(w)
        r, white = np.zeros((g, k, k)), np.empty_like(w)
        seen = np.empty((g, k), dtype=np.bool_)

        def work(i: int) -> None:
            _groups.whiten(
                block.s, w, unit, RANK_TOLERANCE, i * 8 * CHUNK, min(g, (i + 1) * 8 * CHUNK), r,
                white, seen,
            )  # fmt: skip

        map_chunks(work, -(-g // (8 * CHUNK)))
        return r, white, seen

    def unit(self, block: GroupBlock) -> np.ndarray:
        """Return (stored Z)⁻¹(Z of the engine) of a block of groups."""
        unit = self.basis(tuple(width // t.k for width, t in zip(block.widths, self.terms)))
        z_map = self._cp.z_map
        return unit if z_map is None or block.columns is not None else z_map @ unit

    @property
    def is_centered(self) -> bool:
        """Whether columns of Z are shifted along the constant one."""
        return self._shifted and bool(np.any(np.triu(self.terms[0].basis, 1)))

    def basis(self, levels: tuple[int, ...]) -> np.ndarray:
        """Return (Z of the user)⁻¹(Z of the engine) for groups with so many levels of each term."""
        return self.factor(levels, [t.basis for t in self.terms])

    def factor(self, levels: tuple[int, ...], factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return Λ of a batch: the factor of each term, once per level."""
        if len(factors) == 1 and levels[0] == 1:
            return np.ascontiguousarray(factors[0])
        out = np.zeros((sum(m * f.shape[0] for m, f in zip(levels, factors)),) * 2)
        at = 0
        for m, f in zip(levels, factors):
            for _ in range(m):
                out[at : at + len(f), at : at + len(f)] = f
                at += len(f)
        return out

    @staticmethod
    def _sum_criterion(batch: _groups.Batch, lam: np.ndarray, gram: np.ndarray) -> float:
        """Add T'T of a batch to gram; return log|N|."""
        n_chunks = -(-batch.n_blocks // CHUNK)
        if n_chunks == 1:
            return batch.criterion(lam, 0, batch.n_blocks, gram)

        def work(i: int) -> tuple[float, np.ndarray]:
            part = np.zeros_like(gram)
            stop = min(batch.n_blocks, (i + 1) * CHUNK)
            return batch.criterion(lam, i * CHUNK, stop, part), part

        log_det = 0.0
        for value, part in map_chunks(work, n_chunks):
            log_det += value
            gram += part
        return log_det

    def state(self, factors: Sequence[np.ndarray]) -> State | None:
        """Return the pieces of the criterion for the factors Λ_t; None where it is not finite."""
        gram = self.within.copy()
        log_det = 0.0
        for levels, batch in self._batches:
            log_det += self._sum_criterion(batch, self.factor(levels, factors), gram)
        inverse, ok = cholesky_inverse(gram)
        if not ok or not isfinite(log_det):
            return None
        return State(log_det, gram, inverse)

    def derivatives(
        self,
        factors: Sequence[np.ndarray],
        state: State,
        reml: bool,
        weights: tuple[float, float, float],
        with_quad: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sums (trace, quad, outer) of `_groups.derivative_blocks`; quad costs nothing."""
        nc = self.n_coordinates
        tri = (self.p + 1) * (self.p + 2) // 2

        def empty() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return np.zeros(nc), np.zeros((nc, nc)), np.zeros((nc, tri))

        out = empty()
        for levels, batch in self._batches:
            lam = self.factor(levels, factors)
            n_chunks = -(-batch.n_blocks // CHUNK)
            one_term = levels == (1,)
            if n_chunks == 1 and not (one_term and batch.k >= WIDE):
                batch.derivatives(lam, state.inverse, reml, *weights, 0, batch.n_blocks, *out)
                continue

            def work(
                i: int,
                batch: _groups.Batch = batch,
                lam: np.ndarray = lam,
                wide: bool = one_term and batch.k >= WIDE,
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
                part = empty()
                start, stop = i * CHUNK, min(batch.n_blocks, (i + 1) * CHUNK)
                c = f = None
                if wide:
                    c, f = np.empty((2, batch.k * (batch.k + 1) // 2, (stop - start) * LANES))
                batch.derivatives(lam, state.inverse, reml, *weights, start, stop, *part, c, f)
                if c is not None and f is not None and with_quad:
                    part[1][:] = _wide_quad(c, f, batch.k)
                return part

            for part in map_chunks(work, n_chunks):
                for total, more in zip(out, part):
                    total += more
        return out

    def gradient(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float | None = None
    ) -> np.ndarray:
        """Return the gradient of the criterion (m,) in γ."""
        return self.gradient_hessian(factors, state, reml, sigma2)[0]

    def gradient_hessian(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and exact Hessian (m, m) of the criterion in γ."""
        m, on_q = quadratic_weights(self.n - self.p if reml else self.n, state.r2, sigma2)
        trace, quad, outer = self.derivatives(
            factors, state, reml, (-1.0, 2.0 if reml else 0.0, 2.0 * m)
        )
        return _groups.assemble(trace, quad, outer, self.p, reml, m, -1.0, -m, on_q)

    def scoring(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and expected information (times two) in γ for a fixed σ²."""
        trace, quad, outer = self.derivatives(
            factors, state, reml, (1.0, -2.0 if reml else 0.0, 0.0)
        )
        return _groups.assemble(trace, quad, outer, self.p, reml, state.r2 / sigma2, 1.0, 0.0, 0.0)

    def adjustment(self, factors: Sequence[np.ndarray], state: State) -> np.ndarray:
        """Return B'E_cCE_dB (m, m, p, p); see `Engine.adjustment`."""
        m, p = self.n_coordinates, self.p
        out = np.zeros((m, m, p, p))
        index = None if self._whole else np.append(self._cp.basis.kept, len(self._cp.basis.order))
        for block in self._cp.blocks:
            if block.s.shape[1]:
                levels = tuple(width // t.k for width, t in zip(block.widths, self.terms))
                w = block.w if index is None else block.w[:, :, index]
                r, white, _ = compress(block.s, *self.whitened(block, w)[:2])
                lam = self.factor(levels, factors)
                adjustment_of_groups(r, white, lam, levels, self.terms, state, out)
        return out

    def ranks(self) -> tuple[int, int]:
        """Return the ranks of Z and of [Z X]; columns of X have length one."""
        p = self.p
        own = np.linalg.eigvalsh(self.within[:p, :p]) > INSIDE if p else np.zeros(0)
        return self.rank, self.rank + int(np.count_nonzero(own))

    def moments(self) -> list[np.ndarray] | None:
        """Return None: a step of scoring gives first estimates."""
        return None

    def effects_of_columns(self, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return K Z'[X y] (G, k, p + 1) of each block of groups, for the stored columns."""
        out, kept = [], np.append(self._cp.basis.kept, len(self._cp.basis.order))
        for block in self._cp.blocks:
            levels = tuple(width // t.k for width, t in zip(block.widths, self.terms))
            root = (
                self.unit(block) @ self.factor(levels, factors)
                if block.s.shape[1]
                else np.zeros((0, 0))
            )
            inner = root.T @ symmetric(block.s) @ root + np.eye(root.shape[1])
            out.append(root @ np.linalg.solve(inner, root.T @ block.w[:, :, kept]))
        return out

    def product_derivative(
        self, factors: Sequence[np.ndarray], state: State, of_fixed: float, of_residual: float
    ) -> ProductDerivative:
        """Return the derivative in the cross-products; see `Engine.product_derivative`."""
        roots = [
            self.unit(b)
            @ self.factor(tuple(w // t.k for w, t in zip(b.widths, self.terms)), factors)
            for b in self._cp.blocks
        ] if self.terms else [np.zeros((0, 0))] * len(self._cp.blocks)  # fmt: skip
        return product_derivative(self._cp, roots, state, of_fixed, of_residual)


def _variance_inside(within: np.ndarray, rows: int) -> float | None:
    """Return σ² of the regression inside groups, None when there are no degrees of freedom."""
    diagonal = within.diagonal().tolist()
    root = within.copy()
    if min(diagonal) <= 1e-12:  # columns that do not vary inside groups have nothing to say here
        inside = [j for j, square in enumerate(diagonal[:-1]) if square > 1e-12]
        inside.append(len(diagonal) - 1)
        root = root[inside].take(inside, axis=1)
    _, regular = cholesky_inverse(root)
    df = rows - (len(root) - 1)
    if not regular or df <= 0:
        return None
    rss = float(root[-1, -1]) ** 2
    return rss / df if rss > 0.0 else None


def _wide_quad(c: np.ndarray, f: np.ndarray, k: int) -> np.ndarray:
    """Return quad (m, m) of one unstructured term from the triangles of all C_g and F_g (m, groups).

    Over the pairs of entries of two triangles that is m² products a group; pair by pair it is k⁴.
    """
    index = symmetric_index(k)
    products = c @ f.T
    return spread(products[index[:, :, None, None], index[None, None]], k, k)


def _pack(a: np.ndarray) -> np.ndarray:
    """Put groups side by side in lanes: (G, …) to (blocks, …, LANES), zeros at the end."""
    rows = np.ascontiguousarray(a).reshape(len(a), -1)
    return _groups.pack(rows).reshape(-1, *a.shape[1:], LANES)


@lru_cache(maxsize=256)
def _pairs(sizes: tuple[int, ...], levels: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return (a, b, c): coordinate c contains the entry (a, b) of a group's G."""
    pairs: list[tuple[int, int, int]] = []
    at = coordinate = 0
    for k, m in zip(sizes, levels):
        for _ in range(m):
            for a in range(k):
                for b in range(k):
                    i, j = max(a, b), min(a, b)
                    pairs.append((at + a, at + b, coordinate + i * (i + 1) // 2 + j))
            at += k
        coordinate += k * (k + 1) // 2
    return tuple(np.ascontiguousarray(x) for x in np.array(pairs, dtype=np.int32).T)

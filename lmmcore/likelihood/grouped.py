"""The grouped engine: criterion and derivatives for independent groups.

Everything here is in the coordinates γ of the relative covariance matrices G_t: the entries of
their lower triangles, term by term. V is linear in γ, and how G depends on θ is not asked here.
Columns of Z are in units of about their root mean square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2

import numpy as np

from .._dense import cholesky_inverse
from ..crossproducts.crossproducts import CrossProducts, GroupBlock
from ..errors import DesignError
from ..extension.matrices import symmetric, symmetric_index
from ..parallel import map_chunks
from . import _grouped
from .classes import compress
from .moments import spread

CHUNK = 256  # lane blocks
LANES = _grouped.LANES
WIDE = 4  # columns from which the sums of the Hessian are a product of matrices
RANK_TOLERANCE = 1e-13
SMALLEST = 1e-150  # mean square of a column of Z whose variance can be squared


def zero_words(squares: np.ndarray) -> str:
    """Say what is wrong with a column of Z by the mean squares, the smallest of which is too small."""
    if squares.min() > 0.0:
        return f"has a mean square of {squares.min():.1g}, too small for floating point: rescale it"
    return "is zero in every row"


@dataclass(frozen=True)
class TermShape:
    """One random term as the engine sees it.

    Attributes
    ----------
    k : int
        Columns per level.
    basis : array (k, k), upper triangular
        (Z of the user) @ basis is the Z of the engine: columns scaled by powers of two to a mean square
        of about one and, in a centred engine, shifted along the constant column.
    levels : int
        Number of levels over all groups.
    coordinates : slice
        Where its entries of γ are.
    """

    k: int
    basis: np.ndarray
    levels: int
    coordinates: slice

    def matrix(self, gradient: np.ndarray) -> np.ndarray:
        """Return D_t = ∂d/∂G_t (k, k) for ∂d/∂γ."""
        if self.k == 1:
            return gradient[self.coordinates].reshape(1, 1)
        # An entry of γ off the diagonal stands for two entries of G.
        index = symmetric_index(self.k)
        return gradient[self.coordinates][index] * (0.5 + 0.5 * np.eye(self.k))

    def to_user(self, g: np.ndarray) -> np.ndarray:
        """Return G_t for the columns of Z as the user gave them."""
        return self.basis @ g @ self.basis.T

    def to_engine(self, g: np.ndarray) -> np.ndarray:
        """Return G_t for the columns of Z in the engine."""
        inverse = np.linalg.inv(self.basis)
        return inverse @ g @ inverse.T


@dataclass(frozen=True, eq=False)
class State:
    """The criterion's pieces at one point.

    Attributes
    ----------
    log_det_v : float
        log|V|, without the weights.
    root : array (p + 1, p + 1)
        Cholesky factor of [X y]'V^-1[X y] in the basis (kept columns).
    inverse : array (p + 1, p + 1)
        Its inverse.
    """

    log_det_v: float
    root: np.ndarray
    inverse: np.ndarray

    @property
    def r2(self) -> float:
        """(y − Xβ̂)'V⁻¹(y − Xβ̂) in the basis."""
        return float(self.root[-1, -1]) ** 2

    @property
    def log_det_h(self) -> float:
        """log|X'V⁻¹X| in the basis."""
        return float(2.0 * np.log(self.root.diagonal()[:-1]).sum())


class GroupedEngine:
    """Criterion and derivatives from cross-products of independent groups.

    Parameters
    ----------
    cp : CrossProducts
    term_sizes : sequence of int
        Columns per level of each term.
    centred : bool
        Whether a term whose first column is constant may have the others shifted along it. Any
        covariance matrix stays one, but a structure such as the diagonal does not.
    """

    is_exact = True  # gradient_hessian returns the exact Hessian, at little cost

    def __init__(self, cp: CrossProducts, term_sizes: Sequence[int], centred: bool = False) -> None:
        self._shifted = centred and cp.z_map is not None and len(term_sizes) == 1
        self.n = cp.n
        kept = cp.basis.kept
        self.p = len(kept)
        index = np.append(kept, len(cp.basis.order))
        total = symmetric(cp.total)
        self.residual = float(total[-1, -1])  # least squares
        self._whole = not cp.basis.dependent
        if not self._whole:
            total = total[np.ix_(index, index)]
        self.total = np.ascontiguousarray(total)
        self.terms = self._term_shapes(cp, term_sizes)
        self.n_coordinates = self.terms[-1].coordinates.stop
        self.rank = 0
        self._batches: list[tuple[tuple[int, ...], _grouped.Batch]] = []
        for block in cp.blocks:
            if block.s.shape[1]:
                self._add(block, cp, index)
        between = np.zeros_like(total)
        for levels, batch in self._batches:
            zero = [np.zeros((t.k, t.k)) for t in self.terms]
            self._sum_criterion(batch, self.factor(levels, zero), between)
        self.within = total - symmetric(between)
        diagonal = np.arange(self.p + 1)
        self.within[diagonal, diagonal] = np.maximum(self.within[diagonal, diagonal], 0.0)

    def _term_shapes(self, cp: CrossProducts, sizes: Sequence[int]) -> list[TermShape]:
        shapes: list[TermShape] = []
        start = 0
        levels = np.zeros(len(sizes), dtype=int)
        square = np.zeros(sum(sizes))
        raw = square  # mean squares of the columns as the user gave them
        n_levels_columns = np.cumsum([0, *sizes])
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
                square[n_levels_columns[t] : n_levels_columns[t + 1]] += part
                levels[t] += len(block.groups) * (width // k)
                at += width
        for t, k in enumerate(sizes):
            columns = slice(n_levels_columns[t], n_levels_columns[t + 1])
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
            units = np.array([2.0 ** round(0.5 * log2(x)) for x in size.tolist()])
            if self._shifted:
                assert cp.z_map is not None
                # z_map shifts columns along the first: I + N with N² = 0, so that its inverse is I - N.
                basis = -cp.z_map / units
                basis.flat[:: k + 1] = 1.0 / units
            else:
                basis = np.zeros((k, k))
                basis.flat[:: k + 1] = 1.0 / units
            n_coordinates = k * (k + 1) // 2
            where = slice(start, start + n_coordinates)
            shapes.append(TermShape(k, basis, int(levels[t]), where))
            start += n_coordinates
        return shapes

    def _add(self, block: GroupBlock, cp: CrossProducts, index: np.ndarray) -> None:
        g, k, _ = block.s.shape
        levels = tuple(width // t.k for width, t in zip(block.widths, self.terms))
        unit = self.basis(levels)
        if cp.z_map is not None and block.columns is None:
            unit = cp.z_map @ unit
        w = block.w if self._whole else np.ascontiguousarray(block.w[:, :, index])
        r, white = np.zeros((g, k, k)), np.empty_like(w)
        rank = np.empty(g, dtype=np.int32)
        unit = np.ascontiguousarray(unit)

        def work(i: int) -> None:
            _grouped.whiten(
                block.s, w, unit, RANK_TOLERANCE, i * 8 * CHUNK, min(g, (i + 1) * 8 * CHUNK), r,
                white, rank,
            )  # fmt: skip

        map_chunks(work, -(-g // (8 * CHUNK)))
        self.rank += int(rank.sum())
        r, white, multiplicity = compress(block.s, r, white)
        batch = _grouped.Batch(
            _pack(r),
            _pack(white),
            _pack(multiplicity),
            _pairs(tuple(t.k for t in self.terms), levels),
            self.n_coordinates,
        )
        self._batches.append((levels, batch))

    @property
    def is_centred(self) -> bool:
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
    def _sum_criterion(batch: _grouped.Batch, lam: np.ndarray, gram: np.ndarray) -> float:
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
        if not ok or not np.isfinite(log_det):
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
        """Return the sums (trace, quad, outer) of `_grouped.derivative_blocks`; quad costs nothing."""
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
                batch: _grouped.Batch = batch,
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

    def gradient(self, factors: Sequence[np.ndarray], state: State, reml: bool) -> np.ndarray:
        """Return the gradient of the criterion (m,) in γ."""
        return self.gradient_hessian(factors, state, reml)[0]

    def gradient_hessian(
        self, factors: Sequence[np.ndarray], state: State, reml: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and exact Hessian (m, m) of the criterion in γ."""
        n_eff = float(self.n - self.p if reml else self.n)
        trace, quad, outer = self.derivatives(
            factors, state, reml, (-1.0, 2.0 if reml else 0.0, 2.0 * n_eff)
        )
        return _grouped.assemble(trace, quad, outer, self.p, reml, n_eff, -1.0, -n_eff)

    def scoring(
        self, factors: Sequence[np.ndarray], state: State, reml: bool, sigma2: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and expected information (times two) in γ for a fixed σ²."""
        trace, quad, outer = self.derivatives(
            factors, state, reml, (1.0, -2.0 if reml else 0.0, 0.0)
        )
        return _grouped.assemble(trace, quad, outer, self.p, reml, state.r2 / sigma2, 1.0, 0.0)


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
    return _grouped.pack(rows).reshape(-1, *a.shape[1:], LANES)


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

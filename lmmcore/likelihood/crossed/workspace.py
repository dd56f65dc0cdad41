"""The factorization of a crossed model at one Λ, with everything that a fit writes to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri

from ...linalg.matrices import eigh, lower_indices, symmetric
from ...parallel import map_chunks
from .plan import Placement
from .system import System

SMALL = 1e-5  # variance times rows per level below which I − Ω⁻¹ has lost too many digits


def vanish(factors: Sequence[np.ndarray]) -> bool:
    """Return whether there are no random effects, as all Λ_t are zero."""
    return not any(np.any(f) for f in factors)


class Workspace:
    """The numbers of one running fit; each thread has its own.

    Parameters
    ----------
    system : System

    Attributes
    ----------
    system : System
        The equations, of one response or another on the same design.
    t : array (columns, p + 1)
        T = L⁻¹Λ'Z'[X y] of the factorization that is held.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self._elimination = system.elimination()
        m2 = max(1, system.plan.m2)
        self._dense = np.zeros((m2, m2))
        self._base = system.numbers.dense.copy()
        self.t = np.empty_like(system.zxy)
        self._t_of: np.ndarray | None = None  # Z'[X y] from which T was made
        self._log_det = np.nan
        self._held: bytes | None = None  # the Λ_t whose factorization is held

    def _factorize(self, roots: np.ndarray, dense_roots: np.ndarray, unit: float = 1.0) -> float:
        """Eliminate the nodes and form the dense rest (before its Cholesky factor); return Σ log|N|.

        The dense columns are scaled by `dense_roots`.
        """
        self._held = None
        e, plan, log_det = self._elimination, self.system.plan, 0.0
        for bounds in plan.stages:

            def work(i: int, bounds: np.ndarray = bounds) -> float:
                return e.eliminate(roots, dense_roots, int(bounds[i]), int(bounds[i + 1]))

            log_det += float(np.sum(map_chunks(work, len(bounds) - 1)))
        if plan.m2:
            for block in self.system.numbers.blocks:
                left = self._root_of(dense_roots, block.row_factor)
                right = self._root_of(dense_roots, block.col_factor)
                self._base[block.at] = left.T @ block.values @ right
            rows = plan.row_chunks

            def form(i: int) -> None:
                e.dense_rows(self._base, unit, self._dense, int(rows[i]), int(rows[i + 1]))

            map_chunks(form, len(rows) - 1)
        return log_det

    def _root_of(self, roots: np.ndarray, f: int) -> np.ndarray:
        k = self.system.factors[f].k
        return roots[f, :k, :k]

    def hold(self, factors: Sequence[np.ndarray]) -> float:
        """Hold the factorization and T for the Λ_t; return log|Ω|, NaN where it is not finite."""
        key = b"".join(np.asarray(f, dtype=float).tobytes() for f in factors)
        system = self.system
        if self._held == key:
            if self._t_of is not system.zxy:  # of another response
                self._project()
            return self._log_det
        roots = system.roots(factors)
        self._roots = roots
        self._covariances = roots @ roots.transpose(0, 2, 1)
        self._dense_roots, self._sizes = _symmetric_roots(
            self._covariances, [f.k for f in system.factors]
        )
        log_det = self._factorize(roots, self._dense_roots)
        if system.plan.m2 and np.isfinite(log_det):
            # Lower rows of a C array are the upper triangle of its Fortran view.
            _, info = dpotrf(self._dense.T, lower=0, overwrite_a=1, clean=0)
            if info:
                log_det = np.nan
            else:
                log_det += 2.0 * float(np.log(self._dense.diagonal()).sum())
        if not np.isfinite(log_det):
            return float("nan")
        self._project()
        self._log_det = log_det
        self._held = key
        return log_det

    def _project(self) -> None:
        self.t[:] = self.system.zxy
        self.forward(self.t)
        self._t_of = self.system.zxy

    def forward(self, rhs: np.ndarray) -> None:
        """Replace rhs (columns, r) by L⁻¹Λ' rhs."""
        plan = self.system.plan
        self._scale_dense(rhs, transposed=True)
        self._elimination.forward(rhs)
        if plan.m2:
            dtrsm(1.0, self._dense.T, rhs[plan.m1 :].T, side=1, lower=0, overwrite_b=1)

    def backward(self, rhs: np.ndarray) -> None:
        """Replace T (columns, r) by Λ L'⁻¹ T."""
        plan = self.system.plan
        if plan.m2:
            dtrsm(1.0, self._dense.T, rhs[plan.m1 :].T, side=1, lower=0, trans_a=1, overwrite_b=1)
        self._elimination.backward(rhs)
        self._scale_dense(rhs, transposed=False)

    def _scale_dense(self, rhs: np.ndarray, transposed: bool) -> None:
        system = self.system
        for f in system.plan.dense:
            root = self._root_of(self._dense_roots, f)
            where = system.plan.m1 + system.dense_starts(f)[:, None] + np.arange(len(root))
            rhs[where] = (root.T if transposed else root) @ rhs[where]

    def multiply(self, x: np.ndarray) -> np.ndarray:
        """Return Z'Z x (columns, r)."""
        return self.system.multiply(self._elimination, x)

    def solution(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return K Z'[X y] (columns, p + 1): the random effects of each column of [X y]."""
        if vanish(factors):
            return np.zeros_like(self.system.zxy)
        self.hold(factors)
        out = self.t.copy()
        self.backward(out)
        return out

    # Selected inverse

    def diagonal_blocks(
        self, factors: Sequence[np.ndarray], cross: np.ndarray | None = None
    ) -> np.ndarray:
        """Return Σ_ℓ Z_ℓ'V⁻¹Z_ℓ of each grouping factor (factors, kmax, kmax).

        The Cholesky factor of the dense rest is replaced by its inverse. `cross` receives the blocks of K
        of each node with its entries, those of dense columns before their Λ.
        """
        self.hold(factors)
        system = self.system
        kmax = self._covariances.shape[1]
        exact = self._small_blocks()
        if system.plan.m2:
            _, info = dpotri(self._dense.T, lower=0, overwrite_c=1)
            assert info == 0
        self._held = None
        total = np.zeros((len(system.factors), kmax, kmax))
        e = self._elimination
        for bounds in reversed(system.plan.stages):

            def work(i: int, bounds: np.ndarray = bounds) -> np.ndarray:
                part = np.zeros_like(self._covariances)
                ok = e.diagonal_blocks(
                    self._covariances, self._dense, int(bounds[i]), int(bounds[i + 1]), part, cross
                )
                assert ok
                return part

            for part in map_chunks(work, len(bounds) - 1):
                total += part
        for f in system.plan.dense:
            k = system.factors[f].k
            if f in exact:
                total[f, :k, :k] += exact[f]
                continue
            blocks = self._blocks_of(self._dense, f)
            if not len(blocks):  # all its levels were peeled
                continue
            # Λ'CΛ = I − Ω⁻¹ with the symmetric root Λ = U diag(size).
            back = np.linalg.inv(self._root_of(self._dense_roots, f))
            total[f, :k, :k] += back.T @ (len(blocks) * np.eye(k) - blocks.sum(axis=0)) @ back
        return total

    def _blocks_of(self, matrix: np.ndarray, f: int) -> np.ndarray:
        """Return the diagonal blocks (levels, k, k) of a factor in a lower triangle."""
        k = self.system.factors[f].k
        at = self.system.dense_starts(f)
        rows, cols = lower_indices(k)
        packed = np.zeros((len(at), k, k))
        packed[:, rows, cols] = matrix[at[:, None] + rows, at[:, None] + cols]
        return symmetric(packed)

    def _small_blocks(self) -> dict[int, np.ndarray]:
        """Return Σ_ℓ Z_ℓ'V⁻¹Z_ℓ of the dense factors whose Λ is nearly singular.

        I − Ω⁻¹ says nothing where Λ is zero. With S the dense rest for Λ̃, which has unit columns in
        place of the small ones (Λ = Λ̃ E), the blocks of S − S E Ω⁻¹ E S are those of Λ̃'CΛ̃.
        """
        system, n = self.system, self.system.n
        tiny = {
            f: self._sizes[f] ** 2 * n < SMALL * len(system.factors[f].labels)
            for f in system.plan.dense
        }
        small = [f for f in tiny if tiny[f].any() and len(system.dense_starts(f))]
        if not small:
            return {}
        m2 = system.plan.m2
        log_det, key, held = self._log_det, self._held, self._dense.copy()
        unit_roots, scale = self._dense_roots.copy(), np.ones(m2)
        for f in small:
            k, sizes = system.factors[f].k, self._sizes[f]
            _, directions = eigh(self._root_of(self._covariances, f))
            unit_roots[f, :k, :k] = directions * np.where(tiny[f], 1.0, sizes)
            at = system.dense_starts(f)
            scale[at[:, None] + np.arange(k)] = np.where(tiny[f], sizes, 1.0)
        self._factorize(self._roots, unit_roots, 0.0)
        row, out = np.arange(m2), {}
        for f in small:
            k = system.factors[f].k
            at = system.dense_starts(f)
            columns = (at[:, None] + np.arange(k)).ravel()
            below = row[:, None] >= columns
            x = np.where(below, self._dense[:, columns], self._dense[columns].T)
            x = np.asfortranarray(scale[:, None] * x)
            x = dtrsm(1.0, held.T, x, lower=0, trans_a=1, overwrite_b=1).T.reshape(len(at), k, m2)
            blocks = self._blocks_of(self._dense, f)
            total = (blocks - x @ x.transpose(0, 2, 1)).sum(axis=0)
            back = np.linalg.inv(unit_roots[f, :k, :k])
            out[f] = back.T @ total @ back
        self._factorize(self._roots, self._dense_roots)  # the nodes as they were
        self._dense[:] = held
        self._log_det, self._held = log_det, key
        return out

    def conditional_covariances(self, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return K_ℓℓ = (ΛΩ⁻¹Λ')_ℓℓ of each grouping factor (q, k, k), in the engine's units."""
        if vanish(factors):
            return [np.zeros((len(f.labels), f.k, f.k)) for f in self.system.factors]
        self.diagonal_blocks(factors)
        return self._conditional_covariances()

    def _conditional_covariances(self) -> list[np.ndarray]:
        system = self.system
        nodes, m1, out = system.plan.nodes, system.plan.m1, []
        of_nodes = self._elimination.node_blocks()
        for f, factor in enumerate(system.factors):
            k = factor.k
            at = system.plan.starts[f]
            blocks = np.zeros((len(at), k, k))
            is_node = at < m1
            first = nodes.dptr[nodes.node_of[at[is_node]]]
            blocks[is_node] = of_nodes[first[:, None] + np.arange(k * k)].reshape(-1, k, k)
            if not is_node.all():
                root = self._root_of(self._dense_roots, f)
                blocks[~is_node] = root @ self._blocks_of(self._dense, f) @ root.T
            out.append(blocks)
        return out

    def inverse_blocks(
        self, factors: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], dict[tuple[int, int], np.ndarray]]:
        """Return K of each level with itself, and of the pairs of levels that occur together.

        Returns
        -------
        list of arrays (q, k, k), one for each grouping factor
        dict of (f, g) to array (m, k_f, k_g), as the pairs of the cross-products
        """
        system, plan = self.system, self.system.plan
        cross = np.zeros(len(system.numbers.vals))
        self.diagonal_blocks(factors, cross)
        pairs = {key: np.empty_like(pair.values) for key, pair in system.pairs.items()}
        for place in plan.entries:
            values = cross[place.at]
            late = plan.starts[place.col_factor][self._levels(place, of_rows=False)]
            of_dense = late >= plan.m1
            if of_dense.any():
                root = self._root_of(self._dense_roots, place.col_factor)
                values[of_dense] = values[of_dense] @ root.T
            _put(pairs, place, values)
        for place in plan.base:
            f, g = place.row_factor, place.col_factor
            if place.own:
                continue
            rows = plan.starts[f][self._levels(place, of_rows=True)] - plan.m1
            cols = plan.starts[g][self._levels(place, of_rows=False)] - plan.m1
            row = rows[:, None, None] + np.arange(system.factors[f].k)[:, None]
            col = cols[:, None, None] + np.arange(system.factors[g].k)
            inner = self._dense[np.maximum(row, col), np.minimum(row, col)]
            left, right = self._root_of(self._dense_roots, f), self._root_of(self._dense_roots, g)
            _put(pairs, place, left @ inner @ right.T)
        return self._conditional_covariances(), pairs

    def _levels(self, place: Placement, of_rows: bool) -> np.ndarray:
        """Return the level of the rows, or of the columns, of each block of a placement."""
        pair = self.system.pairs[place.source]
        return (pair.rows if of_rows != place.flipped else pair.cols)[place.index]


def _put(pairs: dict[tuple[int, int], np.ndarray], place: Placement, values: np.ndarray) -> None:
    pairs[place.source][place.index] = values.transpose(0, 2, 1) if place.flipped else values


def _symmetric_roots(
    covariances: np.ndarray, ks: Sequence[int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return U diag(size) with G = U diag(size²) U', and the sizes, of each factor."""
    out, sizes = np.zeros_like(covariances), []
    for f, k in enumerate(ks):
        values, vectors = eigh(covariances[f, :k, :k])
        size = np.sqrt(np.maximum(values, 0.0))
        out[f, :k, :k] = vectors * size
        sizes.append(size)
    return out, sizes

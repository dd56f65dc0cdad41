"""The crossed engine: criterion and derivatives for any set of grouping factors.

With ``Ω = Λ'Z'ZΛ + I = LL'`` (Λ the factors of all covariance matrices, in the order of elimination)
and ``T = L⁻¹Λ'Z'[X y]``: ``log|V| = log|Ω|``, ``[X y]'V⁻¹[X y] = [X y]'[X y] − T'T``,
``Z'V⁻¹[X y] = Z'[X y] − Z'Z K Z'[X y]`` with ``K = ΛΩ⁻¹Λ'``, ``C = Z'V⁻¹Z = Z'Z − Z'Z K Z'Z``. Only Λ is
used, never its inverse, but where it is far from singular.

As in the grouped engine all derivatives are in the entries γ of the lower triangles of the G_t. The
Hessian is exact for a model of few columns; else it is the average information, the mean of observed
and expected information (Gilmour, Thompson and Cullis 1995), which needs no traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from threading import RLock
from typing import Any

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf, dpotri

from .._dense import cholesky_inverse
from ..crossproducts.crossed import CrossedProducts, FactorProducts
from ..errors import DesignError
from ..extension.matrices import eigh, lower_indices, symmetric
from ..parallel import map_chunks
from ._crossed import Elimination
from .crossed_derivatives import CrossedDerivatives, alone, vanish
from .grouped import SMALLEST, State, TermShape, zero_words
from .moments import frobenius
from .structure import Structure, check_memory
from .symbolic import Symbolic, analyse, order_of_factors

SMALL = 1e-5  # variance times rows per level below which I − Ω⁻¹ has lost too many digits


class CrossedEngine(CrossedDerivatives):
    """Criterion and derivatives from the cross-products of several factors.

    Parameters
    ----------
    cp : CrossedProducts
    term_sizes : sequence of int
        Columns per level of each term.
    centred : bool
        Whether columns may stay shifted along a constant first one, as they were read.

    Raises
    ------
    DesignError
        A column that is zero everywhere, or more columns than fit into memory.
    """

    def __init__(
        self, cp: CrossedProducts, term_sizes: Sequence[int], centred: bool = False
    ) -> None:
        self.n = cp.n
        kept = cp.basis.kept
        self.p = len(kept)
        index = np.append(kept, len(cp.basis.order))
        total = symmetric(cp.total)
        self.residual = float(total[-1, -1])  # least squares
        self.total = np.ascontiguousarray(total[np.ix_(index, index)])
        self.factors = cp.factors
        self._shifted = centred
        self.terms, units = self._units(cp, term_sizes)
        self.n_coordinates = self.terms[-1].coordinates.stop
        ks = [f.k for f in cp.factors]
        counts = [f.counts for f in cp.factors]
        check_memory(cp, *order_of_factors(ks, counts, cp.pairs))
        blocks = [u.T @ symmetric(f.s) @ u for f, u in zip(cp.factors, units)]
        pairs = {
            (f, g): type(p)(p.rows, p.cols, units[f].T @ p.values @ units[g])
            for (f, g), p in cp.pairs.items()
        }
        self.symbolic: Symbolic = analyse(ks, counts, blocks, pairs)
        self.columns = self.symbolic.m1 + self.symbolic.m2
        self.rank = min(self.columns, self.n)
        self.within: np.ndarray | None = None  # of the variation inside all levels nothing is known
        places = [(f, at, t.k) for (f, at), t in zip(self.factors_of_terms, self.terms)]
        self._frobenius = frobenius(places, blocks, pairs)
        self._elimination = Elimination(self.symbolic.arrays)
        self.zxy = np.empty((self.columns, self.p + 1))
        self.index: list[np.ndarray] = [np.empty(0)] * len(self.terms)
        for f, (factor, unit) in enumerate(zip(cp.factors, units)):
            at = self.symbolic.starts[f]
            w = unit.T @ factor.w[:, :, index]
            self.zxy[at[:, None] + np.arange(ks[f])] = w
            first = 0
            for t, size in zip(factor.terms, factor.sizes):
                self.index[t] = at[:, None] + first + np.arange(size)
                first += size
        self._dense = self._empty_triangle()
        self._t = np.empty_like(self.zxy)
        self._base = self.symbolic.base_values.copy()
        self._zz: np.ndarray | None = None  # of a model of few columns, Z'Z as a whole
        if self.is_exact:
            self._zz = self._multiply(np.eye(self.columns))
        self._lock = RLock()
        self._log_det = np.nan
        self._held: bytes | None = None  # of the factors whose factorisation the workspace holds

    def _units(
        self, cp: CrossedProducts, sizes: Sequence[int]
    ) -> tuple[list[TermShape], list[np.ndarray]]:
        """Return the shape of each term and (stored Z)⁻¹(Z of the engine) of each factor."""
        bases: dict[int, np.ndarray] = {}
        levels: dict[int, int] = {}
        units = []
        for factor in cp.factors:
            raw_map = np.eye(factor.k) if self._shifted else factor.z_map
            full = symmetric(factor.s.sum(axis=0))
            square = ((full @ raw_map) * raw_map).sum(axis=0)
            users = ((full @ factor.z_map) * factor.z_map).sum(axis=0)
            self._refuse_zero(cp, factor, square, users)
            scale = np.array([2.0 ** -round(0.5 * log2(x / cp.n)) for x in square.tolist()])
            units.append(raw_map * scale)
            basis = (np.linalg.inv(factor.z_map) if self._shifted else np.eye(factor.k)) * scale
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
        return shapes, units

    def _refuse_zero(
        self, cp: CrossedProducts, factor: FactorProducts, square: np.ndarray, users: np.ndarray
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

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the lock, and the dense triangle, which is formed again when it is needed."""
        left_out = {"_dense": None, "_held": None, "_lock": None}
        return {**self.__dict__, **left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._dense = self._empty_triangle()
        self._lock = RLock()

    def _empty_triangle(self) -> np.ndarray:
        m2 = max(1, self.symbolic.m2)
        return np.zeros((m2, m2))

    @property
    def is_centred(self) -> bool:
        """Whether columns of Z are shifted along the constant one."""
        return self._shifted and any(bool(np.any(np.triu(f.z_map, 1))) for f in self.factors)

    @property
    def structure(self) -> Structure:
        """Order, storage and cost of an evaluation, for a person to read."""
        return Structure.of(self.factors, self.symbolic, self.p)

    @property
    def factors_of_terms(self) -> list[tuple[int, int]]:
        """Factor of each term, and its first column there."""
        out = [(0, 0)] * len(self.terms)
        for f, factor in enumerate(self.factors):
            firsts = np.cumsum([0, *factor.sizes])
            for t, first in zip(factor.terms, firsts.tolist()):
                out[t] = (f, first)
        return out

    # Factorisation

    def _factor_roots(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return Λ of each factor (factors, kmax, kmax): those of its terms side by side."""
        kmax = max(f.k for f in self.factors)
        out = np.zeros((len(self.factors), kmax, kmax))
        for f, factor in enumerate(self.factors):
            at = 0
            for t, size in zip(factor.terms, factor.sizes):
                out[f, at : at + size, at : at + size] = factors[t]
                at += size
        return out

    def _factorise(self, roots: np.ndarray, dense_roots: np.ndarray, unit: float = 1.0) -> float:
        """Eliminate the nodes and form the dense rest (before its Cholesky factor); return Σ log|N|.

        The dense columns are scaled by `dense_roots`.
        """
        self._held = None
        e, log_det = self._elimination, 0.0
        for bounds in self.symbolic.stages:

            def work(i: int, bounds: np.ndarray = bounds) -> float:
                return e.eliminate(roots, dense_roots, int(bounds[i]), int(bounds[i + 1]))

            log_det += float(np.sum(map_chunks(work, len(bounds) - 1)))
        if self.symbolic.m2:
            for block in self.symbolic.base:
                left = self._root_of(dense_roots, block.row_factor)
                right = self._root_of(dense_roots, block.col_factor)
                self._base[block.at] = left.T @ block.values @ right
            rows = self.symbolic.row_chunks

            def form(i: int) -> None:
                e.dense_rows(self._base, unit, self._dense, int(rows[i]), int(rows[i + 1]))

            map_chunks(form, len(rows) - 1)
        return log_det

    def _dense_starts(self, f: int) -> np.ndarray:
        """Return the first dense column of each level of a factor that was not peeled."""
        at = self.symbolic.starts[f]
        return at[at >= self.symbolic.m1] - self.symbolic.m1

    def _root_of(self, roots: np.ndarray, f: int) -> np.ndarray:
        k = self.factors[f].k
        return roots[f, :k, :k]

    def _hold(self, factors: Sequence[np.ndarray]) -> float:
        """Make the workspace hold the factorisation and T for the factors Λ_t; return log|Ω|."""
        key = b"".join(np.asarray(f, dtype=float).tobytes() for f in factors)
        if self._held == key:
            return self._log_det
        roots = self._factor_roots(factors)
        self._roots = roots
        self._covariances = roots @ roots.transpose(0, 2, 1)
        self._dense_roots, self._sizes = _symmetric_roots(
            self._covariances, [f.k for f in self.factors]
        )
        log_det = self._factorise(roots, self._dense_roots)
        if self.symbolic.m2 and np.isfinite(log_det):
            # Lower rows of a C array are the upper triangle of its Fortran view.
            _, info = dpotrf(self._dense.T, lower=0, overwrite_a=1, clean=0)
            if info:
                log_det = np.nan
            else:
                log_det += 2.0 * float(np.log(self._dense.diagonal()).sum())
        if not np.isfinite(log_det):
            return float("nan")
        self._t[:] = self.zxy
        self._forward(self._t)
        self._log_det = log_det
        self._held = key
        return log_det

    def _forward(self, rhs: np.ndarray) -> None:
        """Replace rhs (columns, r) by L⁻¹Λ' rhs."""
        m1 = self.symbolic.m1
        self._scale_dense(rhs, transposed=True)
        self._elimination.forward(rhs)
        if self.symbolic.m2:
            dtrsm(1.0, self._dense.T, rhs[m1:].T, side=1, lower=0, overwrite_b=1)

    def _backward(self, rhs: np.ndarray) -> None:
        """Replace T (columns, r) by Λ L'⁻¹ T."""
        m1 = self.symbolic.m1
        if self.symbolic.m2:
            dtrsm(1.0, self._dense.T, rhs[m1:].T, side=1, lower=0, trans_a=1, overwrite_b=1)
        self._elimination.backward(rhs)
        self._scale_dense(rhs, transposed=False)

    def _scale_dense(self, rhs: np.ndarray, transposed: bool) -> None:
        for f in self.symbolic.dense:
            root = self._root_of(self._dense_roots, f)
            where = self.symbolic.m1 + self._dense_starts(f)[:, None] + np.arange(len(root))
            rhs[where] = (root.T if transposed else root) @ rhs[where]

    def _multiply(self, x: np.ndarray) -> np.ndarray:
        """Return Z'Z x (columns, r)."""
        if self._zz is not None:
            product: np.ndarray = self._zz @ x
            return product
        out = np.empty_like(x)
        self._elimination.multiply(np.ascontiguousarray(x), self.symbolic.base_values, out)
        return out

    @alone
    def state(self, factors: Sequence[np.ndarray]) -> State | None:
        """Return the pieces of the criterion for the factors Λ_t; None where it is not finite."""
        if not vanish(factors):
            log_det = self._hold(factors)
            if not np.isfinite(log_det):
                return None
            gram = self.total - self._t.T @ self._t
        else:  # no random effects: nothing to eliminate
            log_det, gram = 0.0, self.total.copy()
        inverse, ok = cholesky_inverse(gram)
        return State(log_det, gram, inverse) if ok else None

    # Inverse

    def _traces(self) -> np.ndarray:
        """Return Σ_ℓ of the faces Z_ℓ'V⁻¹Z_ℓ of each factor (factors, kmax, kmax).

        The Cholesky factor of the dense rest is replaced by its inverse.
        """
        kmax = self._covariances.shape[1]
        exact = self._small_faces()
        m2 = self.symbolic.m2
        if m2:
            _, info = dpotri(self._dense.T, lower=0, overwrite_c=1)
            assert info == 0
        self._held = None
        total = np.zeros((len(self.factors), kmax, kmax))
        e = self._elimination
        for bounds in reversed(self.symbolic.stages):

            def work(i: int, bounds: np.ndarray = bounds) -> np.ndarray:
                part = np.zeros_like(self._covariances)
                ok = e.faces(
                    self._covariances, self._dense, int(bounds[i]), int(bounds[i + 1]), part
                )
                assert ok
                return part

            for part in map_chunks(work, len(bounds) - 1):
                total += part
        for f in self.symbolic.dense:
            k = self.factors[f].k
            if f in exact:
                total[f, :k, :k] += exact[f]
                continue
            faces = self._dense_faces(self._dense, f)
            if not len(faces):  # all its levels were peeled
                continue
            # Λ'CΛ = I − Ω⁻¹ with the symmetric root Λ = U diag(size).
            back = np.linalg.inv(self._root_of(self._dense_roots, f))
            total[f, :k, :k] += back.T @ (len(faces) * np.eye(k) - faces.sum(axis=0)) @ back
        return total

    def _dense_faces(self, matrix: np.ndarray, f: int) -> np.ndarray:
        """Return the diagonal blocks (levels, k, k) of a factor in a lower triangle."""
        k = self.factors[f].k
        at = self._dense_starts(f)
        rows, cols = lower_indices(k)
        packed = np.zeros((len(at), k, k))
        packed[:, rows, cols] = matrix[at[:, None] + rows, at[:, None] + cols]
        return symmetric(packed)

    def _small_faces(self) -> dict[int, np.ndarray]:
        """Return Σ_ℓ Z_ℓ'V⁻¹Z_ℓ of the dense factors whose Λ is nearly singular.

        I − Ω⁻¹ says nothing where Λ is zero. With S the dense rest for Λ̃, which has unit columns in
        place of the small ones (Λ = Λ̃ E), the faces of S − S E Ω⁻¹ E S are those of Λ̃'CΛ̃.
        """
        n = self.n
        small = [
            f for f in self.symbolic.dense
            if self._sizes[f].min() ** 2 * n < SMALL * len(self.factors[f].labels)
            and len(self._dense_starts(f))
        ]  # fmt: skip
        if not small:
            return {}
        m2 = self.symbolic.m2
        log_det, key, held = self._log_det, self._held, self._dense.copy()
        unit_roots, scale = self._dense_roots.copy(), np.ones(m2)
        for f in small:
            k = self.factors[f].k
            sizes = self._sizes[f]
            tiny = sizes**2 * n < SMALL * len(self.factors[f].labels)
            _, directions = eigh(self._root_of(self._covariances, f))
            unit_roots[f, :k, :k] = directions * np.where(tiny, 1.0, sizes)
            at = self._dense_starts(f)
            scale[at[:, None] + np.arange(k)] = np.where(tiny, sizes, 1.0)
        self._factorise(self._roots, unit_roots, 0.0)
        row, out = np.arange(m2), {}
        for f in small:
            k = self.factors[f].k
            at = self._dense_starts(f)
            columns = (at[:, None] + np.arange(k)).ravel()
            below = row[:, None] >= columns
            x = np.where(below, self._dense[:, columns], self._dense[columns].T)
            x = np.asfortranarray(scale[:, None] * x)
            x = dtrsm(1.0, held.T, x, lower=0, trans_a=1, overwrite_b=1).T.reshape(len(at), k, m2)
            faces = self._dense_faces(self._dense, f)
            total = (faces - x @ x.transpose(0, 2, 1)).sum(axis=0)
            back = np.linalg.inv(unit_roots[f, :k, :k])
            out[f] = back.T @ total @ back
        self._factorise(self._roots, self._dense_roots)  # the nodes as they were
        self._dense[:] = held
        self._log_det, self._held = log_det, key
        return out

    @alone
    def conditional_covariances(self, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return K_ℓℓ = (ΛΩ⁻¹Λ')_ℓℓ of each factor (q, k, k), in the engine's units."""
        if vanish(factors):
            return [np.zeros((len(f.labels), f.k, f.k)) for f in self.factors]
        self._hold(factors)
        self._traces()
        arrays, out = self.symbolic.arrays, []
        m1 = self.symbolic.m1
        for f, factor in enumerate(self.factors):
            k = factor.k
            at = self.symbolic.starts[f]
            faces = np.zeros((len(at), k, k))
            nodes = at < m1
            first = arrays["dptr"][arrays["node_of"][at[nodes]]]
            faces[nodes] = arrays["selfk"][first[:, None] + np.arange(k * k)].reshape(-1, k, k)
            if not nodes.all():
                root = self._root_of(self._dense_roots, f)
                faces[~nodes] = root @ self._dense_faces(self._dense, f) @ root.T
            out.append(faces)
        return out

    @alone
    def joint(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return K = ΛΩ⁻¹Λ' (columns, columns), in the order of elimination."""
        out = np.eye(self.columns)
        if vanish(factors):
            return np.zeros_like(out)
        self._hold(factors)
        self._forward(out)
        self._backward(out)
        return out

    @alone
    def solution(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """Return K Z'[X y] (columns, p + 1): the random effects of each column of [X y]."""
        if vanish(factors):
            return np.zeros_like(self.zxy)
        self._hold(factors)
        out = self._t.copy()
        self._backward(out)
        return out


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

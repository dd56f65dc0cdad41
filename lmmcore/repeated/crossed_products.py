"""Cross-products [Z X y]'R⁻¹[Z X y] where groups of residuals have rows in several levels of a factor.

With ``v_ij`` the entries of R⁻¹ between the rows of a group, a_i = [z; x; y] of row i and ``Ω = ∂d/∂A``,

    A = Σ v_ij a_ia_j',   ∂d/∂v_ij = a_i'Ωa_j,

so that A is linear in the entries of R⁻¹, and Ω is needed only where A has entries: at the pairs of levels
whose rows are in one group. R⁻¹ of AR(1) couples neighbors only, and its other pairs are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from ..crossproducts.crossed import CrossedProducts, PairProducts
from ..influence.deletions import Rows
from ..likelihood.products import ProductDerivative
from .products import determinant_of, moved_products
from .structure import Structure

DRAWS = 4  # matrices by which entries of R⁻¹ that are always zero are found
NOTHING = 1e-10  # entry of R⁻¹, relative to the largest, that is zero
AT_ONCE = 1 << 18  # pairs of rows whose forms are computed at a time


@dataclass(frozen=True, eq=False)
class Coupled:
    """Pairs of rows with an entry in R⁻¹, those of one pattern side by side, each pair once.

    Attributes
    ----------
    first, second : int arrays (e,)
        The two rows; equal for the diagonal.
    of_pattern : list of (a, b, slice)
        For each pattern, the two positions of each of its entries, and where their pairs of rows are,
        entry by entry.
    """

    first: np.ndarray
    second: np.ndarray
    of_pattern: list[tuple[np.ndarray, np.ndarray, slice]]

    @property
    def twice(self) -> np.ndarray:
        """How often each pair stands in R⁻¹ (e,)."""
        return np.where(self.first == self.second, 1.0, 2.0)


def coupled_rows(structure: Structure, all_pairs: bool) -> Coupled:
    """Return the pairs of rows that R⁻¹ couples for some parameters."""
    rng = np.random.default_rng(0)
    first, second, of_pattern, at = [], [], [], 0
    for pattern in structure.patterns:
        t = len(pattern.values)
        mask = np.full((t, t), all_pairs)
        for start in structure.starts * DRAWS:
            matrix = structure.matrix(start + 0.5 * rng.standard_normal(len(start)), pattern)
            inverse = np.abs(np.linalg.inv(matrix))
            mask |= inverse > NOTHING * inverse.max()
        a, b = np.nonzero(np.triu(mask | mask.T | np.eye(t, dtype=bool)))
        first.append(pattern.rows[:, a].T.ravel())
        second.append(pattern.rows[:, b].T.ravel())
        of_pattern.append((a, b, slice(at, at + len(first[-1]))))
        at += len(first[-1])
    return Coupled(np.concatenate(first), np.concatenate(second), of_pattern)


class CrossedResidualProducts:
    """The cross-products of a model for any parameters of a residual structure across levels.

    Parameters
    ----------
    cp : CrossedProducts
        Those without the structure, which give the basis and the levels.
    rows : Rows
    structure : Structure
    all_pairs : bool
        Whether to couple all rows of a group, not those alone that the structure does.
    """

    def __init__(
        self, cp: CrossedProducts, rows: Rows, structure: Structure, all_pairs: bool = False
    ) -> None:
        self.cp, self.structure, self.whole = cp, structure, rows
        n = len(rows.xy)
        self.coupled = coupled = coupled_rows(structure, all_pairs)
        off = coupled.first != coupled.second
        self._symmetric = _numbered(
            np.concatenate([coupled.first, coupled.second[off]]),
            np.concatenate([coupled.second, coupled.first[off]]),
            np.concatenate([np.arange(len(off)), np.flatnonzero(off)]),
            (n, n),
        )
        self._of_levels = [
            _rows_of_levels(z, levels, len(f.labels))
            for z, levels, f in zip(rows.z, rows.levels, cp.factors)
        ]
        self._own: list[
            csr_array
        ] = []  # from entries of R⁻¹ to the blocks of levels with themselves
        self._pairs: dict[tuple[int, int], csr_array] = {}
        self.pairs: dict[tuple[int, int], PairProducts] = {}
        for f in range(len(cp.factors)):
            self._add_own(f)
            for g in range(f, len(cp.factors)):
                self._add_pairs(f, g)

    def _add_own(self, f: int) -> None:
        i, j, levels = self.coupled.first, self.coupled.second, self.whole.levels[f]
        same = np.flatnonzero(levels[i] == levels[j])
        off = same[i[same] != j[same]]
        entry = np.concatenate([same, off])
        left = np.concatenate([i[same], j[off]])
        right = np.concatenate([j[same], i[off]])
        q = len(self.cp.factors[f].labels)
        self._own.append(self._map(f, f, levels[left], entry, left, right, q))

    def _add_pairs(self, f: int, g: int) -> None:
        i, j, levels = self.coupled.first, self.coupled.second, self.whole.levels
        entry = np.arange(len(i))
        if f == g:  # each pair once, the lower level first
            ordered = levels[f][i] < levels[f][j]
            left, right = np.where(ordered, i, j), np.where(ordered, j, i)
            apart = levels[f][i] != levels[f][j]
            left, right, entry = left[apart], right[apart], entry[apart]
            if not len(entry):
                return
        else:
            off = np.flatnonzero(i != j)
            left, right = np.concatenate([i, j[off]]), np.concatenate([j, i[off]])
            entry = np.concatenate([entry, off])
        width = len(self.cp.factors[g].labels)
        keys = levels[f][left].astype(np.int64) * width + levels[g][right]
        unique, block = np.unique(keys, return_inverse=True)
        shape = (len(unique), self.cp.factors[f].k, self.cp.factors[g].k)
        self.pairs[f, g] = PairProducts(
            (unique // width).astype(np.int32), (unique % width).astype(np.int32), np.zeros(shape)
        )
        self._pairs[f, g] = self._map(f, g, block, entry, left, right, len(unique))

    def _map(
        self, f: int, g: int, block: np.ndarray, entry: np.ndarray, left: np.ndarray,
        right: np.ndarray, blocks: int,
    ) -> csr_array:  # fmt: skip
        """Return the map (blocks · k · l, e) from entries of R⁻¹ to blocks Σ v z_left z_right'."""
        z, w = self.whole.z[f], self.whole.z[g]
        k, width = z.shape[1], w.shape[1]
        values = z[left][:, :, None] * w[right][:, None, :]
        place = block[:, None] * (k * width) + np.arange(k * width)
        column = np.repeat(entry, k * width)
        shape = (blocks * k * width, len(self.coupled.first))
        return csr_array((values.ravel(), (place.ravel(), column)), shape=shape)

    def _entries(self, u: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Return the entries of R⁻¹ (e,) and log|R|; None where R is singular."""
        structure, coupled = self.structure, self.coupled
        found = determinant_of(structure, u, structure.patterns)
        if found is None:
            return None
        log_det, roots = found
        out = np.empty(len(coupled.first))
        for pattern, root, (a, b, at) in zip(structure.patterns, roots, coupled.of_pattern):
            half = np.linalg.inv(root)
            inverse = half.T @ half
            size = float(np.abs(inverse).max())
            rest = inverse.copy()
            rest[a, b] = rest[b, a] = 0.0
            if np.abs(rest).max() > 1e2 * NOTHING * size:  # never for the structures that we know
                self.__init__(self.cp, self.whole, structure, all_pairs=True)  # type: ignore[misc]
                return self._entries(u)
            out[at] = np.repeat(inverse[a, b], len(pattern.rows))
        log_sd = structure.log_sd(u)
        if log_sd is not None:
            out *= np.exp(-log_sd[coupled.first] - log_sd[coupled.second])
        return out, log_det

    def at(self, u: np.ndarray) -> CrossedProducts | None:
        """Return the cross-products for parameters u; None where R is singular."""
        found = self._entries(u)
        if found is None:
            return None
        v, log_det = found
        cp, xy = self.cp, self.whole.xy
        inverse = _with_numbers(self._symmetric, v)
        solved = inverse @ xy
        factors = tuple(
            replace(
                f, s=np.tril((own @ v).reshape(f.s.shape)), w=(rows @ solved).reshape(f.w.shape)
            )
            for f, own, rows in zip(cp.factors, self._own, self._of_levels)
        )
        pairs = {
            key: replace(p, values=(self._pairs[key] @ v).reshape(p.values.shape))
            for key, p in self.pairs.items()
        }
        return replace(
            cp, log_weights=cp.log_weights - log_det, total=np.tril(xy.T @ solved), factors=factors,
            pairs=pairs,
        )  # fmt: skip

    def gradient(self, u: np.ndarray, derivative: ProductDerivative) -> np.ndarray:
        """Return the gradient (m,) of criterion and log|R|, for ∂d/∂A at the same parameters."""
        structure, coupled, m = self.structure, self.coupled, self.structure.n_correlation
        of_entries = self._forms(derivative)  # ∂d/∂v
        log_sd = structure.log_sd(u)
        out = np.zeros(structure.n_parameters)
        if log_sd is not None:
            of_entries = of_entries * np.exp(-log_sd[coupled.first] - log_sd[coupled.second])
            of_rows = np.zeros(len(log_sd))
        for pattern, (a, b, at) in zip(structure.patterns, coupled.of_pattern):
            inverse = np.linalg.inv(structure.matrix(u, pattern))
            own = of_entries[at].reshape(len(a), len(pattern.rows))
            sums = np.zeros_like(inverse)
            sums[a, b] += 0.5 * own.sum(axis=1)
            sums = sums + sums.T
            if m:
                weight = len(pattern.rows) * inverse - inverse @ sums @ inverse
                out[:m] += np.einsum("aij,ij->a", structure.slopes(u, pattern), weight)
            if log_sd is not None:
                share = (own * inverse[a, b][:, None]).ravel()
                for of_pair in (coupled.first, coupled.second):
                    of_rows += np.bincount(of_pair[at], share, len(of_rows))
        if log_sd is not None:
            out[m:] = structure.log_sd_slopes(u) @ (2.0 - of_rows)
        return out

    def _forms(self, derivative: ProductDerivative) -> np.ndarray:
        """Return ∂d/∂v of each pair of rows (e,)."""
        xy, first, second = self.whole.xy, self.coupled.first, self.coupled.second
        right = 0.5 * xy @ derivative.total
        for z, levels, zx in zip(self.whole.z, self.whole.levels, derivative.zx):
            right += np.einsum("ik,ikj->ij", z, zx[levels])
        out = np.empty(len(first))
        for at in range(0, len(first), AT_ONCE):
            i, j = first[at : at + AT_ONCE], second[at : at + AT_ONCE]
            out[at : at + AT_ONCE] = np.sum(right[i] * xy[j] + right[j] * xy[i], axis=1)
        out *= self.coupled.twice
        for own, zz in zip(self._own, derivative.zz):
            out += own.T @ zz.ravel()
        for key, of_pairs in self._pairs.items():
            out += 2.0 * (of_pairs.T @ derivative.pairs[key].ravel())
        return out

    @property
    def widths(self) -> list[int]:
        """Columns of each grouping factor."""
        return [z.shape[1] for z in self.whole.z]

    def rows(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return all rows [Z X y] (n, K), and the level of each row in each grouping factor."""
        return np.column_stack([*self.whole.z, self.whole.xy]), list(self.whole.levels)

    def moved(self, u: np.ndarray, effects: list[np.ndarray], kept: np.ndarray) -> np.ndarray:
        """Return [X y]'V⁻¹ ∂_aR V⁻¹[X y] (m, p + 1, p + 1); see `ResidualProducts.moved`."""
        rest = self.whole.xy[:, np.append(kept, len(self.cp.basis.order))]
        for z, levels, own in zip(self.whole.z, self.whole.levels, effects):
            rest = rest - np.einsum("ik,ikj->ij", z, own[levels])
        return moved_products(self.structure, u, rest)


def _rows_of_levels(z: np.ndarray, levels: np.ndarray, q: int) -> csr_array:
    """Return Z' (q · k, n) of a grouping factor."""
    n, k = z.shape
    place = levels[:, None].astype(np.int64) * k + np.arange(k)
    row = np.repeat(np.arange(n), k)
    return csr_array((z.ravel(), (place.ravel(), row)), shape=(q * k, n))


def _numbered(
    rows: np.ndarray, cols: np.ndarray, numbers: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """Return a sparse pattern whose data say where each value comes from."""
    return csr_array((numbers + 1.0, (rows, cols)), shape=shape)


def _with_numbers(pattern: csr_array, values: np.ndarray) -> csr_array:
    data = values[pattern.data.astype(np.intp) - 1]
    return csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)

"""Cross-products [Z X y]'R⁻¹[Z X y] as a function of the parameters of R, and the gradient that follows.

With ``A(u) = [Z X y]'R⁻¹[Z X y]``, the criterion is d(A) + log|R|. Its gradient needs ``Ω = ∂d/∂A`` alone:

    ∂/∂u_a = −tr(Ω [Z X y]'R⁻¹ ∂_aR R⁻¹[Z X y]) + tr(R⁻¹ ∂_aR).

Groups whose rows have the same coordinates share R.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..influence.deletions import Rows
from ..likelihood.products import ProductDerivative
from .structure import Pattern, Structure

FEW, MOST = 500, 6  # rows from which families are looked for, and how many matrices one may have
LINEAR = 1e-10  # singular value, relative to the largest, of a direction outside a family
SINGULAR = 3e-5  # ratio of two conditional standard deviations


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of the groups of one pattern.

    Attributes
    ----------
    pattern : Pattern
    w : array (groups, t, K)
        Rows [Z_1 … Z_f X y], times the roots of their weights.
    levels : list of int arrays (groups,)
        Level of each group in each grouping factor.
    pairs : dict
        Which block of pairs of levels each group has.
    family : Family or None
    """

    pattern: Pattern
    w: np.ndarray
    levels: list[np.ndarray]
    pairs: dict[tuple[int, int], np.ndarray]
    family: Family | None


@dataclass(frozen=True, eq=False)
class Family:
    """A few matrices of which R⁻¹ is a combination for all parameters, and the products with them.

    For AR(1) at unit spacing there are three, for compound symmetry two, however long the groups are. With
    them an evaluation reads no rows.

    Attributes
    ----------
    bases : array (J, t, t)
        B_j, orthonormal as vectors.
    products : array (J, groups, K, K)
        W_g'B_jW_g.
    """

    bases: np.ndarray
    products: np.ndarray

    @staticmethod
    def of(structure: Structure, pattern: Pattern, w: np.ndarray) -> Family | None:
        """Return the family of a pattern; None where there is none that saves work."""
        if structure.correlation is None or structure.variance is not None:
            return None
        groups, t, k = w.shape
        if groups * t <= FEW or t < 3 or pattern.values.ndim == 3:
            return None
        rng = np.random.default_rng(0)
        drawn = []
        for i in range(2 * MOST):
            start = structure.starts[i % len(structure.starts)]
            matrix = structure.matrix(start + 0.5 * rng.standard_normal(len(start)), pattern)
            inverse = np.linalg.inv(matrix)
            drawn.append((inverse / np.linalg.norm(inverse)).ravel())
        _, values, rows = np.linalg.svd(np.array(drawn), full_matrices=False)
        rank = int(np.sum(values > LINEAR * values[0]))
        if rank > MOST or rank * k >= 2 * t:
            return None
        bases = rows[:rank].reshape(rank, t, t)
        flat = np.ascontiguousarray(w.transpose(1, 0, 2)).reshape(t, groups * k)
        products = [
            w.swapaxes(1, 2) @ (b @ flat).reshape(t, groups, k).transpose(1, 0, 2) for b in bases
        ]
        return Family(bases, np.array(products))

    def coefficients(self, inverse: np.ndarray) -> np.ndarray | None:
        """Return c (J,) with R⁻¹ = Σ c_jB_j; None where R⁻¹ is no such combination."""
        c: np.ndarray = np.einsum("jab,ab->j", self.bases, inverse)
        rest = inverse - np.tensordot(c, self.bases, 1)
        return c if np.linalg.norm(rest) <= 1e2 * LINEAR * np.linalg.norm(inverse) else None


class ResidualProducts:
    """The cross-products of a model for any parameters of its residual structure.

    Parameters
    ----------
    cp : CrossProducts or CrossedProducts
        Those without the structure, which give the basis and the levels.
    rows : Rows
    structure : Structure
    """

    def __init__(
        self, cp: CrossProducts | CrossedProducts, rows: Rows, structure: Structure
    ) -> None:
        self.cp, self.structure = cp, structure
        self.widths = [z.shape[1] for z in rows.z]
        whole = np.column_stack([*rows.z, rows.xy])
        self.parts = []
        for pattern in structure.batches:
            first = pattern.rows[:, 0]
            levels = [own[first] for own in rows.levels]
            w = whole[pattern.rows]
            family = Family.of(structure, pattern, w)
            self.parts.append(Part(pattern, w, levels, self._pairs(levels), family))

    def rows(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return all rows [Z X y] (n, K), and the level of each row in each grouping factor."""
        n = len(self.structure.positions.groups)
        whole = np.empty((n, self.parts[0].w.shape[2]))
        levels = [np.empty(n, dtype=np.intp) for _ in self.widths]
        for part in self.parts:
            rows = part.pattern.rows
            whole[rows] = part.w
            for of_row, own in zip(levels, part.levels):
                of_row[rows] = own[:, None]
        return whole, levels

    def _pairs(self, levels: list[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
        if not isinstance(self.cp, CrossedProducts):
            return {}
        out = {}
        for (f, g), pair in self.cp.pairs.items():
            width = len(self.cp.factors[g].labels)
            keys = pair.rows.astype(np.int64) * width + pair.cols
            out[f, g] = np.searchsorted(keys, levels[f].astype(np.int64) * width + levels[g])
        return out

    def at(self, u: np.ndarray) -> CrossProducts | CrossedProducts | None:
        """Return the cross-products for parameters u; None where R is singular."""
        found = determinant_of(self.structure, u, self.structure.batches)
        if found is None:
            return None
        log_det, roots = found
        sums, log_sd = _Sums(self.cp, self.widths), self.structure.log_sd(u)
        for part, root in zip(self.parts, roots):
            sums.add(part, self._blocks(part, root, log_sd))
        return sums.products(self.cp.log_weights - log_det)

    @staticmethod
    def _by_family(part: Part, root: np.ndarray) -> np.ndarray | None:
        """Return the coefficients of R⁻¹ in the family of a part, if it has one."""
        if part.family is None:
            return None
        half = solve_triangular(root, np.eye(len(root)), lower=True, check_finite=False)
        return part.family.coefficients(half.T @ half)

    def _blocks(self, part: Part, root: np.ndarray, log_sd: np.ndarray | None) -> np.ndarray:
        """Return W'R⁻¹W of each group of a pattern (groups, K, K)."""
        if root.ndim == 3:
            white = np.linalg.solve(root, self._scaled(part, log_sd))
            return white.swapaxes(1, 2) @ white
        c = self._by_family(part, root)
        if c is not None and part.family is not None:
            found: np.ndarray = np.tensordot(c, part.family.products, 1)
            return found
        white = _whitened(root, self._scaled(part, log_sd))
        return white.swapaxes(1, 2) @ white

    def _scaled(self, part: Part, log_sd: np.ndarray | None) -> np.ndarray:
        if log_sd is None:
            return part.w
        scaled: np.ndarray = part.w * np.exp(-log_sd[part.pattern.rows])[:, :, None]
        return scaled

    def gradient(self, u: np.ndarray, derivative: ProductDerivative) -> np.ndarray:
        """Return the gradient (m,) of criterion and log|R|, for ∂d/∂A at the same parameters."""
        structure = self.structure
        log_sd, m = structure.log_sd(u), structure.n_correlation
        out = np.zeros(structure.n_parameters)
        of_rows = np.zeros(len(log_sd)) if log_sd is not None else None
        for part in self.parts:
            matrix = structure.matrix(u, part.pattern)
            inverse = np.linalg.inv(matrix)
            omega = self._omega(part, derivative)
            slopes = structure.slopes(u, part.pattern)
            if matrix.ndim == 3:
                w = self._scaled(part, log_sd)
                right = w @ omega
                solved = inverse @ right
                weight = inverse - solved @ (inverse @ w).swapaxes(1, 2)
                out[:m] += np.einsum("agij,gij->a", slopes, weight)
                if of_rows is not None:
                    of_rows[part.pattern.rows] = np.sum(w * solved, axis=2)
                continue
            count = len(part.w)
            if part.family is not None and part.family.coefficients(inverse) is not None:
                moved = -inverse @ slopes @ inverse  # ∂R⁻¹
                weights = np.einsum("gkl,jgkl->j", omega, part.family.products, optimize=True)
                out[:m] += np.einsum("akl,jkl->aj", moved, part.family.bases) @ weights
                out[:m] += count * np.einsum("aij,ji->a", slopes, inverse)
                continue
            w = self._scaled(part, log_sd)
            right = w @ omega
            if m:
                t = w.shape[1]
                inner = (
                    right.transpose(1, 0, 2).reshape(t, -1) @ w.transpose(1, 0, 2).reshape(t, -1).T
                )
                weight = count * inverse - inverse @ inner @ inverse
                out[:m] += np.einsum("aij,ij->a", slopes, weight)
            if of_rows is not None:
                of_rows[part.pattern.rows] = np.sum(right * (inverse @ w), axis=2)
        if of_rows is not None:
            out[m:] = structure.log_sd_slopes(u) @ (2.0 - 2.0 * of_rows)
        return out

    def moved(self, u: np.ndarray, effects: list[np.ndarray], kept: np.ndarray) -> np.ndarray:
        """Return [X y]'V⁻¹ ∂_aR V⁻¹[X y] (m, p + 1, p + 1) of the kept columns.

        Parameters
        ----------
        effects : list of arrays (q, k, p + 1)
            K Z'[X y] of each grouping factor.
        kept : int array (p,)
        """
        at, columns = self._slices(), sum(self.widths) + np.append(kept, len(self.cp.basis.order))
        rest = np.empty((len(self.structure.positions.groups), len(columns)))
        for part in self.parts:
            own_rest = part.w[:, :, columns]
            for where, own, levels in zip(at, effects, part.levels):
                own_rest = own_rest - part.w[:, :, where] @ own[levels]
            rest[part.pattern.rows] = own_rest
        return moved_products(self.structure, u, rest)

    def _omega(self, part: Part, derivative: ProductDerivative) -> np.ndarray:
        """Return Ω of each group of a pattern (groups, K, K)."""
        k = part.w.shape[2]
        out = np.zeros((len(part.w), k, k))
        x = slice(sum(self.widths), k)
        out[:, x, x] = derivative.total
        at = self._slices()
        for f, (where, levels) in enumerate(zip(at, part.levels)):
            out[:, where, where] = derivative.zz[f][levels]
            of_x = derivative.zx[f][levels]
            out[:, where, x], out[:, x, where] = of_x, of_x.swapaxes(1, 2)
        for (f, g), place in part.pairs.items():
            values = derivative.pairs[f, g][place]
            out[:, at[f], at[g]], out[:, at[g], at[f]] = values, values.swapaxes(1, 2)
        return out

    def _slices(self) -> list[slice]:
        ends = np.cumsum(self.widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, self.widths)]


class _Sums:
    """Sums of the blocks of groups into cross-products."""

    def __init__(self, cp: CrossProducts | CrossedProducts, widths: list[int]) -> None:
        self.cp, self.widths = cp, widths
        self.total = np.zeros_like(cp.total)
        parts: Any = cp.factors if isinstance(cp, CrossedProducts) else cp.blocks
        self.own = list(parts)[: len(widths)]
        self.s = [np.zeros_like(p.s) for p in self.own]
        self.w = [np.zeros_like(p.w) for p in self.own]
        self.pairs = (
            {key: np.zeros_like(p.values) for key, p in cp.pairs.items()}
            if isinstance(cp, CrossedProducts)
            else {}
        )

    def add(self, part: Part, blocks: np.ndarray) -> None:
        """Add the blocks of the groups of a pattern (groups, K, K)."""
        ends = np.cumsum(self.widths).tolist()
        at = [slice(end - width, end) for end, width in zip(ends, self.widths)]
        x = slice(sum(self.widths), blocks.shape[1])
        self.total += blocks[:, x, x].sum(axis=0)
        for f, (where, levels) in enumerate(zip(at, part.levels)):
            _add(self.s[f], levels, blocks[:, where, where])
            _add(self.w[f], levels, blocks[:, where, x])
        for (f, g), place in part.pairs.items():
            _add(self.pairs[f, g], place, blocks[:, at[f], at[g]])

    def products(self, log_weights: float) -> CrossProducts | CrossedProducts:
        """Return the cross-products."""
        cp = self.cp
        parts = tuple(replace(p, s=np.tril(s), w=w) for p, s, w in zip(self.own, self.s, self.w))
        total = np.tril(self.total)
        if isinstance(cp, CrossedProducts):
            pairs = {k: replace(p, values=self.pairs[k]) for k, p in cp.pairs.items()}
            return replace(cp, log_weights=log_weights, total=total, factors=parts, pairs=pairs)
        blocks = parts or cp.blocks
        return replace(cp, log_weights=log_weights, total=total, blocks=blocks)


def _add(out: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
    """Add blocks at positions, which may occur several times."""
    if np.all(at[1:] > at[:-1]):
        out[at] += values
    else:
        np.add.at(out, at, values)


def determinant_of(
    structure: Structure, u: np.ndarray, patterns: list[Pattern]
) -> tuple[float, list[np.ndarray]] | None:
    """Return log|R| and the Cholesky factor of each pattern's matrices; None where R is singular.

    Where a residual is almost determined by others, or has almost no variance, its row is divided by
    almost nothing, and the digits of the others are lost.
    """
    log_det, roots = 0.0, []
    for pattern in patterns:
        root = _root(structure.matrix(u, pattern))
        if root is None:
            return None
        diagonal = np.diagonal(root, axis1=-2, axis2=-1)
        if np.any(diagonal.min(axis=-1) < SINGULAR * diagonal.max(axis=-1)):
            return None
        times = len(pattern.rows) if root.ndim == 2 else 1
        log_det += 2.0 * times * float(np.log(diagonal).sum())
        roots.append(root)
    log_sd = structure.log_sd(u)
    if log_sd is not None:
        if np.ptp(log_sd) > -np.log(SINGULAR):
            return None
        log_det += 2.0 * float(log_sd.sum())
    return (log_det, roots) if np.isfinite(log_det) else None


def moved_products(structure: Structure, u: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return [X y]'V⁻¹ ∂_aR V⁻¹[X y] (m, p + 1, p + 1) for rows [X y] − Z K Z'R⁻¹[X y] (n, p + 1)."""
    log_sd, m = structure.log_sd(u), structure.n_correlation
    rest = rest if log_sd is None else rest * np.exp(-log_sd)[:, None]
    solved = np.empty_like(rest)
    out = np.zeros((structure.n_parameters, rest.shape[1], rest.shape[1]))
    for pattern in structure.patterns:
        own = np.linalg.inv(structure.matrix(u, pattern)) @ rest[pattern.rows]
        solved[pattern.rows] = own
        if m:
            slopes = structure.slopes(u, pattern)
            out[:m] += np.einsum("gia,mij,gjb->mab", own, slopes, own, optimize=True)
    if log_sd is not None:
        part = np.einsum("mi,ia,ib->mab", structure.log_sd_slopes(u), rest, solved, optimize=True)
        out[m:] = part + part.swapaxes(1, 2)
    return out


def _root(matrix: np.ndarray) -> np.ndarray | None:
    """Return the Cholesky factor, None where the matrix is not positive definite."""
    if not np.isfinite(matrix).all():
        return None
    try:
        root: np.ndarray = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    return root


def _whitened(root: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return L⁻¹ w of each group (groups, t, K)."""
    groups, t, k = w.shape
    if t == 1:
        return w / root[0, 0]
    flat = w.transpose(1, 0, 2).reshape(t, groups * k)
    out = solve_triangular(root, flat, lower=True, check_finite=False)
    found: np.ndarray = out.reshape(t, groups, k).transpose(1, 0, 2)
    return found

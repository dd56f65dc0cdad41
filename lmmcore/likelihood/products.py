"""The derivative of the criterion in the cross-products.

Let ``A = [Z X y]'W[Z X y]``, ``K = Λ(Λ'Z'ZΛ + I)⁻¹Λ'``, ``H = X'V⁻¹X``, ``U = [−K Z'X; I; 0]``
and ``c = [−b̂; −β̂; 1]``. At fixed Λ,

    ∂d/∂A = K + UH⁻¹U' + cc'/σ̂²        (ML: without UH⁻¹U'),

as β̂ and b̂ minimize the criterion and need no derivative of their own. For a row ``a = [z; x; y]`` of
weight w, ``w a'(K + UH⁻¹U')a`` is its leverage and ``c'a`` its conditional residual. The derivative is
formed at the entries that A has, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..linalg.matrices import symmetric
from .state import State


@dataclass(frozen=True, eq=False)
class ProductDerivative:
    """A symmetric matrix at the entries of cross-products, in their basis and their stored columns.

    Attributes
    ----------
    total : array (p + 1, p + 1)
        Entries of [X y]; zero for columns that the basis left out.
    zz : tuple of arrays (q, k, k)
        Entries of the columns of a level with themselves: for each block of groups, or for each
        grouping factor.
    zx : tuple of arrays (q, k, p + 1)
        Those of the columns of a level with [X y].
    pairs : dict of (int, int) to array (m, k_first, k_second)
        Of several grouping factors, those of the pairs of levels that occur together.
    """

    total: np.ndarray
    zz: tuple[np.ndarray, ...]
    zx: tuple[np.ndarray, ...]
    pairs: dict[tuple[int, int], np.ndarray]

    def trace(self, cp: CrossProducts | CrossedProducts) -> float:
        """Return the trace of the product with cross-products of the same entries."""
        parts: Sequence[Any] = cp.factors if isinstance(cp, CrossedProducts) else cp.blocks
        value = float(np.sum(self.total * symmetric(cp.total)))
        for part, zz, zx in zip(parts, self.zz, self.zx):
            value += float(np.sum(zz * symmetric(part.s)) + 2.0 * np.sum(zx * part.w))
        if isinstance(cp, CrossedProducts):
            for key, values in self.pairs.items():
                value += 2.0 * float(np.sum(values * cp.pairs[key].values))
        return value


@dataclass(frozen=True, eq=False)
class LowRank:
    """The part UH⁻¹U' and cc' of the derivative, row by row.

    Attributes
    ----------
    inverse_h : array (p, p)
        of_fixed · H⁻¹.
    solution : array (p + 1,)
        [−β̂; 1] in the basis.
    of_residual : float
    kept : int array (p + 1,)
        Positions of the kept columns, and of y, in the cross-products.
    width : int
        Columns of the cross-products.
    """

    inverse_h: np.ndarray
    solution: np.ndarray
    of_residual: float
    kept: np.ndarray
    width: int

    @classmethod
    def at(
        cls, state: State, of_fixed: float, of_residual: float, kept: np.ndarray, width: int
    ) -> LowRank:
        """Build from the pieces of the criterion."""
        inverse = state.inverse[:-1, :-1]
        h = of_fixed * inverse.T @ inverse
        return cls(h, state.solution, of_residual, np.append(kept, width - 1), width)

    def total(self) -> np.ndarray:
        """Return the entries of [X y]."""
        p = len(self.inverse_h)
        inner = self.of_residual * np.outer(self.solution, self.solution)
        inner[:p, :p] += self.inverse_h
        out = np.zeros((self.width, self.width))
        out[np.ix_(self.kept, self.kept)] = inner
        return out

    def zx(self, kz: np.ndarray) -> np.ndarray:
        """Return the entries of Z with [X y] for K Z'[X y] (..., p + 1) of kept columns."""
        p = len(self.inverse_h)
        flat = kz.reshape(-1, p + 1)  # one large product
        inner = np.outer(flat @ self.solution, -self.of_residual * self.solution)
        inner[:, :p] -= flat[:, :p] @ self.inverse_h
        out = np.zeros((len(flat), self.width))
        out[:, self.kept] = inner
        return out.reshape(*kz.shape[:-1], self.width)

    def zz(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return the entries of levels with levels (m, k, l) for K Z'[X y] (m, k, p + 1), (m, l, p + 1)."""
        p = len(self.inverse_h)
        a = np.concatenate([self.inverse_h, np.zeros((1, p))])
        both = np.column_stack([a, self.solution])  # H⁻¹, and the residual
        moved = (left.reshape(-1, p + 1) @ both).reshape(*left.shape[:-1], p + 1)
        moved[..., p] *= self.of_residual
        other = right.copy()
        other[..., p] = right @ self.solution
        product: np.ndarray = np.einsum("mkp,mlp->mkl", moved, other)
        return product


def quadratic_forms(
    derivative: ProductDerivative,
    codes: Sequence[np.ndarray],
    z: Sequence[np.ndarray],
    xy: np.ndarray,
    pairs: dict[tuple[int, int], np.ndarray] | None = None,
) -> np.ndarray:
    """Return a'Ωa for rows a = [z; x; y] (m,).

    Parameters
    ----------
    codes : sequence of int arrays (m,)
        Level of each row in each part.
    z : sequence of arrays (m, k)
        Stored columns of each part.
    xy : array (m, p + 1)
        Rows of [X y] in the basis.
    pairs : dict
        For each pair of parts, which of its blocks each row has.
    """
    out: np.ndarray = np.einsum("ij,jk,ik->i", xy, derivative.total, xy)
    for code, columns, zz, zx in zip(codes, z, derivative.zz, derivative.zx):
        out += np.einsum("ia,iab,ib->i", columns, zz[code], columns)
        out += 2.0 * np.einsum("ia,iaj,ij->i", columns, zx[code], xy)
    for (f, g), at in (pairs or {}).items():
        out += 2.0 * np.einsum("ia,iab,ib->i", z[f], derivative.pairs[f, g][at], z[g])
    return out

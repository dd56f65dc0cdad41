"""The cross-products of a model in which one fixed effect is held at a value; no row is read.

With β_j = b the model is that of ``y − b x_j`` on the other columns of X. All of these are combinations of
the columns whose products are known.
"""

from __future__ import annotations

from dataclasses import replace
from math import log2, sqrt

import numpy as np

from ..linalg.matrices import symmetric
from .basis import Basis
from .crossed import CrossedProducts
from .crossproducts import CrossProducts


def with_held_column(
    cp: CrossProducts | CrossedProducts, column: int, value: float
) -> CrossProducts | CrossedProducts:
    """Return the cross-products of ``y − value · x_column`` and the other columns of X.

    Columns that others determine are left out.

    Parameters
    ----------
    column : int
        Number of the column of X, one of those that are kept.
    value : float
        Its coefficient.
    """
    whole = symmetric(cp.total)
    change = _change(cp.basis, float(whole[-1, -1]), column, value, cp.n)
    total = change.T @ whole @ change
    kept = [int(c) for c in cp.basis.order[cp.basis.kept] if c != column]
    names = tuple(cp.fixed_names[c] for c in sorted(kept))
    basis = _basis(cp.basis, column, change, kept)
    if isinstance(cp, CrossedProducts):
        factors = tuple(replace(f, w=np.ascontiguousarray(f.w @ change)) for f in cp.factors)
        return replace(cp, basis=basis, total=total, factors=factors, fixed_names=names)
    blocks = tuple(replace(b, w=np.ascontiguousarray(b.w @ change)) for b in cp.blocks)
    return replace(cp, basis=basis, total=total, blocks=blocks, fixed_names=names)


def _change(basis: Basis, square: float, column: int, value: float, n: int) -> np.ndarray:
    """Return the matrix (p + 1, kept columns) from rows in the basis to rows in the new one.

    `square` is the sum of squares of the residual of y in the basis.
    """
    p, kept = len(basis.order), basis.kept
    at = int(np.flatnonzero(basis.order[kept] == column)[0])
    raw = np.linalg.inv(basis.map[np.ix_(np.append(kept, p), np.append(kept, p))])
    # raw[:, i] is a column as it was given in the basis; those after x_j are made orthonormal without it.
    rest = raw[at:-1, at + 1 : -1]
    q, r = np.linalg.qr(rest, mode="complete")
    m = rest.shape[1]
    signs = np.where(np.diag(r)[:m] < 0.0, -1.0, 1.0)
    out = np.zeros((p + 1, len(kept)))
    out[kept[:at], np.arange(at)] = 1.0
    out[kept[at:], at : at + m] = q[:, :m] * signs
    # The residual of y − value x_j is that of y, and what X without x_j leaves of X.
    left = q[:, m]
    last = left * float(left @ (raw[at:-1, -1] - value * raw[at:-1, at]))
    size = sqrt(float(last @ last) + square * raw[-1, -1] ** 2)
    power = 2.0 ** round(log2(sqrt(n) / size))
    out[kept[at:], -1] = power * last
    out[p, -1] = power * raw[-1, -1]
    return out


def _basis(basis: Basis, column: int, change: np.ndarray, kept: list[int]) -> Basis:
    """Return the basis of the columns that are left, numbered without the others, for raw rows."""
    p, place = len(basis.order), {c: i for i, c in enumerate(sorted(kept))}
    rows = [*(i for i in basis.kept if basis.order[i] != column), p]
    order = np.array([place[int(basis.order[i])] for i in rows[:-1]], dtype=np.intp)
    new = (basis.map @ change)[rows]
    return Basis(order, new, (), np.zeros(len(rows)), new)

"""The basis in which cross-products are formed.

Raw columns may share many leading digits, or nearly determine each other. Their
cross-products would lose twice as many digits. So rows are read as ``(row - shift) @
matrix``, with a constant column first if there is one. In this basis, the columns are
orthonormal, and the response is its residual from ordinary least squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2, sqrt

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..errors import DataValueError, DesignError
from ..linalg._dense import orthonormal

EPSILON = float(np.finfo(float).eps)
SMALLEST, LARGEST = 1e-150, 1e150
"""Mean squares whose own squares, which standard errors of variances need, are ordinary numbers."""
RANK_TOLERANCE = 1e-7
"""A column is dependent when less than this part of its length is new, as in R's ``lm``."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The map from raw rows ``[X y]`` to the rows whose cross-products are kept.

    Attributes
    ----------
    order : int array (p,)
        Column of X at each position; a constant column comes first.
    map : array (p + 1, p + 1), upper triangular
        ``raw[order] @ map`` is the transformed row.
    dependent : tuple of int
        Positions of columns that others determine. These are scaled, but not
        orthogonalized, and no other column of the basis depends on them.
    shift : array (p + 1,)
    matrix : array (p + 1, p + 1), upper triangular
        The map in the form ``(raw[order] - shift) @ matrix``, which loses no digits of columns far from zero.
    """

    order: np.ndarray
    map: np.ndarray
    dependent: tuple[int, ...]
    shift: np.ndarray
    matrix: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Positions of the columns that are kept."""
        p = len(self.order)
        if not self.dependent:
            return np.arange(p)
        return np.array([j for j in range(p) if j not in self.dependent], dtype=np.intp)


def fit_basis(
    gram: np.ndarray,
    shift: np.ndarray,
    order: np.ndarray,
    constant: float | None,
    n: int,
    rows: Callable[[], np.ndarray],
) -> tuple[Basis, np.ndarray]:
    """Choose the basis from the cross-products of the shifted columns.

    Parameters
    ----------
    gram : array (p + 1, p + 1)
        Cross-products of ``[X y] - shift``, X in `order`.
    shift : array (p + 1,)
        Zero at the constant column; all zero when there is none.
    constant : float or None
        Value of the constant column at position 0.
    n : int
        Number of rows.
    rows : callable
        Returns the shifted, weighted rows of X; called only when the cross-products cannot
        tell whether a column is dependent.

    Returns
    -------
    Basis, and the upper triangular matrix that shifted rows are multiplied by.
    """
    p = len(order)
    norms = np.sqrt(gram.diagonal())
    if norms[p] == 0.0:
        raise DesignError(
            "the response is constant (or its squares are below the smallest floating point number), so "
            "there is nothing to explain; expected values that vary, of ordinary size"
        )
    sizes = norms.tolist()
    if min(sizes) < (SMALLEST * n) ** 0.5 or max(sizes) > (LARGEST * n) ** 0.5:
        _refuse_extreme(gram.diagonal() / n)
    # What rounding leaves of a column that equals its shift counts as nothing.
    of_ones = sqrt(n) if constant is None else norms[0] / abs(constant)  # weights count
    vanishing = norms[:p] <= 8 * EPSILON * of_ones * np.abs(shift[:p])
    dependent: tuple[int, ...] = ()
    matrix, pivot = orthonormal(gram)  # the last column is the residual of y
    if pivot <= 3e-5 or True in vanishing.tolist():
        length = np.where(norms > 0.0, norms, 1.0)
        x = rows()
        if any(norms[j] == 0.0 and np.any(x[:, j]) for j in range(p)):
            raise _extreme("a column of exog", 0.0)
        matrix, dependent = _by_rows(x, gram, vanishing, length)
    last = float(matrix[p, p])
    matrix[:, p] *= 2.0 ** round(log2(last * sqrt(n))) / last
    basis_map = matrix
    if constant is not None:
        basis_map = matrix.copy()
        basis_map[0] -= (shift[1:] / constant) @ matrix[1:]
    return Basis(order, basis_map, dependent, shift, matrix), matrix


def _refuse_extreme(squares: np.ndarray) -> None:
    """Refuse columns of X and a response (the last) of sizes that cannot be squared twice."""
    extreme = (squares > LARGEST) | ((squares < SMALLEST) & (squares > 0.0))
    if extreme.any():
        what = "the response" if extreme[-1] else "a column of exog"
        raise _extreme(what, float(squares[extreme][-1]))


def _extreme(what: str, square: float) -> DataValueError:
    return DataValueError(
        f"the mean square of {what} (with the weights, if there are any) is {square:.1g}; expected "
        f"{SMALLEST:g} to {LARGEST:g}, because its square must not overflow or underflow. Rescale the "
        "columns of the data, or the weights"
    )


def _by_rows(
    x: np.ndarray, gram: np.ndarray, vanishing: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Orthogonalize the columns themselves, in order and twice; find the dependent ones."""
    n, p = x.shape
    q = np.empty((n, p), order="F")
    r = np.zeros((p, p))
    kept: list[int] = []
    dependent: list[int] = []
    for j in range(p):
        v = x[:, j] / length[j]
        before = float(np.linalg.norm(v))
        coefficients = np.zeros(len(kept))
        for _ in range(2):
            step = q[:, : len(kept)].T @ v
            v = v - q[:, : len(kept)] @ step
            coefficients += step
        left = float(np.linalg.norm(v))
        if bool(vanishing[j]) or left <= RANK_TOLERANCE * before:
            dependent.append(j)
            continue
        q[:, len(kept)] = v / left
        r[kept, j] = coefficients * length[j]
        r[j, j] = left * length[j]
        kept.append(j)
    matrix = np.zeros((p + 1, p + 1))
    if kept:
        inverse, info = dtrtri(r[np.ix_(kept, kept)])
        if info:
            raise DataValueError("the columns of exog are too large or too small to be scaled")
        matrix[np.ix_(kept, kept)] = np.triu(inverse)
    for j in dependent:
        matrix[j, j] = 1.0 / length[j]
    inner = matrix[:p, :p]
    g = np.zeros(p)
    g[kept] = (inner.T @ gram[:p, p])[kept]
    # A response that the columns reproduce leaves rounding; the fit reports it.
    size = np.sqrt(max(float(gram[p, p] - g @ g), 1e-24 * float(gram[p, p])))
    matrix[:p, p] = -(inner @ g) / size
    matrix[p, p] = 1.0 / size
    return matrix, tuple(dependent)


def change_of_basis(one: Basis, other: Basis) -> np.ndarray:
    """Return the matrix (p + 1, p + 1) that takes rows in a basis to rows in another one."""
    p = len(one.order)
    back = np.empty(p + 1, dtype=np.intp)  # columns of this basis in the order of the other
    position = {int(c): i for i, c in enumerate(one.order)}
    back[:p] = [position[int(c)] for c in other.order]
    back[p] = p
    change: np.ndarray = np.linalg.solve(one.map, np.eye(p + 1)[:, back]) @ other.map
    return change


def dependent_in_either(one: Basis, other: Basis) -> set[int]:
    """Return the positions in the first basis of columns that are dependent in one of the two."""
    theirs = [other.order[j] for j in other.dependent]
    return {*one.dependent, *(j for j, c in enumerate(one.order) if c in theirs)}


def reorthogonalized(
    basis: Basis, total: np.ndarray, doubtful: set[int]
) -> tuple[Basis, np.ndarray]:
    """Return a basis in which the columns of X are orthonormal again, and the change to it.

    Parameters
    ----------
    total : array (p + 1, p + 1)
        Cross-products of all rows in the old basis.
    doubtful : set of int
        Positions that were dependent in a part of the rows; in all rows, they may be independent.
    """
    p = len(basis.order)
    scale = np.sqrt(np.diag(total))
    scale[scale == 0] = 1.0
    chosen: list[int] = []
    for j in range(p):
        if j not in doubtful:
            chosen.append(j)
            continue
        trial = chosen + [j]
        sub = total[np.ix_(trial, trial)] / np.outer(scale[trial], scale[trial])
        pivot = sub[-1, -1] - (
            sub[-1, :-1] @ np.linalg.solve(sub[:-1, :-1], sub[:-1, -1]) if chosen else 0.0
        )
        if pivot > 1e-12:
            chosen.append(j)
    index = np.array(chosen, dtype=np.intp)
    change = np.diag(np.append(1.0 / scale[:p], 1.0))
    if chosen:
        upper = np.linalg.cholesky(total[np.ix_(index, index)]).T
        change[np.ix_(index, index)] = np.linalg.inv(upper)
        g = np.linalg.solve(upper.T, total[index, p])
        change[index, p] = -np.linalg.solve(upper, g)
    dependent = tuple(j for j in range(p) if j not in chosen)
    return Basis(
        basis.order, basis.map @ change, dependent, basis.shift, basis.matrix @ change
    ), change

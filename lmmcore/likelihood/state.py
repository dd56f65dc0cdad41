"""What passes between an engine and those that ask it: the shape of a term, the pieces of the criterion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..linalg._dense import cholesky_inverse, log_det
from ..linalg.matrices import symmetric_index

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
        of about one and, in a centered engine, shifted along the constant column.
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


def quadratic_weights(n_eff: int, square: float, sigma2: float | None) -> tuple[float, float]:
    """Return the weight of the residual's square in units of r², and that of its profile in the Hessian.

    With σ² at its optimum the criterion has n_eff log r², with σ² held it has r²/σ².

    Parameters
    ----------
    square : float
        r², in the basis.
    sigma2 : float or None
        σ² in the basis, if it is held.
    """
    return (float(n_eff), -float(n_eff)) if sigma2 is None else (square / sigma2, 0.0)


@dataclass(eq=False, slots=True)
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
        return float(self.root.item(-1)) ** 2

    @property
    def solution(self) -> np.ndarray:
        """``[−b̂; 1]`` (p + 1,): what makes the residual from [X y] in the basis."""
        p = len(self.root) - 1
        out = np.ones(p + 1)
        out[:p] = -(self.root[p, :p] @ self.inverse[:p, :p])
        return out

    @property
    def log_det_h(self) -> float:
        """log|X'V⁻¹X| in the basis."""
        return log_det(self.root, len(self.root) - 1)


def state_without_effects(total: np.ndarray) -> State | None:
    """Return the pieces of the criterion where all variances are zero: those of least squares.

    Parameters
    ----------
    total : array (p + 1, p + 1)
        [X y]'[X y] in the basis.
    """
    root = total.copy()
    inverse, ok = cholesky_inverse(root)
    return State(0.0, root, inverse) if ok else None

"""Banded Toeplitz correlation matrices: neighboring columns are correlated, distant ones are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .correlation import Stationary, mean_known


class Tridiagonal:
    """The same correlation r of any two neighbors, and no other: C(r) = I + r B.

    The eigenvectors of B are sines, and its eigenvalues are 2 cos(jπ / (k + 1)) for j = 1 … k. So C is
    positive semidefinite for |r| ≤ 1 / (2 cos(π / (k + 1))). The sine of the angle is r over this bound.
    """

    def n_angles(self, k: int) -> int:
        return int(k > 1)

    def angles(self, c: np.ndarray) -> np.ndarray:
        k = len(c)
        if k == 1:
            return np.zeros(0)
        r = np.nan_to_num(mean_known(np.diag(c, 1)))
        return np.array([np.arcsin(np.clip(r / _bound(k), -1.0, 1.0))])

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        if k == 1:
            return np.ones((1, 1), dtype=phi.dtype)
        turn = np.pi / (k + 1) * np.arange(1, k + 1)
        vectors = np.sqrt(2.0 / (k + 1)) * np.sin(np.outer(np.arange(1, k + 1), turn))
        inner = np.sqrt(1.0 + np.cos(turn[1:-1]) / np.cos(turn[0]) * np.sin(phi[0]))
        # The outer eigenvalues are 1 ± sin φ, squares of functions that are smooth where they are zero, too.
        high, low = np.sqrt(2.0) * np.sin(0.5 * phi[0] + np.pi / 4 * np.array([1.0, -1.0]))
        roots = np.concatenate([[high], inner, [low]])
        return (vectors * roots) @ vectors

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        k = len(names)
        return {"corr(lag 1)": float(_bound(k) * np.sin(phi[0]))} if k > 1 else {}


def _bound(k: int) -> float:
    """Return the largest correlation of neighbors among k columns if the others are uncorrelated."""
    return float(0.5 / np.cos(np.pi / (k + 1)))


class Banded:
    """Correlations r at distances 1 … n - 1, zero from n on: C(r) = I + Σ r_j B_j, B_j the j-th diagonals.

    The r for which C is positive semidefinite form a convex set without a closed form. Coordinates φ of
    its interior come from a barrier function: r minimizes -log|C(r)| - Σ 2 (k - j) φ_j r_j, so that φ ≈ r
    where r is small, any φ gives a matrix, and the boundary lies at infinity (Nesterov and Nemirovskii
    1994). For k ≤ n columns, C can be any Toeplitz matrix.

    Parameters
    ----------
    n : int
        Number of bands, including the diagonal.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.whole = Stationary()

    def n_angles(self, k: int) -> int:
        return min(self.n, k) - 1

    def angles(self, c: np.ndarray) -> np.ndarray:
        k = len(c)
        if k <= self.n:
            return self.whole.angles(c)
        r = np.nan_to_num([mean_known(np.diag(c, lag)) for lag in range(1, self.n)])
        diagonals = _diagonals(k, self.n)
        change = np.tensordot(r, diagonals, 1)
        lowest = float(np.linalg.eigvalsh(change)[0]) if len(r) else 0.0
        if lowest < -0.999:  # on the boundary or beyond: go back inside
            change *= -0.999 / lowest
        inverse = np.linalg.inv(np.eye(k) + change)
        return -np.tensordot(diagonals, inverse, 2) / _weights(k, self.n)

    def root(self, phi: np.ndarray, k: int) -> np.ndarray:
        if k <= self.n:
            return self.whole.root(phi, k)
        diagonals, slope = _diagonals(k, self.n), _weights(k, self.n)
        r, hessian = _minimize(slope * phi.real, diagonals)
        lower = np.linalg.cholesky(np.eye(k) + np.tensordot(r, diagonals, 1))
        if not np.iscomplexobj(phi):
            return lower
        # To first order in the imaginary part, which is all that a complex step asks for.
        moved = np.linalg.solve(hessian, slope * phi.imag) if len(r) else r
        change = np.linalg.solve(lower, np.tensordot(moved, diagonals, 1))
        change = np.linalg.solve(lower, change.T)
        return lower + 1j * (lower @ (np.tril(change, -1) + 0.5 * np.diag(np.diag(change))))

    def describe(self, phi: np.ndarray, names: Sequence[str]) -> dict[str, float]:
        k = len(names)
        root = self.root(np.asarray(phi, dtype=float), k)
        first = root @ root[0]
        return {f"corr(lag {lag})": float(first[lag]) for lag in range(1, min(self.n, k))}


def _diagonals(k: int, n: int) -> np.ndarray:
    """Return B_1 … B_(n-1) (n - 1, k, k)."""
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return (distance == np.arange(1, n)[:, None, None]).astype(float)


def _weights(k: int, n: int) -> np.ndarray:
    """Return the squared norms of B_j (n - 1,)."""
    return 2.0 * (k - np.arange(1.0, n))


def _minimize(slope: np.ndarray, diagonals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the r that minimizes -log|C(r)| - slope'r, and the Hessian there: damped Newton."""
    k = diagonals.shape[-1] if len(diagonals) else 0
    r = np.zeros(len(slope))
    hessian = np.zeros((len(slope), len(slope)))
    for _ in range(200 if len(slope) else 0):
        inverse = np.linalg.inv(np.eye(k) + np.tensordot(r, diagonals, 1))
        product = inverse @ diagonals
        gradient = -np.trace(product, axis1=1, axis2=2) - slope
        hessian = np.einsum("iab,jba->ij", product, product)
        step = np.linalg.solve(hessian, -gradient)
        length = float(np.sqrt(max(-gradient @ step, 0.0)))
        # The step of a self-concordant function, which never leaves the inside; whole near the end.
        r = r + (step if length < 0.2 else step / (1.0 + length))
        if length < 1e-12:
            break
    return r, hessian

"""Covariance structures with Λ linear in θ: scaled known matrices, and factor-analytic structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..extension import DataValueError, sd_and_correlations, semidefinite_cholesky


class KnownMatrix:
    """A known matrix K times one variance. θ is the relative standard deviation.

    Parameters
    ----------
    matrix : array (k, k), optional
        K, positive semidefinite; by default the identity (scaled identity).

    Raises
    ------
    DataValueError
        The matrix is not square, symmetric and positive semidefinite.
    """

    def __init__(self, matrix: np.ndarray | None = None) -> None:
        self.matrix = None if matrix is None else np.array(matrix, dtype=float)
        if self.matrix is None:
            return
        m = self.matrix
        square = m.ndim == 2 and m.shape[0] == m.shape[1] and np.isfinite(m).all()
        if not square or np.abs(m - m.T).max() > 1e-10 * np.abs(m).max():
            raise DataValueError(
                f"the known covariance matrix has shape {m.shape}; expected a symmetric square matrix of "
                "finite numbers"
            )
        values = np.linalg.eigvalsh(m)
        if values[0] < -1e-10 * max(values[-1], 0.0) or values[-1] <= 0.0:
            raise DataValueError(
                f"the known covariance matrix has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}; "
                "expected a positive semidefinite matrix that is not zero"
            )

    def _root(self, k: int) -> np.ndarray:
        if self.matrix is None:
            return np.eye(k)
        if len(self.matrix) != k:
            raise DataValueError(
                f"the known covariance matrix is {len(self.matrix)} x {len(self.matrix)}; expected {k} "
                f"x {k}, because the term has {k} columns"
            )
        return semidefinite_cholesky(self.matrix)

    def rank(self, k: int) -> int:
        """Return the rank of K."""
        return int(np.count_nonzero(self._root(k).diagonal()))

    def n_parameters(self, k: int) -> int:
        self._root(k)
        return 1

    def parameters(self, g: np.ndarray) -> np.ndarray:
        k = len(g)
        size = k if self.matrix is None else float(np.trace(self.matrix))
        return np.array([np.sqrt(max(float(np.trace(g)), 0.0) / size)])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        return theta[0] * self._root(k)

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        return self._root(k)[None]

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        return {"sd": float(sigma * abs(theta[0]))}


class FactorAnalytic:
    """G = L L' + Ψ with L (k, r) lower trapezoidal, and Ψ diagonal or absent (reduced rank).

    θ is L, row by row, and the square roots of Ψ.
    """

    def __init__(self, n_factors: int, specific: bool) -> None:
        self.n_factors, self.specific = n_factors, specific
        kind = "variances of the columns' own" if specific else "no other variation (reduced rank)"
        self.__doc__ = f"{n_factors} common factor{'' if n_factors == 1 else 's'} and {kind}."

    def rank(self, k: int) -> int:
        """Return the largest rank of G."""
        return k if self.specific else min(self.n_factors, k)

    def _pattern(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        r = min(self.n_factors, k)
        rows, cols = np.tril_indices(k, m=r)
        if self.specific:
            rows = np.concatenate([rows, np.arange(k)])
            cols = np.concatenate([cols, r + np.arange(k)])
        return rows, cols

    def n_parameters(self, k: int) -> int:
        return len(self._pattern(k)[0])

    def parameters(self, g: np.ndarray) -> np.ndarray:
        k = len(g)
        r = min(self.n_factors, k)
        psi = np.zeros(k)
        if self.specific:
            # Alternate between factors and specific variances (principal factors), which start at what
            # the other columns do not explain.
            ridge = 1e-6 * np.trace(g) / k + 1e-300
            psi = 1.0 / np.diag(np.linalg.inv(g + ridge * np.eye(k)))
            for _ in range(100):
                values, vectors = np.linalg.eigh(g - np.diag(psi))
                common = vectors[:, -r:] * np.sqrt(np.maximum(values[-r:], 0.0))
                before, psi = psi, np.maximum(np.diag(g) - np.sum(common**2, axis=1), 0.0)
                if np.abs(psi - before).max() <= 1e-12 * values[-1]:
                    break
        values, vectors = np.linalg.eigh(g - np.diag(psi))
        common = vectors[:, -r:] * np.sqrt(np.maximum(values[-r:], 0.0))
        # Rotate into lower trapezoidal form.
        common = np.asarray(np.linalg.qr(common.T, mode="r")).T
        full = np.hstack([common, np.diag(np.sqrt(psi))]) if self.specific else common
        return full[self._pattern(k)]

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        r = min(self.n_factors, k)
        out = np.zeros((k, r + k if self.specific else r))
        out[self._pattern(k)] = theta
        return out

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        rows, cols = self._pattern(k)
        r = min(self.n_factors, k)
        out = np.zeros((len(rows), k, r + k if self.specific else r))
        out[np.arange(len(rows)), rows, cols] = 1.0
        return out

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        k = len(names)
        r = min(self.n_factors, k)
        full = sigma * self.factor(np.asarray(theta), k)
        out = {
            f"loading {j + 1}({name})": float(full[i, j])
            for j in range(r) for i, name in enumerate(names) if i >= j
        }  # fmt: skip
        if self.specific:
            out |= {f"sd own({name})": abs(float(full[i, r + i])) for i, name in enumerate(names)}
        return out | sd_and_correlations(full @ full.T, tuple(names))

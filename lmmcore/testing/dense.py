"""The dense reference: a mixed model with its n × n covariance matrix, in plain NumPy.

Nothing here is fast; every line is a textbook formula. All functions accept complex parameters, so
derivatives can be computed by complex steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class DenseModel:
    """``y ~ N(Xβ, σ² V)``, ``V = W⁻¹ + Σ_t Z_t (I ⊗ G_t) Z_t'``.

    Attributes
    ----------
    y : array (n,)
    x : array (n, p)
    z : sequence of arrays (n, q_t k_t)
        One matrix per term: the k_t columns of the first level, of the second, and so on.
    k : sequence of int
        Columns per level of each term.
    weights : array (n,) or None
    reml : bool
    """

    y: np.ndarray
    x: np.ndarray
    z: Sequence[np.ndarray]
    k: Sequence[int]
    weights: np.ndarray | None = None
    reml: bool = True

    @classmethod
    def from_groups(
        cls,
        y: np.ndarray,
        x: np.ndarray,
        groups: np.ndarray,
        columns: Sequence[np.ndarray],
        weights: np.ndarray | None = None,
        reml: bool = True,
    ) -> DenseModel:
        """Build from grouped data: `columns` has one matrix (n, k_t) for each term."""
        labels = np.unique(groups)
        blocks = []
        for matrix in columns:
            parts = [np.where((groups == label)[:, None], matrix, 0.0) for label in labels]
            blocks.append(np.hstack(parts))
        return cls(y, x, blocks, [c.shape[1] for c in columns], weights, reml)

    @property
    def n_eff(self) -> int:
        """Divisor of σ̂²: n − p under REML, else n."""
        return len(self.y) - (self.x.shape[1] if self.reml else 0)

    def covariance(self, g: Sequence[np.ndarray]) -> np.ndarray:
        """Return V (n, n) for the relative covariance matrices G_t."""
        n = len(self.y)
        weights = np.ones(n) if self.weights is None else self.weights
        v = np.diag(1.0 / weights).astype(np.result_type(*g, float))
        for z, k, g_t in zip(self.z, self.k, g):
            levels = z.shape[1] // k
            v = v + z @ np.kron(np.eye(levels), g_t) @ z.T
        return v

    def _profile(self, g: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        v = self.covariance(g)
        vx = np.linalg.solve(v, self.x)
        h = self.x.T @ vx
        beta = np.linalg.solve(h, vx.T @ self.y)
        e = self.y - self.x @ beta
        ve = np.linalg.solve(v, e)
        return v, h, beta, e, ve

    def criterion(self, g: Sequence[np.ndarray]) -> complex | float:
        """Return −2 log-likelihood with β and σ² at their optimum."""
        v, h, _, e, ve = self._profile(g)
        m = self.n_eff
        value = _log_det(v) + m * (1.0 + np.log(2.0 * np.pi * (e @ ve) / m))
        return value + _log_det(h) if self.reml else value

    def gradient(self, g: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return D_t = ∂d/∂G_t (k_t, k_t), entries of G_t taken as independent.

        ``D_t = Σ_ℓ Z_tℓ'P Z_tℓ − Σ_ℓ s s'/σ̂²``, ``s = Z_tℓ'V⁻¹e`` (ML: V⁻¹ in place of P).
        """
        v, h, _, e, ve = self._profile(g)
        sigma2 = (e @ ve) / self.n_eff
        vi = np.linalg.inv(v)
        p = vi
        if self.reml:
            vx = vi @ self.x
            p = vi - vx @ np.linalg.solve(h, vx.T)
        out = []
        for z, k in zip(self.z, self.k):
            d = np.zeros((k, k), dtype=v.dtype)
            for level in range(z.shape[1] // k):
                zl = z[:, level * k : (level + 1) * k]
                s = zl.T @ ve
                d = d + zl.T @ p @ zl - np.outer(s, s) / sigma2
            out.append(d)
        return out

    def estimates(self, g: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return β̂, its covariance, σ̂² and the BLUPs (levels, k_t) of each term."""
        _, h, beta, e, ve = self._profile(g)
        sigma2 = (e @ ve) / self.n_eff
        out = {"beta": beta, "cov_beta": sigma2 * np.linalg.inv(h), "sigma2": np.asarray(sigma2)}
        for t, (z, k, g_t) in enumerate(zip(self.z, self.k, g)):
            levels = z.shape[1] // k
            out[f"blup{t}"] = (np.kron(np.eye(levels), g_t) @ z.T @ ve).reshape(levels, k)
        return out


def _log_det(a: np.ndarray) -> complex | float:
    sign, log_abs = np.linalg.slogdet(a)
    return np.log(sign) + log_abs if np.iscomplexobj(a) else log_abs


def complex_step_gradient(
    model: DenseModel, g: Sequence[np.ndarray], directions: Sequence[Sequence[np.ndarray]]
) -> np.ndarray:
    """Return the derivatives of the criterion along `directions` of G, to rounding.

    Each direction has a symmetric matrix for every term.
    """
    step = 1e-30
    return np.array(
        [
            np.imag(model.criterion([a + 1j * step * b for a, b in zip(g, d)])) / step
            for d in directions
        ]
    )

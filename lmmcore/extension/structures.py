"""A base class for covariance structures that derives the derivatives of Λ from Λ."""

from __future__ import annotations

import numpy as np

STEP = 1e-30  # of the complex step, whose error is its square
SECOND_STEP = 1e-5


class DerivedStructure:
    """Computes the derivatives of ``factor`` for a covariance structure.

    ``factor`` must accept complex θ, and use only analytic functions: sums, products, ``np.sin``,
    `analytic_cholesky`, but not ``abs``, conjugates or comparisons. First derivatives are exact (complex-step
    differentiation: Squire and Trapp 1998). Second derivatives are central differences of these.
    """

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        raise NotImplementedError

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        """Return ∂Λ/∂θ (m, k, w)."""
        theta = np.asarray(theta, dtype=float)
        out = []
        for i in range(len(theta)):
            moved = theta.astype(complex)
            moved[i] += 1j * STEP
            out.append(self.factor(moved, k).imag / STEP)
        return np.array(out)

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray | None:
        """Return ∂²Λ/∂θ∂θ (m, m, k, w)."""
        theta = np.asarray(theta, dtype=float)
        rows = []
        for i in range(len(theta)):
            step = np.zeros(len(theta))
            step[i] = SECOND_STEP * max(1.0, abs(theta[i]))
            up, down = (self.factor_derivative(theta + s, k) for s in (step, -step))
            rows.append((up - down) / (2.0 * step[i]))
        second = np.array(rows)
        return 0.5 * (second + second.swapaxes(0, 1))


def analytic_cholesky(g: np.ndarray) -> np.ndarray:
    """Return L with L L' = g (no conjugate) for a real or complex symmetric g (k, k).

    A column is zero if its pivot is at most 1e-14 times its diagonal entry.
    """
    k = len(g)
    out = np.zeros_like(g)
    rest = g.copy()
    for j in range(k):
        if rest[j, j].real > 1e-14 * g[j, j].real > 0.0:
            out[j:, j] = rest[j:, j] / np.sqrt(rest[j, j])
            rest[j:, j:] = rest[j:, j:] - np.outer(out[j:, j], out[j:, j])
    return out


def sd_and_correlations(cov: np.ndarray, names: list[str] | tuple[str, ...]) -> dict[str, float]:
    """Return standard deviations and correlations of a covariance matrix, by name."""
    sd = np.sqrt(np.maximum(np.diag(cov), 0.0))
    out = {f"sd({name})": float(s) for name, s in zip(names, sd)}
    for i in range(len(names)):
        for j in range(i):
            scale = sd[i] * sd[j]
            value = float(cov[i, j] / scale) if scale > 0 else float("nan")
            out[f"corr({names[j]}, {names[i]})"] = value
    return out

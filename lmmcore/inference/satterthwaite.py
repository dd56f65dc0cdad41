"""Satterthwaite's degrees of freedom, from exact derivatives.

For one combination l, ``f = l'cov(β̂)l`` is an estimated variance. It is referred to a χ² distribution with
the same first two moments, of ``2 f² / Var(f)`` degrees of freedom (Satterthwaite 1946, Biometrics Bulletin
2, 110–114; Giesbrecht and Burns 1985, Biometrics 41, 477–486). With σ² at its optimum for θ,

    Var(f) = g' Cov(θ̂) g + 2 f² / m,    g = ∂f/∂θ,

where m = n − p (ML: n), because Var(log σ̂²) = 2/m at given θ. Several rows: the df of the uncorrelated
combinations ν_i give E = Σ ν_i/(ν_i − 2), the mean of q F, and df = 2E/(E − q) (Fai and Cornelius 1996,
J. Stat. Comput. Simul. 54, 363–378), as in lmerTest and SAS (DDFM=SATTERTHWAITE). The combinations are the
eigenvectors of L cov(β̂) L', so that the df of several rows depend a little on how L is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extension.inference import ReferenceDistribution
from .second_order import SecondOrder, second_order

EQUAL = 1e-8  # difference of df, relative, up to which they are one number


@dataclass(frozen=True)
class Satterthwaite:
    """Satterthwaite's approximation, as in lmerTest and SAS' DDFM=SATTERTHWAITE."""

    title: str = "Satterthwaite"

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return L cov(β̂) L' and the degrees of freedom."""
        found = second_order(fit)
        rows = L @ found.half.T  # LH⁻¹L' = rows rows'
        covariance = fit.scale * rows @ rows.T
        return ReferenceDistribution(
            covariance, joint(_single(found, fit.likelihood.log_scale_variance, rows))
        )


def _single(found: SecondOrder, log_scale_variance: float, rows: np.ndarray) -> np.ndarray:
    """Return the df of uncorrelated combinations of the rows (rank,)."""
    vectors, values, _ = np.linalg.svd(rows, full_matrices=False)
    kept = values > 1e-10 * values[0]
    own = vectors[:, kept].T @ rows
    f = np.sum(own**2, axis=1)  # in units of σ²
    g = np.einsum("qi,mij,qj->qm", own, found.slopes, own)
    spread = np.einsum("qi,ij,qj->q", g, found.cov_theta, g) + f**2 * log_scale_variance
    with np.errstate(divide="ignore"):  # nothing is estimated where variances are held or zero
        df: np.ndarray = 2.0 * f**2 / spread
    return df


def joint(df: np.ndarray) -> float:
    """Return the denominator df of an F test from the df of uncorrelated combinations (q,)."""
    if not np.isfinite(df).all():
        df = df[np.isfinite(df)]  # a combination whose variance is known adds nothing to E − q
        return joint(df) if len(df) else float("inf")
    if np.ptp(df) <= EQUAL * df.max():
        return float(df.mean())
    if df.min() <= 2.0:
        return 2.0  # the mean of F does not exist
    mean = float(np.sum(df / (df - 2.0)))
    return 2.0 * mean / (mean - len(df))


SATTERTHWAITE = Satterthwaite()

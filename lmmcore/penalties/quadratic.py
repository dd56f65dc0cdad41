"""The penalised quadratic: what a regularised fit minimises once the variances are held.

At fixed variances −2 log-likelihood is a quadratic in β, so that a fit with a penalty costs nothing in the
number of rows. Source: Friedman, Hastie and Tibshirani (2010), *Journal of Statistical Software* 33(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConvergenceError
from ._descent import descend


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients with their certificate.

    Attributes
    ----------
    beta : array (p,)
    gap : float
        Duality gap: by how much the objective could still fall, at most.
    objective : float
        ½β'Hβ − c'β + Σ l1_j|β_j| + ½Σ l2_j β_j².
    sweeps : int
    """

    beta: np.ndarray
    gap: float
    objective: float
    sweeps: int


def solve(
    h: np.ndarray,
    c: np.ndarray,
    l1: np.ndarray,
    l2: np.ndarray,
    start: np.ndarray | None = None,
    tolerance: float = 1e-10,
    max_sweeps: int = 10_000,
) -> Solution:
    """Minimise ½β'Hβ − c'β + Σ l1_j|β_j| + ½Σ l2_j β_j² for a positive semidefinite H (p, p).

    Parameters
    ----------
    l1, l2 : arrays (p,)
        Weights ≥ 0; zero where a coefficient is not penalised.
    tolerance : float
        Largest duality gap, as a part of c'H⁻¹c (the spread of the unpenalised objective).

    Raises
    ------
    ConvergenceError
        The gap stays larger.
    """
    # Coordinates in units of their own curvature: the tolerance then means the same for each.
    unit = 1.0 / np.sqrt(np.maximum(np.diag(h) + l2, np.finfo(float).tiny))
    h = np.ascontiguousarray(h * np.outer(unit, unit))
    c, l1, l2 = c * unit, l1 * unit, l2 * unit**2
    beta = np.zeros(len(c)) if start is None else start / unit
    size = float(c @ np.linalg.lstsq(h + np.diag(l2), c, rcond=None)[0]) + np.finfo(float).tiny
    step, sweeps, gap = 0.01 * tolerance * size / max(len(c), 1), 0, np.inf
    for _ in range(6):
        rest = c - h @ beta
        sweeps += descend(h, l1, l2, beta, rest, max_sweeps, step)
        gap = duality_gap(h, c, l1, l2, beta)
        if gap <= tolerance * size:
            break
        step *= 1e-2
    else:
        raise ConvergenceError(
            f"coordinate descent stopped with a duality gap of {gap:.1e} (objective's spread "
            f"{size:.1e}) after {sweeps} sweeps; expected less than {tolerance:.0e} of it. Raise maxit, "
            "or remove nearly collinear columns"
        )
    value = float(0.5 * beta @ h @ beta - c @ beta + l1 @ np.abs(beta) + 0.5 * l2 @ beta**2)
    return Solution(beta * unit, gap, value, sweeps)


def duality_gap(
    h: np.ndarray, c: np.ndarray, l1: np.ndarray, l2: np.ndarray, beta: np.ndarray
) -> float:
    """Return an upper bound of the distance from the optimum, zero at the optimum.

    With A = H + diag(l2) and the residual g = c − Aβ, any s with |s_j| ≤ l1_j gives the dual value
    −½(c − s)'A⁻¹(c − s); s is g moved into its bounds.
    """
    a = h + np.diag(l2)
    s = np.clip(c - a @ beta, -l1, l1)
    primal = 0.5 * beta @ a @ beta - c @ beta + l1 @ np.abs(beta)
    half = np.linalg.lstsq(a, c - s, rcond=None)[0]
    return max(0.0, float(primal + 0.5 * (c - s) @ half))

"""Rules of a penalty that need many points: the least concavity, the right degrees of freedom."""

from __future__ import annotations

import numpy as np

from .penalty_rules import Case
from .rules import require


def concavity(case: Case) -> None:
    """The concavity is not more than twice as large as it has to be: fits would take too short steps."""
    rho, p = float(case.penalty.concavity), len(case.point)
    if rho == 0.0:
        return
    directions = [*np.eye(p), *(1.0 * (case.of.groups == g) for g in range(case.of.groups[-1] + 1))]
    found = 0.0
    for d in directions:
        d = d / np.linalg.norm(d)
        for size in case.strength * np.geomspace(1e-4, 1e3, 250):
            near = np.array(
                [case.penalty.value(t * size * d, case.strength) for t in (0.98, 1.0, 1.02)]
            )
            bend = (near[0] - 2.0 * near[1] + near[2]) / (0.02 * size) ** 2
            rounding = 1e-14 * near.max() / (0.02 * size) ** 2
            found = max(found, -bend - 1e2 * rounding)
    require(
        found >= 0.5 * rho, "concavity",
        f"concavity is {rho:.6g}, but P is never more concave than {found:.6g}",
        "the least ρ for which P + ½ρ β'β is convex", case,
    )  # fmt: skip


def divergence(case: Case) -> None:
    """Degrees of freedom of a convex penalty are the trace of the derivative of the fitted values."""
    if not hasattr(case.penalty, "degrees_of_freedom") or case.penalty.concavity > 0.0:
        return
    p, rng = len(case.point), np.random.default_rng(3)
    root = np.eye(p) + 0.3 * np.tri(p)
    h = root @ root.T
    for strength in (0.3, 0.8, 1.5):
        c = 2.0 * rng.standard_normal(p)
        beta = _minimum(case, h, c, strength)
        shares = []
        for step in (1e-4, 1e-5):
            moves = [
                _minimum(case, h, c + step * d, strength)
                - _minimum(case, h, c - step * d, strength)
                for d in np.eye(p)
            ]
            shares.append(float(np.sum(h * np.array(moves))) / (2.0 * step))
        if abs(shares[0] - shares[1]) > 1e-3:
            continue  # at a kink
        df = case.number("degrees_of_freedom", beta, h, strength)
        require(
            abs(df - shares[1]) <= 1e-2, "degrees of freedom",
            f"degrees_of_freedom is {df:.6g} at {beta.tolist()}, where H is {h.tolist()} and the strength "
            f"{strength}", f"{shares[1]:.6g}, the trace of the derivative of the fitted values",
            case,
        )  # fmt: skip


def _minimum(case: Case, h: np.ndarray, c: np.ndarray, strength: float) -> np.ndarray:
    """Return the β that minimizes ½β'Hβ − c'β + P(β), by proximal steps."""
    step = 1.0 / float(np.linalg.eigvalsh(h)[-1])
    beta = np.zeros(len(c))
    for _ in range(5000):
        before, beta = beta, case.penalty.prox(beta - step * (h @ beta - c), step, strength)
        if np.abs(beta - before).max() <= 1e-14:
            break
    return beta

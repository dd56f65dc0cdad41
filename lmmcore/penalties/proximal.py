"""Accelerated proximal steps, for penalties with a proximal map and no other form.

Sources: Beck and Teboulle (2009), *SIAM Journal on Imaging Sciences* 2; O'Donoghue and Candès (2015),
*Foundations of Computational Mathematics* 15 (restarts); Walker and Ni (2011), *SIAM Journal on Numerical
Analysis* 49 (Anderson mixing, for fast convergence at the end).
"""

from __future__ import annotations

import numpy as np

from ..errors import ConvergenceError
from ..extension.protocols import Penalty
from .certificate import DualityGap
from .descent import LEAST, Solution
from .quadratic import Quadratic

MEMORY = 8  # past steps that are mixed
MOST_STEPS = 500_000
CHECK = 10  # steps from one computation of the certificate to the next


class ProximalDescent:
    """Solves penalized quadratics with one H along a path."""

    def __init__(self, quadratic: Quadratic) -> None:
        self.quadratic = quadratic
        self.gap = DualityGap(quadratic)
        self.unit = np.sqrt(np.maximum(quadratic.diagonal, np.finfo(float).tiny))
        self.largest = float(np.max(np.abs(quadratic.c) / self.unit, initial=0.0)) or 1.0
        self.top = largest_eigenvalue(quadratic)

    def solve(
        self,
        penalty: Penalty,
        strength: float,
        start: np.ndarray,
        tolerance: float = 1e-12,
        maxit: int = MOST_STEPS,
    ) -> Solution:
        """Minimize ½β'Hβ − c'β + P(β; strength).

        Raises
        ------
        ConvergenceError
            Not converged after `maxit` steps.
        """
        q = self.quadratic
        step = 1.0 / max(self.top, 1.01 * penalty.concavity, np.finfo(float).tiny)

        def stepped(x: np.ndarray) -> np.ndarray:
            return np.asarray(penalty.prox(x + step * q.slope(x), step, strength), dtype=float)

        def objective(x: np.ndarray) -> float:
            inner = 0.5 * (q.yy - float(x @ (q.c + q.slope(x))))
            return inner + float(penalty.value(x, strength))

        x = np.array(start, dtype=float)
        ahead, momentum = x.copy(), 1.0
        points: list[np.ndarray] = []
        images: list[np.ndarray] = []
        value, gap, residual = objective(x), np.inf, np.inf
        good = False
        for count in range(1, maxit + 1):
            new = stepped(ahead)
            if float((ahead - new) @ (new - x)) > 0.0:  # the momentum points uphill: restart
                momentum, ahead = 1.0, x.copy()
                new = stepped(ahead)
            grown = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
            points.append(ahead)
            images.append(new)
            del points[:-MEMORY], images[:-MEMORY]
            ahead = new + (momentum - 1.0) / grown * (new - x)
            x, momentum = new, grown
            if count % CHECK and count < maxit:
                continue
            value = objective(x)
            mixed = _mixed(points, images)
            if mixed is not None:
                candidate = stepped(mixed)
                other = objective(candidate)
                if other < value:
                    x, value, ahead, momentum = candidate, other, candidate.copy(), 1.0
            slope = q.slope(x)
            moved = np.abs(x - stepped(x)) / step
            residual = float(np.max(moved / self.unit, initial=0.0)) / self.largest
            if penalty.concavity > 0:
                good = residual <= 1e-8
            else:
                gap = self.gap.general(penalty, strength, x, slope)
                good = gap <= tolerance * max(value, 1e-8 * q.yy, LEAST)
            if good:
                break
        if penalty.concavity == 0:
            good = gap <= max(tolerance, 1e-10) * max(value, 1e-8 * q.yy, LEAST)
        if not good:
            what = f"slopes that are off by {residual:.1e} of the largest"
            if penalty.concavity == 0:
                what = f"a duality gap of {gap:.1e} and {what}"
            raise ConvergenceError(
                f"the fit did not converge in maxit={maxit} proximal steps: it stopped with {what} "
                f"(objective {value:.3g}). Raise maxit, standardize the columns, or remove nearly "
                "collinear ones"
            )
        concave = penalty.concavity > 0
        return Solution(x, value, float("nan") if concave else gap, residual, count)


def _mixed(points: list[np.ndarray], images: list[np.ndarray]) -> np.ndarray | None:
    """Return the combination of past images that makes the combined step smallest."""
    if len(points) < 3:
        return None
    steps = np.array(images) - np.array(points)
    differences = np.diff(steps, axis=0).T
    try:
        part = np.linalg.lstsq(differences, steps[-1], rcond=1e-12)[0]
    except np.linalg.LinAlgError:
        return None
    out = images[-1] - part @ np.diff(np.array(images), axis=0)
    return out if np.isfinite(out).all() else None


def largest_eigenvalue(quadratic: Quadratic) -> float:
    """Return a bound of the largest eigenvalue of H, from power iteration and the trace."""
    p = len(quadratic.c)
    trace = float(quadratic.diagonal.sum())
    x = np.random.default_rng(0).standard_normal(p)
    size = 0.0
    for _ in range(200):
        length = float(np.linalg.norm(x))
        if length == 0.0:
            break
        x /= length
        image = quadratic.c - quadratic.slope(x)
        new = float(x @ image)
        if abs(new - size) <= 1e-4 * new:
            size = new
            break
        size, x = new, image
    return min(trace, 1.05 * size)

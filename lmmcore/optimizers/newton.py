"""Trust-region Newton with the Hessian of the objective: the default optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import numpy as np

from ..extension import Objective, OptimizeOutcome, cholesky_inverse, eigh, take_options

FLAT = 1e-11  # relative size of an eigenvalue that counts as zero
ROUNDING = 1e-13  # of the criterion
WELL = 1e-3  # ratio of the Cholesky factor's diagonal entries of a matrix far from singular


class TrustRegionNewton:
    """Trust-region Newton, with EM steps as a safeguard.

    Options: ``maxiter`` (100) and ``tol`` (1e-11): the largest Newton decrement ½ g'H⁻¹g at the end. If 1e-15
    times the criterion, which is below its rounding error, is larger, this is the tolerance.
    """

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        chosen = take_options("newton", options, {"maxiter": 100, "tol": 1e-11})
        theta = np.array(start, dtype=float)
        value, g, h = objective.value_gradient_hessian(theta)
        if not isfinite(value):
            return OptimizeOutcome(theta, False, "the criterion is not finite at the start", 0)
        path = [(0, value)]
        if callback is not None:
            callback(0, value)
        radius = max(1.0, _norm(theta))
        tol = float(chosen["tol"])
        rejected, cheap = 0, objective.hessian_is_cheap
        for iteration in range(1, int(chosen["maxiter"]) + 1):
            noise = ROUNDING * (abs(value) + 1.0)
            step, predicted, decrement = _step(h, g, radius, theta, noise)
            if decrement is not None and decrement <= max(tol, 1e-15 * abs(value)):
                return OptimizeOutcome(
                    theta, True, "the Newton decrement vanished", iteration, path
                )
            new = theta + step
            # Where derivatives are dear they wait until the step is accepted.
            found = objective.value_gradient_hessian(new) if cheap else None
            new_value = objective.value(new) if found is None else found[0]
            length = _norm(step)
            if -predicted < noise and new_value <= value + noise:
                ratio = 1.0  # the change is lost in rounding: trust the derivatives
            else:
                ratio = (new_value - value) / predicted if predicted < 0 else -1.0
            if isfinite(new_value) and ratio > 1e-4:
                theta = new
                value, g, h = found or objective.value_gradient_hessian(new)
                rejected = 0
                if ratio > 0.75 and length > 0.8 * radius:
                    radius *= 3.0
                elif ratio < 0.25:
                    radius = 0.5 * length
            else:
                radius = 0.25 * length
                rejected += 1
                if -predicted < noise and decrement is not None:
                    why = "no step changes the criterion beyond rounding"
                    return OptimizeOutcome(theta, True, why, iteration, path)
                if rejected >= 3:
                    new = objective.em_step(theta)
                    if objective.value(new) < value:
                        theta = new
                        value, g, h = objective.value_gradient_hessian(new)
                        radius, rejected = max(radius, 0.1), 0
                    elif rejected > 20:
                        why = "no step decreases the criterion"
                        return OptimizeOutcome(theta, False, why, iteration, path)
            path.append((iteration, value))
            if callback is not None:
                callback(iteration, value)
        return OptimizeOutcome(
            theta, False, f"stopped after maxiter={chosen['maxiter']} iterations", iteration, path
        )


def without_rounding(
    eigenvalues: np.ndarray, slope: np.ndarray, theta: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return curvatures and slopes, zero in directions that are flat to rounding.

    That is where a step as long as θ, or 1 if that is more, changes the criterion by less than `noise`. What
    is left of slope and curvature there has no meaning, and would lead far away.
    """
    length = max(1.0, _norm(theta))
    if eigenvalues.item(0) * length * length > noise:
        return eigenvalues, slope
    flat = (np.abs(eigenvalues) * length <= noise / length) & (np.abs(slope) * length <= noise)
    if not flat.any():
        return eigenvalues, slope
    return np.where(flat, 0.0, eigenvalues), np.where(flat, 0.0, slope)


def _step(
    h: np.ndarray, g: np.ndarray, radius: float, theta: np.ndarray, noise: float
) -> tuple[np.ndarray, float, float | None]:
    """Return the step within the radius, the change of the quadratic model, and the decrement."""
    if len(g) == 1:  # no matrices for one parameter
        curvature, slope_1 = h.item(0), g.item(0)
        if curvature > noise and abs(slope_1) <= radius * curvature:
            decrement = 0.5 * slope_1 * slope_1 / curvature
            return -g / curvature, -decrement, decrement
    root = h.copy()
    inverse, positive = cholesky_inverse(root)
    if positive:
        # Far from singular the whole step needs no eigenvalues, and mostly it is short enough.
        diagonal = root.diagonal().tolist()
        if min(diagonal) > WELL * max(diagonal):
            half = inverse @ g
            step = -(half @ inverse)
            if float(step @ step) <= radius * radius:
                decrement = 0.5 * float(half @ half)
                return step, -decrement, decrement
    eigenvalues, vectors = eigh(h)
    eigenvalues, slope = without_rounding(eigenvalues, vectors.T @ g, theta, noise)
    inside = _subproblem(eigenvalues, slope, radius)
    predicted = float(slope @ inside + 0.5 * inside @ (eigenvalues * inside))
    return vectors @ inside, predicted, newton_decrement(eigenvalues, slope)


def newton_decrement(eigenvalues: np.ndarray, slope: np.ndarray) -> float | None:
    """Return ½ g'H⁻¹g over the directions that are not flat; None if H is not positive there.

    `slope` is the gradient in the basis of the eigenvectors.
    """
    size = max(abs(float(eigenvalues[0])), abs(float(eigenvalues[-1])))
    if eigenvalues[0] > FLAT * size:
        return 0.5 * float(slope @ (slope / eigenvalues))
    flat = np.abs(eigenvalues) <= FLAT * size
    if size == 0.0:
        return 0.0 if not np.any(slope) else None
    if np.any(eigenvalues[~flat] < 0.0):
        return None
    return float(0.5 * np.sum(slope[~flat] ** 2 / eigenvalues[~flat]))


def _subproblem(w: np.ndarray, g: np.ndarray, radius: float) -> np.ndarray:
    """Minimize g'p + ½ p'diag(w)p over |p| <= radius (Moré and Sorensen 1983)."""
    size = max(abs(float(w[0])), abs(float(w[-1])))
    if w[0] > FLAT * size:
        p = -g / w
        if float(p @ p) <= radius * radius:
            return p
    flat = np.abs(w) <= FLAT * size
    if w[~flat].min(initial=np.inf) > 0.0:
        p = np.where(flat, 0.0, -g / np.where(flat, 1.0, w))
        if float(p @ p) <= radius * radius:
            return p
    low = max(0.0, -float(w[0]))
    shift = low + 1e-10 * (size + low) + 1e-300
    p = -g / (w + shift)
    length = _norm(p)
    if length < radius:
        # Hard case: g has next to nothing along the most negative direction.
        if w[0] < 0.0:
            rest = np.sqrt(radius * radius - length * length)
            p[0] += rest if p[0] >= 0.0 else -rest
        return p
    for _ in range(60):
        # Newton on 1/|p| = 1/radius, which is nearly linear in the shift.
        length = _norm(p)
        if abs(length - radius) <= 1e-3 * radius:
            break
        derivative = float(np.sum(p * p / (w + shift)))
        shift = max(shift + (length - radius) / radius * length * length / derivative, low + 1e-300)
        p = -g / (w + shift)
    return p


def _norm(x: np.ndarray) -> float:
    return float(x @ x) ** 0.5

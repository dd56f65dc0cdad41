"""The two limits of a profile: where ζ reaches a quantile, or the edge of the parameter's range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConvergenceError
from ..likelihood.start import raised
from .constrained import Deviance, Held
from .profiled_parameters import Parameter

CLOSE = 1e-6  # of ζ at a limit
STEPS = 40
NEAR = 2.5  # distance, on the unbounded scale, from which a slope can be that towards the boundary
FAR = (
    9.0  # atanh of a correlation, or −log of an SD relative to its estimate, taken as the boundary
)
NARROW = 1e-6  # bracket at whose end no value can be held: the range ends there

Points = list[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class _Search:
    """Where a search for a limit begins: ψ, how it moves with the value, the first value, its reference."""

    psi: np.ndarray
    direction: np.ndarray
    at: float
    first: float
    reach: float
    inside: bool  # whether ζ is zero at the reference


def followed(
    deviance: Deviance, parameter: Parameter, z: float
) -> tuple[float, Points, tuple[float, float]]:
    """Follow the profile of a covariance parameter.

    Returns
    -------
    estimate : float
    points : list of (value, ζ)
        In increasing order.
    limits : (float, float)
        Where |ζ| is z, or the edge of the range where the profile does not reach it.

    Raises
    ------
    ConvergenceError
        The profile could not be followed.
    """
    edge = parameter.edge(deviance.best)
    points: Points = []
    if edge:
        at = parameter.edges[0 if edge < 0 else 1]
        first = edge * parameter.first if parameter.of else parameter.first
        likelihood = deviance.likelihood
        theta = deviance.best[:-1]
        start = likelihood.parameters(raised(likelihood, likelihood.covariances(theta)))
        psi = np.append(start, deviance.best[-1])
        search = _Search(psi, np.zeros_like(psi), first, first, 1.0, False)
        limit = _limit(deviance, parameter, search, -float(edge), z, points)
        limits = (at, limit) if edge < 0 else (limit, at)
        points.append((at, 0.0))
        points.sort()
        return at, points, limits
    value, a = deviance.moving(parameter.function)(deviance.best)
    _, _, hessian = deviance.second(deviance.best)
    direction = np.linalg.lstsq(hessian, a, rcond=None)[0]
    spread = max(float(a @ direction), 1e-12)
    reach = min(z * float(np.sqrt(2.0 * spread)), 3.0)
    found = []
    for sign in (-1.0, 1.0):
        search = _Search(
            deviance.best, direction / spread, value, value + sign * reach, reach, True
        )
        found.append(_limit(deviance, parameter, search, sign, z, points))
    points.append((float(parameter.back(value)), 0.0))
    points.sort()
    return float(parameter.back(value)), points, (found[0], found[1])


def _limit(
    deviance: Deviance, parameter: Parameter, search: _Search, sign: float, z: float, points: Points
) -> float:
    """Return the limit on one side; the points on the way are added to `points`."""
    v = search.first
    known = [(search.at, search.psi)]  # values held so far, and their ψ
    below: float | None = search.at if search.inside else None
    above: float | None = None
    for _ in range(STEPS):
        found = _held(deviance, parameter, v, known, search.direction)
        if found is None:
            if below is None:
                break
            v = 0.5 * (below + v)
            if abs(v - below) < NARROW:
                if np.isinf(parameter.edges).all():  # the range of the function ends here
                    return float(parameter.back(below))
                break
            continue
        known.append((v, found.psi))
        zeta = float(np.sqrt(max(0.0, found.value - deviance.criterion)))
        points.append((float(parameter.back(v)), sign * zeta))
        if abs(zeta - z) < CLOSE:
            return float(parameter.back(v))
        if zeta < z:
            below = v
            # Near an edge the drop is proportional to the distance from it or to its square, so that
            # the slope bounds what is left.
            flat = zeta**2 + 1.5 * abs(found.slope) < z**2
            far = abs(v - search.at)
            if np.isfinite(parameter.edges).any() and (far > FAR or (flat and far > NEAR)):
                return parameter.edges[0 if sign < 0 else 1]
        else:
            above = v
        slope = sign * found.slope / (2.0 * zeta) if zeta > 0.0 else 0.0
        step = (z - zeta) / slope if slope > 1e-8 else search.reach
        v = _next(v + sign * min(step, 3.0 * max(search.reach, 1.0)), v, below, above, sign)
    raise ConvergenceError(
        f"the profile of {parameter.name} did not reach its limit; use bootstrap(kind='parametric')"
    )


def _held(
    deviance: Deviance, parameter: Parameter, v: float, known: list[tuple[float, np.ndarray]],
    direction: np.ndarray,
) -> Held | None:  # fmt: skip
    """Return the optimum with the parameter at v, from the nearest of the values known, or from the next."""
    for at, psi in sorted(known, key=lambda pair: abs(pair[0] - v))[:3]:
        for start in (psi + (v - at) * direction, psi):
            try:
                return deviance.held(parameter.function, v, start)
            except ConvergenceError:
                continue
    return None


def _next(new: float, v: float, below: float | None, above: float | None, sign: float) -> float:
    """Return the next value: the new one if it is inside the bracket, else the middle, or a step back."""
    if below is None:
        return new if (new - v) * sign < 0.0 and abs(new - v) < 3.0 else v - sign
    if above is None:
        return new if (new - v) * sign > 0.0 else v + sign
    if abs(above - below) < NARROW:  # another, better optimum was found on this side
        return v + sign if v == below else below + sign
    inside = min(below, above) < new < max(below, above)
    return new if inside else 0.5 * (below + above)

"""Where an optimizer stopped, and what holds there: the boundary test and the numbers of the certificate.

A zero column of Λ is a stationary point for every data set, so any optimizer can stop there without
reason. This module decides about the boundary with the matrices D_t = ∂d/∂G_t. If D_t is positive
semidefinite on the null space of G_t, the point is an optimum. Otherwise the search continues along an
eigenvector with a negative eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..extension.protocols import OptimizeOutcome, Optimizer
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..linalg.matrices import eigh
from ..optimizers.newton import ROUNDING, without_rounding
from .boundary import falling_member, negligible_variance

DECREMENT = 1e-6  # largest decrement of a converged fit
SMALL = 1e-3  # a variance this small beside its sampling error is tried at zero


@dataclass(eq=False)
class Candidate:
    """A point at which an optimizer stopped, and what holds there."""

    point: Point
    # Eigenvalues and vectors of each G_t, as many as the structure's rank, in ascending order.
    spectra: list[tuple[np.ndarray, np.ndarray]]
    has_zero_column: list[bool]  # of each Λ_t
    holds: bool = False
    decrement: float = np.inf
    smallest: float = np.nan


def descend(
    likelihood: ProfiledLikelihood,
    optimizer: Optimizer,
    theta: np.ndarray,
    options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> tuple[Candidate, OptimizeOutcome]:
    """Run an optimizer; go on from where the boundary test points; move exactly onto a boundary."""
    for _ in range(10):
        outcome = optimizer.minimize(likelihood, theta, options=options, callback=callback)
        found = examine(likelihood, outcome.theta)
        if not _near_boundary(likelihood, found, SMALL):
            break
        found = _snap(likelihood, found)
        away = _leave_boundary(likelihood, found)
        if away is None:
            break
        theta = away
    else:
        found.holds = False  # always a way down from the boundary, never an optimum
    return found, outcome


def examine(likelihood: ProfiledLikelihood, theta: np.ndarray) -> Candidate:
    """Return what holds at θ."""
    point = likelihood.point(theta, order=2)
    spectra = []
    for structure, root in zip(likelihood.structures, point.roots):
        values, vectors = eigh(root @ root.T)
        rank = structure.rank(len(root)) if hasattr(structure, "rank") else len(root)
        null = len(values) - rank
        spectra.append((values[null:], vectors[:, null:]) if null else (values, vectors))
    zero = [_has_zero_column(root, values) for root, (values, _) in zip(point.roots, spectra)]
    found = Candidate(point, spectra, zero)
    _certify(likelihood, found)
    return found


def _near_boundary(likelihood: ProfiledLikelihood, found: Candidate, part: float) -> bool:
    for t, (values, _) in enumerate(found.spectra):
        if values.item(0) <= part * negligible_variance(likelihood, t):
            return True
    return False


def rounding(value: float) -> float:
    """Return the change of the criterion that may be rounding."""
    return 1e-9 * (1.0 + abs(value))


def _snap(likelihood: ProfiledLikelihood, found: Candidate) -> Candidate:
    """Set variances that are nearly zero to zero where that is an optimum as good."""
    covariances, changed = [], False
    for t, (values, vectors) in enumerate(found.spectra):
        zero = values <= SMALL * negligible_variance(likelihood, t)
        columns = ~found.point.roots[t].any(axis=0)
        if int(columns.sum()) < int(zero.sum()):
            values = np.where(zero, 0.0, values)
            changed = True
        g = (vectors * values) @ vectors.T
        g[np.abs(g) < 1e-15 * max(float(values[-1]), 0.0)] = 0.0
        covariances.append(g)
    if not changed:
        return found
    moved = examine(likelihood, likelihood.parameters(covariances))
    worse = moved.point.value > found.point.value + 10 * rounding(found.point.value)
    if worse or not moved.holds or _leave_boundary(likelihood, moved) is not None:
        return found
    return moved


def _leave_boundary(likelihood: ProfiledLikelihood, found: Candidate) -> np.ndarray | None:
    """Return θ inside, along a direction in which the criterion falls, or None."""
    point = found.point
    if point.gamma_gradient is None:
        return None
    here = likelihood.covariances(point.theta)
    there = []
    for t, (values, vectors) in enumerate(found.spectra):
        least = negligible_variance(likelihood, t)
        g = here[t]
        null = vectors[:, values <= 1e-8 * least]
        if null.shape[1]:
            d = likelihood.terms[t].matrix(point.gamma_gradient)
            slopes, directions = eigh(null.T @ d @ null)
            if slopes[0] * least < -1e-7:
                v = null @ directions[:, 0]
                g = g + least * np.outer(v, v)
            if null.shape[1] == len(g) and likelihood.terms[t].k > 1:
                member = falling_member(likelihood, t, d, null @ directions)
                g = here[t] if member is None else here[t] + least * member
        there.append(g)
    if all(a is b for a, b in zip(here, there)):
        return None
    for _ in range(30):
        theta = likelihood.parameters(there)
        if likelihood.value(theta) < point.value:
            return theta
        there = [0.5 * (a + b) for a, b in zip(here, there)]
    return None


def _has_zero_column(root: np.ndarray, eigenvalues: np.ndarray) -> bool:
    """Return whether Λ has a column of zeros, for the eigenvalues of ΛΛ'."""
    if len(eigenvalues) == root.shape[1] and eigenvalues.item(0) > 1e-8 * eigenvalues.item(-1):
        return False
    return not root.any(axis=0).all()


def _certify(likelihood: ProfiledLikelihood, found: Candidate) -> None:
    """Find the Newton decrement and the smallest Hessian eigenvalue on the free directions."""
    point = found.point
    if point.gradient is None or point.hessian is None or not isfinite(point.value):
        return
    g, h = point.gradient, point.hessian
    if len(g) == 0:
        found.holds, found.decrement = True, 0.0
        return
    if any(found.has_zero_column):
        free = []
        for theta, structure, root in zip(
            likelihood.parts(point.theta), likelihood.structures, point.roots
        ):
            derivative = structure.factor_derivative(theta, len(root))
            # A parameter that moves only zero columns of Λ lies on the boundary.
            free.append(np.any(derivative[:, :, root.any(axis=0)] != 0.0, axis=(1, 2)))
        mask = np.concatenate(free)
        if not mask.any():
            found.holds, found.decrement = True, 0.0
            return
        g, h = g[mask], h[np.ix_(mask, mask)]
    values, vectors = eigh(h)
    noise = ROUNDING * (abs(point.value) + 1.0)
    values, slope = without_rounding(values, vectors.T @ g, point.theta, noise)
    found.smallest, flat_slope = values.item(0), 0.0
    size = max(abs(found.smallest), abs(values.item(-1)))
    if found.smallest > 1e-9 * size:
        found.decrement = 0.5 * float(slope @ (slope / values))
    else:
        positive = values > 1e-9 * size
        flat_slope = float(np.linalg.norm(slope[~positive]))
        found.smallest = float(values.min())
        found.decrement = float(0.5 * (slope[positive] ** 2 / values[positive]).sum())
    found.holds = (
        found.decrement <= DECREMENT
        and found.smallest >= -1e-7 * size
        and flat_slope <= 1e-3 * size**0.5
    )

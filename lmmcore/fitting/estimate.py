"""From a profiled likelihood to its optimum: start, optimizer, boundary, certificate.

A zero column of Λ is a stationary point for every data set, so any optimizer can stop there without
reason. This module decides about the boundary with the matrices D_t = ∂d/∂G_t. If D_t is positive
semidefinite on the null space of G_t, the point is an optimum. Otherwise the search continues along an
eigenvector with a negative eigenvalue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from ..extension.protocols import OptimizeOutcome, Optimizer
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.start import neutral_start, start_values
from ..linalg.matrices import eigh
from ..optimizers.newton import ROUNDING, TrustRegionNewton, without_rounding
from .boundary import boundary_words, falling_member, negligible_variance
from .certificate import Convergence, TermAtOptimum
from .identification import NullDirection, in_words, null_directions
from .saturation import (
    ZERO_WORDS,
    caution,
    is_saturated,
    large_starts,
    nearer_zero,
    residual_is_zero,
    where_digits_are_left,
)
from .starts import better_start

DECREMENT = 1e-6  # largest decrement of a converged fit
LONG = 8  # iterations of a descent that did not go straight
SMALL = 1e-3  # a variance this small beside its sampling error is tried at zero


@dataclass(frozen=True, eq=False)
class Estimate:
    """θ̂ and its certificate."""

    point: Point
    convergence: Convergence


def estimate(
    likelihood: ProfiledLikelihood,
    optimizers: Sequence[tuple[str, Optimizer]],
    names: Sequence[Sequence[str]],
    groups: Sequence[str],
    start: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[int, float], None] | None = None,
    first: np.ndarray | None = None,
) -> Estimate:
    """Minimize the criterion.

    Parameters
    ----------
    likelihood : ProfiledLikelihood
    optimizers : sequence of (name, Optimizer)
        Tried in turn until the certificate holds.
    names : sequence of sequences of str
        Column names of each term, to describe the boundary.
    groups : sequence of str
        Name of each term's grouping factor.
    start : array, optional
        θ to start from, and nowhere else; by default from the data, and further starts where it is doubtful.
    first : array, optional
        θ in place of the first start from the data.
    """
    began = time.perf_counter()
    likelihood.evaluations = 0
    likelihood._last = None
    _refuse_no_residual(likelihood)
    saturated, no_residual = start is None and is_saturated(likelihood), False
    if start is not None:
        theta = np.array(start, dtype=float)
    else:
        theta = start_values(likelihood) if first is None else first
    best: _Candidate | None = None
    iterations, path, message, name = 0, list[tuple[int, float]](), "", ""
    explored = 0
    for name, optimizer in optimizers if likelihood.n_parameters else ():  # noqa: B007
        starts = [theta]
        for attempt in range(3):
            found, outcome = _descend(likelihood, optimizer, starts[-1], options or {}, callback)
            iterations += outcome.iterations
            path += outcome.path
            message = outcome.message
            if best is None or found.point.value < best.point.value - _rounding(best.point.value):
                best = found
            other = None if start is not None else _other_start(likelihood, best, outcome, attempt)
            if other is None:
                break
            starts.append(other)
        if start is None and best is not None and not options:
            before = likelihood.evaluations
            other = better_start(likelihood, best.point, _explored(likelihood))
            explored += likelihood.evaluations - before
            if other is not None:
                best, outcome = _descend(likelihood, optimizer, other, options or {}, callback)
                iterations += outcome.iterations
                path += outcome.path
                message = outcome.message
        if best is None or best.holds:
            break
        theta = best.point.theta
    if best is None or likelihood.n_parameters == 0:
        best = _examine(likelihood, theta)
        name, message = "none", "nothing was optimized"
    if saturated and optimizers and likelihood.n_parameters:
        before = likelihood.evaluations
        best = _best_of_saturated(likelihood, best, optimizers[0][1], options or {}, callback)
        explored += likelihood.evaluations - before
        no_residual = residual_is_zero(likelihood, best.point)
        if no_residual:
            best = _examine(likelihood, nearer_zero(likelihood, best.point))
            # The limit is not reached: how near it is depends on the digits that are left.
            best.holds = best.holds or best.decrement <= 1000 * DECREMENT
    _refuse_vanished_residual(likelihood, best)
    words = tuple(boundary_words(likelihood, best.point, best.spectra, names, groups))
    flat: list[NullDirection] = []
    if optimizers and not no_residual:
        flat = null_directions(likelihood, best.point, best.spectra, best.smallest)
    certificate = Convergence(
        converged=best.holds,
        newton_decrement=best.decrement,
        min_hessian_eigenvalue=best.smallest,
        boundary=(ZERO_WORDS, *words) if no_residual else words,
        singular=bool(words),
        not_identified=tuple(in_words(flat, names, groups)) if flat else (),
        null_directions=tuple(flat),
        caution=caution(likelihood) if saturated else "",
        optimizer=name,
        message=message,
        evaluations=likelihood.evaluations - explored,
        explored=explored,
        iterations=iterations,
        seconds=time.perf_counter() - began,
        path=tuple(path),
        terms=tuple(
            TermAtOptimum(tuple(columns), group, term.basis, factor)
            for columns, group, term, factor in zip(
                names, groups, likelihood.terms, best.point.factors
            )
        ),
    )
    return Estimate(best.point, certificate)


def _best_of_saturated(
    likelihood: ProfiledLikelihood,
    best: _Candidate,
    optimizer: Optimizer,
    options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> _Candidate:
    """Look where a residual variance of zero leads, in a design that can reproduce all rows."""
    best = _examine(likelihood, where_digits_are_left(likelihood, best.point.theta))
    for start in large_starts(likelihood, best.point, bool(caution(likelihood))):
        found, _ = _descend(likelihood, optimizer, start, options, callback)
        theta = where_digits_are_left(likelihood, found.point.theta)
        if theta is not found.point.theta:
            found = _examine(likelihood, theta)
        if found.point.value < best.point.value - _rounding(best.point.value):
            best = found
    return best


def _explored(likelihood: ProfiledLikelihood) -> Callable[[np.ndarray], Point]:
    """Return the descent of further starts, which need no more digits than show a better optimum."""
    newton, options = TrustRegionNewton(), {"tol": 1e-7, "maxiter": 30}
    return lambda theta: _descend(likelihood, newton, theta, options, None)[0].point


def _refuse_no_residual(likelihood: ProfiledLikelihood) -> None:
    """A response without residual variation has an unbounded likelihood."""
    engine = likelihood.engine
    # The response in the basis is a residual of least squares, scaled to a mean square of about one
    # unless it is below 1e-12 of the response, where rounding begins.
    if engine.residual <= 1e-4 * engine.n:
        raise ConvergenceError(
            "the fixed effects reproduce the response exactly, so the residual "
            "variance is zero and the likelihood has no maximum. Remove fixed effects, or check "
            "whether a column of exog is a "
            "copy of the response"
        )
    within = engine.within
    if within is None or engine.rank >= engine.n:
        return
    if float(within[-1, -1]) <= 1e-13 * engine.residual:
        raise _no_residual()


def _refuse_vanished_residual(likelihood: ProfiledLikelihood, found: _Candidate) -> None:
    """The same, seen at the end: the relative variances have grown without bound."""
    state = found.point.state
    if state is not None and state.r2 <= 1e-11 * likelihood.engine.residual:
        raise _no_residual()


def _no_residual() -> ConvergenceError:
    return ConvergenceError(
        "fixed and random effects reproduce the response exactly, so the "
        "residual variance is zero and the likelihood has no maximum. Remove random slopes, or "
        "check for a response "
        "that is constant within groups"
    )


@dataclass(eq=False)
class _Candidate:
    """A point at which an optimizer stopped, and what holds there."""

    point: Point
    # Eigenvalues and vectors of each G_t, as many as the structure's rank, in ascending order.
    spectra: list[tuple[np.ndarray, np.ndarray]]
    holds: bool = False
    decrement: float = np.inf
    smallest: float = np.nan


def _descend(
    likelihood: ProfiledLikelihood,
    optimizer: Optimizer,
    theta: np.ndarray,
    options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> tuple[_Candidate, OptimizeOutcome]:
    """Run an optimizer; go on from where the boundary test points; move exactly onto a boundary."""
    for _ in range(10):
        outcome = optimizer.minimize(likelihood, theta, options=options, callback=callback)
        found = _examine(likelihood, outcome.theta)
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


def _examine(likelihood: ProfiledLikelihood, theta: np.ndarray) -> _Candidate:
    point = likelihood.point(theta, order=2)
    spectra = []
    for structure, root in zip(likelihood.structures, point.roots):
        values, vectors = eigh(root @ root.T)
        rank = structure.rank(len(root)) if hasattr(structure, "rank") else len(root)
        null = len(values) - rank
        spectra.append((values[null:], vectors[:, null:]) if null else (values, vectors))
    found = _Candidate(point, spectra)
    _certify(likelihood, found)
    return found


def _near_boundary(likelihood: ProfiledLikelihood, found: _Candidate, part: float) -> bool:
    return any(
        values[0] <= part * negligible_variance(likelihood, t)
        for t, (values, _) in enumerate(found.spectra)
    )


def _rounding(value: float) -> float:
    return 1e-9 * (1.0 + abs(value))


def _snap(likelihood: ProfiledLikelihood, found: _Candidate) -> _Candidate:
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
    moved = _examine(likelihood, likelihood.parameters(covariances))
    worse = moved.point.value > found.point.value + 10 * _rounding(found.point.value)
    if worse or not moved.holds or _leave_boundary(likelihood, moved) is not None:
        return found
    return moved


def _leave_boundary(likelihood: ProfiledLikelihood, found: _Candidate) -> np.ndarray | None:
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


def _certify(likelihood: ProfiledLikelihood, found: _Candidate) -> None:
    """Find the Newton decrement and the smallest Hessian eigenvalue on the free directions."""
    point = found.point
    if point.gradient is None or point.hessian is None or not np.isfinite(point.value):
        return
    g, h = point.gradient, point.hessian
    if len(g) == 0:
        found.holds, found.decrement = True, 0.0
        return
    if any(_has_zero_column(root, values) for root, (values, _) in zip(point.roots, found.spectra)):
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


def _other_start(
    likelihood: ProfiledLikelihood, best: _Candidate, outcome: OptimizeOutcome, attempt: int
) -> np.ndarray | None:
    """Return a second start where the likelihood may have a better optimum elsewhere, or None."""
    if attempt == 0:
        singular = any(
            term.k > 1 and _has_zero_column(root, values)
            for term, root, (values, _) in zip(likelihood.terms, best.point.roots, best.spectra)
        )
        # Steps by the average information are good ones, but more of them are needed.
        long = LONG if likelihood.hessian_is_cheap else 3 * LONG
        if not best.holds or singular or outcome.iterations > long:
            return neutral_start(likelihood)
    if attempt == 2 or likelihood.value_without_effects >= best.point.value:
        return None
    # Better without any random effect than at the optimum that was found.
    least = [negligible_variance(likelihood, t) for t in range(len(likelihood.terms))]
    return likelihood.parameters([0.01 * v * np.eye(t.k) for v, t in zip(least, likelihood.terms)])

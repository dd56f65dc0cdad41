"""From a profiled likelihood to its optimum: starts, optimizers, certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from ..extension.protocols import OptimizeOutcome, Optimizer
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.start import neutral_start, start_values
from ..optimizers.newton import TrustRegionNewton
from .boundary import boundary_words, negligible_variance
from .candidate import DECREMENT, Candidate, descend, examine, rounding
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

LONG = 8  # iterations of a descent that did not go straight


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
    has_residual: bool = False,
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
    has_residual : bool
        Whether it is known that the fixed effects do not reproduce the response.
    """
    began = time.perf_counter()
    likelihood.forget()
    if not has_residual:
        refuse_no_residual(likelihood)
    saturated, no_residual = start is None and is_saturated(likelihood), False
    theta = start if start is not None else first
    theta = start_values(likelihood) if theta is None else np.array(theta, dtype=float)
    search = _Search(likelihood, options or {}, callback, further=start is None)
    used = optimizers if likelihood.n_parameters else ()
    best = search.run(used, theta)
    if saturated and used:
        best, no_residual = search.toward_no_residual(best, used[0][1])
    _refuse_vanished_residual(likelihood, best)
    words = tuple(boundary_words(likelihood, best.point, best.spectra, names, groups))
    flat: list[NullDirection] = []
    if optimizers:
        flat = _flat_directions(likelihood, best, no_residual)
    certificate = Convergence(
        converged=best.holds,
        newton_decrement=best.decrement,
        min_hessian_eigenvalue=best.smallest,
        boundary=(ZERO_WORDS, *words) if no_residual else words,
        singular=bool(words),
        not_identified=tuple(in_words(flat, names, groups)) if flat else (),
        null_directions=tuple(flat),
        caution=caution(likelihood) if saturated else "",
        optimizer=search.name,
        message=search.message,
        evaluations=likelihood.evaluations - search.explored,
        explored=search.explored,
        iterations=search.iterations,
        seconds=time.perf_counter() - began,
        path=tuple(search.path),
        terms=tuple(
            TermAtOptimum(tuple(columns), group, term.basis, factor)
            for columns, group, term, factor in zip(
                names, groups, likelihood.terms, best.point.factors
            )
        ),
    )
    return Estimate(best.point, certificate)


@dataclass(eq=False)
class _Search:
    """The descents of one fit, and what is said of them."""

    likelihood: ProfiledLikelihood
    options: Mapping[str, Any]
    callback: Callable[[int, float], None] | None
    further: bool  # whether to go to further starts
    name: str = "none"
    message: str = "nothing was optimized"
    iterations: int = 0
    explored: int = 0  # evaluations from further starts
    path: list[tuple[int, float]] = field(default_factory=list)

    def run(self, optimizers: Sequence[tuple[str, Optimizer]], theta: np.ndarray) -> Candidate:
        """Return the best point that the optimizers find, one after the other until the certificate holds."""
        best: Candidate | None = None
        for name, optimizer in optimizers:
            self.name = name
            for attempt in range(3):
                found, outcome = self._descend(optimizer, theta)
                if best is None or _lower(found, best):
                    best = found
                other = (
                    _other_start(self.likelihood, best, outcome, attempt) if self.further else None
                )
                if other is None:
                    break
                theta = other
            assert best is not None
            if self.further and not self.options:
                best = self._explore(optimizer, best)
            if best.holds:
                break
            theta = best.point.theta
        return examine(self.likelihood, theta) if best is None else best

    def _descend(
        self, optimizer: Optimizer, theta: np.ndarray
    ) -> tuple[Candidate, OptimizeOutcome]:
        found, outcome = descend(self.likelihood, optimizer, theta, self.options, self.callback)
        self.iterations += outcome.iterations
        self.path += outcome.path
        self.message = outcome.message
        return found, outcome

    def _explore(self, optimizer: Optimizer, best: Candidate) -> Candidate:
        """Return a better optimum, where the likelihood may have several and there is one."""
        before = self.likelihood.evaluations
        other = better_start(self.likelihood, best.point, self._short_descent)
        self.explored += self.likelihood.evaluations - before
        return best if other is None else self._descend(optimizer, other)[0]

    def _short_descent(self, theta: np.ndarray) -> Point:
        """Return the end of a descent with no more digits than show a better optimum."""
        options = {"tol": 1e-7, "maxiter": 30}
        return descend(self.likelihood, TrustRegionNewton(), theta, options, None)[0].point

    def toward_no_residual(self, best: Candidate, optimizer: Optimizer) -> tuple[Candidate, bool]:
        """Look where a residual variance of zero leads, in a design that can reproduce all rows.

        Return the best point, and whether the residual variance is zero there.
        """
        likelihood, before = self.likelihood, self.likelihood.evaluations
        best = examine(likelihood, where_digits_are_left(likelihood, best.point.theta))
        for start in large_starts(likelihood, best.point, bool(caution(likelihood))):
            found, _ = descend(likelihood, optimizer, start, self.options, self.callback)
            theta = where_digits_are_left(likelihood, found.point.theta)
            if theta is not found.point.theta:
                found = examine(likelihood, theta)
            if _lower(found, best):
                best = found
        self.explored += likelihood.evaluations - before
        no_residual = residual_is_zero(likelihood, best.point)
        if no_residual:
            best = examine(likelihood, nearer_zero(likelihood, best.point))
            # The limit is not reached: how near it is depends on the digits that are left.
            best.holds = best.holds or best.decrement <= 1000 * DECREMENT
        return best, no_residual


def _flat_directions(
    likelihood: ProfiledLikelihood, best: Candidate, no_residual: bool
) -> list[NullDirection]:
    """Return the directions in which the likelihood is constant.

    They are the same at all multiples of the covariance matrices. Where these have grown without bound
    beside σ², which looks flat too, they are looked for at a multiple of the size of σ².
    """
    if not no_residual:
        return null_directions(likelihood, best.point, best.spectra, best.smallest)
    largest = max(float(values[-1]) for values, _ in best.spectra)
    covariances = [g / largest for g in likelihood.covariances(best.point.theta)]
    smaller = examine(likelihood, likelihood.parameters(covariances))
    return null_directions(likelihood, smaller.point, smaller.spectra, 0.0)


def _lower(found: Candidate, best: Candidate) -> bool:
    return found.point.value < best.point.value - rounding(best.point.value)


def refuse_no_residual(likelihood: ProfiledLikelihood) -> None:
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
    if within is None or engine.rank >= engine.n or likelihood.scale is not None:
        return
    if float(within[-1, -1]) <= 1e-13 * engine.residual:
        raise _no_residual()


def _refuse_vanished_residual(likelihood: ProfiledLikelihood, found: Candidate) -> None:
    """The same, seen at the end: the relative variances have grown without bound."""
    state = found.point.state
    if state is None or likelihood.scale is not None:
        return
    if state.r2 <= 1e-11 * likelihood.engine.residual:
        raise _no_residual()


def _no_residual() -> ConvergenceError:
    return ConvergenceError(
        "fixed and random effects reproduce the response exactly, so the "
        "residual variance is zero and the likelihood has no maximum. Remove random slopes, or "
        "check for a response "
        "that is constant within groups"
    )


def _other_start(
    likelihood: ProfiledLikelihood, best: Candidate, outcome: OptimizeOutcome, attempt: int
) -> np.ndarray | None:
    """Return a second start where the likelihood may have a better optimum elsewhere, or None."""
    if attempt == 0:
        singular = any(best.has_zero_column) and any(
            zero and term.k > 1 for zero, term in zip(best.has_zero_column, likelihood.terms)
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

"""Designs that can reproduce every row: the limit of the criterion as the residual variance vanishes.

There the residual of any response vanishes as the relative variances grow. With ``G = τG₁``, τ → ∞, the
criterion tends to that of ``y ~ N(Xβ, σ²Z G₁Z')``, a finite number, unless the random effects of G₁ have
fewer dimensions than the rows (REML: than the rows without X) and reproduce the response all the same: then
it falls without bound. Under ML that is so for every response when Z has a lower rank than [X Z].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import ConvergenceError
from ..likelihood.independent import _groups
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.state import State
from ..linalg.matrices import eigh, lower_indices

COLUMNS = 1500  # columns of crossed factors up to which their rank is found
LARGE = 1e4  # relative variance at which a residual hardly matters
DIGITS = 1e-8  # part of the residual sum of squares that is known to enough digits
ZERO_WORDS = (
    "the residual variance is zero beside the random effects, which can reproduce every row: their "
    "covariance matrix (cov_re, vcomp) is estimated, its ratio to the residual variance is not"
)
LEAST_PART = 1e-5  # part of the residual in all variance below which nothing depends on it


def is_saturated(likelihood: ProfiledLikelihood) -> bool:
    """Return whether fixed and random effects can reproduce any response.

    Raises
    ------
    ConvergenceError
        The likelihood is unbounded for every response.
    """
    engine = likelihood.engine
    n, p = engine.n, engine.p
    if engine.rank + p < n or likelihood.scale is not None:  # a held σ² does not vanish
        return False
    if engine.columns > COLUMNS:
        return False
    of_z, whole = engine.ranks()
    if whole < n:
        return False
    if of_z < n and not likelihood.reml:
        raise ConvergenceError(
            f"the likelihood is unbounded: fixed and random effects together can reproduce all {n} rows, the "
            "random effects alone cannot, so that for every response it rises for ever as the residual "
            "variance goes to zero. Remove random coefficients or fixed effects, or fit with reml=True"
        )
    return True


def large_starts(
    likelihood: ProfiledLikelihood, point: Point, directions: bool
) -> Iterator[np.ndarray]:
    """Yield θ of variance one, then of large ones: all alike, as at a point, single directions."""
    here = likelihood.covariances(point.theta)
    units = [np.eye(t.k) for t in likelihood.terms]
    yield likelihood.parameters(units)
    shapes = [units, [g / max(float(np.trace(g)), 1e-10) + 1e-4 * u for g, u in zip(here, units)]]
    for t, term in enumerate(likelihood.terms):
        if not directions:
            break
        rng = np.random.default_rng(0)
        for v in [*eigh(here[t])[1].T, *rng.standard_normal((2 * term.k, term.k))]:
            shape = [1e-4 * u for u in units]
            shape[t] = shape[t] + np.outer(v, v) / float(v @ v)
            shapes.append(shape)
    for shape in shapes:
        yield likelihood.parameters([LARGE * g for g in shape])


def where_digits_are_left(likelihood: ProfiledLikelihood, theta: np.ndarray) -> np.ndarray:
    """Return θ, or θ of smaller variances where rounding would decide the residual sum of squares."""
    for _ in range(12):
        state = likelihood.point(theta).state
        if state is not None and state.r2 > DIGITS * likelihood.engine.residual:
            break
        theta = likelihood.parameters([0.01 * g for g in likelihood.covariances(theta)])
    return theta


def nearer_zero(likelihood: ProfiledLikelihood, point: Point) -> np.ndarray:
    """Return θ with variances as large as digits allow, so that the criterion is that of the limit."""
    assert point.state is not None
    ratio = point.state.r2 / (3.0 * DIGITS * likelihood.engine.residual)
    return likelihood.parameters([max(ratio, 1.0) * g for g in likelihood.covariances(point.theta)])


def residual_is_zero(likelihood: ProfiledLikelihood, point: Point) -> bool:
    """Return whether the likelihood is highest, and finite, where the residual variance goes to zero.

    Raises
    ------
    ConvergenceError
        The likelihood is unbounded there.
    """
    if point.state is None or likelihood.value_without_effects <= point.value + 1e-6:
        return False  # nothing varies with the groups, so that all is residual
    larger = [10.0 * f for f in point.factors]
    fall = point.value - likelihood.value_of(likelihood.engine.state(larger), larger)
    if fall > 1.0:  # without bound by log 100 at least, else by next to nothing at an optimum
        raise ConvergenceError(
            "the likelihood is unbounded: it rises for ever as the residual variance goes to zero. Random "
            f"effects of a singular covariance matrix reproduce all {likelihood.engine.n} rows. Remove "
            "random coefficients, or use a covariance structure of fewer parameters"
        )
    part = _residual_part(likelihood, point.factors, point.state, likelihood.reml)
    return fall > -1e-6 or part <= LEAST_PART


def _residual_part(
    likelihood: ProfiledLikelihood, factors: Sequence[np.ndarray], state: State, reml: bool
) -> float:
    """Return tr(P)/tr(PV), the part of the residual in the variance of all dimensions."""
    engine = likelihood.engine
    sums = engine.derivatives(factors, state, reml, (1.0, -2.0 if reml else 0.0, 0.0), False)
    slopes, _ = _groups.assemble(*sums, engine.p, reml, 0.0, 1.0, 0.0, 0.0)
    gamma = [(f @ f.T)[lower_indices(len(f))] for f in factors]
    dimensions = engine.n - (engine.p if reml else 0)
    return 1.0 - float(slopes @ np.concatenate(gamma)) / dimensions


def caution(likelihood: ProfiledLikelihood) -> str:
    """Say so where random coefficients of fewer dimensions may reproduce the response: empty if not.

    A matrix of k coefficients and rank r has r(k − r) shapes to choose from. It may reproduce all rows if
    that is at least the number of dimensions which a matrix of that rank leaves.
    """
    engine = likelihood.engine
    rng = np.random.default_rng(0)
    for t, term in enumerate(likelihood.terms):
        for rank in range(1, term.k):
            factors = [1e4 * np.eye(other.k) for other in likelihood.terms]
            factors[t] = np.zeros((term.k, term.k))
            factors[t][:, :rank] = 1e4 * rng.standard_normal((term.k, rank))
            state = engine.state(factors)
            if state is None:
                continue
            left = (engine.n - engine.p) * _residual_part(likelihood, factors, state, True)
            if left <= rank * (term.k - rank) + 0.5:
                return (
                    f"a singular covariance matrix of {term.k} random coefficients may reproduce all "
                    f"{engine.n} rows: elsewhere the likelihood may rise without bound as the residual "
                    "variance goes to zero. Remove random coefficients"
                )
    return ""

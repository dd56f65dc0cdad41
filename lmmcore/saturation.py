"""Designs whose fixed and random effects can reproduce every row: where a residual variance of zero leads.

There the residual of any response vanishes as the relative variances grow. With ``G = τG₁``, τ → ∞, the
criterion tends to that of ``y ~ N(Xβ, σ²Z G₁Z')``, a finite number, unless the random effects of G₁ have
fewer dimensions than the rows (REML: than the rows without X) and reproduce the response all the same: then
it falls without bound. Under ML that is so for every response when Z has a lower rank than [X Z].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .errors import ConvergenceError
from .extension.matrices import eigh, lower_indices
from .likelihood import _grouped
from .likelihood.crossed import CrossedEngine
from .likelihood.grouped import State
from .likelihood.profiled import Point, ProfiledLikelihood

COLUMNS = 1500  # columns of crossed factors up to which their rank is found
LARGE = 1e4  # relative variance at which a residual hardly matters
RANK = 1e-9
DIGITS = (
    1e-8  # part of the residual sum of squares, known to 1e-15 of the whole, that can be trusted
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
    if engine.rank + p < n:
        return False
    if isinstance(engine, CrossedEngine):
        if engine.columns > COLUMNS:
            return False
        zz, zx = engine._multiply(np.eye(engine.columns)), engine.zxy[:, :p]
        of_z = _rank(zz)
        whole = _rank(np.block([[zz, zx], [zx.T, engine.total[:p, :p]]]))
    else:
        of_z = engine.rank
        assert engine.within is not None
        whole = of_z + int((np.linalg.eigvalsh(engine.within[:p, :p]) > RANK).sum())
    if whole < n:
        return False
    if of_z < n and not likelihood.reml:
        raise ConvergenceError(
            f"the likelihood is unbounded: fixed and random effects together can reproduce all {n} rows, the "
            "random effects alone cannot, so that for every response it rises for ever as the residual "
            "variance goes to zero. Remove random coefficients or fixed effects, or fit with reml=True"
        )
    return True


def _rank(gram: np.ndarray) -> int:
    size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return int((np.linalg.eigvalsh(gram / np.outer(size, size)) > RANK).sum())


def large_starts(likelihood: ProfiledLikelihood, point: Point) -> Iterator[np.ndarray]:
    """Yield θ of variance one, then of large ones: all alike, as at a point, each direction by itself."""
    here = likelihood.covariances(point.theta)
    units = [np.eye(t.k) for t in likelihood.terms]
    yield likelihood.parameters(units)
    shapes = [units, [g / max(float(np.trace(g)), 1e-10) + 1e-4 * u for g, u in zip(here, units)]]
    for t, term in enumerate(likelihood.terms):
        if term.k == 1 and len(units) == 1:
            continue
        rng = np.random.default_rng(0)
        directions = [*eigh(here[t])[1].T, *rng.standard_normal((2 * term.k, term.k))]
        for v in directions:
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


def refuse_vanishing_residual(likelihood: ProfiledLikelihood, point: Point) -> None:
    """Refuse a point where the residual variance has no part in the likelihood, or a smaller one is better.

    Raises
    ------
    ConvergenceError
    """
    if point.state is None or likelihood.value_without_effects <= point.value + 1e-6:
        return  # nothing varies with the groups, so that all is residual
    larger = likelihood.engine.state([10.0 * f for f in point.factors])
    if (
        likelihood._value(larger) > point.value
        and _residual_part(likelihood, point.factors, point.state, likelihood.reml) > LEAST_PART
    ):
        return
    raise ConvergenceError(
        "the likelihood has no maximum: it is highest where the residual variance goes to zero. Fixed and "
        f"random effects together can reproduce all {likelihood.engine.n} rows. Remove random "
        "coefficients, or use a covariance structure of fewer parameters"
    )


def _residual_part(
    likelihood: ProfiledLikelihood, factors: Sequence[np.ndarray], state: State, reml: bool
) -> float:
    """Return tr(P)/tr(PV), the part of the residual in the variance of all dimensions."""
    engine = likelihood.engine
    sums = engine.derivatives(factors, state, reml, (1.0, -2.0 if reml else 0.0, 0.0), False)
    slopes, _ = _grouped.assemble(*sums, engine.p, reml, 0.0, 1.0, 0.0)
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

"""From a profiled likelihood to its optimum: start, optimizer, boundary, certificate.

Any optimizer can stop falsely where a column of Λ is zero, since that is a stationary point for
every data set. So the boundary is decided here, by the matrices D_t = ∂d/∂G_t: on the null space of
G_t, D_t positive semidefinite certifies an optimum, and a negative eigenvalue says where to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .convergence import Convergence
from .errors import ConvergenceError, PluginError
from .extension import OptimizeOutcome, Optimizer
from .likelihood.profiled import Point, ProfiledLikelihood
from .likelihood.start import neutral_start, start_values

DECREMENT = 1e-6  # largest decrement of a converged fit
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
    group: str,
    start: np.ndarray | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> Estimate:
    """Minimise the criterion.

    Parameters
    ----------
    likelihood : ProfiledLikelihood
    optimizers : sequence of (name, Optimizer)
        Tried in turn until the certificate holds.
    names : sequence of sequences of str
        Column names of each term, for words about the boundary.
    group : str
        Name of the grouping factor.
    start : array, optional
        θ to start from; by default from the data.
    """
    began = time.perf_counter()
    likelihood.evaluations = 0
    likelihood._last = None
    _refuse_no_residual(likelihood)
    theta = start_values(likelihood) if start is None else np.array(start, dtype=float)
    best: tuple[Point, bool] | None = None
    iterations, path, message, name = 0, list[tuple[int, float]](), "", ""
    for name, optimizer in optimizers:
        for attempt in range(2):
            point, holds, outcome = _descend(likelihood, name, optimizer, theta, options, callback)
            iterations += outcome.iterations
            path += outcome.path
            message = outcome.message
            if best is None or point.value < best[0].value - 1e-9 * (1 + abs(best[0].value)):
                best = (point, holds)
            # The likelihood can have a second optimum; a doubtful first one is tested against the
            # optimum reached from elsewhere.
            if attempt == 0 and start is None and _doubtful(likelihood, point, holds):
                theta = neutral_start(likelihood)
            else:
                break
        assert best is not None
        if best[1]:
            break
        theta = best[0].theta
    assert best is not None
    point = best[0]
    converged, decrement, smallest = _certificate(likelihood, point)
    words = tuple(_boundary_words(likelihood, point, names, group))
    return Estimate(
        point,
        Convergence(
            converged, decrement, smallest, words, bool(words), name, message,
            likelihood.evaluations, iterations, time.perf_counter() - began, tuple(path),
        ),  # fmt: skip
    )


def _refuse_no_residual(likelihood: ProfiledLikelihood) -> None:
    """A response without residual variation has an unbounded likelihood."""
    engine = likelihood.engine
    # The response in the basis is a residual of least squares, scaled to a mean square of one.
    if engine.residual <= 1e-15 * engine.n:
        raise ConvergenceError(
            "the fixed effects reproduce the response exactly: the residual variance is zero and the "
            "likelihood has no maximum. Remove fixed effects, or check whether a column of exog is a "
            "copy of the response"
        )
    if engine.rank < engine.n and float(engine.within[-1, -1]) <= 1e-13 * engine.residual:
        raise ConvergenceError(
            "fixed and random effects together reproduce the response exactly: the residual variance "
            "is zero and the likelihood has no maximum. Remove random slopes, or check for a response "
            "that is constant within groups"
        )


def _descend(
    likelihood: ProfiledLikelihood,
    name: str,
    optimizer: Optimizer,
    theta: np.ndarray,
    options: Mapping[str, Any] | None,
    callback: Callable[[int, float], None] | None,
) -> tuple[Point, bool, OptimizeOutcome]:
    """Run an optimizer; go on from where the boundary test points; move exactly onto a boundary."""
    for _ in range(10):
        outcome = _minimize(likelihood, name, optimizer, theta, options or {}, callback)
        point = likelihood.point(outcome.theta, order=2)
        point = _snap(likelihood, point)
        away = _leave_boundary(likelihood, point)
        if away is None:
            break
        theta = away
    holds, _, _ = _certificate(likelihood, point)
    return point, holds, outcome


def _minimize(
    likelihood: ProfiledLikelihood,
    name: str,
    optimizer: Optimizer,
    theta: np.ndarray,
    options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> OptimizeOutcome:
    outcome = optimizer.minimize(likelihood, theta.copy(), options=options, callback=callback)
    found = np.asarray(getattr(outcome, "theta", None), dtype=float)
    if found.shape != theta.shape or not np.all(np.isfinite(found)):
        raise PluginError(
            f"optimizer {name!r} returned theta {found!r}; expected {len(theta)} finite numbers. "
            "Choose another method, or report this to the author of the plugin"
        )
    return outcome


def _split(g: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues and vectors of G and a mask of those that count as zero."""
    values, vectors = np.linalg.eigh(g)
    return values, vectors, values <= least


def _least(likelihood: ProfiledLikelihood, t: int) -> float:
    """Return a variance that is negligible beside what one level can tell about it."""
    return likelihood.terms[t].levels / likelihood.engine.n


def _snap(likelihood: ProfiledLikelihood, point: Point) -> Point:
    """Set variances that are nearly zero to zero where the criterion allows."""
    covariances, changed = [], False
    for t, factor in enumerate(point.factors):
        g = factor @ factor.T
        values, vectors, zero = _split(g, SMALL * _least(likelihood, t))
        if zero.any() and np.any(factor[:, :] != 0.0) and not _is_canonical(factor, zero):
            values = np.where(zero, 0.0, values)
            g = (vectors * values) @ vectors.T
            g[np.abs(g) < 1e-15 * max(float(values[-1]), 0.0)] = 0.0
            changed = True
        covariances.append(g)
    if not changed:
        return point
    moved = likelihood.point(likelihood.parameters(covariances), order=2)
    if moved.gamma_gradient is None or moved.value > point.value + 1e-8 * (1 + abs(point.value)):
        return point
    # The criterion alone cannot tell within rounding; the gradient across the boundary can.
    for term, factor in zip(likelihood.terms, moved.factors):
        values, vectors, zero = _split(factor @ factor.T, 0.0 + 1e-14)
        null = vectors[:, zero]
        across = null.T @ term.matrix(moved.gamma_gradient) @ null
        if zero.any() and np.linalg.eigvalsh(across)[0] < 0.0:
            return point
    decrement = _certificate(likelihood, moved)[1]
    return moved if decrement <= DECREMENT else point


def _is_canonical(factor: np.ndarray, zero: np.ndarray) -> bool:
    """Whether as many columns of Λ are exactly zero as G has zero eigenvalues."""
    return int(np.sum(~factor.any(axis=0))) >= int(zero.sum())


def _leave_boundary(likelihood: ProfiledLikelihood, point: Point) -> np.ndarray | None:
    """Return θ inside, along a direction in which the criterion falls, or None."""
    if point.gamma_gradient is None:
        return None
    covariances, found = [], False
    for t, (term, factor) in enumerate(zip(likelihood.terms, point.factors)):
        g = factor @ factor.T
        least = _least(likelihood, t)
        _, vectors, zero = _split(g, 1e-8 * least)
        if zero.any():
            null = vectors[:, zero]
            d = term.matrix(point.gamma_gradient)
            values, directions = np.linalg.eigh(null.T @ d @ null)
            if values[0] * least < -1e-7:
                v = null @ directions[:, 0]
                g = g + least * np.outer(v, v)
                found = True
        covariances.append(g)
    if not found:
        return None
    theta = likelihood.parameters(covariances)
    for _ in range(30):
        if likelihood.value(theta) < point.value:
            return theta
        covariances = [
            0.5 * (g + f @ f.T) for g, f in zip(covariances, point.factors)
        ]
        theta = likelihood.parameters(covariances)
    return None


def _certificate(likelihood: ProfiledLikelihood, point: Point) -> tuple[bool, float, float]:
    """Return whether it holds, the Newton decrement and the smallest Hessian eigenvalue."""
    if point.gradient is None or point.hessian is None or not np.isfinite(point.value):
        return False, np.inf, np.nan
    free = []
    for part, structure, factor in zip(
        likelihood.parts(np.arange(likelihood.n_parameters)), likelihood.structures, point.factors
    ):
        derivative = structure.factor_derivative(point.theta[part], len(factor))
        empty = ~factor.any(axis=0)
        # A parameter that moves only zero columns of Λ lies on the boundary.
        free.append(np.any(derivative[:, :, ~empty] != 0.0, axis=(1, 2)))
    mask = np.concatenate(free)
    if not mask.any():
        return True, 0.0, float("nan")
    h = point.hessian[np.ix_(mask, mask)]
    values, vectors = np.linalg.eigh(h)
    slope = vectors.T @ point.gradient[mask]
    size = float(np.abs(values).max())
    positive = values > 1e-9 * size
    decrement = float(0.5 * np.sum(slope[positive] ** 2 / values[positive]))
    smallest = float(values[0])
    flat_slope = float(np.linalg.norm(slope[~positive])) if not positive.all() else 0.0
    holds = decrement <= DECREMENT and smallest >= -1e-7 * size and flat_slope <= 1e-3 * np.sqrt(size)
    return bool(holds), decrement, smallest


def _doubtful(likelihood: ProfiledLikelihood, point: Point, holds: bool) -> bool:
    """A singular optimum of several columns, or one without a certificate."""
    if not holds:
        return True
    return any(
        term.k > 1 and bool(np.any(~factor.any(axis=0)))
        for term, factor in zip(likelihood.terms, point.factors)
    )


def _boundary_words(
    likelihood: ProfiledLikelihood, point: Point, names: Sequence[Sequence[str]], group: str
) -> list[str]:
    """Say in words which variances are zero and which correlations are ±1."""
    words = []
    for t, (term, factor) in enumerate(zip(likelihood.terms, point.factors)):
        g = factor @ factor.T
        values, _, zero = _split(g, 1e-8 * _least(likelihood, t))
        if not zero.any():
            continue
        variances = np.diag(g)
        nothing = variances <= 1e-8 * _least(likelihood, t)
        for name in np.array(names[t], dtype=object)[nothing]:
            words.append(
                f"the variance of {_shown(name, group)} is zero: the groups differ no more than "
                "chance alone would have it"
            )
        if int(zero.sum()) <= int(nothing.sum()):
            continue
        rest = np.flatnonzero(~nothing)
        pairs = [
            (i, j)
            for i in rest
            for j in rest
            if i < j and abs(g[i, j]) >= (1 - 1e-8) * np.sqrt(variances[i] * variances[j])
        ]
        for i, j in pairs:
            sign = "−1" if g[i, j] < 0 else "1"
            words.append(
                f"the correlation of {_shown(names[t][i], group)} and {names[t][j]} is at {sign}: the "
                "data do not support this many random coefficients"
            )
        if not pairs:
            rank = len(values) - int(zero.sum())
            listed = ", ".join(names[t])
            words.append(
                f"the covariance matrix of ({listed} | {group}) has rank {rank} of {term.k}: the data "
                "do not support this many random coefficients"
            )
    return words


def _shown(name: str, group: str) -> str:
    return f"the random intercept of {group}" if name == group else f"{name} | {group}"

"""Smooth penalties on β and on the covariance matrix, estimated together with everything else.

The penalized criterion is a `ProfiledLikelihood` like any other (see `likelihood.penalized`): optimizers,
starts, boundary and certificate are those of every fit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..extension.protocols import Optimizer
from ..fitting.estimate import Estimate, estimate
from ..fitting.fit import Fit
from ..likelihood.penalized import SmoothPenalties
from ..likelihood.profiled import Point, ProfiledLikelihood
from .fits import SmoothFit
from .results import SmoothResults
from .terms import alpha_of_each

SIZES = np.geomspace(1e-3, 1e4, 15)  # of G, for columns of Z of a mean square of one
MOST = 6  # further starts


def with_alpha(penalty: Any, alpha: Any) -> Any:
    """Return a copy of a smooth penalty with ``alpha`` set, as statsmodels sets it.

    Such a penalty is subtracted from the log-likelihood, so λ is its alpha, not alpha/2.
    """
    out = copy.copy(penalty)
    if np.ndim(alpha) == 0:
        out.alpha = float(alpha_of_each(alpha, 1, ["alpha"])[0])
    else:
        out.alpha = np.asarray(alpha, float)
    return out


def smooth_penalties(model: Any, fe_pen: Any, cov_pen: Any) -> SmoothPenalties | None:
    """Return the penalties of the likelihood, or None if there are none."""
    if fe_pen is None and cov_pen is None:
        return None
    return SmoothPenalties(fe_pen, cov_pen, model.equations.packed.coordinates, model.k_re)


def estimate_penalized(
    likelihood: ProfiledLikelihood,
    optimizers: Sequence[tuple[str, Optimizer]],
    names: Sequence[Sequence[str]],
    groups: Sequence[str],
    start: np.ndarray | None,
    options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> Estimate:
    """Minimize the penalized criterion as `estimate` does, but from more starts.

    A variance can often explain what a shrunken coefficient leaves, so there may be several local minima.
    The criterion is evaluated at covariance matrices of increasing size, and further searches start at the
    local minima among these.
    """
    best = estimate(likelihood, optimizers, names, groups, start, options, callback)
    if start is not None or not optimizers or likelihood.n_parameters == 0:
        return best
    first = best.convergence
    explored, iterations, seconds = first.explored, first.iterations, first.seconds
    for other in _valleys(likelihood, best.point):
        found = estimate(likelihood, optimizers, names, groups, other, options, callback)
        explored += found.convergence.evaluations + found.convergence.explored
        iterations += found.convergence.iterations
        seconds += found.convergence.seconds
        lower = found.point.value < best.point.value - 1e-9 * (1.0 + abs(best.point.value))
        if lower and (found.convergence.converged or not best.convergence.converged):
            best = found
    certificate = replace(
        best.convergence, explored=explored, iterations=iterations, seconds=seconds
    )
    return Estimate(best.point, certificate)


def _valleys(likelihood: ProfiledLikelihood, point: Point) -> list[np.ndarray]:
    """Return θ in the valleys along the size of G, of all terms together and of each one.

    The list is empty if there is only one valley, and nothing in it is lower than the point.
    """
    here = likelihood.covariances(point.theta)
    n_terms = len(here)
    out: list[tuple[float, np.ndarray]] = []
    for moved in [range(n_terms)] + ([[t] for t in range(n_terms)] if n_terms > 1 else []):
        line = []
        for size in SIZES if likelihood.hessian_is_cheap else SIZES[::3]:
            at = [size * np.eye(len(g)) if t in moved else g for t, g in enumerate(here)]
            theta = likelihood.parameters(at)
            line.append((likelihood.value(theta), theta))
        values = np.array([np.inf, *(value for value, _ in line), np.inf])
        low = np.flatnonzero((values[1:-1] < values[:-2]) & (values[1:-1] <= values[2:]))
        if len(low) > 1 or any(values[1 + i] < point.value for i in low):
            out += [line[i] for i in low]
    return [theta for _, theta in sorted(out, key=lambda found: found[0])[:MOST]]


def smooth_results(model: Any, fit: Fit, full_output: bool) -> SmoothResults:
    """Return the results of a fit that maximizes log-likelihood − fe_pen(β) − cov_pen(G, G⁻¹)."""
    penalty = fit.likelihood.penalty
    assert penalty is not None
    names = [
        f"{what} by {type(pen).__name__}"
        for what, pen in (("fixed effects", penalty.fe_pen), ("cov_re", penalty.cov_pen))
        if pen is not None
    ]
    beta = penalty.beta(fit.state, fit.n_eff)
    df = float(np.count_nonzero(beta))
    return SmoothResults(model, SmoothFit(fit, beta, " and ".join(names), df=df), full_output)

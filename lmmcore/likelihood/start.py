"""Start values from the data: one step of Fisher scoring in the covariance matrix itself.

V is linear in G, so one scoring step from any G gives a quadratic unbiased estimate, whatever the
starting point; σ² is taken from the variation inside groups, where there is enough of it.
"""

from __future__ import annotations

import numpy as np

from ..linalg._dense import solve_positive
from ..linalg.matrices import eigh, identity, symmetric_index
from .profiled import ProfiledLikelihood

ROUNDING = 1e-12  # of the information of one level
FLOOR = 0.1  # least start variance, as a part of the sampling variance of one level's coefficient


def start_values(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return θ to start from."""
    return likelihood.parameters(scored_covariances(likelihood))


def scored_covariances(likelihood: ProfiledLikelihood) -> list[np.ndarray]:
    """Return a positive definite G_t of each term, whatever its structure.

    They follow from the cross-products alone, so the engine keeps them for the next fit.
    """
    starts, reml = likelihood.engine.starts, likelihood.reml
    if reml not in starts:
        starts[reml] = raised(likelihood, _first_estimates(likelihood))
    return starts[reml]


def _first_estimates(likelihood: ProfiledLikelihood) -> list[np.ndarray]:
    engine, reml = likelihood.engine, likelihood.reml
    moments = engine.moments()
    if moments is not None:
        return moments
    unit = [identity(t.k) for t in engine.terms]
    state = engine.state(unit)
    if state is None:
        return unit
    sigma2 = engine.within_variance if likelihood.scale is None else likelihood.sigma2_held
    if sigma2 is None:
        sigma2 = state.r2 / (engine.n - (engine.p if reml else 0))
    gradient, information = engine.scoring(unit, state, reml, sigma2)
    diagonal = information.diagonal()
    noise = ROUNDING * max(t.levels for t in engine.terms)
    step = solve_positive(information, gradient) if min(diagonal.tolist()) > noise else None
    if step is None:  # not all parameters are identified at this point
        step, known = np.zeros(len(gradient)), diagonal > noise
        scale = np.sqrt(diagonal[known])
        inner = information[np.ix_(known, known)] / np.outer(scale, scale)
        step[known] = np.linalg.lstsq(inner, gradient[known] / scale, rcond=1e-10)[0] / scale
    return [g - step[t.coordinates][symmetric_index(t.k)] for g, t in zip(unit, engine.terms)]


def raised(likelihood: ProfiledLikelihood, covariances: list[np.ndarray]) -> list[np.ndarray]:
    """Return positive definite matrices: eigenvalues are raised to a part of their sampling error."""
    engine, out = likelihood.engine, []
    for term, g in zip(likelihood.terms, covariances):
        # In the engine's units Z has mean square one: a level has n / levels rows of information.
        least = FLOOR * term.levels / engine.n
        values, vectors = eigh(g)
        values = np.maximum(values, max(least, 1e-4 * values.item(-1)))
        out.append((vectors * values) @ vectors.T)
    return out


def neutral_start(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return a second θ to start from: every coefficient varies as much as the residual."""
    return likelihood.parameters([identity(t.k) for t in likelihood.terms])

"""Start values from the data: one step of Fisher scoring in the covariance matrix itself.

V is linear in G, so one scoring step from any G gives a quadratic unbiased estimate, whatever the
starting point; σ² is taken from the variation inside groups, where there is enough of it.
"""

from __future__ import annotations

import numpy as np

from ..linalg._dense import cholesky_inverse, solve_positive
from ..linalg.matrices import eigh, identity, symmetric_index
from .profiled import ProfiledLikelihood

ROUNDING = 1e-12  # of the information of one level
FLOOR = 0.1  # least start variance, as a part of the sampling variance of one level's coefficient


def start_values(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return θ to start from."""
    return likelihood.parameters(scored_covariances(likelihood))


def scored_covariances(likelihood: ProfiledLikelihood) -> list[np.ndarray]:
    """Return a positive definite G_t of each term, whatever its structure."""
    engine = likelihood.engine
    moments = engine.moments()
    if moments is not None:
        return raised(likelihood, moments)
    unit = [identity(t.k) for t in likelihood.terms]
    state = engine.state(unit)
    likelihood.evaluations += 1
    if state is None:
        return unit
    sigma2 = _within_variance(likelihood)
    if sigma2 is None:
        sigma2 = likelihood.sigma2(state)
    gradient, information = engine.scoring(unit, state, likelihood.reml, sigma2)
    diagonal = information.diagonal()
    noise = ROUNDING * max(t.levels for t in likelihood.terms)
    step = solve_positive(information, gradient) if min(diagonal.tolist()) > noise else None
    if step is None:  # not all parameters are identified at this point
        step, known = np.zeros(len(gradient)), diagonal > noise
        scale = np.sqrt(diagonal[known])
        inner = information[np.ix_(known, known)] / np.outer(scale, scale)
        step[known] = np.linalg.lstsq(inner, gradient[known] / scale, rcond=1e-10)[0] / scale
    return raised(
        likelihood,
        [g - step[t.coordinates][symmetric_index(t.k)] for g, t in zip(unit, likelihood.terms)],
    )


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


def _within_variance(likelihood: ProfiledLikelihood) -> float | None:
    """Return σ² of the regression inside groups, None when there are no degrees of freedom."""
    engine = likelihood.engine
    within = engine.within
    if within is None:
        return None
    # Columns that do not vary inside groups have nothing to say here.
    if min(within.diagonal().tolist()) <= 1e-12:
        inside = within.diagonal() > 1e-12
        inside[-1] = True
        within = within[np.ix_(inside, inside)]
    root = within.copy()
    _, regular = cholesky_inverse(root)
    df = engine.n - engine.rank - (len(root) - 1)
    if not regular or df <= 0:
        return None
    rss = float(root[-1, -1]) ** 2
    return rss / df if rss > 0.0 else None

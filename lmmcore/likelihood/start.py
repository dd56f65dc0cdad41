"""Start values from the data: one step of Fisher scoring in the covariance matrix itself.

V is linear in G, so one scoring step from any G gives a quadratic unbiased estimate, whatever the
starting point; σ² is taken from the variation inside groups, where there is enough of it.
"""

from __future__ import annotations

import numpy as np

from .profiled import ProfiledLikelihood

FLOOR = 0.1  # least start variance, as a part of the sampling variance of one level's coefficient


def start_values(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return θ to start from."""
    engine = likelihood.engine
    unit = [np.eye(t.k) for t in likelihood.terms]
    state = engine.state(unit)
    likelihood.evaluations += 1
    if state is None:
        return likelihood.parameters(unit)
    sigma2 = _within_variance(likelihood)
    if sigma2 is None:
        sigma2 = likelihood.sigma2(state)
    gradient, information = engine.scoring(unit, state, likelihood.reml, sigma2)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    step, *_ = np.linalg.lstsq(
        information / np.outer(scale, scale), -gradient / scale, rcond=1e-10
    )
    step = step / scale
    covariances = []
    for term in likelihood.terms:
        g = np.eye(term.k)
        rows, cols = term.tril
        part = step[term.coordinates]
        g[rows, cols] += part
        g[cols, rows] = g[rows, cols]
        # In the engine's units Z has mean square one: a level has n / levels rows of information.
        least = FLOOR * term.levels / engine.n
        values, vectors = np.linalg.eigh(g)
        values = np.maximum(values, max(least, 1e-4 * float(values[-1])))
        covariances.append((vectors * values) @ vectors.T)
    return likelihood.parameters(covariances)


def neutral_start(likelihood: ProfiledLikelihood) -> np.ndarray:
    """Return a second θ to start from: every coefficient varies as much as the residual."""
    return likelihood.parameters([np.eye(t.k) for t in likelihood.terms])


def _within_variance(likelihood: ProfiledLikelihood) -> float | None:
    """Return σ² of the regression inside groups, None when there are no degrees of freedom."""
    engine = likelihood.engine
    within, p = engine.within, engine.p
    scale = np.sqrt(np.maximum(np.diag(within)[:p], 1e-14))
    x = within[:p, :p] / np.outer(scale, scale)
    xy = within[:p, p] / scale
    values, vectors = np.linalg.eigh(x) if p else (np.zeros(0), np.zeros((0, 0)))
    use = values > 1e-8 * max(1.0, values.max(initial=0.0))
    projected = vectors[:, use].T @ xy
    rss = float(within[p, p] - np.sum(projected**2 / values[use]))
    df = engine.n - engine.rank - int(use.sum())
    return rss / df if df > 0 and rss > 0.0 else None

"""Profile likelihood limits of one variance of random effects, under the likelihood of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtri

from ..errors import ConvergenceError, OptionError
from ..fitting.estimate import estimate
from ..fitting.fit import Fit
from ..fitting.options import chosen_optimizers
from ..inference.rlrt import Absent
from ..likelihood.held_variance import HeldVariance

LEAST = 1e-9  # variance, in parts of the known ones, that stands for zero
STEPS = 60  # of doubling


def deviance_at(fit: Fit, t: int, value: float) -> float:
    """Return −2 log-likelihood with the variance of a term of one column held, all else estimated.

    Parameters
    ----------
    t : int
        The term.
    value : float
        Its variance, in the response's units; σ² is held by the model.
    """
    engine, likelihood = fit.equations.plain_engine, fit.likelihood
    term = engine.terms[t]
    structures: list[Any] = list(likelihood.structures)
    held = value / fit.scale / float(term.basis[0, 0]) ** 2
    structures[t] = HeldVariance(structures[t], 0, held) if value > 0.0 else Absent()
    restricted = fit.equations.likelihood(fit.reml, structures, engine)
    covariances = [to.to_engine(g) for to, g in zip(engine.terms, fit.relative)]
    if covariances[t][0, 0] == 0.0:
        covariances[t] = np.full((1, 1), max(held, 1e-300))
    optimizers, options = chosen_optimizers(None, {})
    layout = fit.layout
    if not restricted.n_parameters or all(
        isinstance(s, (HeldVariance, Absent)) for s in structures
    ):
        return restricted.value(restricted.parameters(covariances))
    first = restricted.parameters(covariances)
    found = estimate(
        restricted, optimizers, layout.names, layout.groups, None, options, None, first
    )
    return float(found.point.value)


def limits(fit: Fit, t: int, level: float) -> tuple[float, float]:
    """Return the limits of the variance of a term where the deviance rises by the quantile of χ²(1).

    Raises
    ------
    OptionError
        A term of several columns.
    ConvergenceError
        The deviance does not rise so far.
    """
    from scipy.optimize import brentq

    if fit.likelihood.terms[t].k > 1:
        raise OptionError(
            f"{fit.layout.terms[t].title} has several random coefficients; expected a term of one for a "
            "profile of its variance"
        )
    rise = float(chdtri(1, 1.0 - level))
    best = float(fit.relative[t][0, 0] * fit.scale)

    def excess(value: float) -> float:
        return deviance_at(fit, t, value) - fit.criterion - rise

    lower = 0.0
    if best > 0.0 and excess(0.0) > 0.0:
        low = best
        for _ in range(STEPS):
            low *= 0.5
            if excess(low) > 0.0:
                break
        lower = float(brentq(excess, low, best, xtol=1e-12 * best, rtol=1e-10))
    high = max(best, LEAST * float(fit.scale))
    for _ in range(STEPS):
        high *= 2.0
        if excess(high) > 0.0:
            return lower, float(brentq(excess, max(best, 0.5 * high), high, rtol=1e-10))
    raise ConvergenceError(
        f"the profile of the variance of {fit.layout.terms[t].title} has no upper limit; expected more groups"
    )

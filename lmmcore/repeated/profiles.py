"""Profile likelihoods of models with a residual structure."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from ..errors import ConvergenceError, LmmcoreWarning, OptionError, suggest
from ..inference.profiles import Profile, Profiles
from ..inference.wald import level as checked_level
from .deviance import JointDeviance
from .parameters import described
from .scales import LOG, Scale, scale_of

CLOSE = 1e-5  # of ζ at a limit
STEPS = 30
FAR = 12.0  # on the unbounded scale, where the search for a limit ends: the edge of the range
FIRST = 0.05  # of σ: a standard deviation from which a search begins, where the estimate is zero


def profile(results: Any, which: Any = None, level: float = 0.95) -> Profiles:
    """Return profile likelihoods with the intervals of one level.

    For each value of a parameter all others, those of the residual structure too, are at their optimum. The
    likelihood is that of maximum likelihood, also after a fit by REML.

    Parameters
    ----------
    which : str or list of str, optional
        Names of fixed effects, or of covariance parameters: those of the residuals as in
        `covariance_parameters`, those of random effects followed by their term. By default all.
    level : float
        Of the intervals.

    Returns
    -------
    Profiles

    Raises
    ------
    OptionError
        An unknown name.
    ConvergenceError
        A profile could not be followed.
    """
    z = float(ndtri(1.0 - checked_level(1.0 - level) / 2.0))
    ml = results if not results.reml else _quietly(lambda: results.model.fit(reml=False))
    deviance, fixed = JointDeviance(ml.fit), list(ml.fit.spec.exog_names)
    names = [*named(ml.fit, deviance.best), *fixed]
    asked = names if which is None else [which] if isinstance(which, str) else list(which)
    curves = {}
    for name in asked:
        if name not in names:
            raise OptionError(
                f"which has {name!r}{suggest(str(name), names)}; expected some of {', '.join(names)}"
            )
        curves[name] = (
            _of_fixed(ml, fixed.index(name), name, z)
            if name in fixed
            else _of_covariance(ml.fit, deviance, name, z)
        )
    return Profiles(curves, level)


def named(fit: Any, psi: np.ndarray) -> dict[str, float]:
    """Return the covariance parameters by name, those of random effects with their term."""
    return {
        name if term == "residual" else f"{name} {term}": value
        for (term, name), value in described(fit, psi).items()
    }


def _of_covariance(fit: Any, deviance: JointDeviance, name: str, z: float) -> Profile:
    scale = scale_of(name)

    def c(psi: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            return float(scale.to(named(fit, psi)[name]))

    best = deviance.best
    at = named(fit, best)[name]
    middle, points, limits = c(best), [(at, 0.0)], []
    inside = np.isfinite(middle) and abs(middle) < FAR
    if not inside and scale is not LOG:
        raise ConvergenceError(
            f"{name} is {at:.4g}, at the edge of its range; expected an estimate inside "
            "of it. Use the bootstrap"
        )
    for sign in (-1.0, 1.0):
        if not inside and sign < 0.0:
            limits.append(scale.edges[0])
            continue
        begin = middle if inside else float(np.log(FIRST) + 0.5 * best[-1])
        start = best if inside else _raised(fit, best)
        limit = _limit(deviance, c, begin, sign, z, start, scale, points, inside)
        limits.append(limit)
    points.sort()
    values, zeta = (np.array(column) for column in zip(*points))
    return Profile(name, at, values, zeta, limits[0], limits[1])


def _limit(
    deviance: JointDeviance, c: Callable[[np.ndarray], float], middle: float, sign: float, z: float,
    start: np.ndarray, scale: Scale, points: list[tuple[float, float]], inside: bool,
) -> float:  # fmt: skip
    """Return where ζ is ±z, or the edge of the range where it does not get there."""
    psi, low, step = start, (0.0, 0.0), 0.3
    high = None
    for _ in range(STEPS):
        at = middle + sign * step
        if abs(at) > FAR:
            return scale.edges[0 if sign < 0.0 else 1]
        try:
            rise, psi = deviance.held(c, at, psi)
        except ConvergenceError:
            if abs(at) > 0.5 * FAR or (high is None and step < 1e-3):
                return scale.edges[0 if sign < 0.0 else 1]
            step = 0.5 * (low[0] + step)
            if step - low[0] < 1e-4:
                return float(scale.back(middle + sign * low[0]))
            continue
        zeta = float(np.sqrt(max(rise, 0.0)))
        points.append((float(scale.back(at)), sign * zeta))
        if abs(zeta - z) < CLOSE:
            return float(scale.back(at))
        if zeta < z:
            low = (step, zeta)
        else:
            high = (step, zeta)
        if high is None:
            slope = (zeta / step) if inside else 1.0
            step = min(max(1.05 * z / max(slope, 1e-3), 1.2 * step), step + 2.0)
        else:
            step = low[0] + (z - low[1]) * (high[0] - low[0]) / (high[1] - low[1])
    return float(scale.back(middle + sign * step))


def _raised(fit: Any, best: np.ndarray) -> np.ndarray:
    """Return ψ with every variance of random effects above zero."""
    from ..likelihood.start import raised

    m = len(fit.point.theta)
    likelihood = fit.likelihood
    theta = likelihood.parameters(raised(likelihood, likelihood.covariances(fit.point.theta)))
    return np.concatenate([theta, best[m:]])


def _of_fixed(results: Any, j: int, name: str, z: float) -> Profile:
    """Follow the profile of a fixed effect: refits to the response less its column."""
    fit, design = results.fit, results.model.design
    x = np.asarray(results.model.exog, dtype=float)[:, j]
    column = int(fit.equations.coordinates.columns[j])
    rest = design.take_fixed(np.delete(np.arange(len(design.fixed)), column))
    estimate, se = float(fit.beta[j]), float(np.sqrt(fit.cov_beta[j, j]))
    points, last = [(estimate, 0.0)], results

    def zeta(value: float) -> float:
        nonlocal last
        y = np.asarray(design.endog, dtype=float) - value * x
        last = _quietly(lambda: last._refit(results.model._rebuilt(replace(rest, endog=y)), None))
        return float(np.sqrt(max(0.0, last.fit.criterion - fit.criterion)))

    limits = []
    for sign in (-1.0, 1.0):
        low, high = (0.0, 0.0), (z * se, zeta(estimate + sign * z * se))
        points.append((estimate + sign * high[0], sign * high[1]))
        for _ in range(STEPS):
            if abs(high[1] - z) < CLOSE:
                break
            slope = (high[1] - low[1]) / (high[0] - low[0])
            distance = high[0] + (z - high[1]) / max(slope, 0.05 / se)
            low, high = high, (distance, zeta(estimate + sign * distance))
            points.append((estimate + sign * high[0], sign * high[1]))
        limits.append(estimate + sign * high[0])
    points.sort()
    values, zetas = (np.array(own) for own in zip(*points))
    return Profile(name, estimate, values, zetas, limits[0], limits[1])


def _quietly(function: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LmmcoreWarning)
        return function()

"""Profile likelihoods of all parameters, and the intervals that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..crossproducts.held_column import with_held_column
from ..errors import OptionError, suggest
from ..fitting.estimate import estimate
from ..fitting.fit import Fit, once
from ..fitting.options import chosen_optimizers
from ..likelihood.start import raised
from .constrained import Deviance
from .profile_limits import CLOSE, STEPS, followed
from .profiled_parameters import Parameter, covariance_parameters, function_of
from .wald import level as checked_level


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one parameter: ζ, the signed root of twice the drop of the log-likelihood.

    Attributes
    ----------
    name : str
    estimate : float
        By maximum likelihood.
    values, zeta : arrays (m,)
        In increasing order of values.
    lower, upper : float
        The limits, where |ζ| is the quantile of the normal distribution. At the edge of the parameter space
        (an SD of zero, a correlation of ±1) where the profile does not reach it. A correlation has both
        edges where an SD of zero is inside of its interval: there, any correlation has this likelihood.
    """

    name: str
    estimate: float
    values: np.ndarray
    zeta: np.ndarray
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of several parameters.

    Attributes
    ----------
    curves : dict of str to Profile
    level : float
    """

    curves: dict[str, Profile]
    level: float

    def __getitem__(self, name: str) -> Profile:
        if name not in self.curves:
            raise OptionError(
                f"{name!r} has no profile{suggest(name, self.curves)}; expected one of "
                f"{', '.join(self.curves)}"
            )
        return self.curves[name]

    def frame(self) -> pd.DataFrame:
        """Return estimates (ML) and limits, a row for each parameter."""
        rows = [(p.estimate, p.lower, p.upper) for p in self.curves.values()]
        return pd.DataFrame(rows, index=list(self.curves), columns=["estimate", "lower", "upper"])

    def plot(self, which: Any = None, *, density: bool = False, ax: Any = None) -> Any:
        """Draw the curves; see `lmmcore.plots.estimates.profile`."""
        from ..plots.estimates import profile as drawn

        return drawn(self, which, density=density, ax=ax)

    def __str__(self) -> str:
        return f"{self.frame().to_string()}\nProfile likelihood (ML), {100 * self.level:g} %"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.frame().to_html()


def profile(
    fit: Fit,
    which: Any = None,
    level: float = 0.95,
    functions: Mapping[str, Callable[[dict[str, float]], float]] | None = None,
) -> Profiles:
    """Return profile likelihoods with the intervals of one level.

    For each value of a parameter the others are at their optimum. The likelihood is that of maximum
    likelihood, also after a fit by REML (as in lme4), as restricted likelihoods with a fixed effect held
    cannot be compared. No row of the data is read.

    Parameters
    ----------
    which : str or list of str, optional
        Names of parameters: fixed effects, "sigma", "sd(x | g)", "corr(x, y | g)"; by default all.
    level : float
        Of the intervals.
    functions : dict of str to callable, optional
        Smooth functions of the covariance parameters, which are given as a dict by name. With them alone,
        `which` is empty by default.

    Returns
    -------
    Profiles

    Raises
    ------
    OptionError
        An unknown name; a parameter that is held fixed; a function that returns no finite number.
    ConvergenceError
        A profile could not be followed.

    Notes
    -----
    Where an estimate is at the edge of its range (an SD of zero, a correlation of ±1), the interval begins
    there. Its other limit is that of the profile.

    References
    ----------
    Bates and Watts (1988), Nonlinear Regression Analysis and Its Applications, chapter 6.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> fit.profile("sigma").frame().round(3).loc["sigma"].tolist()
    [25.592, 22.898, 28.858]
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit()
    >>> def icc(p):
    ...     between = p["sd(Intercept | Subject)"] ** 2
    ...     return between / (between + p["sigma"] ** 2)
    >>> fit.profile(functions={"icc": icc}).frame().round(2).loc["icc"].tolist()
    [0.58, 0.4, 0.75]
    """
    z = float(ndtri(1.0 - checked_level(1.0 - level) / 2.0))
    if fit.held is not None:
        raise OptionError(
            "profile of a fit with covariance parameters that are held fixed; expected a fit without `free`"
        )
    ml = _by_ml(fit)
    fixed = list(fit.spec.exog_names)
    parameters = {p.name: p for p in covariance_parameters(ml)}
    names = [*parameters, *fixed]
    if which is None:
        asked = [] if functions else names
    else:
        asked = [which] if isinstance(which, str) else list(which)
    for name in asked:
        if name not in names:
            raise OptionError(
                f"which has {name!r}{suggest(str(name), names)}; expected names of parameters"
            )
    curves: dict[str, Profile] = {}
    deviance = Deviance(ml)
    known: dict[str, Profile] = {}

    def of_covariance(name: str) -> Profile:
        if name not in known:
            parameter = parameters[name]
            if any(of_covariance(sd).lower == 0.0 for sd in parameter.of):
                with np.errstate(invalid="ignore"):
                    at = float(parameter.back(parameter.function(deviance.best)[0]))
                known[name] = Profile(name, at, np.array([at]), np.zeros(1), *parameter.edges)
            else:
                known[name] = _of_covariance(deviance, parameter, z)
        return known[name]

    for name in asked:
        if name in parameters:
            curves[name] = of_covariance(name)
        else:
            curves[name] = _of_fixed(ml, fixed.index(name), name, z)
    for name, function in (functions or {}).items():
        parameter = function_of(name, function, list(parameters.values()), deviance.best)
        curves[name] = _of_covariance(deviance, parameter, z)
    return Profiles(curves, level)


def _of_covariance(deviance: Deviance, parameter: Parameter, z: float) -> Profile:
    estimate_, points, limits = followed(deviance, parameter, z)
    values, zeta = (np.array(column) for column in zip(*points))
    return Profile(parameter.name, estimate_, values, zeta, *limits)


@once
def _by_ml(fit: Fit) -> Fit:
    """Return the fit by maximum likelihood."""
    if not fit.reml:
        return fit
    likelihood = fit.equations.likelihood(False, fit.likelihood.structures, fit.likelihood.engine)
    found = _estimated(fit, likelihood, fit.likelihood.covariances(fit.point.theta))
    return Fit(fit.spec, fit.equations, likelihood, found.point, False, found.convergence)


def _estimated(fit: Fit, likelihood: Any, start: list[np.ndarray]) -> Any:
    optimizers, options = chosen_optimizers(None, {})
    theta = likelihood.parameters(raised(likelihood, start)) if likelihood.n_parameters else None
    layout = fit.layout
    return estimate(likelihood, optimizers, layout.names, layout.groups, None, options, None, theta)


def _of_fixed(fit: Fit, j: int, name: str, z: float) -> Profile:
    """Follow the profile of a fixed effect: the response less its column, from the cross-products."""
    column = int(fit.equations.coordinates.columns[j])
    start = fit.likelihood.covariances(fit.point.theta)
    plain = fit.likelihood.engine is not fit.equations.engine
    estimate_, se = float(fit.beta[j]), float(np.sqrt(fit.cov_beta[j, j]))
    points = [(estimate_, 0.0)]

    def zeta(value: float) -> float:
        cp = with_held_column(fit.equations.crossproducts, column, value)
        equations = fit.equations.of(cp)
        engine = equations.plain_engine if plain else equations.engine
        held = equations.likelihood(False, fit.likelihood.structures, engine)
        found = _estimated(fit, held, start)
        return float(np.sqrt(max(0.0, found.point.value - fit.criterion)))

    limits = []
    for sign in (-1.0, 1.0):
        low, high = (0.0, 0.0), (z * se, zeta(estimate_ + sign * z * se))
        points.append((estimate_ + sign * high[0], sign * high[1]))
        for _ in range(STEPS):
            if abs(high[1] - z) < CLOSE:
                break
            slope = (high[1] - low[1]) / (high[0] - low[0])
            distance = high[0] + (z - high[1]) / max(slope, 0.05 / se)
            low, high = high, (distance, zeta(estimate_ + sign * distance))
            points.append((estimate_ + sign * high[0], sign * high[1]))
        limits.append(estimate_ + sign * high[0])
    points.sort()
    values, zetas = (np.array(column_) for column_ in zip(*points))
    return Profile(name, estimate_, values, zetas, limits[0], limits[1])

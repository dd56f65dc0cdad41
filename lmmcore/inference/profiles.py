"""Profile likelihoods of all parameters, and the intervals that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..crossproducts.held_column import with_held_column
from ..errors import ConvergenceError, OptionError, suggest
from ..fitting.equations import Equations
from ..fitting.estimate import estimate
from ..fitting.fit import Fit, once
from ..fitting.options import chosen_optimizers
from ..likelihood.start import raised
from .constrained import Deviance
from .wald import level as checked_level

CLOSE = 1e-6  # of ζ at a limit
STEPS = 30
NEAR = 2.5  # distance, on the same scale, from which a slope can be that towards the boundary
FAR = (
    9.0  # atanh of a correlation, or −log of an SD relative to its estimate, taken as the boundary
)


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

    def __str__(self) -> str:
        return f"{self.frame().to_string()}\nProfile likelihood (ML), {100 * self.level:g} %"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.frame().to_html()


@dataclass(frozen=True, eq=False)
class _Parameter:
    """A covariance parameter: a function of ψ on an unbounded scale, and the way back.

    ``function`` gives value and gradient; ``back`` the parameter; ``edges`` the limits of its range. A
    correlation is ``of`` two standard deviations.
    """

    name: str
    function: Callable[[np.ndarray], tuple[float, np.ndarray]]
    back: Callable[[float], float]
    edges: tuple[float, float]
    of: tuple[str, ...] = ()


def profile(fit: Fit, which: Any = None, level: float = 0.95) -> Profiles:
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

    Returns
    -------
    Profiles

    Raises
    ------
    OptionError
        An unknown name; a parameter that is held fixed; a singular fit, whose covariance parameters have no
        regular profile.
    ConvergenceError
        A profile could not be followed.

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
    """
    z = float(ndtri(1.0 - checked_level(1.0 - level) / 2.0))
    if fit.held is not None:
        raise OptionError(
            "profile of a fit with covariance parameters that are held fixed; expected a fit without `free`"
        )
    ml = _by_ml(fit)
    fixed = list(fit.spec.exog_names)
    names = [*_covariance_names(ml), *fixed]
    asked = names if which is None else [which] if isinstance(which, str) else list(which)
    for name in asked:
        if name not in names:
            raise OptionError(
                f"which has {name!r}{suggest(str(name), names)}; expected some of {', '.join(names)}"
            )
    if any(name not in fixed for name in asked) and ml.certificate.boundary:
        raise OptionError(
            "the fit is singular "
            f"({'; '.join(ml.certificate.boundary)}): its covariance parameters have no regular profile. Use "
            "bootstrap(kind='parametric'), or profile the fixed effects alone with which="
        )
    curves: dict[str, Profile] = {}
    parameters = {p.name: p for p in _parameters(ml)}
    deviance = Deviance(ml)
    known: dict[str, Profile] = {}

    def of_covariance(name: str) -> Profile:
        if name not in known:
            parameter = parameters[name]
            if any(of_covariance(sd).lower == 0.0 for sd in parameter.of):
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
    return Profiles(curves, level)


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


def _shown(fit: Fit, t: int) -> list[str]:
    group = fit.layout.groups[t]
    return ["Intercept" if name == group else name for name in fit.layout.names[t]]


def _covariance_names(fit: Fit) -> list[str]:
    return [p.name for p in _parameters(fit)]


def _parameters(fit: Fit) -> Iterator[_Parameter]:
    """Yield the covariance parameters: standard deviations and correlations of each term, then σ."""
    likelihood = fit.likelihood
    for t, term in enumerate(likelihood.terms):
        names, group = _shown(fit, t), fit.layout.groups[t]
        for i in range(term.k):
            sd = _Parameter(
                f"sd({names[i]} | {group})", _sd(likelihood, t, i), np.exp, (0.0, np.inf)
            )
            yield sd
        for i in range(term.k):
            for j in range(i):
                label = f"corr({names[j]}, {names[i]} | {group})"
                of = (f"sd({names[j]} | {group})", f"sd({names[i]} | {group})")
                function = _correlation(likelihood, t, i, j)
                yield _Parameter(label, function, np.tanh, (-1.0, 1.0), of)
    m = likelihood.n_parameters

    def sigma(psi: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros(m + 1)
        gradient[m] = 0.5
        return 0.5 * float(psi[m]), gradient

    yield _Parameter("sigma", sigma, np.exp, (0.0, np.inf))


def _users(likelihood: Any, t: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return G_t (k, k) in the user's columns and ∂G_t/∂θ (m, k, k)."""
    term, structure, at = likelihood.terms[t], likelihood.structures[t], likelihood.slices[t]
    root = structure.factor(theta[at], term.k)
    half = structure.factor_derivative(theta[at], term.k) @ root.T
    slopes = np.zeros((len(theta), term.k, term.k))
    slopes[at] = term.basis @ (half + half.swapaxes(1, 2)) @ term.basis.T
    return term.to_user(root @ root.T), slopes


def _sd(likelihood: Any, t: int, i: int) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def function(psi: np.ndarray) -> tuple[float, np.ndarray]:
        g, slopes = _users(likelihood, t, psi[:-1])
        value = 0.5 * (np.log(g[i, i]) + psi[-1])
        return float(value), np.append(0.5 * slopes[:, i, i] / g[i, i], 0.5)

    return function


def _correlation(
    likelihood: Any, t: int, i: int, j: int
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def function(psi: np.ndarray) -> tuple[float, np.ndarray]:
        g, slopes = _users(likelihood, t, psi[:-1])
        r = g[i, j] / np.sqrt(g[i, i] * g[j, j])
        own = slopes[:, i, j] / np.sqrt(g[i, i] * g[j, j])
        own = own - 0.5 * r * (slopes[:, i, i] / g[i, i] + slopes[:, j, j] / g[j, j])
        return float(np.arctanh(r)), np.append(own / (1.0 - r * r), 0.0)

    return function


def _of_covariance(deviance: Deviance, parameter: _Parameter, z: float) -> Profile:
    """Follow the profile of a covariance parameter to both limits."""
    at, a = parameter.function(deviance.best)
    _, _, hessian = deviance.second(deviance.best)
    direction = np.linalg.lstsq(hessian, a, rcond=None)[0]
    spread = float(a @ direction)
    points = [(at, 0.0)]
    limits = []
    for sign in (-1.0, 1.0):
        limits.append(_limit(deviance, parameter, at, direction / spread, spread, sign, z, points))
    points.sort()
    values = np.array([parameter.back(v) for v, _ in points])
    zeta = np.array([u for _, u in points])
    return Profile(
        parameter.name, float(parameter.back(at)), values, zeta, limits[0], limits[1]
    )  # fmt: skip


def _limit(
    deviance: Deviance, parameter: _Parameter, at: float, direction: np.ndarray, spread: float,
    sign: float, z: float, points: list[tuple[float, float]],
) -> float:  # fmt: skip
    """Return one limit; the points on the way are added to `points`."""
    reach = min(z * float(np.sqrt(2.0 * spread)), 3.0)
    v, psi, last = at + sign * reach, deviance.best, at
    below, above = at, at + sign * np.inf
    for _ in range(STEPS):
        start = psi + (v - last) * direction
        try:
            found = deviance.held(parameter.function, v, start)
        except ConvergenceError:
            above, v = v, 0.5 * (below + v)
            if abs(v - below) < 1e-6:
                raise
            continue
        psi, last = found.psi, v
        zeta = float(np.sqrt(max(0.0, found.value - deviance.criterion)))
        points.append((v, sign * zeta))
        if abs(zeta - z) < CLOSE:
            return float(parameter.back(v))
        if zeta < z:
            below = v
            # Near an edge the drop is proportional to the distance from it or to its square, so that
            # the slope bounds what is left.
            flat = zeta**2 + 1.5 * abs(found.slope) < z**2
            if abs(v - at) > FAR or (flat and abs(v - at) > NEAR):
                return parameter.edges[0 if sign < 0 else 1]
        else:
            above = v
        slope = sign * found.slope / (2.0 * zeta) if zeta > 0.0 else 0.0
        step = (z - zeta) / slope if slope > 1e-8 else reach
        new = v + sign * min(step, 3.0)
        inside = min(below, above) < new < max(below, above)
        v = new if inside else 0.5 * (below + above)
    raise ConvergenceError(
        f"the profile of {parameter.name} did not reach its limit; use bootstrap(kind='parametric')"
    )


def _of_fixed(fit: Fit, j: int, name: str, z: float) -> Profile:
    """Follow the profile of a fixed effect: the response less its column, from the cross-products."""
    column = int(fit.equations.coordinates.columns[j])
    start = fit.likelihood.covariances(fit.point.theta)
    plain = fit.likelihood.engine is not fit.equations.engine
    estimate_, se = float(fit.beta[j]), float(np.sqrt(fit.cov_beta[j, j]))
    points = [(estimate_, 0.0)]

    def zeta(value: float) -> float:
        cp = with_held_column(fit.equations.crossproducts, column, value)
        equations = Equations(fit.layout, cp, fit.equations.structures)
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

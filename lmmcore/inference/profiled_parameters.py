"""The covariance parameters that have profiles: standard deviations, correlations, σ, functions of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import number
from ..errors import OptionError
from ..fitting.boundary import negligible_variance
from ..fitting.fit import Fit

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
STEP = 1e-5  # of differences, relative
AT_ZERO = 1e-8  # variance, in parts of a negligible one, that counts as zero
AT_ONE = 1e-7  # distance of a correlation from ±1 that counts as none


@dataclass(frozen=True, eq=False)
class Parameter:
    """A covariance parameter: a function of ψ on an unbounded scale, and the way back.

    Attributes
    ----------
    name : str
    function : callable
        Of ψ = (θ, log σ²); gives value and gradient.
    back : callable
        From that scale to the parameter.
    edges : (float, float)
        The limits of its range.
    of : tuple of str
        The two standard deviations of a correlation.
    edge : callable
        Of ψ: −1 or 1 where the parameter is at its lower or upper edge, else 0.
    first : float
        A value on the unbounded scale, inside the range, from which a search that begins at an edge starts.
    """

    name: str
    function: Function
    back: Callable[[float], float]
    edges: tuple[float, float]
    of: tuple[str, ...] = ()
    edge: Callable[[np.ndarray], int] = lambda psi: 0
    first: float = 0.0


def covariance_parameters(fit: Fit) -> Iterator[Parameter]:
    """Yield standard deviations and correlations of each term, then σ."""
    likelihood = fit.likelihood
    for t, term in enumerate(likelihood.terms):
        names, group = list(fit.layout.terms[t].shown), fit.layout.groups[t]
        size = 1.0 / np.diag(term.basis) ** 2
        least = negligible_variance(likelihood, t) / size
        for i in range(term.k):
            yield Parameter(
                f"sd({names[i]} | {group})", _sd(likelihood, t, i), np.exp, (0.0, np.inf), (),
                _sd_at_zero(likelihood, t, i, AT_ZERO * float(least[i])),
                0.5 * float(np.log(least[i] * fit.scale)),
            )  # fmt: skip
        for i in range(term.k):
            for j in range(i):
                of = (f"sd({names[j]} | {group})", f"sd({names[i]} | {group})")
                yield Parameter(
                    f"corr({names[j]}, {names[i]} | {group})", _correlation(likelihood, t, i, j),
                    np.tanh, (-1.0, 1.0), of, _correlation_at_one(likelihood, t, i, j), 3.0,
                )  # fmt: skip
    if fit.holds_scale:
        return
    m = likelihood.n_parameters

    def sigma(psi: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.zeros(m + 1)
        gradient[m] = 0.5
        return 0.5 * float(psi[m]), gradient

    yield Parameter("sigma", sigma, np.exp, (0.0, np.inf))


def function_of(
    name: str, function: Callable[[dict[str, float]], float], parameters: Sequence[Parameter],
    at: np.ndarray,
) -> Parameter:  # fmt: skip
    """Return a function of the named parameters as a parameter, its gradient by differences.

    Raises
    ------
    OptionError
        It does not return a finite number at the estimates.
    """
    if not callable(function):
        raise OptionError(
            f"functions[{name!r}]={function!r}; expected a function of a dict of parameters"
        )

    def value(psi: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            own = {p.name: float(p.back(p.function(psi)[0])) for p in parameters}
            return function(own)

    try:
        found = number(value(at), f"functions[{name!r}]", "a finite number")
    except KeyError as exc:
        raise OptionError(
            f"functions[{name!r}] asks for {exc}; expected some of {', '.join(p.name for p in parameters)}"
        ) from None
    if not np.isfinite(found):
        raise OptionError(
            f"functions[{name!r}] is {found} at the estimates; expected a finite number"
        )

    def with_gradient(psi: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = np.empty(len(psi))
        for i in range(len(psi)):
            e = np.zeros(len(psi))
            e[i] = STEP * max(abs(psi[i]), 0.1)
            gradient[i] = (value(psi + e) - value(psi - e)) / (2.0 * e[i])
        return value(psi), gradient

    return Parameter(name, with_gradient, float, (-np.inf, np.inf))


def _users(likelihood: Any, t: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return G_t (k, k) in the user's columns and ∂G_t/∂θ (m, k, k)."""
    term, structure, at = likelihood.terms[t], likelihood.structures[t], likelihood.slices[t]
    root = structure.factor(theta[at], term.k)
    half = structure.factor_derivative(theta[at], term.k) @ root.T
    slopes = np.zeros((len(theta), term.k, term.k))
    slopes[at] = term.basis @ (half + half.swapaxes(1, 2)) @ term.basis.T
    return term.to_user(root @ root.T), slopes


def _sd(likelihood: Any, t: int, i: int) -> Function:
    def function(psi: np.ndarray) -> tuple[float, np.ndarray]:
        g, slopes = _users(likelihood, t, psi[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            value = 0.5 * (np.log(g[i, i]) + psi[-1])
            return float(value), np.append(0.5 * slopes[:, i, i] / g[i, i], 0.5)

    return function


def _sd_at_zero(likelihood: Any, t: int, i: int, least: float) -> Callable[[np.ndarray], int]:
    return lambda psi: -1 if _users(likelihood, t, psi[:-1])[0][i, i] <= least else 0


def _correlation(likelihood: Any, t: int, i: int, j: int) -> Function:
    def function(psi: np.ndarray) -> tuple[float, np.ndarray]:
        g, slopes = _users(likelihood, t, psi[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            r = g[i, j] / np.sqrt(g[i, i] * g[j, j])
            own = slopes[:, i, j] / np.sqrt(g[i, i] * g[j, j])
            own = own - 0.5 * r * (slopes[:, i, i] / g[i, i] + slopes[:, j, j] / g[j, j])
            return float(np.arctanh(r)), np.append(own / (1.0 - r * r), 0.0)

    return function


def _correlation_at_one(likelihood: Any, t: int, i: int, j: int) -> Callable[[np.ndarray], int]:
    def edge(psi: np.ndarray) -> int:
        g = _users(likelihood, t, psi[:-1])[0]
        r = g[i, j] / np.sqrt(g[i, i] * g[j, j]) if g[i, i] * g[j, j] > 0.0 else 0.0
        return int(np.sign(r)) if abs(r) > 1.0 - AT_ONE else 0

    return edge

"""Profile likelihood of a variance: for each of its values, the other parameters are at their optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arguments import number, numbers, whole_number
from ..crossproducts.held_column import with_held_column
from ..errors import OptionError, suggest
from ..extension.protocols import Optimizer
from ..fitting.estimate import estimate
from ..fitting.fit import Fit
from ..fitting.options import chosen_optimizers
from ..likelihood.held_variance import HeldVariance, is_cone
from ..likelihood.start import raised
from .tests import cov_fe_of


def profile_variance(
    fit: Fit,
    re_ix: int | str,
    vtype: str,
    num_low: int,
    dist_low: float,
    num_high: int,
    dist_high: float,
    optimizers: Sequence[tuple[str, Optimizer]],
    options: Mapping[str, Any],
) -> np.ndarray:
    """Return variances and log-likelihoods; see ``MixedLMResults.profile_re``."""
    equations, likelihood = fit.equations, fit.likelihood
    t, column, estimate_at = _find(fit, re_ix, vtype)
    num_low, num_high = (
        whole_number(num, name, 0) for num, name in ((num_low, "num_low"), (num_high, "num_high"))
    )
    dist_low, dist_high = (
        _distance(dist, name) for dist, name in ((dist_low, "dist_low"), (dist_high, "dist_high"))
    )
    low, high = estimate_at - dist_low, estimate_at + dist_high
    if low <= 0:
        raise OptionError(
            f"dist_low={dist_low:g} leads below zero from the estimate {estimate_at:.6g}; expected less "
            "than the estimate"
        )
    left = np.linspace(low, estimate_at, num_low + 1)
    right = np.linspace(estimate_at, high, num_high + 1)[1:]
    values = np.concatenate([left, right]) / fit.scale
    plain = equations.plain_engine
    unit = plain.terms[t].basis[column, column] ** 2
    covariances = [to.to_engine(g) for to, g in zip(plain.terms, fit.relative)]
    if not is_cone(likelihood.structures[t], covariances[t]):
        raise OptionError(
            f"re_ix={re_ix!r}: the covariance matrix of {fit.layout.terms[t].title} has entries that are "
            "held fixed, or a structure that is not closed under multiplication; its variances "
            "have no profile. Profile a fit without `free`"
        )
    out = []
    for value in values:
        structures = list(likelihood.structures)
        structures[t] = HeldVariance(structures[t], column, value / unit)
        restricted = equations.likelihood(fit.reml, structures, plain, likelihood.penalty)
        start = restricted.parameters(covariances)
        found = estimate(
            restricted, optimizers, fit.layout.names, fit.layout.groups, start, options
        )
        state = found.point.state
        if state is None:
            raise OptionError(
                f"dist_high={dist_high!r} is too large: the likelihood is not finite at the variance "
                f"{value * fit.scale:.6g}; expected a smaller distance"
            )
        scale = restricted.sigma2(state) / restricted.coordinates.y_scale**2
        out.append([value * scale, -0.5 * found.point.value])
    return np.array(out)


def _distance(given: Any, name: str) -> float:
    value = number(given, name, "a distance on the scale of the variance")
    if not 0.0 <= value < np.inf:
        raise OptionError(f"{name}={given!r}; expected a finite distance, zero or more")
    return value


def _find(fit: Fit, re_ix: int | str, vtype: str) -> tuple[int, int, float]:
    """Return term, column and estimated variance."""
    layout = fit.layout
    names: list[Any]
    if vtype == "re":
        names = list(layout.coefficient_names)
        index = names.index(re_ix) if re_ix in names else re_ix
        if isinstance(index, (int, np.integer)) and 0 <= index < layout.k_re:
            variance = fit.params_object.cov_re[index, index] * fit.scale
            return (*layout.coefficient(int(index)), float(variance))
        raise OptionError(
            f"re_ix={re_ix!r} is not a random coefficient; expected 0 to {layout.k_re - 1}"
            + suggest(str(re_ix), names)
        )
    if vtype == "vc":
        names = list(layout.component_names)
        if re_ix in names:
            t = layout.component(str(re_ix))
            return t, 0, float(fit.relative[t][0, 0] * fit.scale)
        raise OptionError(
            f"re_ix={re_ix!r} is not a variance component{suggest(str(re_ix), names)}"
        )
    raise OptionError(f"vtype={vtype!r}; expected 're' (random coefficient) or 'vc' (component)")


def profile_re(
    fit: Fit,
    re_ix: int | str,
    vtype: str,
    num_low: int = 5,
    dist_low: float = 1.0,
    num_high: int = 5,
    dist_high: float = 1.0,
    *,
    method: str | Sequence[str] | None = None,
    **fit_kwargs: Any,
) -> np.ndarray:
    """Return the profile likelihood of a variance.

    Parameters
    ----------
    re_ix : int or str
        A random coefficient (its number or name) or the name of a variance component.
    vtype : {"re", "vc"}
    num_low, num_high : int
        Number of points below and above the estimate.
    dist_low, dist_high : float
        Distances of the outermost points from the estimate, on the scale of the variance.
    method : str or sequence of str, optional
        Optimizer of the fits at given values of the variance, as in ``MixedLM.fit``.
    **fit_kwargs
        Its options, such as `maxiter`.

    Returns
    -------
    array (num_low + 1 + num_high, 2)
        Variances and log-likelihoods. Each fit holds the ratio of the variance to σ² fixed, and estimates
        σ²; the variance is their product.
    """
    optimizers, options = chosen_optimizers(method, fit_kwargs)
    return profile_variance(
        fit, re_ix, vtype, num_low, dist_low, num_high, dist_high, optimizers, options
    )


def profile_fe(
    fit: Fit,
    fe_ix: int | str,
    values: Any = None,
    *,
    method: str | Sequence[str] | None = None,
    **fit_kwargs: Any,
) -> np.ndarray:
    """Return the profile likelihood of a fixed effect.

    The model is fitted again for each value, from the cross-products alone: the rows of the data are not
    read. Restricted likelihoods of models with other fixed effects cannot be compared, so the fits are
    by maximum likelihood, also after a fit by REML (Pinheiro and Bates 2000, section 2.2.5).

    Parameters
    ----------
    fe_ix : int or str
        A fixed effect: its number or its name.
    values : array_like (m,), optional
        Values of the fixed effect; by default nine, up to three standard errors from the estimate.
    method : str or sequence of str, optional
        Optimizer of the fits, as in ``MixedLM.fit``.
    **fit_kwargs
        Its options, such as `maxiter`.

    Returns
    -------
    array (m, 2)
        Values and log-likelihoods.

    Raises
    ------
    OptionError
        No fixed effect has this number or name, or a value is not a finite number.
    """
    optimizers, options = chosen_optimizers(method, fit_kwargs)
    j = _fixed_effect(fit, fe_ix)
    if values is None:
        se = np.sqrt(cov_fe_of(fit)[j, j])
        if not np.isfinite(se):
            raise OptionError(
                f"fe_ix={fe_ix!r} has no standard error to choose values by, because the data do not "
                "identify it; expected values="
            )
        values = fit.beta[j] + np.linspace(-3.0, 3.0, 9) * se
    given = np.atleast_1d(numbers(values, "values", "values of the fixed effect")).ravel()
    if not np.isfinite(given).all():
        raise OptionError(f"values={given.tolist()}; expected finite numbers")
    likelihood, column = fit.likelihood, int(fit.equations.coordinates.columns[j])
    plain = likelihood.engine is not fit.equations.engine
    start = likelihood.covariances(fit.point.theta)
    out = []
    for value in given.tolist():
        cp = with_held_column(fit.equations.crossproducts, column, value)
        equations = fit.equations.of(cp)
        engine = equations.plain_engine if plain else equations.engine
        held = equations.likelihood(False, likelihood.structures, engine)
        theta = held.parameters(raised(held, start)) if held.n_parameters else None
        found = estimate(
            held, optimizers, fit.layout.names, fit.layout.groups, None, options, None, theta
        )
        out.append([value, -0.5 * found.point.value])
    return np.array(out)


def _fixed_effect(fit: Fit, fe_ix: int | str) -> int:
    names = fit.spec.exog_names
    index = names.index(fe_ix) if fe_ix in names else fe_ix
    whole = isinstance(index, (int, np.integer)) and not isinstance(index, bool)
    if whole and index in range(len(names)):
        return int(index)
    raise OptionError(
        f"fe_ix={fe_ix!r} is not a fixed effect; expected 0 to {len(names) - 1}, or a name"
        + suggest(str(fe_ix), names)
    )

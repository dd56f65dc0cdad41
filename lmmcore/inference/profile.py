"""Profile likelihood of a variance: the other parameters at their optimum for each of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import number, whole_number
from ..errors import OptionError, suggest
from ..extension import Optimizer
from ..fitting.estimate import estimate
from ..likelihood.fixed import FixedPattern

if TYPE_CHECKING:
    from ..results import MixedLMResults


def profile_variance(
    results: MixedLMResults,
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
    model, likelihood = results.model, results._likelihood
    t, column, estimate_at = _find(results, re_ix, vtype)
    num_low, num_high = (
        whole_number(num, name, 0) for num, name in ((num_low, "num_low"), (num_high, "num_high"))
    )
    dist_low, dist_high = (
        _distance(dist, name) for dist, name in ((dist_low, "dist_low"), (dist_high, "dist_high"))
    )
    low, high = estimate_at - dist_low, estimate_at + dist_high
    if low <= 0:
        raise OptionError(
            f"dist_low={dist_low:g} reaches below zero from the estimate {estimate_at:.6g}; expected less "
            "than the estimate"
        )
    left = np.linspace(low, estimate_at, num_low + 1)
    right = np.linspace(estimate_at, high, num_high + 1)[1:]
    values = np.concatenate([left, right]) / results.scale
    plain = model._plain_engine
    term = plain.terms[t]
    free = np.ones(term.k * (term.k + 1) // 2, dtype=bool)
    free[0] = False
    order = [column, *(j for j in range(term.k) if j != column)]
    covariances = [to.to_engine(g) for to, g in zip(plain.terms, results._relative)]
    out = []
    for value in values:
        held = np.zeros(len(free))
        held[0] = np.sqrt(value) / term.basis[column, column]
        structures = list(likelihood.structures)
        structures[t] = FixedPattern(free, held, order)
        restricted = model._likelihood(results.reml, structures, plain, likelihood.penalty)
        start = restricted.parameters(covariances)
        found = estimate(
            restricted, optimizers, model._term_names, model._term_groups, start, options
        )
        state = found.point.state
        if state is None:
            raise OptionError(
                f"dist_high={dist_high!r}; the likelihood is not finite at the variance "
                f"{value * results.scale:.6g}. Give a smaller distance"
            )
        scale = restricted.sigma2(state) / restricted.coordinates.y_scale**2
        out.append([value * scale, -0.5 * found.point.value])
    return np.array(out)


def _distance(given: Any, name: str) -> float:
    value = number(given, name, "a distance, as a variance")
    if not 0.0 <= value < np.inf:
        raise OptionError(f"{name}={given!r}; expected a finite distance that is not negative")
    return value


def _find(results: MixedLMResults, re_ix: int | str, vtype: str) -> tuple[int, int, float]:
    """Return term, column and estimated variance."""
    model = results.model
    names: list[Any]
    if vtype == "re":
        names = model.exog_re_names
        index = names.index(re_ix) if re_ix in names else re_ix
        if isinstance(index, (int, np.integer)) and 0 <= index < model.k_re:
            start = 0
            for t, term in enumerate(model.design.terms):
                if index < start + len(term.names):
                    variance = results._cov_re_unscaled[index, index] * results.scale
                    return t, int(index) - start, float(variance)
                start += len(term.names)
        raise OptionError(
            f"re_ix={re_ix!r} is no random coefficient; expected 0 to {model.k_re - 1}"
            + suggest(str(re_ix), names)
        )
    if vtype == "vc":
        names = model.vcomp_names
        if re_ix in names:
            j = names.index(re_ix)
            return len(model.design.terms) + j, 0, float(results.vcomp[j])
        raise OptionError(f"re_ix={re_ix!r} is no variance component{suggest(str(re_ix), names)}")
    raise OptionError(f"vtype={vtype!r}; expected 're' (random coefficient) or 'vc' (component)")

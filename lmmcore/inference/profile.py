"""Profile likelihood of a variance: the other parameters at their optimum for each of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError, suggest
from ..estimation import estimate
from ..extension import find
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
    method: str,
) -> np.ndarray:
    """Return variances and log-likelihoods; see ``MixedLMResults.profile_re``."""
    model, likelihood = results.model, results._likelihood
    t, column, estimate_at = _find(results, re_ix, vtype)
    low, high = estimate_at - dist_low, estimate_at + dist_high
    if low <= 0:
        raise OptionError(
            f"dist_low={dist_low} reaches below zero from the estimate {estimate_at:.6g}; expected less "
            "than the estimate"
        )
    left = np.linspace(low, estimate_at, num_low + 1)
    right = np.linspace(estimate_at, high, num_high + 1)[1:]
    values = np.concatenate([left, right]) / results.scale
    plain = model._plain_engine
    term = plain.terms[t]
    optimizer = [(method, find("optimizer", method))]
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
        restricted = model._likelihood(results.reml, structures, plain)
        start = restricted.parameters(covariances)
        found = estimate(restricted, optimizer, model._term_names, model._term_groups, start)
        state = found.point.state
        assert state is not None
        y_scale = float(model.crossproducts.basis.map[-1, -1])
        scale = restricted.sigma2(state) / y_scale**2
        out.append([value * scale, -0.5 * found.point.value])
    return np.array(out)


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

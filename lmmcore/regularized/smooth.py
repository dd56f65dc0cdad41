"""Smooth penalties on β and on the covariance matrix, estimated together with everything else.

The penalised criterion is a `ProfiledLikelihood` like any other (see `likelihood.penalised`): optimizers,
starts, boundary and certificate are those of every fit.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimation import Estimate
from ..likelihood.penalised import SmoothPenalties
from ..likelihood.profiled import ProfiledLikelihood
from ..params import MixedLMParams
from .results import SmoothResults
from .terms import alpha_weights

if TYPE_CHECKING:
    from ..model import MixedLM


def with_alpha(penalty: Any, alpha: Any) -> Any:
    """Return a copy of a smooth penalty with its weight."""
    weights = (
        alpha_weights(alpha, 1, ["alpha"]) if np.ndim(alpha) == 0 else np.asarray(alpha, float)
    )
    out = copy.copy(penalty)
    out.alpha = float(weights[0]) if np.ndim(alpha) == 0 else weights
    return out


def smooth_penalties(model: MixedLM, fe_pen: Any, cov_pen: Any) -> SmoothPenalties | None:
    """Return what the likelihood is penalised by, None without penalties."""
    if fe_pen is None and cov_pen is None:
        return None
    return SmoothPenalties(fe_pen, cov_pen, model._packed.fixed, model.k_re)


def smooth_results(
    model: MixedLM,
    likelihood: ProfiledLikelihood,
    found: Estimate,
    reml: bool,
    free: MixedLMParams | None,
    full_output: bool,
) -> SmoothResults:
    """Return the results of a fit that maximises log-likelihood − fe_pen(β) − cov_pen(G, G⁻¹)."""
    penalty, state = likelihood.penalty, found.point.state
    assert penalty is not None and state is not None
    names = [
        f"{what} by {type(pen).__name__}"
        for what, pen in (("fixed effects", penalty.fe_pen), ("cov_re", penalty.cov_pen))
        if pen is not None
    ]
    return SmoothResults(
        model, likelihood, found, reml, penalty.beta(state, likelihood.n_eff), " and ".join(names),
        free=free, full_output=full_output,
    )  # fmt: skip

"""Where a user wants a fit to start."""

from __future__ import annotations

import numpy as np

from ..arguments import numbers
from ..design.layout import Layout
from ..errors import DataValueError
from ..likelihood.profiled import ProfiledLikelihood
from ..params import MixedLMParams, as_params, has_parameters


def start_of(
    layout: Layout,
    k_fe: int,
    use_sqrt: bool,
    likelihood: ProfiledLikelihood,
    given: MixedLMParams | np.ndarray,
) -> np.ndarray:
    """Return θ for the argument `start_params`."""
    if has_parameters(given):
        params = as_params(given)
    else:
        packed = numbers(given, "start_params", "MixedLMParams, or a vector of parameters")
        size = layout.k_re2 + layout.k_vc
        if packed.shape not in ((size,), (size + k_fe,)) or not np.all(np.isfinite(packed)):
            raise DataValueError(
                f"start_params has shape {packed.shape}; expected {size} finite covariance "
                f"parameters, or {k_fe} fixed effects and these"
            )
        params = MixedLMParams.from_packed(packed, k_fe, layout.k_re, use_sqrt, len(packed) != size)
    if params.cov_re.shape != (layout.k_re, layout.k_re) or len(params.vcomp) != layout.k_vc:
        raise DataValueError(
            f"start_params has cov_re of shape {params.cov_re.shape} and {len(params.vcomp)} "
            f"components; expected ({layout.k_re}, {layout.k_re}) and {layout.k_vc}"
        )
    if len(params.fe_params) not in (0, k_fe):
        raise DataValueError(
            f"start_params has {len(params.fe_params)} fixed effects; expected {k_fe}, or none"
        )
    params.check("start_params")
    blocks = layout.split(params.cov_re, params.vcomp)
    scaled = [t.to_engine(g) for g, t in zip(blocks, likelihood.terms)]
    return likelihood.parameters(scaled)

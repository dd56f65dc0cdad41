"""Covariance parameters that are held fixed: from a mask to structures that hold entries."""

from __future__ import annotations

import numpy as np

from ..design.layout import Layout
from ..errors import DataValueError
from ..extension.protocols import CovarianceStructure
from ..likelihood.fixed import FixedPattern
from ..likelihood.profiled import ProfiledLikelihood
from ..linalg.matrices import lower_indices, semidefinite_cholesky
from ..params import MixedLMParams
from .held_entries import order_that_holds


def held_structures(
    layout: Layout,
    k_fe: int,
    use_sqrt: bool,
    likelihood: ProfiledLikelihood,
    free: MixedLMParams,
    start: np.ndarray | None,
) -> list[CovarianceStructure]:
    """Return structures that hold entries of the factors where they start."""
    mask_fe = free.fe_params
    # All zeros are what MixedLMParams(k_fe, k_re, k_vc) holds before anything is set.
    if mask_fe.shape != (k_fe,) or not ((mask_fe == 1.0).all() or not mask_fe.any()):
        raise DataValueError(
            f"free has fe_params {mask_fe.tolist()}; expected {k_fe} ones: the fixed effects are "
            "always estimated. To hold one fixed, subtract its column times its value from endog"
        )
    if free.cov_re.shape != (layout.k_re, layout.k_re) or len(free.vcomp) != layout.k_vc:
        raise DataValueError(
            f"free has cov_re of shape {free.cov_re.shape} and {len(free.vcomp)} components; "
            f"expected ({layout.k_re}, {layout.k_re}) and {layout.k_vc}, as the model has"
        )
    masks = layout.split(free.cov_re, free.vcomp)
    out: list[CovarianceStructure] = []
    for t, (term, mask) in enumerate(zip(likelihood.terms, masks)):
        factor = likelihood.factors(start)[t] if start is not None else None
        if factor is None:  # the identity, in the engine
            factor = np.linalg.inv(term.basis)
        index = lower_indices(term.k)
        if not np.isin(mask[index], (0.0, 1.0)).all():
            raise DataValueError(
                f"free has entries {mask[index].tolist()}; expected 1 (estimated) or 0 (held fixed)"
            )
        if use_sqrt:
            out.append(FixedPattern(mask[index] == 1.0, factor[index]))
            continue
        estimated = np.tril(mask == 1.0)
        estimated |= estimated.T
        g = factor @ factor.T
        order = order_that_holds(estimated, g)
        where = np.ix_(order, order)
        values = semidefinite_cholesky(g[where])[index]
        out.append(FixedPattern(estimated[where][index], values, order))
    return out

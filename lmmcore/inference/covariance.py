"""The covariance matrix of all parameters of a fit, from the observed information."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fitting.fit import once
from .structure import covariance_of_structured, is_structured
from .unidentified import cov_fe_of, unidentified
from .wald import CovarianceOfParams, covariance_of_params, covariance_of_variances


@once
def covariance(fit: Any) -> CovarianceOfParams:
    """Return the covariance matrix of ``params``."""
    own = getattr(fit, "own_covariance", None)
    if own is not None:
        found: CovarianceOfParams = own()
        return found
    if is_structured(fit):
        return covariance_of_structured(fit)
    hessian = fit.hessian.copy()
    fixed = fit.held_positions
    hessian[fixed] = hessian[:, fixed] = 0.0
    return covariance_of_params(
        hessian, cov_fe_of(fit), fit.certificate.boundary, unidentified(fit)
    )


@once
def variances(fit: Any) -> np.ndarray:
    """Return the covariance matrix of the estimates of cov_re (lower triangle), vcomp and σ²."""
    if fit.of_variances is not fit:
        return variances(fit.of_variances)
    p, found = fit.spec.k_fe, covariance(fit)
    cov = found.values if found.whole is None else found.whole
    out = covariance_of_variances(
        cov[p:, p:],
        fit.params[p:],
        fit.log_scale_slope,
        fit.scale,
        fit.likelihood.log_scale_variance,
    )
    flat = unidentified(fit)
    if flat is not None:
        out[flat.absolute] = out[:, flat.absolute] = np.nan
    return out

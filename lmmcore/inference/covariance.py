"""The covariance matrix of all parameters of a fit, from the observed information."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from ..fitting.fit import Fit, once
from .structure import covariance_of_structured, is_structured
from .wald import CovarianceOfParams, covariance_of_params, covariance_of_variances


@once
@singledispatch
def covariance(fit: Any) -> CovarianceOfParams:
    """Return the covariance matrix of ``params``; other kinds of fits register their own."""
    raise TypeError(f"no covariance of parameters for a {type(fit).__name__}")


def _of_fit(fit: Fit) -> CovarianceOfParams:
    if is_structured(fit):
        return covariance_of_structured(fit)
    hessian = fit.hessian.copy()
    fixed = fit.held_positions
    hessian[fixed] = hessian[:, fixed] = 0.0
    return covariance_of_params(hessian, fit.cov_beta, fit.certificate.boundary)


register_covariance = covariance.__wrapped__.register  # type: ignore[attr-defined]
register_covariance(Fit)(_of_fit)


@once
def variances(fit: Fit) -> np.ndarray:
    """Return the covariance matrix of the estimates of cov_re (lower triangle), vcomp and σ²."""
    p = fit.spec.k_fe
    return covariance_of_variances(
        covariance(fit).values[p:, p:], fit.params[p:], fit.log_scale_slope, fit.scale, fit.n_eff
    )

"""Numbers and words of a fit that need no computation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fitting.certificate import Convergence
from ..fitting.fit import Fit
from ..params import MixedLMParams


def convergence(fit: Fit) -> Convergence:
    """The certificate of the optimum."""
    return fit.certificate


def converged(fit: Fit) -> bool:
    """Whether the optimum is certified; see `convergence`."""
    return fit.certificate.converged


def nfev(fit: Fit) -> int:
    """Number of evaluations of the criterion."""
    return fit.certificate.evaluations


def reml(fit: Fit) -> bool:
    """Whether the restricted likelihood was maximized (REML)."""
    return fit.reml


def method(fit: Fit) -> str:
    """The method of estimation, "REML" or "ML"."""
    return "REML" if fit.reml else "ML"


def nobs(fit: Fit) -> int:
    """Number of rows."""
    return fit.spec.nobs


def k_fe(fit: Fit) -> int:
    """Number of fixed effects."""
    return fit.spec.k_fe


def k_re(fit: Fit) -> int:
    """Number of random coefficients."""
    return fit.layout.k_re


def k_re2(fit: Fit) -> int:
    """Number of entries of the lower triangle of cov_re."""
    return fit.layout.k_re2


def k_vc(fit: Fit) -> int:
    """Number of variance components."""
    return fit.layout.k_vc


def use_sqrt(fit: Fit) -> bool:
    """Whether packed parameters of the model have the Cholesky factor in place of cov_re."""
    return fit.spec.use_sqrt


def use_t(fit: Fit) -> bool:
    """False, because tests use the normal distribution unless another is asked for."""
    return False


def freepat(fit: Fit) -> MixedLMParams | None:
    """The mask of covariance parameters that `free` held fixed."""
    return fit.held


def k_constr(fit: Fit) -> int:
    """Number of covariance parameters that `free` holds fixed."""
    if fit.held is None:
        return 0
    packed = fit.held.get_packed(use_sqrt=False, has_fe=True)[len(fit.held.fe_params) :]
    return int((packed == 0.0).sum())


def criterion(fit: Fit) -> float:
    """−2 log-likelihood, restricted under REML."""
    return fit.criterion


def llf(fit: Fit) -> float:
    """Log-likelihood, restricted under REML."""
    return -0.5 * fit.criterion


def scale(fit: Fit) -> float:
    """The residual variance σ² (of an observation with weight 1)."""
    return fit.scale


def theta(fit: Fit) -> np.ndarray:
    """Parameters θ of the covariance structures, term by term.

    For an unstructured term, they are the Cholesky factor of its relative covariance matrix, row by row.
    """
    return fit.theta


def params_object(fit: Fit) -> MixedLMParams:
    """All parameters, with covariances relative to σ²."""
    return fit.params_object


def hist(results: Any) -> list[dict[str, Any]] | None:
    """The path of the optimizer after ``fit(full_output=True)``, otherwise None."""
    if not results.full_output:
        return None
    c = results.fit.certificate
    return [
        {
            "converged": c.converged, "fopt": results.fit.criterion, "iterations": c.iterations,
            "fcalls": c.evaluations, "message": c.message, "path": list(c.path),
        }
    ]  # fmt: skip

"""Smooth penalties on β and on the covariance matrix, estimated together with everything else."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..convergence import Convergence
from ..errors import ConvergenceWarning
from ..estimation import Estimate
from ..linalg.matrices import lower_indices, semidefinite_cholesky
from ..params import MixedLMParams
from ..results import MixedLMResults
from .results import RegularizedResults
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


def fit_smooth(
    model: MixedLM,
    plain: MixedLMResults,
    fe_pen: Any,
    cov_pen: Any,
    maxiter: int = 1000,
) -> RegularizedResults:
    """Maximise log-likelihood − fe_pen(β) − cov_pen(G, G⁻¹) over β and the covariance parameters.

    σ² is profiled out at every β. G is the covariance matrix of the random coefficients relative to σ²;
    the optimizer moves its Cholesky factor and the roots of the components.
    """
    packed, reml = model._packed, plain.reml
    p, k, m = model.k_fe, model.k_re, model.k_re2
    units = np.concatenate([np.asarray(plain.bse_fe), _spread(plain)])
    block = np.zeros((k, k), dtype=bool)  # entries between different terms stay zero
    at = 0
    for term in model.design.terms:
        size = len(term.names)
        block[at : at + size, at : at + size] = True
        at += size
    rows, cols = lower_indices(k)
    free = np.concatenate([np.ones(p, dtype=bool), block[rows, cols], np.ones(model.k_vc, bool)])
    if plain.freepat is not None:
        mask = plain.freepat.get_packed(use_sqrt=False, has_fe=True) == 1.0
        free[p:] &= mask[p:]

    def params_at(x: np.ndarray) -> MixedLMParams:
        factor = np.zeros((k, k))
        factor[rows, cols] = x[p : p + m]
        return MixedLMParams.from_components(x[:p], factor @ factor.T, vcomp=x[p + m :] ** 2)

    def objective(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        x = whole.copy()
        x[free] = scaled * units[free]
        params = params_at(x)
        point = packed.at(params, profile_fe=False)
        value = -packed.loglike(point, reml)
        slope_fe = -packed.score_fe(point, reml)
        slope = -packed.score_cov(point, reml)
        if fe_pen is not None:
            value += float(np.sum(fe_pen.func(params.fe_params)))
            slope_fe = slope_fe + np.asarray(fe_pen.deriv(params.fe_params), dtype=float)
        if cov_pen is not None and k:
            try:
                inverse = np.linalg.inv(params.cov_re)
            except np.linalg.LinAlgError:
                return np.inf, np.zeros(len(scaled))
            value += float(cov_pen.func(params.cov_re, inverse))
            slope[:m] += np.asarray(cov_pen.deriv(params.cov_re, inverse), dtype=float)
        # From entries of G to entries of its factor.
        d = np.zeros((k, k))
        d[rows, cols] = d[cols, rows] = slope[:m]
        d[~np.eye(k, dtype=bool)] *= 0.5
        factor = np.zeros((k, k))
        factor[rows, cols] = x[p : p + m]
        gradient = np.concatenate(
            [slope_fe, (2.0 * d @ factor)[rows, cols], 2.0 * slope[m:] * x[p + m :]]
        )
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return np.inf, np.zeros(len(scaled))
        return value, (gradient * units)[free]

    start = plain.params_object
    factor = semidefinite_cholesky(start.cov_re) if k else np.zeros((0, 0))
    if cov_pen is not None and k:
        # A penalty of the inverse needs a start inside.
        factor = factor + 0.1 * np.diag(units[p : p + m][rows == cols]) * (np.diag(factor) == 0)
    whole = np.concatenate([start.fe_params, factor[rows, cols], np.sqrt(start.vcomp)])
    from scipy import optimize  # imported with the first fit that needs it

    outcome = optimize.minimize(
        objective, (whole / units)[free], jac=True, method="BFGS",
        options={"maxiter": maxiter, "gtol": 1e-7},
    )  # fmt: skip
    final = whole.copy()
    final[free] = outcome.x * units[free]
    params = params_at(final)
    slope = float(np.abs(outcome.jac).max(initial=0.0))
    converged = bool(outcome.success) or slope < 1e-4
    if not converged:
        warnings.warn(
            f"the penalised fit did not converge: {outcome.message} (largest slope {slope:.1e} per "
            "standard error). Lower the weight of the penalty, or raise maxiter",
            ConvergenceWarning,
            stacklevel=4,
        )
    likelihood = model._likelihood(reml)
    blocks = [*model._blocks(params.cov_re), *(np.array([[v]]) for v in params.vcomp)]
    theta = likelihood.parameters([t.to_engine(g) for t, g in zip(likelihood.terms, blocks)])
    point = likelihood.point(theta, order=2)
    certificate = replace(
        plain.convergence, converged=converged, optimizer="BFGS (penalised)", boundary=(),
        singular=False, message=str(outcome.message), newton_decrement=slope**2,
        evaluations=plain.nfev + int(outcome.nfev), iterations=int(outcome.nit),
        min_hessian_eigenvalue=float("nan"),
    )  # fmt: skip
    assert isinstance(certificate, Convergence)
    names = [
        f"{what} by {type(pen).__name__}"
        for what, pen in (("fixed effects", fe_pen), ("cov_re", cov_pen))
        if pen is not None
    ]
    return RegularizedResults(
        model, likelihood, Estimate(point, certificate), reml, params.fe_params,
        " and ".join(names), free=plain.freepat,
    )  # fmt: skip


def _spread(fit: MixedLMResults) -> np.ndarray:
    """Return natural units of the entries of the factor of cov_re and of the roots of vcomp."""
    least = [term.levels / fit._likelihood.engine.n for term in fit._likelihood.terms]
    sd: list[float] = []
    roots: list[float] = []
    n_terms = len(fit.model.design.terms)
    for t, (term, small) in enumerate(zip(fit._likelihood.terms, least)):
        size = np.abs(np.diag(term.basis)) * np.sqrt(small)
        (sd if t < n_terms else roots).extend(size)
    rows, _ = lower_indices(fit.k_re)
    return np.concatenate([np.asarray(sd)[rows] if sd else np.zeros(0), np.asarray(roots)])

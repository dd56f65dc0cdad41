"""Penalised fits: the lasso at held variances, and smooth penalties on β and on the covariance matrix."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from .convergence import Convergence
from .errors import ConvergenceWarning, DataValueError, OptionError
from .estimation import Estimate
from .extension.matrices import lower_indices, semidefinite_cholesky
from .inference.wald import CovarianceOfParams, covariance_of_params
from .likelihood.profiled import Point, ProfiledLikelihood
from .params import MixedLMParams
from .penalties.quadratic import Solution, solve
from .results import MixedLMResults

if TYPE_CHECKING:
    from .likelihood.packed import PackedPoint
    from .model import MixedLM


class RegularizedResults(MixedLMResults):
    """The result of a penalised fit: the interface of `MixedLMResults`.

    Standard errors are those of the selected coefficients as if these had been chosen beforehand (NaN
    where a coefficient is zero); tests and intervals from them do not have their usual level.

    Attributes
    ----------
    penalty : str
        What was penalised, in words.
    gap : float
        Duality gap of a lasso, in units of −2 log-likelihood: by how much the objective could fall.
    """

    penalty: str
    gap: float
    _held_scale: float | None

    def __init__(
        self,
        model: MixedLM,
        likelihood: ProfiledLikelihood,
        found: Estimate,
        reml: bool,
        beta: np.ndarray,
        penalty: str,
        gap: float = float("nan"),
        held_scale: float | None = None,
        free: MixedLMParams | None = None,
        full_output: bool = False,
    ) -> None:
        super().__init__(model, likelihood, found, reml, free, full_output)
        self.__dict__.update(_beta=beta, penalty=penalty, gap=gap, _held_scale=held_scale)

    @cached_property
    def _at(self) -> PackedPoint:
        return self.model._packed.at(self.params_object, profile_fe=False)

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the penalised estimates, without the penalty."""
        return -2.0 * self.model._packed.loglike(self._at, self.reml)

    @cached_property
    def scale(self) -> float:
        """The residual variance σ² at the penalised estimates."""
        return self.model._packed.scale(self._at, self.reml)

    @property
    def _variance_scale(self) -> float:
        """σ² of the fit at which the variances are held, if they are."""
        return self.scale if self._held_scale is None else self._held_scale

    @property
    def _solution(self) -> np.ndarray:
        return self._at.u

    @cached_property
    def _cov_fe(self) -> np.ndarray:
        h, _ = quadratic(self.model, self._likelihood, self._point)
        out = np.full_like(h, np.nan)
        kept = np.flatnonzero(self._beta)
        out[np.ix_(kept, kept)] = self.scale * np.linalg.inv(h[np.ix_(kept, kept)])
        return out

    @cached_property
    def _cov_params(self) -> CovarianceOfParams:
        hessian = self.model._packed.hessian(self._at, self.reml)
        gone = np.flatnonzero(self._beta == 0.0)
        hessian[gone] = hessian[:, gone] = 0.0
        if self.freepat is not None:
            fixed = np.flatnonzero(self.freepat.get_packed(use_sqrt=False, has_fe=True) == 0.0)
            fixed = fixed[fixed >= self.k_fe]
            hessian[fixed] = hessian[:, fixed] = 0.0
        found = covariance_of_params(hessian, self._cov_fe, self.convergence.boundary)
        found.values[gone] = found.values[:, gone] = np.nan
        return found


def quadratic(
    model: MixedLM, likelihood: ProfiledLikelihood, point: Point
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'V⁻¹X (k_fe, k_fe) and X'V⁻¹y (k_fe,) with V relative to σ²."""
    packed, state = model._packed, point.state
    assert state is not None
    p = likelihood.engine.p
    root = np.tril(state.root)
    to_raw = np.linalg.inv(packed.matrix)  # coordinates in the basis = to_raw (β + shift)
    h = to_raw.T @ (root[:p, :p] @ root[:p, :p].T) @ to_raw
    best = packed.matrix @ (state.inverse[:p, :p].T @ state.root[p, :p]) - packed.shift
    h /= packed.y_scale**2
    return h, h @ best


def fit_lasso(
    model: MixedLM,
    start_params: Any,
    alpha: Any,
    ptol: float,
    maxit: int,
    fit_kwargs: dict[str, Any],
) -> RegularizedResults:
    """Return the lasso at the variances of the unpenalised fit; see ``MixedLM.fit_regularized``."""
    weights = _weights(alpha, model.k_fe, model.exog_names)
    if not (isinstance(maxit, (int, np.integer)) and maxit > 0):
        raise OptionError(f"maxit={maxit!r}; expected a positive whole number of sweeps")
    plain = model.fit(start_params, **fit_kwargs)
    h, c = quadratic(model, plain._likelihood, plain._point)
    # e'V⁻¹e/σ² + Σ α|β|, halved.
    found: Solution = solve(
        h / plain.scale, c / plain.scale, 0.5 * weights, np.zeros(model.k_fe),
        tolerance=min(1e-12, float(ptol) ** 2), max_sweeps=50 * int(maxit),
    )  # fmt: skip
    penalised = int((weights > 0).sum())
    words = (
        f"lasso on {penalised} of {model.k_fe} coefficients, {int((found.beta == 0).sum())} of them "
        "zero; variances held at the unpenalised estimates"
    )
    return RegularizedResults(
        model,
        plain._likelihood,
        Estimate(plain._point, plain.convergence),
        plain.reml,
        found.beta,
        words,
        2.0 * found.gap,
        plain.scale,
        plain.freepat,
    )


def _weights(alpha: Any, p: int, names: list[str]) -> np.ndarray:
    try:
        given = np.asarray(alpha, dtype=float)
    except (TypeError, ValueError):
        given = np.array(np.nan)
    if given.ndim == 0:
        given = np.full(p, float(given))
    if given.shape != (p,):
        raise DataValueError(
            f"alpha has shape {given.shape}; expected a number, or {p} weights for {', '.join(names)}"
        )
    if not (np.isfinite(given) & (given >= 0)).all():
        raise OptionError(f"alpha={alpha!r}; expected finite weights of zero or more")
    return given


def with_alpha(penalty: Any, alpha: Any) -> Any:
    """Return a copy of a smooth penalty with its weight."""
    weights = _weights(alpha, 1, ["alpha"]) if np.ndim(alpha) == 0 else np.asarray(alpha, float)
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

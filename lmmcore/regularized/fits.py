"""Penalized fits as data: penalized coefficients, and the fit that has the variances.

They have all attributes of a `Fit`. Those that are not defined here are those of the fit inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..design.spec import ModelSpec
from ..fitting.certificate import Convergence
from ..fitting.equations import Equations
from ..fitting.fit import Fit
from ..inference.covariance import covariance
from ..inference.wald import CovarianceOfParams
from ..likelihood.packed import PackedLikelihood, PackedPoint
from ..likelihood.residual import derivatives
from ..params import MixedLMParams
from ..penalties.quadratic import Whitened
from .quadratic import rows_of_engine


@dataclass(frozen=True, eq=False)
class PenalizedFit:
    """Penalized coefficients, and the fit that has the variances.

    Attributes
    ----------
    inner : Fit
        The fit that has the variances.
    beta : array (p,)
    penalty : str
        What was penalized, in words.
    gap : float
        Duality gap, in units of −2 log-likelihood; NaN if the penalty is not convex.
    residual : float
        Largest violation of stationarity, relative to the largest slope.
    df : float
        Degrees of freedom of the fixed effects.
    """

    inner: Fit
    beta: np.ndarray
    penalty: str
    gap: float = float("nan")
    residual: float = float("nan")
    df: float = float("nan")
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    is_plain = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    @cached_property
    def params_object(self) -> MixedLMParams:
        """All parameters; covariances relative to σ²."""
        inside = self.inner.params_object
        return MixedLMParams.from_components(self.beta, inside.cov_re, vcomp=inside.vcomp)

    @cached_property
    def params(self) -> np.ndarray:
        """β, lower triangle of cov_re / σ², vcomp / σ²."""
        return self.params_object.get_packed(use_sqrt=False, has_fe=True)

    @property
    def packed(self) -> PackedLikelihood:
        """The likelihood of the model in statsmodels' parameters."""
        packed: PackedLikelihood = self.equations.packed
        return packed

    @cached_property
    def at(self) -> PackedPoint:
        """The likelihood at the estimates."""
        return self.packed.at(self.params_object, profile_fe=False)

    @property
    def solution(self) -> np.ndarray:
        """The vector u (p + 1,) with residual = [X y] u, X and y in the basis."""
        return self.at.u

    @cached_property
    def hessian(self) -> np.ndarray:
        """Hessian of the log-likelihood in `params`, σ² profiled out."""
        return self.packed.hessian(self.at, self.reml)

    @cached_property
    def log_scale_slope(self) -> np.ndarray:
        """∂ log σ̂² / ∂(covariance parameters of `params`)."""
        return self.packed.log_scale_slope(self.at, self.reml)

    @property
    def of_effects(self) -> Any:
        """The fit that predicts the random effects."""
        return self

    @property
    def of_variances(self) -> Any:
        """The fit that has the variances and their standard errors."""
        return self

    @property
    def selected(self) -> np.ndarray:
        """Positions of the coefficients that are not zero."""
        return np.flatnonzero(self.beta)


@dataclass(frozen=True, eq=False)
class SmoothFit(PenalizedFit):
    """A fit with smooth penalties, in which all parameters were estimated together."""

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the penalized estimates, without the penalty."""
        return -2.0 * self.packed.loglike(self.at, self.reml)

    @cached_property
    def scale(self) -> float:
        """σ² at the penalized estimates."""
        return self.packed.scale(self.at, self.reml)

    @cached_property
    def cov_beta(self) -> np.ndarray:
        """Covariance matrix of β from the likelihood, without the penalty."""
        rows = rows_of_engine(self.packed.coordinates, self.state, self.scale)
        return np.linalg.inv(rows.block(np.arange(self.spec.k_fe)))

    @cached_property
    def theta_hessian(self) -> np.ndarray | None:
        """Hessian in θ of −2 log-likelihood without the penalty, with β eliminated."""
        likelihood, point, state = self.likelihood, self.point, self.state
        of = derivatives(
            likelihood.engine, point.factors, state,
            likelihood.penalty.at(state, likelihood.n_eff).residual, self.reml,
        )  # fmt: skip
        inside = of.gamma_gamma - of.gamma_b @ np.linalg.solve(of.b_b, of.gamma_b.T)
        hessian: np.ndarray = likelihood._chain(point, of.gamma, inside)[1]
        return hessian


@dataclass(frozen=True, eq=False)
class HeldFit(PenalizedFit):
    """Coefficients at the variances (including σ²) of an unpenalized fit.

    Attributes
    ----------
    quadratic : Whitened
        (y − Xβ)'V⁻¹(y − Xβ) as rows; None after the rows of the data are removed.
    again : callable
        Repeats the fit for another model, with another optimizer if one is named.
    """

    quadratic: Whitened | None = None
    again: Callable[..., Any] | None = None

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at these coefficients and the held variances, including σ².

        The criteria of a path let σ² follow the coefficients.
        """
        packed = self.packed
        ratio = packed.scale(self.at, self.reml) / self.scale
        m = packed.n_eff(self.reml)
        return -2.0 * packed.loglike(self.at, self.reml) + m * float(ratio - 1.0 - np.log(ratio))

    @property
    def of_variances(self) -> Any:
        """The unpenalized fit."""
        return self.inner

    @cached_property
    def cov_beta(self) -> np.ndarray:
        """Covariance matrix of the selected coefficients at given variances; NaN for the others."""
        on, p = self.selected, self.spec.k_fe
        out = np.full((p, p), np.nan)
        assert self.quadratic is not None
        h = self.quadratic.block(on)
        scales = np.sqrt(np.diag(h))  # so that the units of the columns do not affect the rank
        inverse = np.linalg.pinv(h / np.outer(scales, scales), hermitian=True)
        out[np.ix_(on, on)] = inverse / np.outer(scales, scales)
        return out

    def slopes_of_beta(self, k: int) -> np.ndarray:
        """Return the derivatives of the selected coefficients in the k covariance parameters."""
        on = self.selected
        crossed = self.packed.crossed(self.at, self.reml) / self.scale
        return np.asarray(-self.cov_beta[np.ix_(on, on)] @ crossed[:, on].T)

    def own_covariance(self) -> CovarianceOfParams:
        """Return the covariance matrix of ``params``; β includes the uncertainty of the variances."""
        inner, p, on = covariance(self.inner), self.spec.k_fe, self.selected
        own = inner.values[self.inner.spec.k_fe :, self.inner.spec.k_fe :]
        k = len(own)
        out = np.full((p + k, p + k), np.nan)
        out[:p, :p] = self.cov_beta
        out[p:, p:] = own
        if not inner.reason:
            slopes = self.slopes_of_beta(k)
            rest = np.arange(p, p + k)
            out[np.ix_(on, on)] += slopes @ own @ slopes.T
            out[np.ix_(on, rest)] = slopes @ own
            out[np.ix_(rest, on)] = out[np.ix_(on, rest)].T
        return CovarianceOfParams(out, inner.reason)

    def without_rows(self) -> HeldFit:
        """Return the same without arrays that have as many rows as the data."""
        self.cov_beta  # noqa: B018 — computed now, because it needs the quadratic
        self.__dict__["quadratic"] = None
        return self


@dataclass(frozen=True, eq=False)
class JointFit(HeldFit):
    """Coefficients and variances that were estimated together.

    Attributes
    ----------
    own_spec : ModelSpec
        Of the model; the spec of the fit inside has only the unpenalized columns.
    own_certificate : Convergence
    own_equations : Equations or None
        Of the model; None if it has too many columns.
    rounds : int
        Number of rounds; each estimates the variances, then the coefficients.
    """

    own_spec: ModelSpec | None = None
    own_certificate: Convergence | None = None
    own_equations: Equations | None = None
    rounds: int = 0

    @property
    def spec(self) -> ModelSpec:
        assert self.own_spec is not None
        return self.own_spec

    @property
    def certificate(self) -> Convergence:
        assert self.own_certificate is not None
        return self.own_certificate

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the estimates; REML: restricted with respect to the unpenalized columns."""
        return self.inner.criterion

    @property
    def of_effects(self) -> Any:
        """The fit that predicts the random effects."""
        return self.inner

    def slopes_of_beta(self, k: int) -> np.ndarray:
        """Return zeros: the coefficients are treated as given when the variances are estimated."""
        return np.zeros((len(self.selected), k))

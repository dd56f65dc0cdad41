"""The results of penalised fits."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..estimation import Estimate
from ..inference.wald import CovarianceOfParams, covariance_of_params
from ..likelihood.blup import Conditional
from ..likelihood.crossed_blup import CrossedConditional
from ..likelihood.profiled import ProfiledLikelihood
from ..params import MixedLMParams
from ..penalties.quadratic import Whitened
from ..results import Frame, MixedLMResults
from .quadratic import rows_of_engine

if TYPE_CHECKING:
    from ..likelihood.packed import PackedPoint
    from ..model import MixedLM


class RegularizedResults(MixedLMResults):
    """The result of a penalised fit: the interface of `MixedLMResults`.

    Standard errors are those of the selected coefficients as if these had been chosen beforehand (NaN
    where a coefficient is zero); tests and intervals from them do not have their usual level.

    Attributes
    ----------
    penalty : str
        What was penalised, in words.
    gap : float
        Duality gap of a convex penalty, in units of −2 log-likelihood: by how much the objective could
        fall. NaN for other penalties.
    residual : float
        By how much the slopes of −2 log-likelihood miss what the penalty allows, as a part of the
        largest slope where all penalised coefficients are zero. NaN for smooth penalty objects.
    df : float
        Degrees of freedom of the fixed effects: for the lasso, the number that are not zero.
    """

    penalty: str
    gap: float
    residual: float
    df: float
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
        residual: float = float("nan"),
        df: float | None = None,
    ) -> None:
        super().__init__(model, likelihood, found, reml, free, full_output)
        self.__dict__.update(
            _beta=beta, penalty=penalty, gap=gap, _held_scale=held_scale, residual=residual,
            df=float(np.count_nonzero(beta)) if df is None else float(df),
        )  # fmt: skip

    def _information_criterion(self, price: float, name: str) -> float:
        value = super()._information_criterion(price, name)
        return value + price * (self.df - self.k_fe)

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
        rows = rows_of_engine(self.model, self._state, 1.0)
        kept = np.flatnonzero(self._beta)
        out = np.full((self.k_fe, self.k_fe), np.nan)
        out[np.ix_(kept, kept)] = self.scale * np.linalg.inv(rows.block(kept))
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


class SmoothResults(RegularizedResults):
    """The result of a fit with smooth penalties, all of whose parameters were estimated together."""


class JointResults(RegularizedResults):
    """The result of a penalised fit whose variances were estimated together with the coefficients.

    Attributes
    ----------
    rounds : int
        Alternations between coefficients and variances.
    """

    rounds: int
    _variances: MixedLMResults
    _quadratic: Whitened

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the estimates; REML: restricted for the unpenalised columns."""
        return self._variances.criterion

    @property
    def scale(self) -> float:
        """The residual variance σ² at the estimates."""
        return self._variances.scale

    @property
    def _conditional(self) -> Conditional:
        return self._variances._conditional

    @property
    def _crossed(self) -> CrossedConditional | None:
        return self._variances._crossed

    @cached_property
    def _cov_fe(self) -> np.ndarray:
        kept = np.flatnonzero(self._beta)
        out = np.full((self.k_fe, self.k_fe), np.nan)
        out[np.ix_(kept, kept)] = np.linalg.pinv(self._quadratic.block(kept), hermitian=True)
        return out

    @cached_property
    def _cov_params(self) -> CovarianceOfParams:
        inner, p = self._variances._cov_params, self.k_fe
        own = len(inner.values) - self._variances.k_fe
        out = np.full((p + own, p + own), np.nan)
        out[:p, :p] = self._cov_fe
        out[p:, p:] = inner.values[self._variances.k_fe :, self._variances.k_fe :]
        kept = np.flatnonzero(self._beta)
        out[np.ix_(kept, np.arange(p, p + own))] = 0.0
        out[np.ix_(np.arange(p, p + own), kept)] = 0.0
        return CovarianceOfParams(out, inner.reason)

    @property
    def cov_variances(self) -> Frame:
        """Covariance matrix of the variances' estimates, for coefficients as they are."""
        return self._variances.cov_variances

    @property
    def covariance_parameters(self) -> pd.DataFrame:
        """The parameters of each term's covariance structure in its own terms."""
        return self._variances.covariance_parameters

"""The results of penalised fits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..fitting.estimate import Estimate
from ..inference.wald import CovarianceOfParams
from ..likelihood.crossed.effects import CrossedConditional
from ..likelihood.independent.effects import Conditional
from ..likelihood.profiled import ProfiledLikelihood
from ..likelihood.residual import derivatives
from ..params import MixedLMParams
from ..penalties.quadratic import Whitened
from ..results import Frame, MixedLMResults
from .quadratic import rows_of_engine

if TYPE_CHECKING:
    from ..likelihood.packed import PackedPoint
    from ..model import MixedLM


class RegularizedResults(MixedLMResults):
    """The result of a penalised fit: the interface of `MixedLMResults`.

    Standard errors are those of the likelihood, without the penalty: of the selected coefficients, as if
    these had been chosen beforehand (NaN where a penalty has a coefficient at zero). Tests and intervals
    from them do not have their usual level. `bootstrap` repeats the penalised fit.

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

    def __init__(
        self,
        model: MixedLM,
        likelihood: ProfiledLikelihood,
        found: Estimate,
        reml: bool,
        beta: np.ndarray,
        penalty: str,
        gap: float = float("nan"),
        free: MixedLMParams | None = None,
        full_output: bool = False,
        residual: float = float("nan"),
        df: float | None = None,
    ) -> None:
        super().__init__(model, likelihood, found, reml, free, full_output)
        self.__dict__.update(
            _beta=beta, penalty=penalty, gap=gap, residual=residual,
            df=float(np.count_nonzero(beta)) if df is None else float(df),
        )  # fmt: skip

    def _information_criterion(self, price: float, name: str) -> float:
        value = super()._information_criterion(price, name)
        return value + price * (self.df - self.k_fe)

    @property
    def df_resid(self) -> float:  # type: ignore[override]
        """Number of rows minus degrees of freedom of the fixed effects."""
        return self.nobs - self.df

    @cached_property
    def _at(self) -> PackedPoint:
        return self.model._packed.at(self.params_object, profile_fe=False)

    @property
    def _solution(self) -> np.ndarray:
        return self._at.u

    @cached_property
    def _selected(self) -> np.ndarray:
        """Positions of the coefficients that are not zero."""
        return np.flatnonzero(self._beta)


class SmoothResults(RegularizedResults):
    """The result of a fit with smooth penalties, all of whose parameters were estimated together.

    `profile_re` is that of the penalised log-likelihood.
    """

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the penalised estimates, without the penalty."""
        return -2.0 * self.model._packed.loglike(self._at, self.reml)

    @cached_property
    def scale(self) -> float:
        """The residual variance σ² at the penalised estimates."""
        return self.model._packed.scale(self._at, self.reml)

    @cached_property
    def _cov_fe(self) -> np.ndarray:
        rows = rows_of_engine(self.model, self._state, self.scale)
        return np.linalg.inv(rows.block(np.arange(self.k_fe)))

    @property
    def _theta_hessian(self) -> np.ndarray | None:
        """Hessian in θ of −2 log-likelihood without the penalty, β at its best by the Hessian."""
        likelihood, point = self._likelihood, self._point
        assert likelihood.penalty is not None
        of = derivatives(
            likelihood.engine, point.factors, self._state,
            likelihood.penalty.at(self._state, likelihood.n_eff).residual, self.reml,
        )  # fmt: skip
        inside = of.gamma_gamma - of.gamma_b @ np.linalg.solve(of.b_b, of.gamma_b.T)
        return likelihood._chain(point, of.gamma, inside)[1]

    def _refit(self, model: MixedLM, method: Any) -> MixedLMResults:
        penalty = self._likelihood.penalty
        assert penalty is not None
        start = None if self.freepat is None else self.params_object
        return model.fit(
            start, reml=self.reml, free=self.freepat, method=method, fe_pen=penalty.fe_pen,
            cov_pen=penalty.cov_pen,
        )  # fmt: skip


class HeldResults(RegularizedResults):
    """The result of a penalised fit at the variances of another one.

    All variances are held, the residual variance among them: the fit minimises
    ``(y − Xβ)'V⁻¹(y − Xβ) + 2 P(β; alpha/2)`` with V as it stands in `cov_re`, `vcomp` and `scale`, which
    are those of the unpenalised fit, as are their standard errors. σ² at the penalised β would be larger by
    what the penalty leaves unexplained. Standard errors of β allow for those of the variances (`bse`) or
    not (`bse_fe`).
    """

    _variances: MixedLMResults
    _again: Callable[[MixedLM, Any], MixedLMResults]

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at these coefficients and at the variances held, σ² included.

        The criteria of a path let σ² follow the coefficients.
        """
        packed = self.model._packed
        m = packed.n_eff(self.reml)
        ratio = packed.scale(self._at, self.reml) / self.scale
        return -2.0 * packed.loglike(self._at, self.reml) + m * float(ratio - 1.0 - np.log(ratio))

    @property
    def scale(self) -> float:
        """The residual variance σ² of the fit of the variances."""
        return self._variances.scale

    @cached_property
    def _quadratic(self) -> Whitened:
        """(y − Xβ)'V⁻¹(y − Xβ) as rows."""
        return rows_of_engine(self.model, self._state, self.scale)

    @cached_property
    def _cov_fe(self) -> np.ndarray:
        on = self._selected
        out = np.full((self.k_fe, self.k_fe), np.nan)
        h = self._quadratic.block(on)
        units = np.sqrt(np.diag(h))  # so that the columns' own do not decide about the rank
        inverse = np.linalg.pinv(h / np.outer(units, units), hermitian=True)
        out[np.ix_(on, on)] = inverse / np.outer(units, units)
        return out

    def _slopes_of_beta(self, k: int) -> np.ndarray:
        """Return by how much the selected coefficients move with the k covariance parameters."""
        packed, on = self.model._packed, self._selected
        crossed = packed.crossed(self._at, self.reml) / self.scale
        return np.asarray(-self._cov_fe[np.ix_(on, on)] @ crossed[:, on].T)

    @cached_property
    def _cov_params(self) -> CovarianceOfParams:
        inner, p, on = self._variances._cov_params, self.k_fe, self._selected
        own = inner.values[self._variances.k_fe :, self._variances.k_fe :]
        k = len(own)
        out = np.full((p + k, p + k), np.nan)
        out[:p, :p] = self._cov_fe
        out[p:, p:] = own
        if not inner.reason:
            slopes = self._slopes_of_beta(k)
            rest = np.arange(p, p + k)
            out[np.ix_(on, on)] += slopes @ own @ slopes.T
            out[np.ix_(on, rest)] = slopes @ own
            out[np.ix_(rest, on)] = out[np.ix_(on, rest)].T
        return CovarianceOfParams(out, inner.reason)

    @property
    def hist(self) -> list[dict[str, Any]] | None:
        """The path of the optimizer of the variances if ``full_output=True``, else None."""
        return self._variances.hist

    @property
    def k_constr(self) -> int:
        """Number of covariance parameters that `free` holds fixed."""
        return self._variances.k_constr

    @property
    def cov_variances(self) -> Frame:
        """Covariance matrix of the variances' estimates, for coefficients as they are."""
        return self._variances.cov_variances

    @property
    def covariance_parameters(self) -> pd.DataFrame:
        """The parameters of each term's covariance structure in its own terms."""
        return self._variances.covariance_parameters

    def _refit(self, model: MixedLM, method: Any) -> MixedLMResults:
        return self._again(model, method)

    def profile_re(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: the variances were not estimated by the penalised fit.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "the variances are held where the unpenalised fit has them, so that the penalised fit has no "
            "profile in them; expected model.fit().profile_re(...), or a smooth penalty (fe_pen)"
        )

    def remove_data(self) -> None:
        """Take the rows of the data out of these results, their model and the fit of the variances.

        See `MixedLMResults.remove_data`.
        """
        super().remove_data()
        if self._variances.model is not self.model:
            self._variances.remove_data()


class JointResults(HeldResults):
    """The result of a penalised fit whose variances were estimated together with the coefficients.

    Variances and unpenalised coefficients are those of the ordinary fit of what the penalised columns
    leave of the response, the penalised coefficients the minimum at these variances, by a penalty of β/σ.

    Attributes
    ----------
    rounds : int
        Alternations between coefficients and variances.
    """

    rounds: int
    _quadratic: Whitened

    @property
    def criterion(self) -> float:
        """−2 log-likelihood at the estimates; REML: restricted for the unpenalised columns."""
        return self._variances.criterion

    @property
    def hess_diag(self) -> np.ndarray:
        """Refused: the restricted likelihood is one of the unpenalised columns alone.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "the likelihood whose maximum the variances are is one of the unpenalised columns alone, so "
            "that there is no Hessian in all of params; use cov_params() and cov_variances"
        )

    @property
    def _conditional(self) -> Conditional:
        return self._variances._conditional

    @property
    def _crossed(self) -> CrossedConditional | None:
        return self._variances._crossed

    def _slopes_of_beta(self, k: int) -> np.ndarray:
        return np.zeros((len(self._selected), k))  # at given variances

    def profile_re(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: coefficients and variances are not the minimum of one function.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "coefficients and variances hold at once, each given the other, and are not the minimum of one "
            "function whose profile could be drawn; use path.refit().profile_re(...) for the selected "
            "columns, or a smooth penalty (fe_pen)"
        )

    def remove_data(self) -> None:
        """Take the rows of the data out of these results, their model and the fit of the variances.

        See `MixedLMResults.remove_data`.
        """
        self._cov_fe  # noqa: B018 — kept, as it comes from the quadratic
        self.__dict__.pop("_quadratic", None)
        super().remove_data()

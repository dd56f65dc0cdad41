"""Standard errors, intervals and tests of a fit: the base of `MixedLMResults` that holds them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..arguments import number, numbers
from ..errors import DataValueError, LmmcoreWarning
from .contrasts import ContrastResults, constraints, t_test, wald_test
from .delta import DeltaMethod
from .pairwise import PairwiseTests, pairwise
from .terms import TermTests, wald_terms
from .unidentified import Unidentified, why_none
from .wald import (
    CovarianceOfParams,
    combine,
    covariance_of_params,
    covariance_of_variances,
    interval,
    p_values,
)

if TYPE_CHECKING:
    from ..fitting.certificate import Convergence
    from ..model import MixedLM
    from ..params import MixedLMParams

Series = pd.Series | np.ndarray
Frame = pd.DataFrame | np.ndarray


class Inference:
    """Inference about the parameters of a fit, by the observed information."""

    model: MixedLM
    convergence: Convergence
    reml: bool
    freepat: MixedLMParams | None

    if TYPE_CHECKING:  # what the results have

        @property
        def k_fe(self) -> int: ...
        @property
        def nobs(self) -> int: ...
        @cached_property
        def scale(self) -> float: ...
        @cached_property
        def params(self) -> Series: ...
        @cached_property
        def params_object(self) -> MixedLMParams: ...
        @cached_property
        def _beta(self) -> np.ndarray: ...
        @cached_property
        def _cov_fe(self) -> np.ndarray: ...
        @cached_property
        def _unidentified(self) -> Unidentified | None: ...
        def _series(self, values: np.ndarray, index: Any) -> Series: ...
        def _frame(self, values: np.ndarray, names: list[str]) -> Frame: ...
        @property
        def _labelled(self) -> bool: ...

    @cached_property
    def _cov_params(self) -> CovarianceOfParams:
        packed = self.model._packed
        point = packed.at(self.params_object, profile_fe=False)
        hessian = packed.hessian(point, self.reml)
        if self.freepat is not None:
            fixed = np.flatnonzero(self.freepat.get_packed(use_sqrt=False, has_fe=True) == 0.0)
            fixed = fixed[fixed >= self.k_fe]
            hessian[fixed] = hessian[:, fixed] = 0.0
        return covariance_of_params(
            hessian, self._cov_fe, self.convergence.boundary, self._unidentified
        )

    def cov_params(
        self,
        r_matrix: Any = None,
        column: Any = None,
        scale: float | None = None,
        cov_p: Any = None,
        other: Any = None,
    ) -> Any:
        """Return the covariance matrix of `params`, the inverse observed information.

        Where a covariance matrix of random effects is singular, the entries of covariance parameters
        are NaN, and so are entries that depend on parameters that the data do not identify;
        `cov_params_note` says why.

        Parameters
        ----------
        r_matrix : array (k,) or (m, k), optional
            Return R C R' in place of C.
        column : int or array of int, optional
            Return the variance of one parameter, or the block of several.
        scale : float, optional
            A value of σ² in place of the estimate.
        cov_p : array (k, k), optional
            A matrix in place of C.
        other : array (l, k), optional
            Return R C other'.
        """
        cov = self._cov_params.values
        if cov_p is not None:
            cov = numbers(cov_p, "cov_p", "a covariance matrix")
            if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
                raise DataValueError(f"cov_p has shape {cov.shape}; expected a square matrix")
        elif scale is not None:
            cov = cov * (number(scale, "scale", "a value of σ²") / self.scale)
        if r_matrix is None and column is None and other is None:
            return self._frame(cov.copy(), self.model.param_names)
        return combine(cov, r_matrix, column, other)

    @property
    def cov_params_note(self) -> str:
        """Why standard errors are NaN; empty when they are not."""
        return self._cov_params.reason

    @property
    def normalized_cov_params(self) -> Frame:
        """`cov_params` divided by σ²."""
        return self._frame(self._cov_params.values / self.scale, self.model.param_names)

    @cached_property
    def hess_diag(self) -> np.ndarray:
        """Diagonal of the Hessian of the log-likelihood in `params`."""
        packed = self.model._packed
        point = packed.at(self.params_object, profile_fe=False)
        return np.diag(packed.hessian(point, self.reml)).copy()

    @cached_property
    def bse(self) -> Series:
        """Standard errors of `params` (covariance parameters relative to σ²).

        Those of the fixed effects allow for the estimation of the covariance parameters, as in
        statsmodels; `bse_fe` takes these as known, as in lme4.
        """
        return self._series(np.sqrt(np.diag(self._cov_params.values)), self.model.param_names)

    @cached_property
    def cov_variances(self) -> Frame:
        """Covariance matrix of the estimates in `cov_re` (lower triangle), `vcomp` and `scale`.

        From the observed information, by the delta method; NaN on the boundary and for what the data do
        not identify (`cov_params_note`).
        """
        packed = self.model._packed
        point = packed.at(self.params_object, profile_fe=False)
        found = self._cov_params
        cov = found.values if found.whole is None else found.whole
        values = covariance_of_variances(
            cov[self.k_fe :, self.k_fe :],
            np.asarray(self.params)[self.k_fe :],
            packed.log_scale_slope(point, self.reml),
            self.scale,
            packed.n_eff(self.reml),
        )
        if self._unidentified is not None:
            values[self._unidentified.absolute] = values[:, self._unidentified.absolute] = np.nan
        return self._frame(values, [*self.model.param_names[self.k_fe :], "Residual Var"])

    @property
    def bse_variances(self) -> Series:
        """Standard errors of the entries of `cov_re` and `vcomp` and of `scale` as they stand."""
        names = [*self.model.param_names[self.k_fe :], "Residual Var"]
        return self._series(np.sqrt(np.diag(np.asarray(self.cov_variances))), names)

    @property
    def bse_re(self) -> Series:
        """`bse` of the covariance parameters times σ: what statsmodels has under this name.

        It is neither the standard error of the relative parameters (that is in `bse`) nor that of
        `cov_re` and `vcomp`: see `bse_variances`.
        """
        values = np.asarray(self.bse)[self.k_fe :] * np.sqrt(self.scale)
        return self._series(values, self.model.param_names[self.k_fe :])

    @property
    def tvalues(self) -> Series:
        """`params` divided by `bse`."""
        return self.params / self.bse

    @property
    def pvalues(self) -> Series:
        """Two-sided p-values of `tvalues` by the normal distribution."""
        return self._series(p_values(np.asarray(self.tvalues)), self.model.param_names)

    def conf_int(self, alpha: float = 0.05) -> Frame:
        """Return limits of level 1 − alpha for `params`, by normal quantiles."""
        limits = interval(np.asarray(self.params), np.asarray(self.bse), alpha)
        return pd.DataFrame(limits, index=self.model.param_names) if self._labelled else limits

    def t_test(self, r_matrix: Any, use_t: bool | None = None) -> ContrastResults:
        """Test linear hypotheses about the fixed effects, one by one.

        Parameters
        ----------
        r_matrix : str, list of str, array (k_fe,) or (m, k_fe), or (array, values)
            Such as ``"x1 = x2, x3 = 1"``; values on the right are zero when not given.
        use_t : bool, optional
            Whether to take the t distribution with `df_resid` degrees of freedom; by default the normal.

        Returns
        -------
        ContrastResults
            Standard errors are those of `bse_fe`. A hypothesis about a coefficient that a penalty has at
            zero, or whose standard error the data do not identify, has none.
        """
        found = t_test(self._beta, self._cov_fe, self._hypothesis(r_matrix), self._df(use_t))
        lost = np.isnan(found.sd) if found.sd is not None else np.zeros(0, dtype=bool)
        if lost.any():
            warnings.warn(
                f"no standard errors of {', '.join(n for n, no in zip(found.c_names, lost) if no)}: "
                f"{self._left_out_as}. Test other coefficients",
                LmmcoreWarning,
                stacklevel=2,
            )
        return found

    @property
    def _left_out(self) -> list[str]:
        """Names of the fixed effects without standard errors: at zero by a penalty, or not identified."""
        names = self.model.exog_names
        return [names[j] for j in np.flatnonzero(np.isnan(np.diag(self._cov_fe)))]

    @property
    def _left_out_as(self) -> str:
        """Why the coefficients in `_left_out` have no standard errors."""
        return why_none(self._left_out, dict(zip(self.model.exog_names, self._beta)))

    def wald_test(
        self,
        r_matrix: Any,
        cov_p: Any = None,
        invcov: Any = None,
        use_f: bool | None = None,
        df_constraints: int | None = None,
        scalar: bool = True,
    ) -> ContrastResults:
        """Test linear hypotheses about the fixed effects together, by χ² or by F; see `t_test`.

        Parameters
        ----------
        r_matrix : str, list of str, array (k_fe,) or (m, k_fe), or (array, values)
        cov_p : array (k_fe, k_fe), optional
            Covariance matrix of the fixed effects in place of `cov_fe`.
        invcov : array (m, m), optional
            Inverse of the covariance matrix of the tested combinations, in place of what `cov_fe` gives.
        use_f : bool, optional
            Whether to test by F with `df_resid` denominator degrees of freedom; by default by χ².
        df_constraints : int, optional
            Numerator degrees of freedom in place of m.
        scalar : bool
            Whether statistic and p-value are floats; else arrays (1, 1) and ().
        """
        cov, p = self._cov_fe, self.k_fe
        if cov_p is not None:
            cov = numbers(cov_p, "cov_p", "a covariance matrix")
            if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or len(cov) < p:
                raise DataValueError(f"cov_p has shape {cov.shape}; expected ({p}, {p})")
            cov = cov[:p, :p]
        found = wald_test(
            self._beta, cov, self._hypothesis(r_matrix), self._df(use_f), invcov, df_constraints
        )
        if scalar:
            return found
        return replace(
            found, statistic=np.array([[found.statistic]]), pvalue=np.asarray(found.pvalue)
        )

    def f_test(self, r_matrix: Any, cov_p: Any = None, invcov: Any = None) -> ContrastResults:
        """Test linear hypotheses together by F with `df_resid` denominator degrees of freedom."""
        return self.wald_test(r_matrix, cov_p, invcov, use_f=True)

    def wald_test_terms(
        self,
        skip_single: bool = False,
        extra_constraints: Sequence[tuple[str, Any]] | None = None,
        combine_terms: Sequence[str] | None = None,
        scalar: bool = True,
    ) -> TermTests:
        """Test for each term of the formula that all its coefficients are zero.

        Parameters
        ----------
        skip_single : bool
            Whether terms of one column are left out.
        extra_constraints : sequence of (name, matrix), optional
            Further hypotheses, matrices (m, k_fe).
        combine_terms : sequence of str, optional
            Each is tested jointly for all terms whose name contains it.
        scalar : bool
            As for `wald_test`.

        Returns
        -------
        TermTests
            With ``table``; each term is tested beside all others (as type III with the coding that the
            formula has). Coefficients without standard errors, as a penalty has them at zero or the data
            do not identify these, are not tested: `left_out` names them.
        """

        def test(matrix: np.ndarray) -> ContrastResults:
            return self.wald_test(matrix, scalar=scalar)

        return wald_terms(
            self.model, test, skip_single, extra_constraints or (), combine_terms or (),
            self._left_out, self._left_out_as,
        )  # fmt: skip

    def t_test_pairwise(
        self,
        term_name: str,
        method: str | Sequence[str] = "hs",
        alpha: float = 0.05,
        factor_labels: Sequence[str] | None = None,
    ) -> PairwiseTests:
        """Compare the levels of a factor two by two, with p-values adjusted for their number.

        Parameters
        ----------
        term_name : str
            Name of a main effect, such as ``"C(treatment)"``; any coding.
        method : str or sequence of str
            Adjustment: bonferroni (b), sidak (s), holm (h), holm-sidak (hs), simes-hochberg (sh),
            fdr_bh, fdr_by.
        alpha : float
            Level of the tests and of the intervals (which are not adjusted).
        factor_labels : sequence of str, optional
            Names of the levels in place of those of the data.

        Returns
        -------
        PairwiseTests
            With ``result_frame``.
        """
        return pairwise(
            self.model, self.t_test, term_name, method, alpha, factor_labels, self._left_out,
            self._left_out_as,
        )  # fmt: skip

    def get_nlfun(
        self, fun: Callable[[np.ndarray], Any], deriv: Callable[[np.ndarray], Any] | None = None
    ) -> DeltaMethod:
        """Return a function of `params` with its standard errors and tests, by the delta method.

        Parameters
        ----------
        fun : callable
            Takes params as an array (k,) (covariances relative to σ²), returns a number or a vector.
        deriv : callable, optional
            Its Jacobian (m, k); by default by differences.

        Examples
        --------
        >>> import lmmcore
        >>> data = lmmcore.datasets.load_sleepstudy()
        >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
        >>> ratio = fit.get_nlfun(lambda params: params[0] / params[1])
        >>> ratio.predicted().round(3), ratio.se_vectorized().round(3)
        (array([24.018]), array([3.694]))
        """
        return DeltaMethod(fun, np.asarray(self.params), self._cov_params.values, deriv)

    def _hypothesis(self, r_matrix: Any) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        return constraints(r_matrix, self.model.exog_names)

    def _df(self, small_sample: bool | None) -> float | None:
        return float(self.df_resid) if small_sample else None

    @property
    def use_t(self) -> bool:
        """False: tests take the normal distribution."""
        return False

    @property
    def df_modelwc(self) -> int:
        """Number of entries of `params`; σ² is not among them."""
        return len(self.model.param_names)

    @property
    def df_resid(self) -> int:
        """Number of rows minus number of fixed effects."""
        return self.nobs - self.k_fe

"""The results of penalized fits."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NoReturn

from .. import prediction, storage
from .. import random_effects as effects
from ..delegation import Value, method_of
from ..display.at_a_glance import results_html, results_text
from ..display.summary import summary
from ..display.varcorr import varcorr
from ..errors import OptionError
from ..inference import facts, parameters, tests
from ..inference.profile import profile_re
from ..inference.structure import covariance_parameters
from ..refitting import refit
from ..resampling.bootstrap import bootstrap
from ..row_for_row import FixedEffects
from ..statsmodels import rows
from .fits import HeldFit, JointFit, PenalizedFit, SmoothFit

of_fit, of_self = method_of("fit"), method_of()


def _gap(fit: PenalizedFit) -> float:
    """Duality gap of a convex penalty, in units of −2 log-likelihood; NaN for other penalties."""
    return fit.gap


def _residual(fit: PenalizedFit) -> float:
    """Largest violation of stationarity, relative to the largest slope; NaN for smooth penalties."""
    return fit.residual


def _penalty(fit: PenalizedFit) -> str:
    """What was penalized, in words."""
    return fit.penalty


def _df(fit: PenalizedFit) -> float:
    """Degrees of freedom of the fixed effects; for the lasso, the number of nonzero coefficients."""
    return fit.df


class RegularizedResults:
    """The result of a penalized fit: penalized coefficients, and the fit that has the variances.

    Standard errors are those of the likelihood, without the penalty. They are NaN for coefficients that the
    penalty sets to zero, and treat the others as chosen beforehand. So tests and intervals do not have their
    nominal level. `bootstrap` repeats the penalized fit.

    Attributes
    ----------
    model : MixedLM
    fit : PenalizedFit
    """

    model: Any
    fit: PenalizedFit
    full_output: bool

    def __init__(self, model: Any, fit: PenalizedFit, full_output: bool = False) -> None:
        self.__dict__.update(model=model, fit=fit, full_output=full_output)

    __repr__ = results_text
    _repr_html_ = results_html

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"results are frozen; {name!r} cannot be set. Copy what you need")

    # The penalty

    penalty = Value(_penalty, "fit")
    gap = Value(_gap, "fit")
    residual = Value(_residual, "fit")
    df = Value(_df, "fit")

    # What was fitted

    convergence = Value(facts.convergence, "fit")
    converged = Value(facts.converged, "fit")
    nfev = Value(facts.nfev, "fit")
    reml = Value(facts.reml, "fit")
    method = Value(facts.method, "fit")
    nobs = Value(facts.nobs, "fit")
    k_fe = Value(facts.k_fe, "fit")
    k_re = Value(facts.k_re, "fit")
    k_re2 = Value(facts.k_re2, "fit")
    k_vc = Value(facts.k_vc, "fit")
    k_constr = Value(facts.k_constr, "fit")
    use_sqrt = Value(facts.use_sqrt, "fit")
    use_t = Value(facts.use_t, "fit")
    freepat = Value(facts.freepat, "fit")
    k_constant = Value(rows.k_constant, "model")
    criterion = Value(facts.criterion, "fit")
    llf = Value(facts.llf, "fit")
    aic = Value(parameters.aic, "fit")
    bic = Value(parameters.bic, "fit")
    df_modelwc = Value(parameters.df_modelwc, "fit")
    df_resid = Value(parameters.df_resid, "fit")
    hist = Value(facts.hist)

    # Estimates

    scale = Value(facts.scale, "fit")
    theta = Value(facts.theta, "fit")
    params_object = Value(facts.params_object, "fit")
    params = Value(parameters.params, "fit")
    fe_params = Value(parameters.fe_params, "fit")
    cov_re = Value(parameters.cov_re, "fit")
    cov_re_unscaled = Value(parameters.cov_re_unscaled, "fit")
    vcomp = Value(parameters.vcomp, "fit")
    varcorr = Value(varcorr, "fit")
    covariance_parameters = Value(covariance_parameters, "fit")

    # Standard errors, tests, intervals

    cov_fe = Value(parameters.cov_fe, "fit")
    bse_fe = Value(parameters.bse_fe, "fit")
    cov_params = of_fit(parameters.cov_params)
    cov_params_note = Value(parameters.cov_params_note, "fit")
    normalized_cov_params = Value(parameters.normalized_cov_params, "fit")
    bse = Value(parameters.bse, "fit")
    cov_variances = Value(parameters.cov_variances, "fit")
    bse_variances = Value(parameters.bse_variances, "fit")
    bse_re = Value(parameters.bse_re, "fit")
    tvalues = Value(parameters.tvalues, "fit")
    pvalues = Value(parameters.pvalues, "fit")
    conf_int = of_fit(parameters.conf_int)
    t_test = of_fit(tests.t_test)
    wald_test = of_fit(tests.wald_test)
    f_test = of_fit(tests.f_test)
    wald_test_terms = of_fit(tests.wald_test_terms)
    t_test_pairwise = of_fit(tests.t_test_pairwise)
    get_nlfun = of_fit(tests.get_nlfun)

    # Random effects and rows

    random_effects = cached_property(effects.random_effects)
    random_effects_cov = cached_property(effects.random_effects_cov)
    random_effects_frame = cached_property(effects.random_effects_frame)
    random_effects_cov_frame = cached_property(effects.random_effects_cov_frame)
    fittedvalues = cached_property(prediction.fittedvalues)
    resid = cached_property(prediction.resid)
    predict = of_self(prediction.predict)

    # Refits, files, tables

    refit = of_self(refit)
    bootstrap = of_self(bootstrap)
    save = of_self(storage.save)
    summary = of_fit(summary)

    @classmethod
    def load(cls, fname: Any) -> Any:
        """Read results that `save` wrote, of a plain or of a penalized fit.

        Load only files that you trust: pickle runs their code.

        Raises
        ------
        DataTypeError
            The file holds something else.
        """
        return storage.load(fname)

    @property
    def _results(self) -> FixedEffects:
        """What multiple imputation (statsmodels' MICE) pools."""
        return FixedEffects(self.fit.beta, tests.cov_fe_of(self.fit))


class SmoothResults(RegularizedResults):
    """The result of a fit with smooth penalties, in which all parameters were estimated together.

    `profile_re` profiles the penalized log-likelihood.
    """

    fit: SmoothFit
    hess_diag = Value(parameters.hess_diag, "fit")
    profile_re = of_fit(profile_re)
    remove_data = of_self(storage.remove_data)

    def _refit(self, model: Any, method: Any) -> SmoothResults:
        penalty = self.fit.likelihood.penalty
        start = None if self.freepat is None else self.params_object
        found: SmoothResults = model.fit(
            start, reml=self.reml, free=self.freepat, method=method, fe_pen=penalty.fe_pen,
            cov_pen=penalty.cov_pen,
        )  # fmt: skip
        return found


class HeldResults(RegularizedResults):
    """The result of a penalized fit whose variances are held at the unpenalized estimates.

    The fit minimizes ``(y − Xβ)'V⁻¹(y − Xβ) + 2 P(β; alpha/2)``. V, which includes the residual variance, is
    that of the unpenalized fit. So `cov_re`, `vcomp`, `scale` and their standard errors are those of the
    unpenalized fit too. An estimate of σ² at the penalized β would be larger. In `bse`, the standard errors
    of β include the uncertainty of the variances; in `bse_fe`, they do not.
    """

    fit: HeldFit
    hess_diag = Value(parameters.hess_diag, "fit")

    def _refit(self, model: Any, method: Any) -> HeldResults:
        assert self.fit.again is not None
        found: HeldResults = self.fit.again(model, method)
        return found

    def profile_re(self, *_: Any, **__: Any) -> NoReturn:
        """Raise an error: the penalized fit did not estimate the variances.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "the variances are held at the unpenalized estimates, so the penalized fit has no profile "
            "likelihood in them; use model.fit().profile_re(...), or a smooth penalty (fe_pen)"
        )

    def remove_data(self) -> None:
        """Remove the rows of the data from these results, their model and the fit of the variances.

        See `MixedLMResults.remove_data`.
        """
        self.fit.without_rows()
        storage.remove_data(self)


class JointResults(RegularizedResults):
    """The result of a penalized fit whose variances were estimated together with the coefficients.

    The variances and the unpenalized coefficients are those of the ordinary fit to the response minus the
    contribution of the penalized columns. The penalized coefficients minimize the penalized sum of squares at
    these variances, with a penalty of β/σ.
    """

    fit: JointFit

    @property
    def rounds(self) -> int:
        """Number of rounds; each estimates the variances, then the coefficients."""
        return self.fit.rounds

    @property
    def hess_diag(self) -> Any:
        """Raise an error: the variances maximize the likelihood of another model.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "the variances maximize a likelihood in which only the unpenalized columns are free, so there "
            "is no Hessian in all of params; use cov_params() and cov_variances"
        )

    def _refit(self, model: Any, method: Any) -> JointResults:
        assert self.fit.again is not None
        found: JointResults = self.fit.again(model, method)
        return found

    def profile_re(self, *_: Any, **__: Any) -> NoReturn:
        """Raise an error: coefficients and variances do not minimize a common function.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "coefficients and variances are each optimal given the other, but do not minimize a common "
            "function, so there is no profile likelihood; use path.refit().profile_re(...) for the "
            "selected columns, or a smooth penalty (fe_pen)"
        )

    def remove_data(self) -> None:
        """Remove the rows of the data from these results, their model and the fit of the variances.

        See `MixedLMResults.remove_data`.
        """
        self.fit.without_rows()
        storage.remove_data(self)

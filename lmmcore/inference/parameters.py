"""Estimates of a fit under the names of statsmodels, with standard errors, z, p and intervals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ..arguments import number, numbers
from ..errors import DataValueError, LmmcoreWarning, OptionError
from ..fitting.fit import Fit, once
from .choice import Choice, choice_of
from .contrasts import t_p_values, t_quantile
from .covariance import covariance, variances
from .profiles import profile
from .structure import one_choice_of_many
from .unidentified import cov_fe_of
from .wald import combine, level

Series = pd.Series | np.ndarray
Frame = pd.DataFrame | np.ndarray

# Fixed effects


@once
def fe_params(fit: Fit) -> Series:
    """The fixed effects β̂ (k_fe,)."""
    return fit.spec.series(fit.beta.copy(), fit.spec.exog_names)


def cov_fe(fit: Fit) -> Frame:
    """Covariance matrix of the fixed effects, σ̂² (X'V⁻¹X)⁻¹ (k_fe, k_fe).

    Entries are NaN if they depend on variances that the data do not identify, for example if the
    grouping factor of a random intercept is also a fixed effect (`cov_params_note`).
    """
    return fit.spec.frame(cov_fe_of(fit).copy(), fit.spec.exog_names)


@once
def bse_fe(fit: Fit) -> Series:
    """Standard errors of the fixed effects (k_fe,)."""
    return fit.spec.series(np.sqrt(np.diag(cov_fe_of(fit))), fit.spec.exog_names)


# Covariance of the random effects


def cov_re_unscaled(fit: Fit) -> Frame:
    """Covariance matrix of the random coefficients divided by σ² (k_re, k_re)."""
    return fit.spec.frame(fit.params_object.cov_re.copy(), list(fit.layout.coefficient_names))


def cov_re(fit: Fit) -> Frame:
    """Covariance matrix of the random coefficients (k_re, k_re)."""
    values = fit.params_object.cov_re * fit.scale
    return fit.spec.frame(values, list(fit.layout.coefficient_names))


def vcomp(fit: Fit) -> np.ndarray:
    """Variance components (k_vc,), in the order of ``model.vcomp_names``."""
    values: np.ndarray = fit.params_object.vcomp * fit.scale
    return values


@once
def params(fit: Fit) -> Series:
    """Fixed effects, lower triangle of cov_re / σ², vcomp / σ², packed as statsmodels does."""
    return fit.spec.series(fit.params, fit.spec.param_names)


# Standard errors and tests


def cov_params(
    fit: Fit,
    r_matrix: Any = None,
    column: Any = None,
    scale: float | None = None,
    cov_p: Any = None,
    other: Any = None,
) -> Any:
    """Return the covariance matrix of `params`, the inverse observed information.

    If a covariance matrix of random effects is singular, the entries of covariance parameters are NaN.
    Entries that depend on parameters that the data do not identify are NaN, too. `cov_params_note` says
    why.

    Parameters
    ----------
    r_matrix : array (k,) or (m, k), optional
        Return R C R' instead of C.
    column : int or array of int, optional
        Return the variance of one parameter, or the block of several.
    scale : float, optional
        A value of σ² to use instead of the estimate.
    cov_p : array (k, k), optional
        A matrix to use instead of C.
    other : array (l, k), optional
        Return R C other'.
    """
    cov = covariance(fit).values
    if cov_p is not None:
        cov = numbers(cov_p, "cov_p", "a covariance matrix")
        if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
            raise DataValueError(f"cov_p has shape {cov.shape}; expected a square matrix")
    elif scale is not None:
        cov = cov * (number(scale, "scale", "a value of σ²") / fit.scale)
    if r_matrix is None and column is None and other is None:
        return fit.spec.frame(cov.copy(), fit.spec.param_names)
    return combine(cov, r_matrix, column, other)


def cov_params_note(fit: Fit) -> str:
    """Why standard errors of covariance parameters are NaN; empty if none is."""
    return "; ".join(filter(None, (covariance(fit).reason, one_choice_of_many(fit.of_variances))))


def normalized_cov_params(fit: Fit) -> Frame:
    """`cov_params` divided by σ²."""
    return fit.spec.frame(covariance(fit).values / fit.scale, fit.spec.param_names)


def hess_diag(fit: Fit) -> np.ndarray:
    """Diagonal of the Hessian of the log-likelihood in `params`."""
    return np.diag(fit.hessian).copy()


@once
def bse(fit: Fit) -> Series:
    """Standard errors of `params` (covariance parameters relative to σ²).

    Those of the fixed effects account for the estimation of the covariance parameters, as in statsmodels.
    `bse_fe` treats the covariance parameters as known, as in lme4.
    """
    values = np.sqrt(np.diag(covariance(fit).values))
    return fit.spec.series(values, fit.spec.param_names)


def cov_variances(fit: Fit) -> Frame:
    """Covariance matrix of the estimates in `cov_re` (lower triangle), `vcomp` and `scale`.

    It comes from the observed information, by the delta method. It is NaN on the boundary
    (`cov_params_note`).
    """
    return fit.spec.frame(variances(fit), [*fit.layout.parameter_names, "Residual Var"])


def bse_variances(fit: Fit) -> Series:
    """Standard errors of the entries of `cov_re` and `vcomp`, and of `scale` (not relative to σ²)."""
    names = [*fit.layout.parameter_names, "Residual Var"]
    return fit.spec.series(np.sqrt(np.diag(variances(fit))), names)


def bse_re(fit: Fit) -> Series:
    """`bse` of the covariance parameters times σ, which is what statsmodels calls `bse_re`.

    It is neither the standard error of the relative parameters (that is in `bse`) nor that of
    `cov_re` and `vcomp`: see `bse_variances`.
    """
    values = np.asarray(bse(fit))[fit.spec.k_fe :] * np.sqrt(fit.scale)
    return fit.spec.series(values, list(fit.layout.parameter_names))


def _of_choice(fit: Fit, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """Return standard errors and degrees of freedom (k,) of `params`; covariance parameters have inf."""
    se = np.array(bse(fit), dtype=float)
    df = np.full(len(se), np.inf)
    p = fit.spec.k_fe
    if p and not (choice.is_default and choice.is_normal):
        se[:p], df[:p] = choice.rows(fit, np.eye(p))
    return se, df


def tvalues(fit: Fit) -> Series:
    """`params` divided by their standard errors.

    These are `bse`. Where tests have degrees of freedom (a formula with bars, or ``fit(ddf=)``), those of
    the fixed effects are the ones of the chosen covariance matrix, as in `summary`.
    """
    se, _ = _of_choice(fit, choice_of(fit))
    return params(fit) / se


def pvalues(fit: Fit) -> Series:
    """Two-sided p-values of `tvalues`; of fixed effects with the degrees of freedom of the fit's choice."""
    _, df = _of_choice(fit, choice_of(fit))
    return fit.spec.series(t_p_values(np.asarray(tvalues(fit)), df), fit.spec.param_names)


def conf_int(
    fit: Fit,
    alpha: float = 0.05,
    *,
    method: str = "wald",
    ddf: Any = None,
    vcov: Any = None,
) -> Frame:
    """Return confidence limits of level 1 − alpha for `params`.

    Parameters
    ----------
    alpha : float
        One minus the level.
    method : {"wald", "profile"}
        "profile": limits from the profile likelihood (ML), for the fixed effects, standard deviations,
        correlations and σ; see `profile`.
    ddf, vcov : optional
        As for `t_test`: degrees of freedom and covariance of the fixed effects. Limits of covariance
        parameters have normal quantiles.
    """
    if method == "profile":
        found = profile(fit, level=1.0 - level(alpha)).frame()[["lower", "upper"]]
        return found.set_axis([0, 1], axis=1) if fit.spec.labeled else found.to_numpy()
    if method != "wald":
        raise OptionError(f"method={method!r}; expected 'wald', 'profile' or 'boot'")
    se, df = _of_choice(fit, choice_of(fit, ddf, vcov))
    estimates, reach = np.asarray(params(fit)), t_quantile(level(alpha), df) * se
    limits = np.column_stack([estimates - reach, estimates + reach])
    return pd.DataFrame(limits, index=fit.spec.param_names) if fit.spec.labeled else limits


# Degrees of freedom and information criteria


def df_modelwc(fit: Fit) -> int:
    """Number of entries of `params`; σ² is not among them."""
    return len(fit.spec.param_names)


def df_resid(fit: Fit) -> float:
    """Number of rows minus the degrees of freedom of the fixed effects (without a penalty, k_fe)."""
    return fit.spec.nobs - fit.df


def information_criterion(fit: Fit, price: float, name: str) -> float:
    """Return −2 log-likelihood + price × (number of parameters); NaN under REML, with a warning."""
    if fit.reml:
        warnings.warn(
            f"{name} is NaN under REML, because restricted likelihoods of models with different fixed "
            "effects are not comparable; fit with reml=False",
            LmmcoreWarning,
            stacklevel=4,
        )
        return float("nan")
    return fit.criterion + price * (fit.df + fit.n_variances)


def aic(fit: Fit) -> float:
    """Akaike's criterion, 2 k − 2 log-likelihood; NaN under REML, with a warning."""
    return information_criterion(fit, 2.0, "aic")


def bic(fit: Fit) -> float:
    """Schwarz's criterion, k log n − 2 log-likelihood; NaN under REML, with a warning."""
    return information_criterion(fit, float(np.log(fit.spec.nobs)), "bic")


def aicc(fit: Fit) -> float:
    """Akaike's criterion with the correction of second order; NaN under REML, with a warning.

    ``aic + 2 k (k + 1)/(n − k − 1)`` for k parameters and n rows (Hurvich and Tsai 1989, Biometrika
    76, 297–307).
    """
    k = fit.df + fit.n_variances
    rest = fit.spec.nobs - k - 1
    if rest <= 0:
        warnings.warn(
            f"aicc is infinite: {fit.spec.nobs} rows for {k:g} parameters; expected at least two more",
            LmmcoreWarning,
            stacklevel=3,
        )
        return float("inf")
    return information_criterion(fit, 2.0, "aicc") + 2.0 * k * (k + 1.0) / rest

"""R², intraclass correlations and information criteria that need the rows of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .design.held_scale import refuse_held
from .errors import OptionError
from .leverage import effective_df


def _variances(results: Any) -> tuple[float, float, float]:
    """Return the variances of Xβ̂ over the rows, of Zb (their mean) and of the residuals."""
    fit, model, design = results.fit, results.model, results.model.design
    refuse_held(design.scale, "the share of explained variance")
    fixed = float(np.var(np.asarray(model.exog) @ fit.beta, ddof=1)) if fit.spec.k_fe else 0.0
    cov = fit.params_object.cov_re * fit.scale
    random = 0.0
    for f in range(len(design.groupings)):
        at = fit.layout.columns_of_factor(f)
        if at:
            z = np.asarray(model.exog_re, dtype=float)[:, at]
            random += float(np.einsum("ia,ab,ib->", z, cov[np.ix_(at, at)], z)) / len(z)
    components = design.components
    if components is not None:
        own = fit.params_object.vcomp * fit.scale
        of_column = np.array([own[t] for t, _ in components.labels])[components.columns]
        random += float(np.sum(of_column * components.values**2)) / fit.spec.nobs
    weights = design.weights
    residual = fit.scale * (1.0 if weights is None else float(np.mean(1.0 / weights)))
    return fixed, random, residual


def r_squared(results: Any) -> pd.Series:
    """Return the marginal and the conditional R².

    ``marginal = V_f / (V_f + V_r + V_e)`` and ``conditional = (V_f + V_r) / (V_f + V_r + V_e)``, where V_f is
    the variance of Xβ̂ over the rows, V_r the mean variance of Zb over the rows, and V_e that of the residuals
    (Nakagawa and Schielzeth 2013, Methods in Ecology and Evolution 4, 133–142; random slopes: Johnson
    2014, ibid. 5, 944–946).
    """
    fixed, random, residual = _variances(results)
    total = fixed + random + residual
    return pd.Series({"marginal": fixed / total, "conditional": (fixed + random) / total})


def partial_r_squared(results: Any, *, ddf: Any = None, vcov: Any = None) -> pd.Series:
    """Return the partial R² of each term of the fixed effects.

    ``R² = q F/ν / (1 + q F/ν)`` from the F test of the term, of type 3, with q and ν degrees of freedom
    (Edwards et al. 2008, Statistics in Medicine 27, 6137–6157, who take those of Kenward and Roger).

    Parameters
    ----------
    ddf, vcov : optional
        As for `t_test`.

    Raises
    ------
    OptionError
        ``ddf="z"``, which has no finite ν.
    """
    table = results.anova(3, ddf=ddf, vcov=vcov).table
    if not np.isfinite(table.df_denom).all():
        raise OptionError(
            f"partial_r_squared with ddf={ddf!r}, whose degrees of freedom are infinite; expected others, "
            "such as 'kenward-roger'"
        )
    ratio = table.df_num * table.F / table.df_denom
    return (ratio / (1.0 + ratio)).rename("partial R²")


def icc(results: Any) -> pd.Series:
    """Return the intraclass correlations.

    ``adjusted = V_r / (V_r + V_e)``, given the fixed effects, and ``unadjusted = V_r / (V_f + V_r + V_e)``,
    with the variances of `r_squared` (Nakagawa, Johnson and Schielzeth 2017, J. R. Soc. Interface 14,
    20170213).
    """
    fixed, random, residual = _variances(results)
    return pd.Series(
        {
            "adjusted": random / (random + residual),
            "unadjusted": random / (fixed + random + residual),
        }
    )


def conditional_aic(results: Any) -> float:
    """Akaike's criterion for predictions in the same groups.

    ``−2 log f(y | b̂) + 2 (ρ + 1)``, where ρ is `effective_df` (Vaida and Blanchard 2005, Biometrika 92,
    351–370, with σ² estimated and the relative covariances taken as known; ρ alone where σ² is held).
    """
    fit, weights = results.fit, results.model.design.weights
    w = np.ones(fit.spec.nobs) if weights is None else np.asarray(weights)
    square = float(np.sum(w * np.asarray(results.resid) ** 2))
    deviance = (
        fit.spec.nobs * np.log(2.0 * np.pi * fit.scale) - np.sum(np.log(w)) + square / fit.scale
    )
    return float(deviance + 2.0 * (effective_df(fit) + float(not fit.holds_scale)))

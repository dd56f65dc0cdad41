"""The methods of a model that fit with a penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import number
from ..design.held_scale import refuse_held
from ..errors import OptionError
from ..params import MixedLMParams
from .fit import fit_penalized
from .path import RegularizationPath
from .path_fits import fit_path
from .random_effects import RandomEffectsPath, random_effects_path
from .results import RegularizedResults
from .smooth import with_alpha


def fit_regularized(
    model: Any,
    start_params: MixedLMParams | np.ndarray | None = None,
    method: Any = "l1",
    alpha: Any = 0,
    ceps: float = 1e-4,
    ptol: float = 1e-6,
    maxit: int | None = None,
    *,
    unpenalized: Any = (),
    groups: Any = None,
    standardize: Any = False,
    variances: str = "held",
    **fit_kwargs: Any,
) -> RegularizedResults:
    """Fit with a penalty on the fixed effects.

    Parameters
    ----------
    start_params : MixedLMParams or array, optional
        Where the unpenalized fit starts.
    method : str, Penalty or smooth penalty
        Name of a penalty: "l1" or "lasso", "ridge", "elastic_net", "adaptive_lasso", "group_lasso",
        "sparse_group_lasso", "scad", "mcp", "group_scad", "group_mcp", "slope", "fused", or that of a
        plugin (``lmmcore.plugins()`` lists them); an object of `lmmcore.penalties`, to choose its
        shape. Or an object with ``func`` and ``deriv``, for which all parameters are estimated
        together (see `fit`, `fe_pen`).
    alpha : float or array (k_fe,)
        Penalty strength on statsmodels' scale, or one for each coefficient; 0 means no penalty. For a
        penalty by name or of `lmmcore.penalties`, λ = alpha/2. A smooth penalty gets alpha itself.
    ceps : float
        Accepted for compatibility; has no effect. In statsmodels, coefficients below it count as zero.
        Here, coefficients that the penalty removes are exactly zero.
    ptol : float
        With a convex penalty, a fit stops when the relative duality gap is below both ptol² and 1e-12.
    maxit : int
        Largest number of sweeps in one minimization, at given variances and strength. As in statsmodels, a
        sweep is one pass over all coefficients. For penalties without coordinate descent, it is one
        proximal step. If the sweeps do not suffice, a `ConvergenceError` is raised. By default 10,000
        sweeps, or 500,000 proximal steps.
    unpenalized : str or sequence of str
        Names of columns, or of terms of the formula, without a penalty; "constant" means constant
        columns. By default all columns are penalized, as in statsmodels, the intercept too.
    groups : mapping or sequence (k_fe,), optional
        For group penalties: ``{name: columns}``, or a label for each column. By default, the columns of a
        term, such as a categorical variable, form a group.
    standardize : bool, "information" or array (k_fe,)
        The penalty is a function of β_j · scale_j. False: the scales are 1. True: they are the standard
        deviations of the columns. "information": they are √(x_j'V⁻¹x_j / n), where x_j is column j minus
        what unpenalized columns explain, and V, relative to σ², comes from the unpenalized fit (with
        joint variances: from the fit without the penalized columns). Or give positive numbers.
    variances : {"held", "joint"}
        "held": variances, including σ², are those of the unpenalized fit. "joint": they are estimated
        together with the penalized coefficients; this also works with at least as many columns as rows.
    **fit_kwargs
        Arguments of the `fit` of the variances, such as `reml`.

    Returns
    -------
    RegularizedResults
        `penalty` says in words what was penalized. `gap` and `residual` certify the minimum. With a smooth
        penalty, `convergence` does, as for any fit.

    Notes
    -----
    With V the covariance matrix of y (σ² included), the fit minimizes
    ``(y − Xβ)'V⁻¹(y − Xβ) + 2 P(β; alpha/2)``. For the lasso, P(β; λ) = Σ λ|β_j|, and this is the
    objective of statsmodels. A coefficient that becomes zero stays zero in statsmodels; this fit
    continues to the minimum. With ``variances="joint"``, the penalty is ``2 P(β/σ; alpha/2)``, and the
    variances are the ML or REML estimates of the model for the response minus the contribution of the
    penalized columns.

    A smooth penalty P is subtracted from the log-likelihood, as in statsmodels: the fit minimizes
    −2 log-likelihood + 2 P(β), where the object's ``alpha`` is `alpha`, not alpha/2.
    """
    refuse_held(model.design.scale, "fit_regularized")
    if not isinstance(method, str) and hasattr(method, "func"):
        check_smooth(method, "method")
        penalty = with_alpha(method, alpha)
        found = model.fit(start_params, fe_pen=penalty, **fit_kwargs)
        assert isinstance(found, RegularizedResults)
        return found
    ceps = number(ceps, "ceps", "a tolerance")
    ptol = number(ptol, "ptol", "a tolerance")
    if not ceps >= 0 or not ptol > 0:
        raise OptionError(f"ceps={ceps!r}, ptol={ptol!r}; expected positive tolerances")
    return fit_penalized(
        model, start_params, method, alpha, ptol, maxit, unpenalized, groups, standardize, variances,
        fit_kwargs,
    )  # fmt: skip


def fit_regularized_path(
    model: Any,
    penalty: Any = "lasso",
    *,
    alphas: Any = None,
    n_alphas: int = 100,
    smallest: float | None = None,
    penalty_weights: Any = None,
    unpenalized: Any = "constant",
    groups: Any = None,
    standardize: Any = "information",
    variances: str = "held",
    maxit: int | None = None,
    **fit_kwargs: Any,
) -> RegularizationPath:
    """Fit with a penalty on the fixed effects at many strengths.

    Parameters
    ----------
    penalty : str or Penalty
        As `method` of `fit_regularized`.
    alphas : array (L,), optional
        Penalty strengths, on the scale of `fit_regularized`. By default, there are `n_alphas` in equal
        ratios. The largest is the least strength at which all penalized coefficients are zero.
    smallest : float, optional
        The smallest of the default strengths, as a part of the largest: by default 0.001, or 0.05 with at
        least as many columns as rows.
    penalty_weights : array (k_fe,), optional
        Numbers that multiply alpha, one for each coefficient; 0 means no penalty.
    unpenalized, groups, standardize, variances
        As in `fit_regularized`, with other defaults: constant columns are not penalized, and `standardize`
        is "information". With at least as many columns as rows, `variances` must be "joint".
    maxit : int
        As in `fit_regularized`: the largest number of sweeps at one strength.
    **fit_kwargs
        Arguments of the `fit` of the variances, such as `reml`.

    Returns
    -------
    RegularizationPath
    """
    refuse_held(model.design.scale, "fit_regularized_path")
    return fit_path(
        model, penalty, alphas, n_alphas, smallest, penalty_weights, unpenalized, groups, standardize,
        variances, maxit, fit_kwargs,
    )  # fmt: skip


def select_random_effects(
    model: Any,
    penalty: Any = "group_lasso",
    *,
    criterion: str = "bic",
    alphas: Any = None,
    n_alphas: int = 30,
    keep: Any = (),
    adaptive: bool = True,
    **fit_kwargs: Any,
) -> RandomEffectsPath:
    """Select the random effects of a maximal model that the data support.

    The penalty has one group for each row of the Cholesky factor Λ of each term. If a row becomes zero, its
    random coefficient leaves the model, with all its correlations.

    Parameters
    ----------
    penalty : str or Penalty
        A penalty that acts on groups, such as "group_lasso" or "group_mcp".
    criterion : {"bic", "aic"}
        The criterion that chooses the strength. It counts the covariance parameters that are left.
    alphas : array (L,), optional
        Penalty strengths, in any order; the path sorts them from small to large. They are on the scale of
        `fit_regularized`: the fit minimizes −2 log-likelihood + 2 P(Λ; alpha/2). By default there are
        `n_alphas`, from zero to one that usually removes all penalized rows.
    keep : str or sequence of str
        Names of random coefficients or variance components that are not penalized.
    adaptive : bool
        Whether the penalty weight of each row is divided by the row's norm in the unpenalized fit.
    **fit_kwargs
        Arguments of the unpenalized `fit`, such as `reml`.

    Returns
    -------
    RandomEffectsPath
    """
    refuse_held(model.design.scale, "select_random_effects")
    return random_effects_path(
        model, penalty, criterion, alphas, n_alphas, keep, adaptive, fit_kwargs
    )


def check_smooth(penalty: Any, argument: str) -> None:
    """Raise an error if the argument is not a smooth penalty."""
    parts = ("func", "deriv")
    if isinstance(penalty, type) or not all(callable(getattr(penalty, p, None)) for p in parts):
        raise OptionError(
            f"{argument}={penalty!r}; expected a smooth penalty: an object with func and deriv, such as "
            "statsmodels.base._penalties.L2()"
        )

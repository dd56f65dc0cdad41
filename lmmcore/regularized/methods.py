"""The methods of a model that fit with a penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import number
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
    maxit: int = 200,
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
        Penalty strength on statsmodels' scale (λ = alpha/2), or one for each coefficient; 0 means no penalty.
    ceps : float
        Accepted for compatibility, without effect: coefficients are exactly zero or not.
    ptol : float
        Fits with convex penalties stop when the relative duality gap is below its square (at most 1e-12).
    maxit : int
        Largest number of sweeps over all coefficients, divided by 50.
    unpenalized : str or sequence of str
        Names of columns, or of terms of the formula, without a penalty; "constant" means constant
        columns. By default all columns are penalized, as in statsmodels, the intercept too.
    groups : mapping or sequence (k_fe,), optional
        ``{name: columns}`` or a label for each column, for penalties of groups; by default, the columns of a
        categorical variable form a group.
    standardize : bool, "information" or array (k_fe,)
        Whether the penalty is one of β_j · (standard deviation of column j). "information" takes
        √(x_j'V⁻¹x_j / n) for these, V relative to σ² at the unpenalized (jointly: the null) fit and
        without what unpenalized columns explain; or positive numbers in place of these.
    variances : {"held", "joint"}
        "held": variances, including σ², are those of the unpenalized fit. "joint": they are "
        "estimated together
        with the penalized coefficients; this also works with at least as many columns as rows.
    **fit_kwargs
        Arguments of the `fit` of the variances, such as `reml`.

    Returns
    -------
    RegularizedResults
        With `penalty` in words and the certificate: `gap`, `residual`. Of a smooth penalty the
        certificate is `convergence`, as of any fit.

    Notes
    -----
    With V the covariance matrix of y (σ² included), the fit minimizes
    ``(y − Xβ)'V⁻¹(y − Xβ) + 2 P(β; alpha/2)``: for the lasso, P = Σ λ|β_j|, the objective of
    statsmodels, whose coordinate descent leaves a coefficient at zero once it has been there; this
    one goes on to the minimum. With ``variances="joint"`` the penalty is ``2 P(β/σ; alpha/2)``, and the
    variances are those of ML, or of REML restricted for the unpenalized columns, at the penalized β.
    """
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
    weights: Any = None,
    unpenalized: Any = "constant",
    groups: Any = None,
    standardize: Any = "information",
    variances: str = "held",
    maxit: int = 200,
    **fit_kwargs: Any,
) -> RegularizationPath:
    """Fit with a penalty on the fixed effects at many strengths.

    Parameters
    ----------
    penalty : str or Penalty
        As `method` of `fit_regularized`.
    alphas : array (L,), optional
        Weights of the penalty; by default `n_alphas` from the one at which all penalized coefficients
        are zero down to `smallest` of it, in equal ratios.
    smallest : float, optional
        By default 0.001, or 0.05 with no fewer columns than rows.
    weights : array (k_fe,), optional
        Numbers that multiply alpha, one for each coefficient; 0 means no penalty.
    unpenalized, groups, standardize, variances
        As in `fit_regularized`, with other defaults: constant columns are not penalized, the others
        count by their information. Without more rows than columns `variances` must be "joint".
    maxit : int
        Largest number of sweeps over all coefficients at one weight, in fifties.
    **fit_kwargs
        Arguments of the `fit` of the variances, such as `reml`.

    Returns
    -------
    RegularizationPath
    """
    return fit_path(
        model, penalty, alphas, n_alphas, smallest, weights, unpenalized, groups, standardize,
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

    A penalty on the rows of the Cholesky factor of each term's covariance matrix, one group for each
    row: a row of zeros takes a random coefficient out, with its correlations.

    Parameters
    ----------
    penalty : str or Penalty
        A penalty of groups.
    criterion : {"bic", "aic"}
        The criterion that chooses the strength. Degrees of freedom are the parameters of the remaining rows.
    alphas : array (L,), optional
        Weights, rising; by default `n_alphas` up to where every row that may go is zero.
    keep : str or sequence of str
        Random coefficients or components that are not penalized.
    adaptive : bool
        Whether each row's weight is divided by its norm in the unpenalized fit.
    **fit_kwargs
        Arguments of the unpenalized `fit`, such as `reml`.

    Returns
    -------
    RandomEffectsPath
    """
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

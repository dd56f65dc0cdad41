"""Ordinary fits of a model, also with smooth penalties: ``MixedLM.fit`` and ``MixedLM.refit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .chosen_inference import bound_choice, with_inference
from .design.held_scale import refuse_held
from .fitting.estimate import estimate
from .fitting.options import chosen_optimizers
from .fitting.run import run
from .params import MixedLMParams
from .refitting import template_of
from .regularized import methods as penalized
from .regularized.smooth import estimate_penalized, smooth_penalties, smooth_results
from .results import MixedLMResults


def fit(
    model: Any,
    start_params: MixedLMParams | np.ndarray | None = None,
    reml: bool = True,
    niter_sa: int = 0,
    do_cg: bool = True,
    fe_pen: Any = None,
    cov_pen: Any = None,
    free: MixedLMParams | None = None,
    full_output: bool = False,
    method: str | Sequence[str] | None = None,
    *,
    callback: Callable[[int, float], None] | None = None,
    ddf: Any = None,
    vcov: Any = None,
    **options: Any,
) -> Any:
    """Estimate the parameters by restricted maximum likelihood or maximum likelihood.

    Parameters
    ----------
    start_params : MixedLMParams or array, optional
        Start values: covariance parameters relative to σ², packed like
        ``MixedLMParams.get_packed(use_sqrt)``, with or without the fixed
        effects. By default, start values are computed from the data.
    reml : bool
    niter_sa : int
        Accepted for compatibility; has no effect.
    do_cg : bool
        If false, nothing is optimized, and the result has the parameters `start_params`.
    fe_pen, cov_pen : penalty objects, optional
        Smooth penalties, subtracted from the log-likelihood: ``fe_pen.func(β)`` with its gradient
        ``fe_pen.deriv(β)``, and ``cov_pen.func(G, inverse of G)`` with ``cov_pen.deriv`` in the
        lower triangle of G, the covariance matrix of the random coefficients relative to σ²;
        penalty objects of statsmodels work. β then maximizes the penalized likelihood.
    free : MixedLMParams, optional
        A mask: where its ``cov_re`` (lower triangle) or ``vcomp`` is 0, the entry of the Cholesky
        factor of cov_re (with ``use_sqrt=False``: the entry of cov_re itself), or the root of the
        component, stays as in `start_params` (by default the identity). ``cov_re = np.eye(k)``
        makes the random coefficients independent. Fixed effects are always estimated.
    full_output : bool
        Whether ``results.hist`` holds the path of the optimizer.
    method : str or sequence of str, optional
        Name of an optimizer, or several names that are tried in turn until one converges. The default
        is a trust-region Newton method with the exact Hessian. ``lmmcore.plugins()`` lists them.
    callback : callable, optional
        Called as ``callback(iteration, value)`` with −2 log-likelihood: at the start with
        iteration 0, then after each iteration. If the fit continues from another start, or
        with the next of several methods, the iterations start from 0 again.
    ddf : str or DegreesOfFreedom, optional
        What gives the degrees of freedom of tests of the fixed effects: "satterthwaite", "kenward-roger",
        "between-within", "containment", "residual" or "z". By default, a formula with bars has
        "satterthwaite" (crossed models with more than 1,500 random effects: "z"), other spellings "z".
    vcov : str or DegreesOfFreedom, optional
        What gives the covariance matrix of the fixed effects, if not `ddf`, such as "cr2".
    **options
        Options of the optimizer.

    Returns
    -------
    MixedLMResults

    Raises
    ------
    OptionError
        An unknown optimizer or option.
    ConvergenceError
        The likelihood has no maximum, because there is no residual variation.

    Warns
    -----
    ConvergenceWarning
        The fit did not converge.
    NotIdentifiedWarning
        The data cannot tell some covariance parameters apart.
    UnusedArgumentWarning
        An argument has no effect.
    """
    for name, given in (("fe_pen", fe_pen), ("cov_pen", cov_pen)):
        if given is not None:
            refuse_held(model.design.scale, name)
            penalized.check_smooth(given, name)
    optimizers, options = chosen_optimizers(method, options)
    penalty = smooth_penalties(model, fe_pen, cov_pen)
    fit = run(
        model.spec, model.equations, reml, optimizers, options, start_params, free, callback, do_cg,
        penalty, estimate if penalty is None else estimate_penalized,
    )  # fmt: skip
    model.reml = fit.reml
    if penalty is not None:
        bound_choice(model, fit, ddf, vcov)  # refuses what a penalized fit has not
        return smooth_results(model, fit, full_output)
    fit = with_inference(model, fit, ddf, vcov)
    return MixedLMResults(model, fit, full_output)


def refit(
    model: Any, endog: Any, reml: bool = True, *, method: str | Sequence[str] | None = None
) -> MixedLMResults:
    """Fit the model to another response of the same rows, as ``fit(reml=reml).refit(endog)``.

    The first call fits the model to its own response; later ones start from there and read the new
    response alone. See `MixedLMResults.refit`.

    Parameters
    ----------
    endog : array_like (n,) or DataFrame
        On the scale of the model, or a frame for the left side of the formula.
    reml : bool
    method : str or sequence of str, optional

    Returns
    -------
    MixedLMResults
    """
    template = MixedLMResults(model, template_of(model, reml))
    found: MixedLMResults = template.refit(endog, method=method)
    return found

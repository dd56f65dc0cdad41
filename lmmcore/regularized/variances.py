"""Variances of a penalized fit: held, or estimated jointly with the coefficients.

Given the penalized coefficients, the variances and the unpenalized coefficients are those of the ordinary
model for ``y − X_p β_p`` on the unpenalized columns, by ML or REML. Given the variances, the coefficients
minimize ``(y − Xβ)'V⁻¹(y − Xβ) + 2 P(β/σ; λ)``. A joint fit satisfies both conditions. The penalty is a
function of β/σ. Otherwise a fixed λ would have less and less effect as σ falls, and with more columns than
rows, the fit would end by reproducing the response. Sources:
Schelldorfer, Bühlmann and van de Geer (2011), *Scandinavian Journal of Statistics* 38; Sun and Zhang
(2012), *Biometrika* 99 (the scale).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ConvergenceError, LmmcoreWarning
from ..params import MixedLMParams
from ..penalties.descent import Solution
from ..penalties.problem import PenalizedQuadratic, PenaltyTerms
from ..penalties.quadratic import Whitened
from ..results import MixedLMResults
from .anderson import Anderson
from .quadratic import rows_of_engine, whitened_rows
from .terms import mean_weight

ROUNDS = 200
STATIONARY = 1e-8
SATURATED = (
    1e-3  # relative to the variance of the response; many columns with a smaller σ² reproduce it
)


@dataclass(frozen=True, eq=False)
class Joint:
    """Coefficients and variances at which both are stationary.

    Attributes
    ----------
    beta : array (k_fe,)
    variances : MixedLMResults
        The ordinary fit of ``y − X_p β_p`` on the unpenalized columns.
    problem : PenalizedQuadratic
        At these variances, with a penalty of β/σ.
    solution : Solution
    rounds : int
    """

    beta: np.ndarray
    variances: MixedLMResults
    problem: PenalizedQuadratic
    solution: Solution
    rounds: int


def quadratic_at(model: Any, fit: MixedLMResults) -> Whitened:
    """Return the quadratic of a model at the variances of a fit with the same random effects."""
    if "crossproducts" in model.__dict__:
        cov_re, vcomp = model.spec.layout.join(fit.fit.relative)
        params = MixedLMParams.from_components(np.zeros(model.k_fe), cov_re, vcomp=vcomp)
        packed = model.equations.packed
        state = packed.at(params, profile_fe=True).state
        return rows_of_engine(packed.coordinates, state, fit.scale)
    return whitened_rows(model.design, model.spec.kept.tolist(), fit.fit.relative, fit.scale)


def null_fit(
    model: Any, terms: PenaltyTerms, beta: np.ndarray, fit_kwargs: Mapping[str, Any]
) -> MixedLMResults:
    """Return the ordinary fit of ``y − X_p β_p`` on the unpenalized columns."""
    design = model.design
    response = np.array(design.endog, dtype=float)
    for j in np.flatnonzero((beta != 0.0) & (terms.weights > 0.0)):
        column = design.fixed[model.spec.kept[j]]
        response -= beta[j] * (1.0 if column is None else column)
    free = model.spec.kept[terms.weights == 0.0]
    reduced = replace(design.take_fixed(free), endog=response)
    inner = type(model)._from_design(reduced, None, model.use_sqrt)
    if isinstance(
        fit_kwargs.get("free"), MixedLMParams
    ):  # its fixed effects are those of the model
        free_of = fit_kwargs["free"].copy()
        free_of.fe_params = np.ones(inner.k_fe)
        fit_kwargs = {**fit_kwargs, "free": free_of}
    with warnings.catch_warnings():
        # A warning here is one of many rounds; the last fit's certificate is in the results.
        warnings.simplefilter("ignore", LmmcoreWarning)
        return inner.fit(**fit_kwargs)


def problem_at(
    model: Any,
    fit: MixedLMResults,
    terms: PenaltyTerms,
    penalty: Any,
    curvature: np.ndarray | None = None,
    pilot: np.ndarray | None = None,
) -> PenalizedQuadratic:
    """Return the quadratic at the variances of a fit with a penalty of β/σ, σ that of an average row."""
    scaled = replace(terms, scales=terms.scales / np.sqrt(fit.scale / mean_weight(model)))
    return PenalizedQuadratic(quadratic_at(model, fit), scaled, penalty, curvature, pilot)


def fit_jointly(
    model: Any,
    terms: PenaltyTerms,
    penalty: Any,
    strength: float,
    fit_kwargs: Mapping[str, Any],
    start: np.ndarray,
    curvature: np.ndarray | None = None,
    pilot: np.ndarray | None = None,
    tolerance: float = 1e-12,
    maxit: int | None = None,
) -> Joint:
    """Alternate between coefficients and variances until both are stationary.

    Parameters
    ----------
    start : array (k_fe,)
        Coefficients to start from; zeros start from the null model.
    curvature, pilot : arrays, optional
        What the penalty is bound to. They are kept while V changes, so that the penalty stays the same
        function. By default, those at the first variances.

    Raises
    ------
    ConvergenceError
        Not stationary after `ROUNDS` rounds.
    """
    beta = np.array(start, dtype=float)
    scale, off = 1.0, np.inf
    solution: Solution | None = None  # None if the coefficients are extrapolated
    penalized = terms.weights > 0.0
    memory = Anderson()
    for count in range(1, ROUNDS + 1):
        fit = null_fit(model, terms, beta, fit_kwargs)
        scale = fit.scale
        problem = problem_at(model, fit, terms, penalty, curvature, pilot)
        curvature = problem.curvature
        if pilot is None:
            pilot = np.zeros(len(terms.names))
            pilot[problem.penalized] = problem.pilot / problem.terms.scales[problem.penalized]
        current = beta.copy()
        current[~penalized] = fit.fit.beta
        off = problem.residual(current, strength)
        if solution is not None and off <= STATIONARY:
            return Joint(current, fit, problem, solution, count)
        first = count == 1 and not start.any()
        found = problem.solve(strength, None if first else current, tolerance, maxit)
        image = problem.coefficients(found)
        beta, solution = image, found
        if off > STATIONARY and not first:
            scales = np.sqrt(problem.quadratic.diagonal)
            beta = np.where(penalized, memory.next(current, image, scales), image)
            solution = found if np.array_equal(beta, image) else None
        many = np.count_nonzero(beta) > 0.5 * model.nobs
        if many and scale < SATURATED * float(np.var(model.endog)):
            raise ConvergenceError(
                f"coefficients and variances did not converge in {count} rounds (σ² = "
                f"{scale:.3g}): the fixed effects reproduce the response, because there are many "
                "columns and the penalty is weak. Increase alpha"
            )
    raise ConvergenceError(
        f"coefficients and variances did not converge in {ROUNDS} rounds: at the last variances, the "
        f"slopes of the coefficients are off by {off:.1e} of the largest. There may be no joint solution "
        "for this alpha. Give another alpha, or use variances='held'"
    )

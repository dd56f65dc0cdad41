"""The fits of a path: from a model and a penalty to the strengths, and a fit at each of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import ConvergenceError, ConvergenceWarning, DataValueError, OptionError
from ..penalties.problem import PenalizedQuadratic
from ..results import MixedLMResults
from .fit import Recipe, check_variances, checked_maxit, named_penalty
from .path import RegularizationPath
from .terms import penalized_terms, with_information_scales
from .variances import Joint, fit_jointly, null_fit, problem_at, quadratic_at

TOLERANCE = 1e-12


def fit_path(
    model: Any,
    penalty: Any,
    alphas: Any,
    n_alphas: int,
    smallest: float | None,
    penalty_weights: Any,
    unpenalized: Any,
    groups: Any,
    standardize: Any,
    variances: str,
    maxit: int | None,
    fit_kwargs: Mapping[str, Any],
) -> RegularizationPath:
    """Return the path; see ``MixedLM.fit_regularized_path``."""
    implementation, name = named_penalty(penalty)
    maxit = checked_maxit(maxit)
    check_variances(model, variances)
    joint = variances == "joint"
    terms = penalized_terms(model, penalty_weights, unpenalized, groups, standardize)
    if not (terms.weights > 0).any():
        raise OptionError(
            f"all {model.k_fe} coefficients are unpenalized, so there is no path; expected a penalty "
            "on some coefficients. Use fit(), or change penalty_weights or unpenalized"
        )
    plain: MixedLMResults = (
        null_fit(model, terms, np.zeros(model.k_fe), fit_kwargs)
        if joint
        else model.fit(**fit_kwargs)
    )
    by_information = isinstance(standardize, str)
    rows = quadratic_at(model, plain) if by_information or not joint else None
    if rows is not None and by_information:
        terms = with_information_scales(terms, rows, plain.scale, model)
    recipe = Recipe(
        implementation, name, terms, standardize, 0.0, joint, TOLERANCE, maxit, fit_kwargs
    )
    if rows is None or joint:
        problem = problem_at(model, plain, terms, implementation)
    else:
        problem = PenalizedQuadratic(rows, terms, implementation)
    strengths = 0.5 * _alphas(model, problem, alphas, n_alphas, smallest)
    if not joint:
        return _held_path(model, plain, problem, strengths, recipe)
    path = _joint_path(model, problem, strengths, recipe)
    if path.note and alphas is not None:
        warnings.warn(path.note, ConvergenceWarning, stacklevel=3)
    return path


def _held_path(
    model: Any,
    plain: MixedLMResults,
    problem: PenalizedQuadratic,
    strengths: np.ndarray,
    recipe: Recipe,
) -> RegularizationPath:
    """Return the path at the variances of the unpenalized fit."""
    solutions = problem.path(strengths, maxit=recipe.maxit)
    beta = np.array([problem.coefficients(s) for s in solutions])
    squares = [
        2.0 * (s.objective - float(problem.penalty.value(s.beta, x)))
        for s, x in zip(solutions, strengths)
    ]
    return RegularizationPath(
        model,
        2.0 * strengths,
        pd.DataFrame(beta, columns=model.exog_names),
        np.array([problem.degrees_of_freedom(s, x) for s, x in zip(solutions, strengths)]),
        _deviance(model, plain, np.array(squares)),
        np.array([s.gap / max(s.objective, 1e-300) for s in solutions]),
        np.array([s.residual for s in solutions]),
        recipe,
        (plain, problem, solutions),
    )


def _joint_path(
    model: Any, problem: PenalizedQuadratic, strengths: np.ndarray, recipe: Recipe
) -> RegularizationPath:
    """Return the path with variances that are estimated at each strength, as far as they can be."""
    start = np.zeros(model.k_fe)
    pilot = np.zeros(model.k_fe)
    pilot[problem.penalized] = problem.pilot / problem.terms.scales[problem.penalized]
    found: list[Joint] = []
    note = ""
    for strength in strengths:
        try:
            last = fit_jointly(
                model, recipe.terms, recipe.penalty, float(strength), recipe.fit_kwargs, start,
                problem.curvature, pilot, recipe.tolerance, recipe.maxit,
            )  # fmt: skip
        except ConvergenceError as exc:
            if not found:
                raise
            note = f"the path ends before alpha = {2.0 * float(strength):.4g}: {exc}"
            break
        start = last.beta
        found.append(last)
    strengths = strengths[: len(found)]
    return RegularizationPath(
        model,
        2.0 * strengths,
        pd.DataFrame(np.array([j.beta for j in found]), columns=model.exog_names),
        np.array([j.problem.degrees_of_freedom(j.solution, x) for j, x in zip(found, strengths)]),
        np.array([j.variances.criterion for j in found]),
        np.array([j.solution.gap / max(j.solution.objective, 1e-300) for j in found]),
        np.array([j.problem.residual(j.beta, x) for j, x in zip(found, strengths)]),
        recipe,
        None,
        found,
        note,
    )


def _alphas(
    model: Any, problem: PenalizedQuadratic, alphas: Any, n: Any, smallest: float | None
) -> np.ndarray:
    """Return falling alphas.

    Raises
    ------
    DataValueError, OptionError
    """
    if alphas is not None:
        given = np.atleast_1d(np.asarray(alphas, dtype=float))
        if given.ndim != 1 or not len(given):
            raise DataValueError(f"alphas has shape {given.shape}; expected a list of numbers")
        if not (np.isfinite(given) & (given >= 0)).all():
            raise OptionError(f"alphas={alphas!r}; expected finite numbers, zero or more")
        return np.sort(given)[::-1]
    if not (isinstance(n, (int, np.integer)) and n > 1):
        raise OptionError(f"n_alphas={n!r}; expected a whole number above 1")
    least = (0.05 if model.nobs <= model.k_fe else 1e-3) if smallest is None else float(smallest)
    if not 0.0 < least < 1.0:
        raise OptionError(f"smallest={smallest!r}; expected a number between 0 and 1")
    top = 2.0 * problem.largest_strength()
    if top == 0.0:
        raise OptionError(
            "no penalized column is correlated with the response after adjusting for the unpenalized "
            "columns, so all penalized coefficients are zero at every strength; expected alphas"
        )
    return np.geomspace(top, least * top, int(n))


def _deviance(model: Any, plain: MixedLMResults, squares: np.ndarray) -> np.ndarray:
    """Return −2 log-likelihood (ML) for squares (y − Xβ)'V⁻¹(y − Xβ)/σ² at held variances, σ² free."""
    n = model.nobs
    # At the GLS estimate the squares are n_eff by the definition of σ̂².
    at_gls = plain.fit.state.log_det_v - model.crossproducts.log_weights
    return at_gls + n * (1.0 + np.log(2.0 * np.pi * plain.scale * squares / n))

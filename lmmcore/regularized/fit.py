"""A penalized fit at one strength: what ``MixedLM.fit_regularized`` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DesignError, OptionError, counted
from ..penalties.descent import Solution
from ..penalties.problem import PenalizedQuadratic, PenaltyTerms
from ..penalties.quadratic import Whitened
from ..plugin_host.guarded_penalty import guarded_penalty
from ..results import MixedLMResults
from .fits import HeldFit, JointFit
from .results import HeldResults, JointResults
from .terms import alpha_of_each, column_sds, penalized_terms, with_information_scales
from .variances import Joint, fit_jointly, null_fit, quadratic_at

HOW = ("held", "joint")


def named_penalty(penalty: Any, argument: str = "penalty") -> tuple[Any, str]:
    """Return a penalty, given by name or as an object, and its name.

    Raises
    ------
    OptionError
        No penalty has that name, or the object is not a penalty.
    """
    if not isinstance(penalty, str):
        return guarded_penalty(penalty, argument), type(penalty).__name__
    name = penalty.lower().replace("-", "_")
    shown = {"l1": "lasso", "l2": "ridge"}.get(name, name).replace("_", " ")
    return guarded_penalty(name), shown


def check_variances(model: Any, variances: str) -> None:
    """Raise an error if `variances` is not "held" or "joint", or if there is nothing to hold.

    Raises
    ------
    OptionError, DesignError
    """
    if variances not in HOW:
        raise OptionError(f"variances={variances!r}; expected 'held' or 'joint'")
    if variances == "held" and model.nobs <= model.k_fe:
        raise DesignError(
            f"{counted(model.nobs, 'row')} cannot determine "
            f"{counted(model.k_fe, 'fixed effect')}, so there is no unpenalized fit whose variances "
            "could be held; use variances='joint'"
        )


def checked_maxit(maxit: Any) -> int | None:
    """Return `maxit` as an int, or None for the default.

    Raises
    ------
    OptionError
        It is not a positive whole number.
    """
    if maxit is None:
        return None
    whole = isinstance(maxit, (int, np.integer)) and not isinstance(maxit, bool)
    if not (whole and maxit > 0):
        raise OptionError(f"maxit={maxit!r}; expected None or a positive whole number of sweeps")
    return int(maxit)


def fit_penalized(
    model: Any,
    start_params: Any,
    method: Any,
    alpha: Any,
    ptol: float,
    maxit: int | None,
    unpenalized: Any,
    groups: Any,
    standardize: Any,
    variances: str,
    fit_kwargs: Mapping[str, Any],
) -> HeldResults | JointResults:
    """Return the fit with a penalty; see ``MixedLM.fit_regularized``."""
    penalty, name = named_penalty(method, "method")
    weights = alpha_of_each(alpha, model.k_fe, model.exog_names)
    maxit = checked_maxit(maxit)
    check_variances(model, variances)
    top = float(weights.max(initial=0.0))
    terms = penalized_terms(
        model, weights / top if top > 0 else np.ones(model.k_fe), unpenalized, groups, standardize
    )
    if variances == "joint" and start_params is not None:
        raise OptionError(
            "start_params was given with variances='joint'; a joint fit starts at the fit without the "
            "penalized columns. Leave start_params out, or use variances='held'"
        )
    recipe = Recipe(
        penalty, name, terms, standardize, 0.5 * top, variances == "joint",
        min(1e-12, float(ptol) ** 2), maxit,
        fit_kwargs if start_params is None else {**fit_kwargs, "start_params": start_params},
    )  # fmt: skip
    return recipe.fit(model)


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that was chosen for a penalized fit, so that it can be repeated with other data.

    Attributes
    ----------
    penalty : Penalty
    name : str
    terms : PenaltyTerms
    standardize : bool, "information" or array (k_fe,)
        From what the scales of the terms are computed; they are computed again for each model.
    strength : float
        λ, which is alpha/2.
    joint : bool
    tolerance : float
    maxit : int or None
    fit_kwargs : mapping
    """

    penalty: Any
    name: str
    terms: PenaltyTerms
    standardize: Any
    strength: float
    joint: bool
    tolerance: float
    maxit: int | None
    fit_kwargs: Mapping[str, Any]

    def of(self, terms: PenaltyTerms) -> Recipe:
        """Return the same with other scales."""
        return replace(self, terms=terms)

    def fit(self, model: Any, method: Any = None) -> HeldResults | JointResults:
        """Return the fit of a model, with another optimizer if one is named.

        Raises
        ------
        DesignError
            The model has other columns, because some were dropped.
        """
        if tuple(model.exog_names) != self.terms.names:
            raise DesignError(
                "columns of exog were dropped, because other columns determine them; expected the "
                "columns of the original fit"
            )
        recipe = self
        if method is not None:
            recipe = replace(self, fit_kwargs={**self.fit_kwargs, "method": method})
        if isinstance(self.standardize, (bool, np.bool_)) and self.standardize:
            recipe = recipe.of(replace(self.terms, scales=column_sds(model)))
        by_information = isinstance(self.standardize, str)
        if not self.joint:
            plain = model.fit(**recipe.fit_kwargs)
            rows = quadratic_at(model, plain)
            if by_information:
                terms = with_information_scales(self.terms, rows, plain.scale, model)
                recipe = recipe.of(terms)
            return recipe.fit_held(model, plain, rows)
        if by_information:
            null = null_fit(model, self.terms, np.zeros(model.k_fe), recipe.fit_kwargs)
            rows = quadratic_at(model, null)
            recipe = recipe.of(with_information_scales(self.terms, rows, null.scale, model))
        found = fit_jointly(
            model, recipe.terms, self.penalty, self.strength, recipe.fit_kwargs,
            np.zeros(model.k_fe), None, None, self.tolerance, self.maxit,
        )  # fmt: skip
        return joint_results(model, found, recipe)

    def fit_held(self, model: Any, plain: MixedLMResults, rows: Whitened) -> HeldResults:
        """Return the fit at the variances of the unpenalized one."""
        problem = PenalizedQuadratic(rows, self.terms, self.penalty)
        found = problem.solve(self.strength, None, self.tolerance, self.maxit)
        return held_results(model, plain, problem, found, self)


def _words(name: str, terms: PenaltyTerms, beta: np.ndarray) -> str:
    penalized = terms.weights > 0
    zero = int(((beta == 0) & penalized).sum())
    return f"{name} on {int(penalized.sum())} of {len(beta)} coefficients, {zero} of them zero; variances"


def held_results(
    model: Any,
    plain: MixedLMResults,
    problem: PenalizedQuadratic,
    found: Solution,
    recipe: Recipe,
) -> HeldResults:
    """Return the results with variances held at those of an unpenalized fit."""
    beta = problem.coefficients(found)
    fit = HeldFit(
        plain.fit, beta,
        _words(recipe.name, problem.terms, beta) + " held at the unpenalized estimates",
        2.0 * found.gap, found.residual, problem.degrees_of_freedom(found, recipe.strength),
        quadratic=problem.quadratic, again=recipe.fit,
    )  # fmt: skip
    return HeldResults(model, fit, plain.full_output)


def joint_results(model: Any, joint: Joint, recipe: Recipe) -> JointResults:
    """Return the results with variances that were estimated together with the coefficients."""
    inner, terms = joint.variances.fit, joint.problem.terms
    certificate = replace(inner.certificate, optimizer=f"{inner.certificate.optimizer} (joint)")
    fit = JointFit(
        inner, joint.beta,
        _words(recipe.name, terms, joint.beta) + " estimated jointly, with a penalty of β/σ",
        2.0 * joint.solution.gap, joint.problem.residual(joint.beta, recipe.strength),
        joint.problem.degrees_of_freedom(joint.solution, recipe.strength),
        quadratic=joint.problem.quadratic, again=recipe.fit, own_spec=model.spec,
        own_certificate=certificate, rounds=joint.rounds,
        own_equations=model.equations if "crossproducts" in model.__dict__ else None,
    )  # fmt: skip
    return JointResults(model, fit, joint.variances.full_output)

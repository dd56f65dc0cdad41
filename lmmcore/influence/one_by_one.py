"""The estimates without one deletion, from an engine of its own: for any model, at the cost of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..errors import LmmcoreError
from ..fitting.estimate import estimate
from ..fitting.fit import Fit
from ..fitting.options import chosen_optimizers
from ..inference.second_order import exact_hessian


@dataclass(frozen=True, eq=False)
class Without:
    """Estimates without a deletion: θ of the engine (m,), [X y]'V⁻¹[X y] of the kept columns, rows left."""

    theta: np.ndarray
    m: np.ndarray
    n: int


def estimates_without(
    fit: Fit, cp: CrossProducts | CrossedProducts, method: str, start: np.ndarray | None = None
) -> Without | None:
    """Return the estimates of the model of a fit with other cross-products; None where there are none.

    Parameters
    ----------
    method : {"exact", "one-step", "fixed"}
    start : array (m,), optional
        θ to begin the search of "exact"; by default θ̂ of the fit.
    """
    equations = fit.equations.of(cp)
    plain = fit.likelihood.engine is not fit.equations.engine
    try:
        engine = equations.plain_engine if plain else equations.engine
        likelihood = equations.likelihood(fit.reml, fit.likelihood.structures, engine)
        theta = likelihood.parameters(_covariances(fit, likelihood, fit.point.theta))
        if likelihood.point(theta).state is None or likelihood.n_eff <= 0:
            return None
        if method == "one-step" and len(theta):
            theta = theta + _step(fit, likelihood, theta)
        elif method == "exact":
            if start is not None:
                theta = likelihood.parameters(_covariances(fit, likelihood, start))
            optimizers, options = chosen_optimizers(None, {})
            layout = fit.layout
            found = estimate(
                likelihood, optimizers, layout.names, layout.groups, None, options, None, theta
            )
            theta = found.point.theta
            if not found.convergence.singular and len(theta):  # digits that a search does not need
                theta = theta + _step(fit, likelihood, theta)
    except LmmcoreError:  # a column that is zero without these rows, no residual variance
        return None
    point = likelihood.point(theta)
    if point.state is None:
        return None
    relative = [t.to_user(f @ f.T) for t, f in zip(likelihood.terms, point.factors)]
    own = [s.parameters(t.to_engine(g)) for s, t, g in
           zip(fit.likelihood.structures, fit.likelihood.terms, relative)]  # fmt: skip
    root = np.tril(point.state.root)
    return Without(np.concatenate(own) if own else np.zeros(0), root @ root.T, likelihood.engine.n)


def _covariances(fit: Fit, likelihood: Any, theta: np.ndarray) -> list[np.ndarray]:
    """Return G_t of the fit's θ for the columns of another engine."""
    return [
        t.to_engine(own.to_user(g))
        for t, own, g in zip(
            likelihood.terms, fit.likelihood.terms, fit.likelihood.covariances(theta)
        )
    ]


def _step(fit: Fit, likelihood: Any, theta: np.ndarray) -> np.ndarray:
    """Return a Newton step; where the Hessian is not cheap, with that of the whole."""
    if likelihood.hessian_is_cheap:
        _, gradient, hessian = likelihood.value_gradient_hessian(theta)
    else:
        gradient, hessian = likelihood.value_and_gradient(theta)[1], exact_hessian_of(fit)
    step: np.ndarray = -np.linalg.lstsq(hessian, gradient, rcond=1e-10)[0]
    return step


def exact_hessian_of(fit: Fit) -> np.ndarray:
    """Return the exact Hessian of a fit in θ (m, m)."""
    return exact_hessian(fit, fit.likelihood.exact_sums(fit.point))

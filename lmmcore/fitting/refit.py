"""The fit of a model to another response: the design is not read again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..crossproducts.responses import ResponseBlock
from ..likelihood.start import raised
from .estimate import estimate
from .fit import Fit
from .options import optimizers_of


def refit(
    fit: Fit,
    block: ResponseBlock,
    j: int = 0,
    method: str | Sequence[str] | None = None,
) -> Fit:
    """Return the same fit of response j, started from the estimates at hand.

    Covariance parameters that were held fixed stay where they are.

    Parameters
    ----------
    method : str or sequence of str, optional
        Optimizer; by default that of ``MixedLM.fit``.
    """
    equations = fit.equations.with_response(block, j)
    plain = fit.likelihood.engine is not fit.equations.engine
    engine = equations.plain_engine if plain else equations.engine
    old = fit.likelihood
    likelihood = equations.likelihood(fit.reml, old.structures, engine, old.penalty)
    start: np.ndarray | None = None
    if likelihood.n_parameters:
        start = likelihood.parameters(raised(likelihood, old.covariances(fit.point.theta)))
    found = estimate(
        likelihood, optimizers_of(method), fit.layout.names, fit.layout.groups, None, None, None,
        first=start,
    )  # fmt: skip
    return Fit(fit.spec, equations, likelihood, found.point, fit.reml, found.convergence, fit.held)

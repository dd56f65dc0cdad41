"""Variances as a function of the fitted values: a fixed point, as in nlme.

R depends on β and b̂ here. Fitted values of one fit are the covariate of the next, until they do not change
(Pinheiro and Bates 2000, *Mixed-Effects Models in S and S-PLUS*, section 5.2.1). The likelihood is that with
this covariate given, and so are all standard errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import LmmcoreWarning
from ..extension.protocols import Optimizer
from ..fitting.fit import Fit
from ..fitting.run import warn_of
from .fit import fit_repeated
from .results import RepeatedResults
from .structure import bind

ROUNDS = 100
CLOSE = 1e-8  # change of a fitted value, in standard deviations of the response, at the fixed point


def fit_of_fitted(
    model: Any, reml: bool, optimizers: Sequence[tuple[str, Optimizer]], options: Mapping[str, Any],
    callback: Callable[[int, float], None] | None,
) -> Fit:  # fmt: skip
    """Return the fit whose variances are the function of its own fitted values.

    Its certificate says so if the fixed point was not reached.
    """
    fitted, start = _first(model, reml), None
    structure = model.residual_structure
    change, size = np.inf, float(np.std(np.asarray(model.endog, dtype=float)))
    for _ in range(ROUNDS):
        own = bind(model.mixed.design, structure.term, structure.variance_term, fitted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmcoreWarning)
            found = fit_repeated(
                model, replace(own, start=start), reml, optimizers, options, callback
            )
        new = np.asarray(RepeatedResults(model, found).fittedvalues, dtype=float)
        change = float(np.abs(new - fitted).max()) / size
        fitted, start = new, found.residual.u
        if change <= CLOSE:
            break
    certificate = found.certificate
    if change > CLOSE:
        certificate = replace(
            certificate, converged=False,
            message="the variances are not the function of the fitted values: these still change by "
            f"{change:.1e} standard deviations of the response",
        )  # fmt: skip
    warn_of(certificate, False)
    return replace(found, certificate=certificate)


def _first(model: Any, reml: bool) -> np.ndarray:
    """Return fitted values without a residual structure."""
    if model.mixed.design.terms:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmcoreWarning)
            return np.asarray(model.mixed.fit(reml=reml, ddf="z").fittedvalues, dtype=float)
    x, y = np.asarray(model.exog, dtype=float), np.asarray(model.endog, dtype=float)
    weights = model.mixed.design.weights
    root = np.ones(len(y)) if weights is None else np.sqrt(np.asarray(weights))
    beta = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
    out: np.ndarray = x @ beta
    return out

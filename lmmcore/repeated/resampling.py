"""Refits of a model with a residual structure: another response, resampled groups, deleted groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..refitting import response_of
from ..resampling.bootstrap import Bootstrap
from ..resampling.bootstrap import bootstrap as plain_bootstrap


def parameters(results: Any) -> pd.Series:
    """Return all parameters by name: fixed effects, then `covariance_parameters`."""
    table = results.covariance_parameters
    own = [
        name if term == "residual" else f"{name} {term}"
        for term, name in zip(table.term, table.parameter)
    ]
    fixed = pd.Series(np.asarray(results.fe_params, dtype=float), list(results.fit.spec.exog_names))
    return pd.concat([fixed, pd.Series(table.estimate.to_numpy(), own)])


def refit(results: Any, endog: Any, *, method: str | Sequence[str] | None = None) -> Any:
    """Fit the same model to another response of the same rows.

    Parameters
    ----------
    endog : array_like (n,) or DataFrame
        The response, or a frame for the left side of the formula.
    method : str or sequence of str, optional
        Optimizer.

    Returns
    -------
    RepeatedResults

    Raises
    ------
    DataValueError
        Another number of rows, or rows in another order.
    """
    y = response_of(results.model.mixed, endog)
    design = replace(results.model.design, endog=y)
    return results._refit(results.model._rebuilt(design), method)


def bootstrap(
    results: Any,
    nrep: int = 100,
    *,
    kind: str = "parametric",
    level: str | None = None,
    fun: Callable[[Any], Any] | None = None,
    rng: Any = None,
    method: str | None = None,
    callback: Callable[[int, int], None] | None = None,
    executor: Any = None,
    progress: bool = False,
    resume: Any = None,
) -> Bootstrap:
    """Refit the model to resampled data.

    Parameters
    ----------
    nrep : int
        Number of replications.
    kind : {"parametric", "groups"}
        "parametric": responses are drawn from the fitted model. "groups": whole groups are drawn with
        replacement; in `gls` those of the residuals.
    level : str, optional
        The grouping factor whose levels "groups" draws; needed if there are several.
    fun : callable, optional
        Takes the results of a refit, returns a number or a vector; by default all parameters.
    rng, method, callback, executor, progress, resume : optional
        As for `MixedLMResults.bootstrap`.

    Returns
    -------
    Bootstrap

    Raises
    ------
    OptionError
        Another kind.
    """
    if kind not in ("parametric", "groups"):
        raise OptionError(
            f"kind={kind!r} for a model with a residual structure; expected 'parametric' or 'groups'"
        )
    return plain_bootstrap(
        results, nrep, method, store=False, rng=rng, kind=kind, level=level, fun=fun or parameters,
        callback=callback, executor=executor, progress=progress, resume=resume,
    )  # fmt: skip

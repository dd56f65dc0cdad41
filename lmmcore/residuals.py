"""Residuals of several kinds, and responses drawn from a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .arguments import generator, whole_number
from .design.build import as_frame
from .errors import OptionError
from .leverage import hat_values
from .prediction import drawn_random_part, fittedvalues, predict
from .simulate import get_distribution

KINDS = ("conditional", "marginal", "pearson", "standardized", "quantile")
DRAWS = 250  # responses with which a quantile residual is compared


def residuals(results: Any, kind: str = "conditional", *, rng: Any = None) -> Any:
    """Return residuals (n,).

    Parameters
    ----------
    kind : str
        "conditional": y − Xβ̂ − Zb̂, as `resid`. "marginal": y − Xβ̂. "pearson": conditional ones divided by
        their standard deviation σ̂/√w. "standardized": conditional ones divided by σ̂ √((1 − h)/w), with the
        leverages h of `hat_values` (Demidenko and Stukel 2005, Statistics in Medicine 24, 893–909).
        "quantile": the place of each response among 250 drawn from the fitted model with new random effects,
        between 0 and 1. They are uniform if the model is right (Dunn and Smyth 1996, J. Comput. Graph.
        Stat. 5, 236–244); those of one group are correlated.
    rng : Generator, RandomState or int, optional
        For "quantile".

    Raises
    ------
    OptionError
        Another kind.
    """
    if kind not in KINDS:
        raise OptionError(f"kind={kind!r}; expected one of {', '.join(KINDS)}")
    fit, model, design = results.fit, results.model, results.model.design
    y = np.asarray(model.endog, dtype=float)
    root = np.ones(len(y)) if design.weights is None else np.sqrt(np.asarray(design.weights))
    if kind == "marginal":
        values = y - np.asarray(predict(results))
    elif kind == "quantile":
        values = _quantiles(results, y, generator(rng))
    else:
        values = y - np.asarray(fittedvalues(results))
        if kind != "conditional":
            values = values * root / np.sqrt(fit.scale)
        if kind == "standardized":
            values = values / np.sqrt(np.maximum(1.0 - np.asarray(hat_values(results)), 1e-12))
    return fit.spec.series(values, design.row_labels)


def _quantiles(results: Any, y: np.ndarray, rng: Any) -> np.ndarray:
    source = get_distribution(results.model, np.asarray(results.fit.params), results.fit.scale)
    below = np.zeros(len(y))
    for _ in range(DRAWS):
        below += source.rvs(rng=rng) < y
    values: np.ndarray = (below + rng.uniform(size=len(y))) / (DRAWS + 1.0)
    return values


def simulate(
    results: Any,
    n: int = 1,
    *,
    random: str = "new",
    data: Any = None,
    rng: Any = None,
) -> Any:
    """Return responses drawn from the fitted model, a column for each draw.

    Parameters
    ----------
    n : int
        Number of draws.
    random : {"new", "given"}
        "new": random effects are drawn anew for every group. "given": groups of the model keep their BLUPs,
        and only groups that it does not know are drawn.
    data : DataFrame, optional
        New rows; by default those of the model. The residual variance is σ² for new rows, and σ²/w for those
        of the model.
    rng : Generator, RandomState or int, optional

    Returns
    -------
    DataFrame or array (m, n)

    Raises
    ------
    OptionError
        Another value of `random`; new rows of a model with components of vc_formula.
    """
    n = whole_number(n, "n", 1)
    if random not in ("new", "given"):
        raise OptionError(f"random={random!r}; expected 'new' or 'given'")
    fit, design, rng = results.fit, results.model.design, generator(rng)
    if data is None:
        index = design.row_labels
        if random == "new":
            source = get_distribution(results.model, np.asarray(fit.params), fit.scale)
            out = np.column_stack([source.rvs(rng=rng) for _ in range(n)])
            return pd.DataFrame(out, index=index) if fit.spec.labeled else out
        mean = np.asarray(fittedvalues(results))[:, None]
        spread = np.sqrt(fit.scale / (1.0 if design.weights is None else design.weights))
        noise = np.broadcast_to(spread, len(mean))[:, None] * rng.standard_normal((len(mean), n))
        return pd.DataFrame(mean + noise, index=index) if fit.spec.labeled else mean + noise
    frame = as_frame(data)
    if fit.spec.has_components:
        raise OptionError(
            "simulate for new rows of a model with variance components of vc_formula; expected components "
            "that are written as bars, such as (1 | g:a)"
        )
    draws = []
    for _ in range(n):
        y = np.asarray(_mean_of_new_rows(results, frame, random, rng), dtype=float)
        draws.append(y + np.sqrt(fit.scale) * rng.standard_normal(len(y)))
    return pd.DataFrame(np.column_stack(draws), index=frame.index)


def _mean_of_new_rows(results: Any, frame: pd.DataFrame, random: str, rng: Any) -> Any:
    """Return Xβ̂ + Zb of new rows, with b̂ or drawn effects for known groups, and drawn ones for others."""
    if random == "given":
        return predict(results, frame, random_effects="all", new_groups="draw", rng=rng)
    return np.asarray(predict(results, frame), dtype=float) + drawn_random_part(results, frame, rng)

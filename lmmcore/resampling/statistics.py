"""What a bootstrap keeps of each refit: parameters in the user's terms, or what a function returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ..arguments import numbers
from ..design.layout import Layout
from ..errors import DataValueError, LmmcoreError

Function = Callable[[Any], Any]


def params_and_scale(results: Any) -> np.ndarray:
    """Return `params` and σ² of results (k + 1,)."""
    return np.append(np.asarray(results.params, dtype=float), float(results.scale))


def named_parameters(layout: Layout, exog_names: list[str], rows: np.ndarray) -> pd.DataFrame:
    """Return fixed effects, standard deviations, correlations and σ for rows of `params` and σ²."""
    p = len(exog_names)
    out = {name: rows[:, j] for j, name in enumerate(exog_names)}
    scale = rows[:, -1]
    for term, where in zip(layout.terms, layout.packed):
        k, names = term.k, term.shown
        g = np.zeros((len(rows), k, k))
        at = np.tril_indices(k)
        g[:, at[0], at[1]] = g[:, at[1], at[0]] = rows[:, p + where]
        variances = np.maximum(np.diagonal(g, axis1=1, axis2=2), 0.0)
        for i in range(k):
            out[f"sd({names[i]} | {term.group})"] = np.sqrt(variances[:, i] * scale)
        for i in range(k):
            for j in range(i):
                with np.errstate(divide="ignore", invalid="ignore"):
                    r = g[:, i, j] / np.sqrt(variances[:, i] * variances[:, j])
                out[f"corr({names[j]}, {names[i]} | {term.group})"] = np.clip(r, -1.0, 1.0)
    out["sigma"] = np.sqrt(scale)
    return pd.DataFrame(out)


def names_of_function(value: Any) -> list[str]:
    """Return names for what a function returned: those of its index, or numbers."""
    if isinstance(value, pd.Series):
        return [str(name) for name in value.index]
    count = np.size(value)
    return ["fun"] if count == 1 else [f"fun[{i}]" for i in range(count)]


def vector_of(value: Any) -> np.ndarray:
    """Return what a function returned as a vector.

    Raises
    ------
    DataTypeError, DataValueError
        It is no number or vector of numbers.
    """
    found = np.atleast_1d(numbers(value, "what fun returned", "a number or a vector"))
    if found.ndim != 1:
        raise DataValueError(f"fun returned shape {found.shape}; expected a number or a vector")
    return found


def statistic_of(results: Any, fun: Function | None, width: int) -> np.ndarray:
    """Return the statistic of a refit.

    Raises
    ------
    LmmcoreError
        The refit did not converge, or has other columns.
    """
    if not results.converged:
        raise LmmcoreError(str(results.convergence).splitlines()[0])
    value = params_and_scale(results) if fun is None else np.asarray(fun(results), dtype=float)
    value = np.atleast_1d(value)
    if value.shape != (width,):
        raise LmmcoreError("columns of exog were dropped, because other columns determine them")
    return value

"""Residuals: against fitted values, quantiles, spread, within groups over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from ..errors import NameNotFoundError, OptionError, suggest
from .theme import BLUE, GRAY, RED, axes, plain

BINS = 15


def residuals(results: Any, kind: str = "pearson", *, ax: Any = None) -> Any:
    """Draw residuals against fitted values, with the mean of the residuals in bins of equal size.

    Parameters
    ----------
    kind : str
        As for ``results.residuals``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    own = axes(ax)
    fitted = np.asarray(results.fittedvalues, dtype=float)
    values = np.asarray(results.residuals(kind), dtype=float)
    own.plot(fitted, values, "o", color=BLUE, ms=3, alpha=0.6)
    own.axhline(0.0, color=GRAY, lw=0.8)
    x, y = _binned(fitted, values)
    own.plot(x, y, color=RED, lw=1.4, label="mean of neighbors")
    own.legend(frameon=False)
    return plain(own, f"fitted {results.fit.spec.endog_name}", f"{_word(kind)} residual")


def scale_location(results: Any, *, ax: Any = None) -> Any:
    """Draw the roots of absolute Pearson residuals against fitted values: a slope is unequal variance.

    Returns
    -------
    Axes
    """
    own = axes(ax)
    fitted = np.asarray(results.fittedvalues, dtype=float)
    values = np.sqrt(np.abs(np.asarray(results.residuals("pearson"), dtype=float)))
    own.plot(fitted, values, "o", color=BLUE, ms=3, alpha=0.6)
    own.plot(*_binned(fitted, values), color=RED, lw=1.4, label="mean of neighbors")
    own.legend(frameon=False)
    return plain(own, f"fitted {results.fit.spec.endog_name}", "√|Pearson residual|")


def qq(results: Any, kind: str = "pearson", *, ax: Any = None) -> Any:
    """Draw the quantiles of residuals against those of the normal distribution.

    Parameters
    ----------
    kind : str
        As for ``results.residuals``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    own = axes(ax, (5.0, 5.0))
    values = np.sort(np.asarray(results.residuals(kind), dtype=float))
    n = len(values)
    normal = ndtri((np.arange(1, n + 1) - 0.5) / n)
    own.plot(normal, values, "o", color=BLUE, ms=3)
    low, high = np.quantile(values, [0.25, 0.75])
    slope = (high - low) / (ndtri(0.75) - ndtri(0.25))
    own.axline((0.0, 0.5 * (low + high)), slope=slope, color=GRAY, lw=0.8)
    return plain(own, "normal quantiles", f"{_word(kind)} residual")


def variogram(results: Any, time: str, *, ax: Any = None) -> Any:
    """Draw half the squared differences of residuals in a group against their distance in time.

    Where residuals within groups are uncorrelated, the curve is flat.

    Parameters
    ----------
    time : str
        A column of the data.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    NameNotFoundError
        An unknown column.
    OptionError
        A model of arrays, or no two rows in one group.
    """
    design = results.model.design
    table = design.table
    if table is None:
        raise OptionError(
            "variogram of a model of arrays, which has no columns; expected a formula and data"
        )
    if time not in table.columns:
        raise NameNotFoundError(
            f"time={time!r} is no column of the data{suggest(time, map(str, table.columns))}"
        )
    column = table[time] if design.in_table is None else table[time].iloc[design.in_table]
    if column.dtype == "category":
        column = column.cat.codes
    t = column.to_numpy(dtype=float)
    values = np.asarray(results.residuals("pearson"), dtype=float)
    codes = design.grouping.codes
    lags, halves = [], []
    for level in range(design.grouping.n_levels):
        rows = np.flatnonzero(codes == level)
        i, j = np.triu_indices(len(rows), 1)
        lags.append(np.abs(t[rows[i]] - t[rows[j]]))
        halves.append(0.5 * (values[rows[i]] - values[rows[j]]) ** 2)
    lag, half = np.concatenate(lags), np.concatenate(halves)
    if not len(lag):
        raise OptionError("variogram needs groups of several rows")
    own = axes(ax)
    own.plot(lag, half, "o", color=GRAY, ms=2, alpha=0.3)
    own.plot(*_binned(lag, half), color=RED, lw=1.6, marker="o", ms=4, label="mean")
    own.set_ylim(0.0, 1.5 * float(np.quantile(half, 0.95)))
    own.legend(frameon=False)
    return plain(own, f"difference of {time}", "semivariance of Pearson residuals")


def _word(kind: str) -> str:
    return "Pearson" if kind == "pearson" else kind


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of y in bins of x of about equal size; one for each value where there are few."""
    unique, codes = np.unique(x, return_inverse=True)
    if len(unique) > BINS:
        edges = np.unique(np.quantile(x, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
        codes = np.searchsorted(edges, x)
    counts = np.bincount(codes)
    some = counts > 0
    means = [np.bincount(codes, weights=v)[some] / counts[some] for v in (x, y)]
    return means[0], means[1]

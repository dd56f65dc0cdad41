"""Estimates with intervals: coefficients, marginal means, profiles, influence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

from ..errors import OptionError
from ..inference.wald import level as checked_level
from .theme import BLUE, CYCLE, GRAY, INK, RED, axes, panels, plain

NAMED = 5  # deletions that get a label


def coefficients(
    *results: Any, names: Sequence[str] | None = None, level: float = 0.95, ax: Any = None
) -> Any:
    """Draw the fixed effects of one or several fits with their intervals, but for intercepts.

    Parameters
    ----------
    names : sequence of str, optional
        Of the fits.
    level : float
        Of the intervals.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        No fits; another number of names.
    """
    if not results:
        raise OptionError("coefficients() without results; expected one or more fits")
    labels = [f"({i + 1})" for i in range(len(results))] if names is None else list(names)
    if len(labels) != len(results):
        raise OptionError(f"names has {len(labels)} entries for {len(results)} fits")
    tables = [
        found.tidy("fixed", conf_int=True, conf_level=level).set_index("term") for found in results
    ]
    terms = [
        t for t in dict.fromkeys(x for table in tables for x in table.index) if t != "Intercept"
    ]
    if not terms:
        raise OptionError("the fits have no fixed effects but intercepts")
    own = axes(ax, (7.0, 1.2 + 0.35 * len(terms) * max(1, len(results) / 2)))
    for i, (table, label) in enumerate(zip(tables, labels)):
        shift = 0.5 * (i - 0.5 * (len(results) - 1)) / len(results)
        part = table.reindex(terms)
        at = len(terms) - 1 - np.arange(len(terms)) - shift
        color = CYCLE[i % len(CYCLE)]
        own.hlines(at, part["conf.low"], part["conf.high"], color=color, lw=1.6)
        own.plot(part.estimate, at, "o", color=color, label=label)
    own.axvline(0.0, color=GRAY, lw=0.8)
    own.set_yticks(len(terms) - 1 - np.arange(len(terms)), terms)
    if len(results) > 1:
        own.legend(frameon=False)
    return plain(own, f"estimate ({100 * level:g} % interval)", "")


def means(
    results: Any,
    variable: str,
    *,
    by: str | None = None,
    level: float = 0.95,
    ax: Any = None,
    **options: Any,
) -> Any:
    """Draw marginal means with their intervals.

    Parameters
    ----------
    variable : str
    by : str, optional
        Draws a line for each of its levels.
    level : float
        Of the intervals.
    **options
        As for ``results.means``.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    table = results.means(variable, by=by, **options).frame(level)
    own = axes(ax)
    levels = list(dict.fromkeys(table[variable].astype(str)))
    groups = [(None, table)] if by is None else list(table.groupby(by, sort=False, observed=True))
    for i, (label, part) in enumerate(groups):
        at = np.array([levels.index(x) for x in part[variable].astype(str)], dtype=float)
        at += 0.12 * (i - 0.5 * (len(groups) - 1))
        color = CYCLE[i % len(CYCLE)]
        own.vlines(at, part["lower"], part["upper"], color=color, lw=1.6)
        own.plot(
            at, part["mean"], "o-", color=color, lw=0.8, label=None if label is None else str(label)
        )
    own.set_xticks(range(len(levels)), levels)
    if by is not None:
        own.legend(title=by, frameon=False)
    name = results.fit.spec.endog_name
    return plain(own, variable, f"mean {name} ({100 * level:g} % interval)")


def profile(
    profiles: Any, which: Any = None, *, density: bool = False, ax: Any = None
) -> np.ndarray:
    """Draw profile curves: ζ against each parameter, a straight line where the likelihood is quadratic.

    Parameters
    ----------
    profiles : Profiles
        What ``results.profile()`` returns.
    which : str or list of str, optional
        Parameters; by default all.
    density : bool
        Whether to draw exp(−ζ²/2), the profile likelihood, instead of ζ.
    ax : array of matplotlib Axes, optional
        One for each parameter.

    Returns
    -------
    array of Axes
    """
    names = (
        list(profiles.curves)
        if which is None
        else [which]
        if isinstance(which, str)
        else list(which)
    )
    grid = panels(ax, len(names), 3, (3.2, 2.6))
    z = float(ndtri(1.0 - checked_level(1.0 - profiles.level) / 2.0))
    for own, name in zip(grid, names):
        curve = profiles[name]
        height = np.exp(-0.5 * curve.zeta**2) if density else curve.zeta
        own.plot(curve.values, height, "o-", color=BLUE, ms=3, lw=1.2)
        for limit in (curve.lower, curve.upper):
            if np.isfinite(limit):
                own.axvline(limit, color=RED, lw=0.8, ls="--")
        own.axvline(curve.estimate, color=INK, lw=0.8)
        if not density:
            for height_of_limit in (-z, z):
                own.axhline(height_of_limit, color=GRAY, lw=0.6)
        plain(own, name, "profile likelihood" if density else "ζ")
    return grid


def influence(found: Any, measure: str = "cooks_distance", *, ax: Any = None) -> Any:
    """Draw a measure of influence for each deletion; the largest have labels.

    Parameters
    ----------
    found : Influence
        What ``results.get_influence()`` returns.
    measure : {"cooks_distance", "mdffits", "covratio", "covtrace"}
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        Another measure.
    """
    if measure not in found.measures:
        raise OptionError(f"measure={measure!r}; expected one of {', '.join(found.measures)}")
    values = found.measures[measure].to_numpy(dtype=float)
    own, at = axes(ax), np.arange(len(values))
    base = 1.0 if measure == "covratio" else 0.0
    own.vlines(at, base, values, color=GRAY, lw=0.8)
    own.plot(at, values, "o", color=BLUE, ms=3)
    far = np.argsort(-np.abs(np.nan_to_num(values - base)))[:NAMED]
    for i in far.tolist():
        own.annotate(
            str(found.measures.index[i]), (at[i], values[i]), xytext=(3, 3), textcoords="offset points",
            fontsize="small",
        )  # fmt: skip
    return plain(
        own, f"{found.level}, in order", measure.replace("_", " ").replace("cooks", "Cook's")
    )

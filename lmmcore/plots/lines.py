"""Data and fitted lines, a panel for each group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import NameNotFoundError, OptionError, suggest
from .theme import BLUE, GRAY, INK, panels, plain


def fitted_lines(
    results: Any,
    x: str | None = None,
    *,
    groups: int | list[Any] = 12,
    columns: int = 4,
    ax: Any = None,
) -> np.ndarray:
    """Draw the rows of each group with fitted lines: with the random effects, and without (dashed).

    Parameters
    ----------
    x : str, optional
        A column with numbers; by default the first one among the fixed effects.
    groups : int or list
        How many panels, or the levels of the first grouping factor to show.
    columns : int
        Panels in a row.
    ax : array of matplotlib Axes, optional
        One for each panel.

    Returns
    -------
    array of Axes

    Raises
    ------
    NameNotFoundError
        An unknown column.
    OptionError
        A model of arrays; no column with numbers; unknown levels.
    """
    table, design = results.augment(), results.model.design
    numeric = [c for c in table.columns if pd.api.types.is_numeric_dtype(table[c])]
    if x is None:
        x = next((name for name in results.fit.spec.exog_names if name in numeric), None)
        if x is None:
            raise OptionError("fitted_lines: no fixed effect is a column with numbers; expected x=")
    if x not in table.columns:
        raise NameNotFoundError(
            f"x={x!r} is no column of the data{suggest(x, map(str, table.columns))}"
        )
    grouping = design.grouping
    labels = [str(k) for k in grouping.factor.keys]
    if isinstance(groups, int):
        chosen = list(range(min(groups, len(labels))))
    else:
        missing = [g for g in groups if str(g) not in labels]
        if missing:
            raise OptionError(f"groups has {missing[0]!r}; expected levels of {grouping.name}")
        chosen = [labels.index(str(g)) for g in groups]
    shared = {"sharex": True, "sharey": True}
    grid = panels(ax, len(chosen), columns, (2.6, 2.2), **shared)
    y = np.asarray(results.model.endog, dtype=float)
    for own, level in zip(grid, chosen):
        rows = np.flatnonzero(grouping.codes == level)
        rows = rows[np.argsort(table[x].to_numpy(dtype=float)[rows], kind="stable")]
        at = table[x].to_numpy(dtype=float)[rows]
        own.plot(at, y[rows], "o", color=INK, ms=3)
        own.plot(at, table[".fixed"].to_numpy()[rows], color=GRAY, lw=1.0, ls="--")
        own.plot(at, table[".fitted"].to_numpy()[rows], color=BLUE, lw=1.4)
        plain(own, x, results.fit.spec.endog_name, f"{grouping.name} {labels[level]}")
        own.label_outer()
    return grid

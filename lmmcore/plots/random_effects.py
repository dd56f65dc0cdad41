"""Random effects: caterpillar plots, shrinkage, correlations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..errors import OptionError, suggest
from ..inference.wald import level as checked_level
from ..tidy import random_effects_of_factors
from .theme import BLUE, GRAY, INK, panels, plain

LABELED = 60  # levels up to which each has a label


def _factors(results: Any, group: str | None) -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    if not results.fit.layout.terms or results.fit.spec.has_components:
        raise OptionError("the model has no random effects in bars; expected such as (1 | g)")
    found = list(random_effects_of_factors(results))
    names = [name for name, _, _ in found]
    if group is not None and group not in names:
        raise OptionError(
            f"group={group!r}{suggest(group, names)}; expected one of {', '.join(names)}"
        )
    yield from (own for own in found if group is None or own[0] == group)


def caterpillar(
    results: Any, group: str | None = None, *, level: float = 0.95, ax: Any = None
) -> np.ndarray:
    """Draw the random effects with their intervals, one panel for each coefficient, sorted.

    Parameters
    ----------
    group : str, optional
        A grouping factor; by default all.
    level : float
        Of the intervals, from conditional standard deviations.
    ax : array of matplotlib Axes, optional
        One for each coefficient.

    Returns
    -------
    array of Axes
    """
    z = float(ndtri(1.0 - checked_level(1.0 - level) / 2.0))
    found = list(_factors(results, group))
    count = sum(means.shape[1] for _, means, _ in found)
    most = max(len(means) for _, means, _ in found)
    height = 1.0 + 0.2 * most if most <= LABELED else 4.5
    grid, at = panels(ax, count, count, (3.6, max(height, 2.5))), 0
    for name, means, sds in found:
        for j, column in enumerate(means.columns):
            own, value, sd = grid[at], means.iloc[:, j].to_numpy(), sds[:, j]
            order = np.argsort(value, kind="stable")
            place = np.arange(len(value))
            if len(value) <= LABELED:
                own.hlines(
                    place, (value - z * sd)[order], (value + z * sd)[order], color=INK, lw=1.0
                )
                own.plot(value[order], place, "o", color=BLUE, ms=4)
                own.set_yticks(place, [str(x) for x in means.index[order]])
            else:
                low, high = (value - z * sd)[order], (value + z * sd)[order]
                own.fill_betweenx(place, low, high, color=GRAY, alpha=0.5, lw=0)
                own.plot(value[order], place, color=BLUE, lw=1.2)
                own.set_yticks([])
            own.axvline(0.0, color=GRAY, lw=0.8)
            shown = "Intercept" if column == name else str(column)
            plain(own, f"{shown} ({100 * level:g} % interval)", name)
            at += 1
    return grid


def shrinkage(results: Any, *, ax: Any = None) -> Any:
    """Draw the least-squares coefficients of each group and how they are shrunken.

    An arrow goes from the coefficients that least squares gives for the rows of one group, less the fixed
    effects, to the BLUPs. Groups whose rows do not determine all coefficients are left out.

    Parameters
    ----------
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        Not one grouping factor with one or two coefficients.
    """
    found = list(_factors(results, None))
    if len(found) != 1 or found[0][1].shape[1] > 2:
        raise OptionError(
            "shrinkage is for one grouping factor with one or two random coefficients"
        )
    name, means, _ = found[0]
    model, design = results.model, results.model.design
    z = np.asarray(model.exog_re, dtype=float)
    y = (
        np.asarray(model.endog, dtype=float)
        - np.asarray(model.exog, dtype=float) @ results.fit.beta
    )
    codes, k = design.grouping.codes, z.shape[1]
    alone = np.full((len(means), k), np.nan)
    for level in range(len(means)):
        rows = codes == level
        solution, _, rank, _ = np.linalg.lstsq(z[rows], y[rows], rcond=1e-9)
        if rank == k:
            alone[level] = solution
    kept = np.isfinite(alone).all(axis=1)
    (own,) = panels(ax, 1, 1, (6.0, 5.0))
    b = means.to_numpy()
    names = ["Intercept" if c == name else str(c) for c in means.columns]
    if k == 1:
        own.plot(
            alone[kept, 0],
            np.zeros(kept.sum()),
            "o",
            color=GRAY,
            label="least squares in the group",
        )
        own.plot(b[kept, 0], np.ones(kept.sum()), "o", color=BLUE, label="BLUP")
        both = np.zeros(kept.sum()), np.ones(kept.sum())
        own.plot([alone[kept, 0], b[kept, 0]], both, color=GRAY, lw=0.6)
        own.set_yticks([0, 1], ["least squares", "BLUP"])
        return plain(own, names[0], "", f"Shrinkage of {name}")
    for start, end in zip(alone[kept], b[kept]):
        own.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GRAY, "lw": 0.8})
    own.plot(*alone[kept].T, "o", color=GRAY, ms=4, label="least squares in the group")
    own.plot(*b[kept].T, "o", color=BLUE, ms=4, label="BLUP")
    own.legend(frameon=False)
    return plain(own, names[0], names[1], f"Shrinkage of {name}")


def heat_map(results: Any, group: Any = None, *, ax: Any = None) -> Any:
    """Draw a correlation matrix: of the random effects of a grouping factor, or of residuals.

    Parameters
    ----------
    group : label, optional
        Of a model with bars, the grouping factor. Of a model with a residual structure and no random effects,
        the group whose residuals are shown.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    fit = results.fit
    if not fit.layout.terms:
        matrix = results.residual_correlation(group)
        title = "Correlation of the residuals"
    else:
        found = list(_factors(results, group))
        name = found[0][0]
        terms = [(t, g) for t, g in zip(fit.layout.terms, fit.relative) if t.group == name]
        own_names = [x or name for t, _ in terms for x in t.shown]
        whole, at = np.zeros((len(own_names),) * 2), 0
        for _, g in terms:
            whole[at : at + len(g), at : at + len(g)] = g
            at += len(g)
        sd = np.sqrt(np.diag(whole))
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = pd.DataFrame(whole / np.outer(sd, sd), own_names, own_names)
        title = f"Correlation of the random effects of {name}"
    (own,) = panels(
        ax, 1, 1, (max(4.2, 1.5 + 0.7 * len(matrix)), max(3.4, 1.2 + 0.7 * len(matrix)))
    )
    values = matrix.to_numpy()
    own.imshow(values, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    names = [str(x) for x in matrix.index]
    own.set_xticks(range(len(names)), names, rotation=45, ha="right")
    own.set_yticks(range(len(names)), names)
    for i in range(len(names)):
        for j in range(len(names)):
            ink = "white" if abs(values[i, j]) > 0.6 else INK
            own.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=ink)
    own.set_title(title, fontsize="medium")
    return own

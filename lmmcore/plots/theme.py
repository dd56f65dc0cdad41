"""Axes, and colors that people with color vision deficiencies can tell apart (Okabe and Ito)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LmmcoreError, OptionError

INK, GRAY, BLUE, ORANGE, GREEN, RED = (
    "#222222",
    "#8C8C8C",
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
)
CYCLE = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#F0E442", INK)


class PlotError(LmmcoreError, ImportError):
    """A plot needs matplotlib, which is not installed."""


def pyplot() -> Any:
    """Return matplotlib.pyplot.

    Raises
    ------
    PlotError
        matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as found
    except ImportError as exc:
        raise PlotError(
            "plots need matplotlib, which is not installed; pip install 'lmmcore[plot]'"
        ) from exc
    return found


def axes(ax: Any, size: tuple[float, float] = (7.0, 4.5)) -> Any:
    """Return the axes to draw on: those given, or new ones."""
    return pyplot().subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def panels(
    ax: Any, count: int, columns: int, size: tuple[float, float], **shared: bool
) -> np.ndarray:
    """Return `count` axes: those given, or new ones in rows of `columns`.

    Raises
    ------
    OptionError
        Another number of axes.
    """
    if ax is not None:
        found = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(found) != count:
            raise OptionError(f"ax has {len(found)} axes; expected {count}")
        return found
    rows = -(-count // columns)
    whole = (size[0] * min(count, columns), size[1] * rows)
    figure, grid = pyplot().subplots(
        rows, min(count, columns), figsize=whole, layout="constrained", squeeze=False, **shared
    )
    for unused in grid.ravel()[count:]:
        unused.set_visible(False)
    del figure
    out: np.ndarray = grid.ravel()[:count]
    return out


def plain(ax: Any, x: str, y: str, title: str = "") -> Any:
    """Label axes, and leave out the frame above and to the right."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax

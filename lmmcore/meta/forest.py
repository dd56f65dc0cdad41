"""The forest plot of a meta-analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from ..errors import OptionError
from ..plots.theme import axes

INK, BAND = "#222222", "#0072B2"
HEIGHT = 0.3  # inches of a row


def forest(analysis: Any, ax: Any = None) -> Any:
    """Draw a forest plot; see `MetaAnalysis.forest`.

    The square of an effect has an area in proportion to its weight 1/(v + τ²). Below are the mean effect
    (diamond: confidence interval) and the prediction interval of a true effect (dashed), where the model
    has one mean.

    Raises
    ------
    PlotError
        matplotlib is not installed.
    """
    effects = analysis.effects
    k = len(effects.y)
    one_mean = len(np.unique(effects.x, axis=0)) == 1
    extra = 2 if one_mean else 0
    if ax is None:
        ax = axes(None)
        ax.figure.set_size_inches(7.0, 1.2 + HEIGHT * (k + extra))
    z = float(ndtri(0.5 + 0.5 * analysis.level))
    sd = np.sqrt(effects.variances)
    at = np.arange(k + extra - 1, extra - 1, -1)
    try:
        tau2 = analysis.tau2
    except OptionError:  # several coefficients: squares by the sampling variances alone
        tau2 = 0.0
    weights = 1.0 / (effects.variances + tau2)
    ax.hlines(at, effects.y - z * sd, effects.y + z * sd, color=INK, linewidth=1.0)
    ax.scatter(effects.y, at, s=120.0 * weights / weights.max(), marker="s", color=INK, zorder=3)
    labels = [str(x) for x in analysis.labels]
    ticks = at.tolist()
    if one_mean:
        row = analysis.predict().iloc[0]
        ax.fill(
            [row.lower, row.estimate, row.upper, row.estimate], [1.0, 1.3, 1.0, 0.7], color=BAND, zorder=3
        )  # fmt: skip
        ax.hlines(0.0, row.prediction_lower, row.prediction_upper, color=BAND, linestyle="--")
        ax.axvline(row.estimate, color=BAND, linewidth=0.8, linestyle=":")
        ticks, labels = [*ticks, 1, 0], [*labels, "Mean effect", "Prediction interval"]
    ax.axvline(0.0, color="0.6", linewidth=0.8)
    ax.set_yticks(ticks, labels)
    ax.set_ylim(-0.8, k + extra - 0.2)
    ax.set_xlabel(f"Effect ({100 * analysis.level:g} % interval)")
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax

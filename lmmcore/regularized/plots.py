"""Plots of paths, cross-validation and stability. matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import OptionError
from ..plots.theme import PlotError, axes

__all__ = ["PlotError", "axes"]


def _against_alpha(ax: Any, alphas: np.ndarray) -> None:
    if (alphas > 0).all():
        ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xlabel("alpha (decreasing)")


def plot_path(path: Any, ax: Any, against: str, labels: int) -> Any:
    """Draw the coefficients of a path; see ``RegularizationPath.plot``."""
    if against not in ("alpha", "df"):
        raise OptionError(f"against={against!r}; expected 'alpha' or 'df'")
    ax = axes(ax)
    penalized = np.flatnonzero(path.terms.weights > 0)
    # Times their scales, so that sizes are comparable.
    values = path.coefficients.to_numpy()[:, penalized] * path.terms.scales[penalized]
    x = path.alphas if against == "alpha" else path.df
    named = set(np.argsort(-np.abs(values[-1]))[:labels].tolist())
    last = float("-inf")
    span = float(np.ptp(values)) or 1.0
    for j in range(values.shape[1]):
        style = {"lw": 1.4} if j in named else {"lw": 0.7, "color": "0.7", "zorder": 1}
        ax.plot(x, values[:, j], **style)
    for j in sorted(named, key=lambda k: values[-1, k]):
        last = max(float(values[-1, j]), last + 0.035 * span)  # labels must not lie on each other
        ax.annotate(
            str(path.coefficients.columns[penalized[j]]), (x[-1], last), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip
    ax.axhline(0.0, color="0.4", lw=0.6)
    at = path.best()
    ax.axvline(x[at], color="0.4", ls="--", lw=0.9)
    ax.annotate("BIC", (x[at], 1.0), xycoords=("data", "axes fraction"), xytext=(3, -10),
                textcoords="offset points", fontsize=8, color="0.3")  # fmt: skip
    if against == "alpha":
        _against_alpha(ax, path.alphas)
    else:
        ax.set_xlabel("degrees of freedom")
    ax.margins(x=0.03)
    scaled = not np.all(path.terms.scales == 1.0)
    ax.set_ylabel("coefficient × scale of its column" if scaled else "coefficient")
    ax.set_title(f"Path of the {path.penalty}")
    return ax


def plot_cv(cv: Any, ax: Any) -> Any:
    """Draw cross-validated losses; see ``CrossValidation.plot``."""
    ax = axes(ax)
    ax.errorbar(
        cv.alphas, cv.mean, cv.se, fmt="o", ms=3, lw=0.8, color="C0", ecolor="0.7", capsize=1.5
    )
    for at, words, style in ((cv.best, "smallest", "-"), (cv.one_se, "one standard error", "--")):
        ax.axvline(cv.alphas[at], color="0.3", ls=style, lw=0.9, label=words)
    _against_alpha(ax, cv.alphas)
    ax.set_ylabel(
        "mean squared error" if cv.scale == "squares" else "mean of (y − Xβ)'V⁻¹(y − Xβ)/σ²"
    )
    ax.set_title(f"{len(cv.losses)}-fold cross-validation over groups")
    ax.legend(frameon=False, fontsize=8)
    return ax


def plot_stability(found: Any, ax: Any) -> Any:
    """Draw selection frequencies; see ``StabilitySelection.plot``."""
    ax = axes(ax)
    for name in found.frequencies.columns:
        on = name in found.selected
        style = {"lw": 1.4, "label": name} if on else {"lw": 0.7, "color": "0.7", "zorder": 1}
        ax.plot(found.alphas, found.frequencies[name], **style)
    ax.axhline(found.threshold, color="0.4", ls="--", lw=0.9)
    _against_alpha(ax, found.alphas)
    ax.set_ylabel("share of subsamples")
    ax.set_title("Stability selection, halves of the groups")
    if found.selected:
        ax.legend(frameon=False, fontsize=7, ncols=2)
    return ax


def plot_random(path: Any, ax: Any) -> Any:
    """Draw standard deviations of random effects; see ``RandomEffectsPath.plot``."""
    ax = axes(ax)
    for name in path.sds.columns:
        ax.plot(path.alphas, path.sds[name], marker="o", ms=2.5, lw=1.2, label=name)
    ax.axvline(path.alphas[path.best], color="0.4", ls="--", lw=0.9)
    if (path.alphas[1:] > 0).all() and len(path.alphas) > 2:
        ax.set_xscale("symlog", linthresh=float(path.alphas[1]))
        ax.set_xlim(left=-0.05 * float(path.alphas[1]))
    ax.set_xlabel("alpha")
    ax.set_ylabel("standard deviation of the random effect")
    ax.set_title(f"Random effects under the {path.penalty}; dashed: {path.criterion.upper()}")
    ax.legend(frameon=False, fontsize=8)
    return ax

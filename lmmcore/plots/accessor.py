"""``results.plot``: the pictures of one fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import estimates, lines, random_effects, residuals


class Plots:
    """Pictures of a fit. Each returns the matplotlib Axes, and draws on those that it is given (``ax=``).

    They need matplotlib (the extra ``plot``).
    """

    def __init__(self, results: Any) -> None:
        self._results = results

    def __repr__(self) -> str:
        names = ", ".join(n for n in dir(type(self)) if n[0] != "_")
        return f"pictures of a fit: {names}"

    def caterpillar(
        self, group: str | None = None, *, level: float = 0.95, ax: Any = None
    ) -> np.ndarray:
        """Draw the random effects with their intervals; see `lmmcore.plots.random_effects.caterpillar`."""
        return random_effects.caterpillar(self._results, group, level=level, ax=ax)

    def shrinkage(self, *, ax: Any = None) -> Any:
        """Draw how the coefficients of groups are shrunken."""
        return random_effects.shrinkage(self._results, ax=ax)

    def heat_map(self, group: Any = None, *, ax: Any = None) -> Any:
        """Draw the correlations of random effects, or of residuals."""
        return random_effects.heat_map(self._results, group, ax=ax)

    def residuals(self, kind: str = "pearson", *, ax: Any = None) -> Any:
        """Draw residuals against fitted values."""
        return residuals.residuals(self._results, kind, ax=ax)

    def scale_location(self, *, ax: Any = None) -> Any:
        """Draw the spread of residuals against fitted values."""
        return residuals.scale_location(self._results, ax=ax)

    def qq(self, kind: str = "pearson", *, ax: Any = None) -> Any:
        """Draw the quantiles of residuals."""
        return residuals.qq(self._results, kind, ax=ax)

    def variogram(self, time: str, *, ax: Any = None) -> Any:
        """Draw the semivariance of residuals within groups over time."""
        return residuals.variogram(self._results, time, ax=ax)

    def fitted_lines(
        self,
        x: str | None = None,
        *,
        groups: int | list[Any] = 12,
        columns: int = 4,
        ax: Any = None,
    ) -> np.ndarray:
        """Draw data and fitted lines, a panel for each group."""
        return lines.fitted_lines(self._results, x, groups=groups, columns=columns, ax=ax)

    def coefficients(self, *, level: float = 0.95, ax: Any = None) -> Any:
        """Draw the fixed effects with their intervals; `lmmcore.plots.coefficients` takes several fits."""
        return estimates.coefficients(self._results, level=level, ax=ax)

    def means(
        self,
        variable: str,
        *,
        by: str | None = None,
        level: float = 0.95,
        ax: Any = None,
        **options: Any,
    ) -> Any:
        """Draw marginal means with their intervals."""
        return estimates.means(self._results, variable, by=by, level=level, ax=ax, **options)

    def profile(self, which: Any = None, *, density: bool = False, ax: Any = None) -> np.ndarray:
        """Draw profile curves, computed anew; ``Profiles.plot`` draws those that are there."""
        return estimates.profile(self._results.profile(which), density=density, ax=ax)

    def influence(
        self, level: Any = None, measure: str = "cooks_distance", *, ax: Any = None
    ) -> Any:
        """Draw a measure of influence of each group."""
        return estimates.influence(self._results.get_influence(level), measure, ax=ax)

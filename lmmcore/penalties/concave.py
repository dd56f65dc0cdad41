"""Concave penalties, which do not shrink large coefficients: SCAD and MCP.

Both rescale the coefficients so that the curvature d_j of the quadratic is one. So the information in the
data about a coefficient decides whether it counts as large. Sources: Fan and Li (2001), *JASA* 96; Zhang
(2010), *Annals of Statistics* 38; Breheny and Huang (2015), *Statistics and Computing* 25 (groups).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..extension import Blockwise, OptionError
from .blocks import BlockwisePenalty


class _Falling(BlockwisePenalty):
    """Slope λ at zero, which falls in a straight line to zero."""

    least: ClassVar[float]
    by_group: ClassVar[bool] = False

    def __init__(self, shape: float) -> None:
        if not (np.isfinite(shape) and shape > self.least):
            raise OptionError(
                f"{type(self).__name__} got the shape {shape!r}; expected a number above {self.least:g}, "
                "below which the penalized quadratic of one coefficient has several minima"
            )
        self.shape = float(shape)

    def _weights_and_curvature(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the group numbers, and the penalty weight and curvature of each group."""
        of = self.bound
        if not self.by_group:
            return np.arange(len(of)), of.weights, of.curvature
        count = of.over_groups(np.ones(len(of)))
        weights = np.sqrt(of.over_groups(of.weights**2))
        return of.groups, weights, of.over_groups(of.curvature) / count

    def _ends(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the slope begins to fall and where it is zero; `first` is λw/d."""
        raise NotImplementedError

    @property
    def concavity(self) -> float:  # type: ignore[override]
        """Largest decrease of the slope per unit: d/γ or d/(a − 1)."""
        if self.of is None:
            return 0.0
        _, weights, curvature = self._weights_and_curvature()
        start, end = self._ends(np.ones(1))
        return float(np.max(curvature * (weights > 0), initial=0.0) / (end[0] - start[0]))

    def blockwise(self, strength: float) -> Blockwise:
        """Return the penalty at a strength as a sum over coefficients or groups."""
        groups, weights, curvature = self._weights_and_curvature()
        norm = strength * weights
        first = np.full(len(norm), np.inf)
        np.divide(norm, curvature, out=first, where=curvature > 0)
        none = np.zeros(len(groups))
        return Blockwise(groups, none, none, norm, *self._ends(first))


class SCAD(_Falling):
    """Smoothly clipped absolute deviation: slope λw_j up to λw_j/d_j, zero from aλw_j/d_j on.

    Parameters
    ----------
    a : float
        Above 2.
    """

    least = 2.0

    def __init__(self, a: float = 3.7) -> None:
        super().__init__(a)

    def _ends(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return first, self.shape * first

    def derivative(self, size: np.ndarray, strength: float) -> np.ndarray:
        """Return ∂P/∂|β_j| (p,)."""
        return self.blockwise(strength).slope_of_norm(np.abs(size))


class MCP(_Falling):
    """Minimax concave penalty: slope λw_j at zero, which decreases linearly to zero at γλw_j/d_j.

    Parameters
    ----------
    gamma : float
        Above 1.
    """

    least = 1.0

    def __init__(self, gamma: float = 3.0) -> None:
        super().__init__(gamma)

    def _ends(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(first), self.shape * first

    def derivative(self, size: np.ndarray, strength: float) -> np.ndarray:
        """Return ∂P/∂|β_j| (p,)."""
        return self.blockwise(strength).slope_of_norm(np.abs(size))


class GroupSCAD(_Falling):
    """SCAD of the norm of each group, with the penalty weights of the group lasso.

    Parameters
    ----------
    a : float
        Above 2.
    """

    least = 2.0
    by_group = True

    def __init__(self, a: float = 3.7) -> None:
        super().__init__(a)

    _ends = SCAD._ends


class GroupMCP(_Falling):
    """MCP of the norm of each group, with the penalty weights of the group lasso.

    Parameters
    ----------
    gamma : float
        Above 1.
    """

    least = 1.0
    by_group = True

    def __init__(self, gamma: float = 3.0) -> None:
        super().__init__(gamma)

    _ends = MCP._ends

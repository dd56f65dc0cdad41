"""A residual structure behind a guard: what it raises or returns wrongly names the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import LmmcoreError, PluginError
from ..extension.residuals import BoundResidual, Positions
from .plugin import Plugin, shown

STEP = 1e-30  # of complex steps
DIFFERENCE, CLOSE = 1e-5, 1e-4  # of differences, and how near they are to complex steps


class GuardedResidual:
    """A `BoundResidual` whose results are checked.

    Parameters
    ----------
    plugin : Plugin
    positions : Positions
    options : mapping
    """

    def __init__(self, plugin: Plugin, positions: Positions, options: Mapping[str, Any]) -> None:
        self.label = str(plugin)
        try:
            self.bound: BoundResidual = plugin.implementation.bind(positions, **options)
        except LmmcoreError:
            raise
        except Exception as exc:
            raise PluginError(self._failed("bind", exc)) from exc
        m = getattr(self.bound, "n_parameters", None)
        if isinstance(m, bool) or not isinstance(m, (int, np.integer)) or m < 0:
            raise self._broken(f"n_parameters is {shown(m)}; expected a whole number")
        self.n_parameters = int(m)
        starts = getattr(self.bound, "starts", None)
        if not isinstance(starts, (list, tuple)) or not starts:
            raise self._broken(f"starts is {shown(starts)}; expected a list of vectors")
        for start in starts:
            if np.shape(start) != (self.n_parameters,) or not np.isfinite(start).all():
                raise self._broken(
                    f"starts has {shown(start)}; expected {self.n_parameters} finite numbers"
                )
        self.starts = [np.array(start, dtype=float) for start in starts]
        self.vectorized = bool(getattr(self.bound, "vectorized", False))
        self._derivatives_hold = False

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return R (t, t), or (g, t, t) for values (g, t, d); for real u symmetric and finite."""
        try:
            found = np.asarray(self.bound.matrix(u.copy(), values.copy()))
        except LmmcoreError:
            raise
        except Exception as exc:
            raise PluginError(self._failed("matrix", exc)) from exc
        shape = (*values.shape[:-1], values.shape[-2])
        if found.shape != shape or found.dtype.kind not in "fc":
            raise self._broken(f"matrix returned {shown(found)}; expected numbers of shape {shape}")
        if not np.iscomplexobj(u):
            if np.iscomplexobj(found):
                raise self._broken(
                    "matrix returned complex numbers for real parameters; expected real ones"
                )
            if np.abs(found - found.swapaxes(-1, -2)).max() > 1e-8 * max(
                np.abs(found).max(), 1e-300
            ):
                raise self._broken(
                    "matrix returned a matrix that is not symmetric; expected a symmetric one"
                )
            if not self._derivatives_hold and np.isfinite(found).all():
                self._derivatives_hold = True
                self._check_derivatives(u, values, found)
        return found

    def _check_derivatives(self, u: np.ndarray, values: np.ndarray, at: np.ndarray) -> None:
        """Hold complex steps against differences, once: a structure that drops them has no gradient."""
        for a in range(self.n_parameters):
            e = np.zeros(len(u))
            e[a] = DIFFERENCE * max(1.0, abs(u[a]))
            near = (self.matrix(u + e, values) - self.matrix(u - e, values)) / (2.0 * e[a])
            slope = self.matrix(u + 1j * STEP * (e != 0.0), values).imag / STEP
            size = max(float(np.abs(at).max()), float(np.abs(near).max()))
            if not np.abs(slope - near).max() <= CLOSE * size:
                raise self._broken(
                    f"the derivative of matrix in parameter {a} by a complex step differs from differences "
                    f"by {np.abs(slope - near).max():.2g}; expected functions that take complex numbers, "
                    "such as np.exp and np.tanh, and no abs"
                )

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters by name."""
        try:
            found = self.bound.describe(u.copy())
        except LmmcoreError:
            raise
        except Exception as exc:
            raise PluginError(self._failed("describe", exc)) from exc
        good = isinstance(found, dict) and all(
            isinstance(k, str) and isinstance(v, (float, int)) for k, v in found.items()
        )
        if not good:
            raise self._broken(
                f"describe returned {shown(found)}; expected a dict of text to numbers"
            )
        return {k: float(v) for k, v in found.items()}

    def _failed(self, where: str, exc: Exception) -> str:
        return (
            f"{self.label} failed in {where}: {type(exc).__name__}: {exc}. Choose another structure"
        )

    def _broken(self, what: str) -> PluginError:
        return PluginError(f"{self.label}: {what}. Choose another structure")

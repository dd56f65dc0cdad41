"""A covariance structure behind a guard: what it raises or returns wrongly names the plugin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy import vdot

from ..errors import LmmcoreError, PluginError
from ..extension.protocols import CovarianceStructure
from .plugin import Plugin, shown

FLOAT = np.dtype(float)
STEP = 1e-4  # of differences that are held against derivatives
LINEAR, FIRST, SECOND = 1e-7, 1e-5, 1e-3  # largest relative differences


# Numbers of columns for which the derivative of a structure was found to hold.
_checked: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()


def _checked_sizes(structure: Any) -> set[int]:
    try:
        return _checked.setdefault(structure, set())
    except TypeError:  # no hash or no weak reference: checked in every model
        return set()


class GuardedStructure:
    """A structure for k columns whose results are checked.

    The derivative is held against differences of ``factor`` where it is first asked for, which is the
    start of a fit: once for each object and number of columns, as it costs as much as a small fit may.

    Parameters
    ----------
    structure : CovarianceStructure
    label : str or Plugin
        How messages name it, as in "covariance 'exp' (lmmcore-spatial 0.1.0)".
    k : int
        Number of columns.
    """

    def __init__(self, structure: CovarianceStructure, label: str | Plugin, k: int) -> None:
        self.structure, self.label, self.k = structure, label, k
        self.closed_under = str(getattr(structure, "closed_under", "nothing"))
        self._last_derivative: np.ndarray | None = None
        self._derivative_holds = k in _checked_sizes(structure)
        self._m: int | None = None
        m = self._call("n_parameters", k)
        if not isinstance(m, (int, np.integer)) or isinstance(m, bool) or m < 0:
            raise self._broken(f"n_parameters({k}) returned {shown(m)}; expected a whole number")
        self._m = int(m)

    def n_parameters(self, k: int) -> int:
        if self._m is not None and k == self.k:
            return self._m
        return int(self._call("n_parameters", k))

    def rank(self, k: int) -> int:
        if not hasattr(self.structure, "rank"):
            return k
        found = self._call("rank", k)
        whole = isinstance(found, (int, np.integer)) and not isinstance(found, bool)
        if not whole or not 0 <= found <= k:
            raise self._broken(
                f"rank({k}) returned {shown(found)}; expected a whole number from 0 to {k}"
            )
        return int(found)

    # Each of the next methods calls the plugin itself: a shared helper would double what a guard costs.

    def parameters(self, g: np.ndarray) -> np.ndarray:
        try:
            found = self.structure.parameters(g.copy())
        except Exception as exc:
            raise self._raised("parameters", exc) from exc
        if type(found) is not np.ndarray or found.dtype != FLOAT:
            found = self._array("parameters", found)
        good = found.shape == (self._m,) and isfinite(vdot(found, found))
        if not good and (found.shape != (self._m,) or not np.isfinite(found).all()):
            raise self._broken(
                f"parameters(g) returned {shown(found)}; expected {self._m} finite numbers for "
                f"g = {g.tolist()}"
            )
        return found

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        try:
            root = self.structure.factor(theta, k)
        except Exception as exc:
            raise self._raised("factor", exc) from exc
        if type(root) is not np.ndarray or root.dtype != FLOAT:
            root = self._array("factor", root)
        if root.ndim != 2 or root.shape[0] != k:
            raise self._broken(f"factor returned shape {root.shape}; expected ({k}, any)")
        if not isfinite(vdot(root, root)):
            self._blame("factor", root, theta)
        return root

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        try:
            slope = self.structure.factor_derivative(theta, k)
        except Exception as exc:
            raise self._raised("factor_derivative", exc) from exc
        if slope is self._last_derivative and k == self.k:
            return slope  # cannot be written to, and was looked at
        if type(slope) is not np.ndarray or slope.dtype != FLOAT:
            slope = self._array("factor_derivative", slope)
        if slope.ndim != 3 or slope.shape[0] != self._m or slope.shape[1] != k:
            raise self._broken(
                f"factor_derivative returned shape {slope.shape}; expected ({self._m}, {k}, columns "
                "of factor)"
            )
        if not isfinite(vdot(slope, slope)):
            self._blame("factor_derivative", slope, theta)
        if not self._derivative_holds:
            self._derivative_holds = True  # for now: the check asks for derivatives nearby
            try:
                self._check_derivative(theta, k, slope)
            except PluginError:
                self._derivative_holds = False
                raise
            _checked_sizes(self.structure).add(k)
        own = slope.base is None and not slope.flags.writeable
        self._last_derivative = slope if own else None
        return slope

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray | None:
        try:
            second = self.structure.factor_second_derivative(theta, k)
        except Exception as exc:
            raise self._raised("factor_second_derivative", exc) from exc
        if second is None:
            return None
        second = self._array("factor_second_derivative", second)
        if second.ndim != 4 or second.shape[:3] != (self._m, self._m, k):
            raise self._broken(
                f"factor_second_derivative returned shape {second.shape}; expected ({self._m}, "
                f"{self._m}, {k}, columns of factor)"
            )
        if not isfinite(vdot(second, second)):
            self._blame("factor_second_derivative", second, theta)
        return second

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        found = self._call("describe", theta.copy(), tuple(names), sigma)
        try:
            return {_text(name): float(value) for name, value in found.items()}
        except (AttributeError, TypeError, ValueError) as exc:
            raise self._broken(
                f"describe returned {shown(found)}; expected {{text: number}}, such as {{'sd(x)': 1.2}}"
            ) from exc

    # What can go wrong

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.structure, method)(*arguments)
        except Exception as exc:
            raise self._raised(method, exc) from exc

    def _raised(self, method: str, exc: Exception) -> Exception:
        # What a plugin says in the house's own errors is about its input, and is said as it stands.
        if isinstance(exc, LmmcoreError):
            return exc
        return self._broken(f"raised {type(exc).__name__} in {method}: {exc}")

    def _array(self, method: str, found: Any) -> np.ndarray:
        try:
            array = np.asarray(found)
            if array.dtype.kind not in "fiub":
                raise TypeError
            return array.astype(float)
        except (TypeError, ValueError):
            raise self._broken(
                f"{method} returned {shown(found)}; expected an array of floats"
            ) from None

    def _blame(self, method: str, found: np.ndarray, theta: np.ndarray) -> None:
        """Raise where something is not finite; that the sum of squares is not is cheap to see first."""
        # Where θ itself is not finite, or so large that anything overflows, there is nothing to blame.
        if np.isfinite(found).all():
            return
        if np.isfinite(theta).all() and np.abs(theta).max(initial=0.0) < 1e50:
            raise self._broken(f"{method} is not finite at theta = {theta.tolist()}")

    def _check_derivative(self, theta: np.ndarray, k: int, slope: np.ndarray) -> None:
        """Hold ∂Λ along one direction against differences of Λ."""
        if not len(theta) or not np.isfinite(theta).all():
            return
        root = self.factor(theta, k)
        if slope.shape[2] != root.shape[1]:
            raise self._broken(
                f"factor_derivative returned shape {slope.shape}, and factor {root.shape}; expected "
                f"({self._m}, {k}, {root.shape[1]})"
            )
        direction = _direction(len(theta))
        second = self.factor_second_derivative(theta, k)
        expected = direction @ slope.reshape(len(theta), -1)
        if second is None:
            change = (self.factor(theta + direction, k) - root).ravel()
            if _differ(change, expected, LINEAR):
                raise self._broken(
                    "factor_derivative is not the derivative of factor, or factor_second_derivative is "
                    f"None and factor is not linear: from theta = {theta.tolist()} along "
                    f"{direction.tolist()} it gives {expected.tolist()}, but factor changes by "
                    f"{change.tolist()}"
                )
            return
        up, down = theta + STEP * direction, theta - STEP * direction
        change = (self.factor(up, k) - self.factor(down, k)).ravel() / (2.0 * STEP)
        if _differ(change, expected, FIRST):
            raise self._broken(
                f"factor_derivative is not the derivative of factor: at theta = {theta.tolist()} along "
                f"{direction.tolist()} it gives {expected.tolist()}, but differences of factor give "
                f"{change.tolist()}"
            )
        change = (self.factor_derivative(up, k) - self.factor_derivative(down, k)) / (2.0 * STEP)
        if _differ(change.ravel(), direction @ second.reshape(len(theta), -1), SECOND):
            raise self._broken(
                "factor_second_derivative is not the derivative of factor_derivative at theta = "
                f"{theta.tolist()}"
            )

    def _broken(self, what: str) -> PluginError:
        return PluginError(
            f"{self.label} {what}. Choose another structure, or report this to its authors"
        )


def _differ(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    rest = found - expected
    return not rest @ rest <= tolerance**2 * (1.0 + expected @ expected)


@cache
def _direction(m: int) -> np.ndarray:
    return np.cos(np.arange(1.0, m + 1.0))  # entries of like size, none a multiple of another


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError
    return name

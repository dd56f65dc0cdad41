"""A penalty behind a guard: what it raises or returns wrongly names the plugin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import LmmcoreError, OptionError, PluginError
from ..extension.penalties import Blockwise, Coefficients
from .manager import look_up
from .plugin import Plugin, shown

METHODS = ("bind", "value", "prox")


class GuardedPenalty:
    """A `Penalty` whose results are checked; arguments are copies.

    It has the optional methods that the penalty has, and no others.

    Parameters
    ----------
    penalty : Penalty
    label : Plugin or str
        How messages name it.
    size : int, optional
        Number of coefficients that it is bound to.
    """

    def __init__(self, penalty: Any, label: Plugin | str, size: int | None = None) -> None:
        self.penalty, self.label, self.size = penalty, label, size
        missing = [m for m in METHODS if not callable(getattr(penalty, m, None))]
        if missing:
            raise self._broken(f"has no {', '.join(missing)}; expected a Penalty")

    @property
    def concavity(self) -> float:
        """The least ρ ≥ 0 for which P + ½ρ β'β is convex."""
        found = getattr(self.penalty, "concavity", None)
        if not isinstance(found, (int, float, np.number)) or not 0.0 <= float(found) < math.inf:
            raise self._broken(f"has concavity {shown(found)}; expected a number of zero or more")
        return float(found)

    def bind(self, coefficients: Coefficients) -> GuardedPenalty:
        """Return the penalty of these coefficients."""
        bound = GuardedPenalty(self._call("bind", coefficients), self.label, len(coefficients))
        assert bound.concavity >= 0.0  # asked here, so that a wrong one is an error at once
        return bound

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        found = self._number("value", self._call("value", np.array(beta), strength), beta)
        if found < 0.0:
            raise self._broken(f"value returned {found}; expected zero or more")
        return found

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + P(x; λ)."""
        return self._vector("prox", self._call("prox", np.array(point), step, strength), point)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "penalty":
            raise AttributeError(name)
        found = getattr(self.penalty, name)  # AttributeError where it has no such method
        guarded: dict[str, Callable[..., Any]] = {
            "derivative": self._derivative,
            "blockwise": self._blockwise,
            "degrees_of_freedom": self._degrees_of_freedom,
        }
        return guarded.get(name, found)

    def _derivative(self, size: np.ndarray, strength: float) -> np.ndarray:
        found = self._call("derivative", np.array(size), strength)
        return self._vector("derivative", found, size)

    def _blockwise(self, strength: float) -> Blockwise:
        found = self._call("blockwise", strength)
        if not isinstance(found, Blockwise):
            raise self._broken(f"blockwise returned {shown(found)}; expected a Blockwise")
        return found

    def _degrees_of_freedom(self, beta: np.ndarray, h: np.ndarray, strength: float) -> float:
        found = self._call("degrees_of_freedom", np.array(beta), np.array(h), strength)
        df = self._number("degrees_of_freedom", found, beta)
        if df < -1e-6 * len(beta):
            raise self._broken(f"degrees_of_freedom returned {df}; expected zero or more")
        return max(df, 0.0)

    # What can go wrong

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.penalty, method)(*arguments)
        except LmmcoreError:
            raise
        except Exception as exc:
            raise self._broken(f"raised {type(exc).__name__} in {method}: {exc}") from exc

    def _number(self, method: str, found: Any, at: np.ndarray) -> float:
        real = isinstance(found, (int, float, np.number)) and not isinstance(found, bool)
        # Where β itself is not finite there is nothing to blame.
        if not real or not (math.isfinite(found) or not np.isfinite(at).all()):
            raise self._broken(
                f"{method} returned {shown(found)}; expected a number, at {np.asarray(at).tolist()}"
            )
        return float(found)

    def _vector(self, method: str, found: Any, at: np.ndarray) -> np.ndarray:
        try:
            array = np.asarray(found)
        except ValueError:  # lists of unequal lengths
            array = np.empty(0)
        good = array.dtype.kind in "fiu" and array.shape == np.shape(at)
        if not good or not (np.isfinite(array).all() or not np.isfinite(at).all()):
            raise self._broken(
                f"{method} returned {shown(found)}; expected {len(at)} finite numbers, at "
                f"{np.asarray(at).tolist()}"
            )
        return array.astype(float)

    def _broken(self, what: str) -> PluginError:
        name = self.label if isinstance(self.label, Plugin) else f"penalty {self.label}"
        return PluginError(f"{name} {what}. Choose another penalty, or report this to its authors")


def guarded_penalty(given: Any, argument: str = "penalty") -> GuardedPenalty:
    """Return the penalty of a name, or an object that is one, behind its guard.

    `argument` is what the user gave it by.

    Raises
    ------
    OptionError
        No penalty has that name, or the object is no penalty.
    """
    if isinstance(given, GuardedPenalty):
        return given
    if isinstance(given, str):
        plugin = look_up("penalty", given)
        return GuardedPenalty(plugin.implementation, plugin)
    missing = [m for m in METHODS if not callable(getattr(given, m, None))]
    if missing:
        raise OptionError(
            f"{argument}={given!r} has no {', '.join(missing)}; expected the name of a penalty "
            "(`lmmcore plugins` lists them), a Penalty with bind, value and prox, or, in "
            "fit_regularized, a smooth penalty object with func and deriv"
        )
    return GuardedPenalty(given, type(given).__name__)

"""An optimizer behind a guard: what it raises or returns wrongly names the plugin.

It is handed copies, so that nothing it does to an array reaches the model, and an objective that
counts: a loop that never ends ends in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..errors import LmmcoreError, OptionError, PluginError
from ..extension.protocols import Objective, OptimizeOutcome
from ..linalg.matrices import all_finite
from .manager import look_up
from .plugin import Plugin, shown

MAX_EVALUATIONS = 200_000
MAX_NOT_FINITE = 1_000  # calls in a row with a θ that is not finite


class _Stop(BaseException):
    """Ends an optimizer from inside the objective; ``except Exception`` in its loop does not hold it."""


class GuardedObjective:
    """The objective as an optimizer sees it.

    Arrays in and out are copies. Where θ is not finite the criterion is ``inf``, without asking.

    Parameters
    ----------
    objective : Objective
    size : int
        Number of parameters m.
    label : Plugin
        How messages name the optimizer.
    limit : int
        Calls after which the optimizer is stopped.
    """

    __slots__ = (
        "_before", "_calls", "_label", "_limit", "_not_finite", "_objective", "_size", "best",
        "improvements", "lowest", "ours",
    )  # fmt: skip

    def __init__(self, objective: Objective, size: int, label: Plugin, limit: int) -> None:
        self._objective, self._size, self._label, self._limit = objective, size, label, limit
        self._before = objective.evaluations
        self._calls = self._not_finite = 0
        self.best: np.ndarray | None = None
        self.lowest = math.inf
        self.improvements: list[tuple[int, float]] = []
        self.ours: BaseException | None = None  # raised in here, not by the plugin

    @property
    def evaluations(self) -> int:
        """Evaluations of the criterion since the optimizer started."""
        return self._objective.evaluations - self._before

    @property
    def hessian_is_cheap(self) -> bool:
        """Whether the Hessian costs little beside the gradient; it is then exact."""
        return self._objective.hessian_is_cheap

    def value(self, theta: np.ndarray) -> float:
        """Return the criterion d(θ)."""
        at = self._admit(theta)
        if at is None:
            return math.inf
        try:
            value = self._objective.value(at)
        except Exception as exc:
            self.ours = exc
            raise
        if value < self.lowest:
            self._note(at, value)
        return value

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return d and ∂d/∂θ (m,)."""
        at = self._admit(theta)
        if at is None:
            return math.inf, np.zeros(self._size)
        try:
            value, gradient = self._objective.value_and_gradient(at)
        except Exception as exc:
            self.ours = exc
            raise
        if value < self.lowest:
            self._note(at, value)
        return value, gradient.copy()

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return d, ∂d/∂θ (m,) and the Hessian (m, m)."""
        at = self._admit(theta)
        if at is None:
            return math.inf, np.zeros(self._size), np.eye(self._size)
        try:
            value, gradient, hessian = self._objective.value_gradient_hessian(at)
        except Exception as exc:
            self.ours = exc
            raise
        if value < self.lowest:
            self._note(at, value)
        return value, gradient.copy(), hessian.copy()

    def em_step(self, theta: np.ndarray) -> np.ndarray:
        """Return θ after one step of EM."""
        at = self._admit(theta)
        if at is None:
            return np.full(self._size, np.nan)
        try:
            return self._objective.em_step(at)
        except Exception as exc:
            self.ours = exc
            raise

    def _admit(self, theta: Any) -> np.ndarray | None:
        """Return a copy of θ, None where it is not finite."""
        try:
            at = np.array(theta, dtype=float)
        except (TypeError, ValueError):
            at = np.empty(0)
        if at.shape != (self._size,):
            what = f"evaluated the criterion at {shown(theta)}; expected {self._size} numbers"
            raise self._own(broken(self._label, what))
        self._calls += 1
        if self._calls > self._limit:
            raise self._own(_Stop(f"stopped after max_evaluations={self._limit} evaluations"))
        if all_finite(at):
            self._not_finite = 0
            at.flags.writeable = False  # so that the objective need not copy it again
            return at
        self._not_finite += 1
        if self._not_finite > MAX_NOT_FINITE:
            what = f"evaluated the criterion {MAX_NOT_FINITE} times in a row at a theta that is not finite"
            raise self._own(_Stop(what))
        return None

    def _own(self, exc: BaseException) -> BaseException:
        self.ours = exc
        return exc

    def _note(self, at: np.ndarray, value: float) -> None:
        self.lowest, self.best = value, at
        self.improvements.append((self._calls, value))


class GuardedOptimizer:
    """An `Optimizer` whose outcome is checked.

    It takes one option more than the optimizer, ``max_evaluations`` (200,000): the outcome is then
    the lowest point so far, not converged.
    """

    def __init__(self, plugin: Plugin) -> None:
        self.label = plugin
        self.optimizer = plugin.implementation
        if not callable(getattr(self.optimizer, "minimize", None)):
            raise broken(
                self.label, f"is {shown(self.optimizer)}, which has no method minimize; expected an Optimizer"
            )  # fmt: skip

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        """Return the outcome.

        Raises
        ------
        PluginError
            The optimizer raised, or returned what its contract forbids.
        OptionError
            An option that the optimizer does not know.
        """
        chosen = dict(options)
        limit = chosen.pop("max_evaluations", MAX_EVALUATIONS)
        if not isinstance(limit, (int, np.integer)) or isinstance(limit, bool) or limit < 1:
            raise OptionError(f"max_evaluations={limit!r}; expected a whole number, 1 or more")
        guarded = GuardedObjective(objective, len(start), self.label, int(limit))

        report = None if callback is None else partial(_report, guarded, callback)
        try:
            outcome = self.optimizer.minimize(
                guarded, start.copy(), options=chosen, callback=report
            )
        except _Stop as stop:
            if guarded.best is None:
                raise broken(self.label, f"{stop}, and never found a finite value") from None
            outcome = OptimizeOutcome(guarded.best, False, str(stop), len(guarded.improvements))
        except LmmcoreError:
            raise
        except Exception as exc:
            if exc is guarded.ours:
                raise
            raise broken(self.label, f"raised {type(exc).__name__}: {exc}") from exc
        if not isinstance(outcome, OptimizeOutcome):
            raise broken(self.label, f"returned {shown(outcome)}; expected an OptimizeOutcome")
        return OptimizeOutcome(
            self._theta(outcome.theta, len(start)), bool(outcome.converged), str(outcome.message),
            self._iterations(outcome.iterations), self._path(outcome.path) or guarded.improvements,
            guarded.evaluations,
        )  # fmt: skip

    def _theta(self, theta: Any, size: int) -> np.ndarray:
        try:
            found = np.asarray(theta)
        except ValueError:  # lists of unequal lengths
            found = np.empty(0)
        # float("1") would pass for a number, so the kind is looked at.
        if found.shape != (size,) or found.dtype.kind not in "fiu" or not all_finite(found):
            raise broken(
                self.label, f"returned theta {shown(theta)}; expected {size} finite numbers"
            )
        return found.astype(float)

    def _iterations(self, given: Any) -> int:
        if not isinstance(given, (int, np.integer)) or given < 0:
            raise broken(self.label, f"returned iterations={shown(given)}; expected a whole number")
        return int(given)

    def _path(self, given: Any) -> list[tuple[int, float]]:
        try:
            return [(int(i), float(value)) for i, value in given]
        except (TypeError, ValueError):
            raise broken(
                self.label, f"returned path={shown(given)}; expected a list of (iteration, value)"
            ) from None


def _report(
    guarded: GuardedObjective, callback: Callable[[int, float], None], iteration: int, value: float
) -> None:
    try:
        callback(iteration, value)
    except BaseException as exc:
        guarded.ours = exc  # the user's own, to be shown as it is
        raise


def guarded_optimizer(name: str) -> GuardedOptimizer:
    """Return the optimizer of a name, in upper or lower case."""
    return _guarded(look_up("optimizer", name.lower()))


@lru_cache(maxsize=256)
def _guarded(plugin: Plugin) -> GuardedOptimizer:
    return GuardedOptimizer(plugin)


def broken(label: Plugin, what: str) -> PluginError:
    """Return the error that names an optimizer."""
    return PluginError(f"{label} {what}. Choose another method, or report this to its authors")

"""One run of an optimizer, which ends whatever the optimizer does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import LmmcoreError
from ..extension import OptimizeOutcome
from .objectives import TestObjective, TooMany
from .rules import RuleBroken, require
from .strategies import Problem

LIMIT = 100_000  # evaluations that no optimizer needs for a function of up to three parameters
SECONDS = 30.0  # that no run takes
SWALLOWED = 100  # times that the order to stop is given again


class _Watched(TestObjective):
    """An objective that parks the thread of an optimizer which does not stop."""

    ended: threading.Event

    def _at(self, theta: np.ndarray) -> tuple[np.ndarray, bool]:
        if self.evaluations > self.limit + SWALLOWED:
            self.ended.set()
            threading.Event().wait()  # for ever: nothing that is raised would end it
        return super()._at(theta)


@dataclass(frozen=True, eq=False)
class Run:
    """What an optimizer returned or raised, and the function it was given."""

    found: Any
    raised: BaseException | None
    objective: TestObjective


def run(
    optimizer: Any,
    problem: Problem,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[int, float], None] | None = None,
    **changes: Any,
) -> Run:
    """Run an optimizer in a thread, which is left behind where it does not end.

    Raises
    ------
    RuleBroken
        It does not end ("ends"), or changes what it is given ("purity").
    """
    objective = problem.objective(_Watched, **{"limit": LIMIT, **changes})
    objective.ended = ended = threading.Event()  # type: ignore[attr-defined]
    start, given = np.array(problem.start), dict(options or {})
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["found"] = optimizer.minimize(objective, start, options=given, callback=callback)
        except BaseException as exc:
            box["raised"] = exc
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    in_time = ended.wait(SECONDS)
    raised = box.get("raised")
    words = {} if options is None else {"options": dict(options)}
    at = f"{problem} {words or ''}".strip()
    if not in_time:
        raise RuleBroken(
            "ends",
            f"it did not return within {SECONDS:g} s, after {objective.evaluations} evaluations; expected an "
            f"outcome; {at}",
        )
    if objective.evaluations > objective.limit:
        stopped = isinstance(raised, TooMany)
        raise RuleBroken(
            "ends",
            f"it asked for more than {objective.limit} evaluations"
            + ("" if stopped else ", and swallowed the order to stop, which the criterion raises")
            + f"; expected an outcome; {at}",
        )
    require(
        np.array_equal(start, problem.start) and given == dict(options or {}), "purity",
        f"start and options were changed in place, to {start.tolist()} and {given}",
        f"{list(problem.start)} and {dict(options or {})} as they were", at,
    )  # fmt: skip
    return Run(box.get("found"), raised, objective)


def outcome(
    optimizer: Any, problem: Problem, options: Mapping[str, Any] | None = None, **changes: Any
) -> tuple[OptimizeOutcome, TestObjective]:
    """Return the outcome of a run that must have one.

    Raises
    ------
    RuleBroken
        An exception ("raises"), or something else than an outcome ("outcome").
    LmmcoreError
        The optimizer raised one.
    """
    it = run(optimizer, problem, options, **changes)
    if isinstance(it.raised, LmmcoreError):
        raise it.raised
    if it.raised is not None:
        raise RuleBroken(
            "raises",
            f"minimize raised {type(it.raised).__name__}: {it.raised}; expected an outcome; {problem}",
        ) from it.raised
    found = it.found
    require(
        isinstance(found, OptimizeOutcome), "outcome", f"minimize returned {found!r}",
        "an OptimizeOutcome", problem,
    )  # fmt: skip
    theta = found.theta
    require(
        isinstance(theta, np.ndarray) and theta.shape == (len(problem.start),)
        and theta.dtype == np.float64 and np.isfinite(theta).all(),
        "edge" if "radius" in changes else "outcome", f"theta is {theta!r}",
        f"{len(problem.start)} finite floats", problem,
    )  # fmt: skip
    return found, it.objective


@dataclass(eq=False)
class Case:
    """An optimizer and a function to minimize; it runs once for all rules."""

    optimizer: Any
    problem: Problem

    def __str__(self) -> str:
        return str(self.problem)

    @cached_property
    def first(self) -> tuple[OptimizeOutcome, TestObjective]:
        """Outcome and objective of a run with no options."""
        try:
            return outcome(self.optimizer, self.problem)
        except LmmcoreError as exc:
            raise RuleBroken(
                "raises",
                f"minimize raised {type(exc).__name__}: {exc}; expected an outcome; {self.problem}",
            ) from exc

    def value(self, theta: Any) -> float:
        return self.problem.objective().value(np.asarray(theta, dtype=float))

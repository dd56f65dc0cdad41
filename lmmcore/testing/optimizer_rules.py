"""The rules of an optimizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import LmmcoreError, OptionError
from .objectives import TestObjective
from .optimizer_runs import Case, Run, outcome, run
from .rules import RuleBroken, require
from .strategies import Problem

EXAMPLE = Problem((0.5, -1.0), (4.0, 1.0), (1.5, 1.0), curved=True, seed=1)
FIXED = (
    EXAMPLE,
    Problem((-0.75,), (2.0,), (1.25,), curved=True, seed=2),
    Problem((0.25, 1.0, -0.5), (1.0, 4.0, 9.0), (-0.25, 0.25, 0.5), curved=True, seed=3),
)
SMALL = 1e-6  # above the minimum of zero: reached
LOOSE, TIGHT = 1e-1, 1e-8  # values of the option tol
LEVEL = 100.0


def _outcome(case: Case) -> None:
    found, _ = case.first
    require(
        isinstance(found.converged, (bool, np.bool_)) and isinstance(found.message, str) and found.message,
        "outcome", f"converged and message are {found.converged!r} and {found.message!r}",
        "a bool, and a text that says why it stopped", case,
    )  # fmt: skip


def _iterations(case: Case) -> None:
    found, _ = case.first
    count = found.iterations
    whole = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
    require(
        whole and count >= 0,
        "iterations",
        f"iterations is {count!r}",
        "a whole number, zero or more",
        case,
    )
    moved = not np.array_equal(found.theta, case.problem.start)
    require(
        count > 0 or not moved, "iterations",
        f"iterations is 0 at {found.theta.tolist()}, away from the start",
        "one or more", case,
    )  # fmt: skip


def _path(case: Case) -> None:
    found, objective = case.first
    path: list[tuple[Any, Any]]
    try:
        path = [(i, value) for i, value in found.path]
    except (TypeError, ValueError):
        path = [(None, None)]
    _reports(path, objective, "path", f"path is {found.path!r}", case)
    lowest = min((value for _, value in path), default=math.inf)
    reached = case.value(found.theta)
    require(
        reached <= lowest + SMALL, "path",
        f"the lowest value of path is {lowest:.6g}, and that at the returned theta {reached:.6g}",
        "the lowest point that was found", case,
    )  # fmt: skip


def _reports(
    path: Sequence[tuple[Any, Any]], objective: TestObjective, rule: str, shown: str, case: Case
) -> None:
    """Pairs of an iteration, which never falls, and a value that the function has taken."""
    shown = shown if len(shown) < 400 else shown[:400] + " …"
    pairs = all(
        isinstance(i, (int, np.integer)) and isinstance(v, (float, np.floating)) and np.isfinite(v)
        for i, v in path
    )
    require(pairs, rule, shown, "pairs (iteration, value) of an int and a finite float", case)
    steps = [i for i, _ in path]
    require(
        all(i >= 0 for i in steps) and steps == sorted(steps), rule, shown,
        "iterations of zero or more that do not fall", case,
    )  # fmt: skip
    taken = np.sort(objective.values)
    for i, value in path:
        at = np.searchsorted(taken, value)
        near = taken[max(at - 1, 0) : at + 1]
        require(
            len(near) and np.abs(near - value).min() <= 1e-8 * (1.0 + abs(value)), rule,
            f"iteration {i} reports the value {value!r}, which the criterion never had",
            "values of the criterion", case,
        )  # fmt: skip


def _start(case: Case) -> None:
    _, objective = case.first
    start = np.array(case.problem.start)
    near = any(np.abs(point - start).max() <= 1e-9 for point in objective.points)
    require(
        near, "start", f"the criterion was never asked for at the start {start.tolist()}",
        "a search from there, which ends no higher", case,
    )  # fmt: skip


FORM = (_outcome, _iterations, _path, _start)


def history(optimizer: Any) -> None:
    """The same problem has the same outcome, at once and after others."""
    first, again, last = (outcome(optimizer, EXAMPLE)[0].theta.tolist() for _ in range(3))
    require(
        again == last, "repeatable", f"the same call ended at {again}, and then at {last}",
        "the same twice (seed what is random, remember nothing)", EXAMPLE,
    )  # fmt: skip
    require(
        first == again, "memory", f"after another problem it ended at {first}, and then at {again}",
        "the same, as nothing is remembered from the latest call", EXAMPLE,
    )  # fmt: skip
    before = [outcome(optimizer, problem)[0].theta.tolist() for problem in FIXED]
    for problem, told in reversed(list(zip(FIXED, before))):
        try:
            now: Any = outcome(optimizer, problem)[0].theta.tolist()
        except RuleBroken as exc:
            now = exc
        require(
            now == told, "memory", f"after another problem it ends at {now}",
            f"{told} as before: nothing is remembered from the latest call", problem,
        )  # fmt: skip


def _descent(case: Case) -> None:
    found, _ = case.first
    reached, start = case.value(found.theta), case.value(case.problem.start)
    require(
        reached <= start + 1e-12 * (1.0 + start), "descent",
        f"it ends at {found.theta.tolist()} with {reached:.6g}, above the start's {start:.6g}",
        "a value no higher", case,
    )  # fmt: skip


def _honesty(case: Case) -> None:
    found, _ = case.first
    reached = case.value(found.theta)
    require(
        reached <= SMALL or not found.converged, "honesty",
        f"converged is True at {found.theta.tolist()} with value {reached:.3g}",
        "False, as the minimum is 0", case,
    )  # fmt: skip


def _minimum(case: Case) -> None:
    found, _ = case.first
    reached = case.value(found.theta)
    require(
        reached <= SMALL, "minimum",
        f"it stops at {found.theta.tolist()} with value {reached:.3g}: {found.message!r}",
        "the minimum, which is 0", case,
    )  # fmt: skip


def _edge(case: Case) -> None:
    """The function is not finite beyond a radius that holds start and minimum."""
    away = np.subtract(case.problem.start, case.problem.minimum)
    radius = 1.2 * float(np.sqrt(away @ away)) + 0.3
    try:
        outcome(case.optimizer, case.problem, radius=radius)
    except LmmcoreError:
        return  # in words: it cannot go on
    except RuleBroken as exc:
        raise RuleBroken(
            exc.rule,
            f"{exc.message}, where the function is not finite beyond {radius:.3g} from its minimum",
        ) from exc


def _callback(case: Case) -> None:
    seen: list[tuple[Any, Any]] = []
    it = run(case.optimizer, case.problem, callback=lambda i, value: seen.append((i, value)))
    start = case.value(case.problem.start)
    if start >= 1e-3:  # else there may be nothing to do
        require(seen, "callback", "callback was never called", "a call in each iteration", case)
    shown = f"callback was given {seen[:8]}{' …' if len(seen) > 8 else ''}"
    _reports(seen, it.objective, "callback", shown, case)
    require(
        not seen or (seen[0][0] == 0 and abs(seen[0][1] - start) <= 1e-8 * (1.0 + start)), "callback", shown,
        f"(0, {start:.6g}) first: the start", case,
    )  # fmt: skip
    if start >= 1e-2:
        count = it.found.iterations
        require(
            count < 4 or len(seen) >= 3, "callback", f"{shown}, and iterations is {count}",
            "a call at the start and after each iteration", case,
        )  # fmt: skip
        lowest = min(value for _, value in seen)
        require(
            lowest <= 0.9 * start, "callback", f"{shown}, of which the lowest is {lowest:.6g}",
            f"values on the way from {start:.6g} to {case.first[1].values and min(case.first[1].values):.6g}",
            case,
        )  # fmt: skip


MEANING = (_descent, _honesty, _minimum, _edge, _callback)


def converged(optimizer: Any) -> None:
    """Where the minimum is reached, converged is True at least once."""
    ends = [outcome(optimizer, problem)[0] for problem in FIXED]
    require(
        any(found.converged for found in ends), "converged",
        f"converged is False at the minimum of each of {len(FIXED)} functions: {ends[0].message!r}",
        "True where the optimizer's own criterion holds", EXAMPLE,
    )  # fmt: skip


def interrupt(optimizer: Any) -> None:
    """What callback and criterion raise comes out as it is."""

    class Stop(Exception):
        pass

    for error in (Stop("by the user"), KeyboardInterrupt("by the user")):
        for number in (1, 2):  # the first call may stand outside a loop
            calls: list[int] = []

            def stop(
                iteration: int, value: float, error: BaseException = error, number: int = number,
                calls: list[int] = calls,
            ) -> None:  # fmt: skip
                calls.append(iteration)
                if len(calls) >= number:
                    raise error

            it = run(optimizer, EXAMPLE, callback=stop)
            if len(calls) >= number:
                _passed(it, error, "callback" if number == 1 else "callback in its second call")
        it = run(optimizer, EXAMPLE, error=error)
        if it.objective.evaluations >= 3:
            _passed(it, error, "criterion")


def _passed(it: Run, error: BaseException, where: str) -> None:
    if it.raised is error:
        return
    found = "was swallowed" if it.raised is None else f"came out as {it.raised!r}"
    raise RuleBroken(
        "interrupt",
        f"{type(error).__name__}, raised by the {where}, {found}; expected it to pass; {EXAMPLE}",
    )


def options(optimizer: Any) -> None:
    """Unknown ones are refused; maxiter and tol are taken, and do something."""
    it = run(optimizer, EXAMPLE, {"no such option": 1})
    require(
        isinstance(it.raised, OptionError), "options",
        f"an unknown option gave {it.raised!r}" if it.raised else "an unknown option was accepted",
        "an OptionError (see take_options)", "options = {'no such option': 1}",
    )  # fmt: skip
    for given in ({"maxiter": 50}, {"tol": TIGHT}, {"maxiter": 50, "tol": TIGHT}):
        try:
            outcome(optimizer, EXAMPLE, given)
        except (LmmcoreError, RuleBroken) as exc:
            if isinstance(exc, RuleBroken) and exc.rule not in ("raises", "outcome"):
                raise
            raise RuleBroken(
                "options",
                f"the options {given} were refused: {exc}; expected every optimizer to take them",
            ) from exc
    _maxiter(optimizer)
    _tol(optimizer)


def _maxiter(optimizer: Any) -> None:
    problem = FIXED[-1]
    full = outcome(optimizer, problem)[1].evaluations
    found, objective = outcome(optimizer, problem, {"maxiter": 1})
    reached = problem.objective().value(found.theta)
    require(
        objective.evaluations < full, "maxiter",
        f"it took {objective.evaluations} evaluations with maxiter=1, and {full} without",
        "fewer", problem,
    )  # fmt: skip
    require(
        reached <= 1e-2 or not found.converged, "maxiter",
        f"converged is True with maxiter=1 at value {reached:.3g}", "False, as the minimum is 0", problem,
    )  # fmt: skip


def _tol(optimizer: Any) -> None:
    # A criterion is not zero at its minimum: tol may be relative to it.
    ends = [
        [outcome(optimizer, problem, {"tol": tol}, level=LEVEL) for problem in FIXED]
        for tol in (LOOSE, TIGHT)
    ]
    told = [[(found.theta.tolist(), o.evaluations) for found, o in end] for end in ends]
    require(
        told[0] != told[1], "tol", f"with tol={LOOSE} and tol={TIGHT} it ends at {told[0]}",
        "an effect on where it stops", f"{len(FIXED)} functions",
    )  # fmt: skip
    high = [p.objective().value(found.theta) for p, (found, _) in zip(FIXED, ends[1])]
    require(
        max(high) <= 1e-3, "tol", f"with tol={TIGHT} it reaches the values {high}", "the minimum, 0",
        f"{len(FIXED)} functions",
    )  # fmt: skip


def not_finite(optimizer: Any) -> None:
    """A start at which the function is not finite."""
    at = f"{EXAMPLE}, not finite at the start"
    it = run(optimizer, EXAMPLE, radius=0.1)
    if isinstance(it.raised, LmmcoreError):
        return
    require(
        it.raised is None, "nan", f"minimize raised {type(it.raised).__name__}: {it.raised}",
        "converged = False, or an error of lmmcore", at,
    )  # fmt: skip
    try:
        theta = np.asarray(getattr(it.found, "theta", np.nan), dtype=float)
    except (TypeError, ValueError):
        theta = np.full(2, np.nan)
    if theta.shape == (2,) and math.isfinite(it.objective.value(theta)):
        return
    require(
        not getattr(it.found, "converged", True), "nan", f"the outcome is {it.found!r}",
        "converged = False, or an error of lmmcore", at,
    )  # fmt: skip

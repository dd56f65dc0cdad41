"""Conformance of an optimizer: the rules of `lmmcore.extension.Optimizer`."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

from ..errors import LmmcoreError, OptionError
from ..extension import OptimizeOutcome
from .check_covariance import RuleBroken, _require
from .objectives import TestObjective, TooMany
from .strategies import Problem, problems

LIMIT = 100_000  # evaluations that no optimizer needs for a function of up to three parameters


def _run(
    optimizer: Any,
    problem: Problem,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[int, float], None] | None = None,
    **changes: Any,
) -> tuple[Any, TestObjective]:
    """Run an optimizer; an exception that is not lmmcore's is the rule "raises"."""
    objective = problem.objective(**{"limit": LIMIT, **changes})
    start = np.array(problem.start)
    try:
        found = optimizer.minimize(objective, start, options=dict(options or {}), callback=callback)
    except TooMany:
        raise RuleBroken("ends", f"more than {LIMIT} evaluations; {problem}") from None
    except (LmmcoreError, RuleBroken):
        raise
    except Exception as exc:
        raise RuleBroken("raises", f"{type(exc).__name__}: {exc}; {problem}") from exc
    return found, objective


def _outcome(optimizer: Any, problem: Problem) -> None:
    found, _ = _run(optimizer, problem)
    _require(
        isinstance(found, OptimizeOutcome), "outcome",
        f"minimize returned {found!r}; expected an OptimizeOutcome; {problem}",
    )  # fmt: skip
    theta = found.theta
    _require(
        isinstance(theta, np.ndarray) and theta.shape == (len(problem.start),)
        and theta.dtype == np.float64 and np.isfinite(theta).all(),
        "outcome", f"theta = {theta!r}; expected {len(problem.start)} finite floats; {problem}",
    )  # fmt: skip
    _require(
        isinstance(found.converged, (bool, np.bool_)) and isinstance(found.message, str)
        and isinstance(found.iterations, (int, np.integer)),
        "outcome",
        f"converged, message, iterations = {found.converged!r}, {found.message!r}, "
        f"{found.iterations!r}; expected bool, str and int",
    )  # fmt: skip
    path = [math.isfinite(value) and i >= 0 for i, value in found.path]
    _require(all(path), "outcome", f"path = {found.path!r}; expected (iteration, value); {problem}")


def _minimum(optimizer: Any, problem: Problem) -> None:
    found, objective = _run(optimizer, problem)
    reached, start = objective.value(found.theta), objective.value(np.array(problem.start))
    _require(
        reached <= start + 1e-12 * (1.0 + start), "descent",
        f"it ends at {found.theta.tolist()} with {reached:.6g}, above the start's {start:.6g}; {problem}",
    )  # fmt: skip
    good = reached <= 1e-6
    _require(
        good or not found.converged, "honesty",
        f"converged is True at {found.theta.tolist()} with value {reached:.3g}, where the minimum is 0; "
        f"{problem}",
    )  # fmt: skip
    _require(
        good, "minimum",
        f"it stops at {found.theta.tolist()} with value {reached:.3g}, where the minimum is 0: "
        f"{found.message!r}; {problem}",
    )  # fmt: skip


def _purity(optimizer: Any, problem: Problem) -> None:
    objective, start, options = (
        problem.objective(limit=LIMIT),
        np.array(problem.start),
        {"maxiter": 200},
    )
    first = optimizer.minimize(objective, start, options=options, callback=None)
    _require(
        np.array_equal(start, problem.start) and options == {"maxiter": 200}, "purity",
        f"an argument was changed in place: start = {start.tolist()}, options = {options}; {problem}",
    )  # fmt: skip
    again, _ = _run(optimizer, problem, {"maxiter": 200})
    _require(
        np.array_equal(first.theta, again.theta), "purity",
        f"not the same twice: {first.theta.tolist()} and {again.theta.tolist()}; {problem}",
    )  # fmt: skip


def _edge(optimizer: Any, problem: Problem) -> None:
    """The function is not finite beyond a radius that holds start and minimum."""
    away = np.subtract(problem.start, problem.minimum)
    radius = 1.05 * float(np.sqrt(away @ away)) + 1e-3
    try:
        found, _ = _run(optimizer, problem, radius=radius)
    except LmmcoreError:
        return  # in words: it cannot go on
    theta = np.asarray(getattr(found, "theta", None), dtype=float)
    _require(
        theta.shape == (len(problem.start),) and np.isfinite(theta).all(), "edge",
        f"theta = {theta.tolist()} where the function is not finite beyond {radius:.3g} from its minimum; "
        f"{problem}",
    )  # fmt: skip


def _callback(optimizer: Any, problem: Problem) -> None:
    seen: list[tuple[Any, Any]] = []
    _, objective = _run(optimizer, problem, callback=lambda i, value: seen.append((i, value)))
    if objective.value(np.array(problem.start)) < 1e-3:
        return  # there may be nothing to do
    _require(seen, "callback", f"callback was never called; {problem}")
    numbers = all(
        isinstance(i, (int, np.integer)) and isinstance(v, (float, np.floating)) for i, v in seen
    )
    _require(
        numbers, "callback", f"callback was given {seen[0]!r}; expected (int, float); {problem}"
    )

    class Stop(Exception):
        pass

    def stop(iteration: int, value: float) -> None:
        raise Stop

    try:
        optimizer.minimize(
            problem.objective(limit=LIMIT), np.array(problem.start), options={}, callback=stop
        )
    except Stop:
        return
    except Exception as exc:
        raise RuleBroken("callback", f"an error of the callback came out as {exc!r}") from exc
    raise RuleBroken("callback", f"an error of the callback was swallowed; {problem}")


EXAMPLE = Problem((0.5, -1.0), (4.0, 1.0), (1.5, 1.0), curved=True, seed=1)


def _options(optimizer: Any) -> None:
    try:
        _run(optimizer, EXAMPLE, {"no such option": 1})
    except OptionError:
        pass
    except RuleBroken as exc:
        raise RuleBroken(
            "options", f"an unknown option gave {exc}; expected an OptionError"
        ) from exc
    else:
        raise RuleBroken("options", "an unknown option was accepted; expected an OptionError")
    for given_ in ({"maxiter": 1000}, {"tol": 1e-8}, {"maxiter": 1000, "tol": 1e-8}):
        try:
            found, objective = _run(optimizer, EXAMPLE, given_)
        except (OptionError, RuleBroken) as exc:
            raise RuleBroken("options", f"the options {given_} were refused: {exc}") from exc
        reached = objective.value(found.theta)
        _require(
            reached <= 1e-3, "options", f"with options {given_} it reaches {reached:.3g}, not 0"
        )
    found, objective = _run(optimizer, EXAMPLE, {"maxiter": 1})
    full = _run(optimizer, EXAMPLE)[1].evaluations
    reached = objective.value(found.theta)
    _require(
        objective.evaluations < full or reached <= 1e-6 or not found.converged, "options",
        f"maxiter=1 changes nothing: {objective.evaluations} evaluations, value {reached:.3g}",
    )  # fmt: skip


def _not_finite(optimizer: Any) -> None:
    """A start at which the function is not finite."""
    try:
        found, objective = _run(optimizer, EXAMPLE, radius=0.1)
    except LmmcoreError:
        return
    except RuleBroken as exc:
        rule = exc.rule
        raise RuleBroken(
            "nan" if rule == "raises" else rule, f"where nothing is finite: {exc}"
        ) from exc
    if isinstance(found, OptimizeOutcome) and math.isfinite(objective.value(found.theta)):
        return
    _require(
        not getattr(found, "converged", True), "nan",
        f"the function is not finite at the start, and the outcome is {found!r}; expected converged "
        "= False or an error of lmmcore",
    )  # fmt: skip


def _copies(optimizer: Any) -> None:
    try:
        other = pickle.loads(pickle.dumps(optimizer))
    except Exception as exc:
        raise RuleBroken("pickling", f"{type(exc).__name__}: {exc}") from exc
    same = np.array_equal(_run(other, EXAMPLE)[0].theta, _run(optimizer, EXAMPLE)[0].theta)
    _require(same, "pickling", "a copy by pickle ends elsewhere")


def _threads(optimizer: Any) -> None:
    starts = [(1.5 + 0.1 * i, 1.0) for i in range(4)]
    tasks = [Problem(EXAMPLE.minimum, EXAMPLE.eigenvalues, s, True, 1) for s in starts]
    alone = [_run(optimizer, task)[0].theta for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda task: _run(optimizer, task, pause=1e-3)[0].theta, tasks)
        together = list(found)
    same = all(np.array_equal(a, b) for a, b in zip(alone, together))
    _require(same, "threads", "it ends elsewhere when several threads use it at once")


_RULES = (_outcome, _minimum, _purity, _edge, _callback)
_ONCE = (_options, _not_finite, _copies, _threads)


def check_optimizer(optimizer: Any, max_examples: int = 15) -> None:
    """Check an `Optimizer` against every rule of its protocol.

    The functions that it must minimise are smooth and convex with one to three parameters and a condition
    of at most 30: no search for several optima is asked for.

    Parameters
    ----------
    optimizer : Optimizer
    max_examples : int
        Problems drawn for each rule.

    Raises
    ------
    RuleBroken
        Names the rule (raises, ends, outcome, descent, honesty, minimum, purity, edge, callback, options,
        nan, pickling, threads) and shows the smallest problem that Hypothesis found.
    """
    _run(optimizer, EXAMPLE)  # first: one that never ends is not tried on many problems
    for rule in _RULES:
        _draw(optimizer, rule, max_examples)
    for once in _ONCE:
        once(optimizer)


def _draw(optimizer: Any, rule: Callable[[Any, Problem], None], max_examples: int) -> None:
    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(problems())
    def drawn(problem: Problem) -> None:
        rule(optimizer, problem)

    drawn()

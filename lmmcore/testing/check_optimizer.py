"""Conformance of an optimizer: the rules of `lmmcore.extension.Optimizer`."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from .optimizer_rules import (
    EXAMPLE,
    FIXED,
    FORM,
    MEANING,
    converged,
    history,
    interrupt,
    not_finite,
    options,
)
from .optimizer_runs import Case, outcome
from .rules import RuleBroken, copies, global_state_kept, hold, require_methods, threads
from .strategies import Problem, problems

__all__ = ["EXAMPLE", "RuleBroken", "check_optimizer"]


def check_optimizer(optimizer: Any, max_examples: int = 15) -> None:
    """Check an `Optimizer` against every rule of its protocol.

    The optimizer must minimize smooth convex functions with one to three parameters and a condition
    number of at most 30, so it need not search for several optima. Each run has its own thread, so the
    check ends even if a run does not.

    Parameters
    ----------
    optimizer : Optimizer
    max_examples : int
        Number of problems to draw.

    Raises
    ------
    RuleBroken
        The optimizer breaks a rule. The error names the first one, of methods, ends, purity, raises,
        outcome, iterations, path, start, repeatable, memory, descent, honesty, minimum, edge, callback,
        converged, interrupt, options, maxiter, tol, nan, pickling, threads, global state, and shows the
        smallest problem that Hypothesis found.
    """
    require_methods(optimizer, ("minimize",), "an Optimizer")
    cases = [st.builds(lambda problem: Case(optimizer, problem), problems())]
    with global_state_kept(EXAMPLE):
        for problem in FIXED:  # first: one that never ends is not tried on many problems
            for rule in FORM:
                rule(Case(optimizer, problem))
        hold(cases, FORM, max_examples)
        history(optimizer)
        hold(cases, MEANING, max_examples)
        for problem in FIXED:  # some rules say nothing where few iterations suffice
            for rule in MEANING:
                rule(Case(optimizer, problem))
        for once in (converged, interrupt, options, not_finite):
            once(optimizer)
        copies(optimizer, _tell)
        starts = [(1.5 + 0.1 * i, 1.0) for i in range(4)]
        tasks = [Problem(EXAMPLE.minimum, EXAMPLE.eigenvalues, s, True, 1) for s in starts]
        threads([partial(_tell, optimizer, task) for task in tasks], EXAMPLE)


def _tell(optimizer: Any, problem: Problem = EXAMPLE) -> list[float]:
    """Return where it ends; the function is slow enough for threads to meet."""
    found, _ = outcome(optimizer, problem, pause=1e-3)
    return found.theta.tolist()

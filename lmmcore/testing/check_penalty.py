"""Conformance of a penalty: the rules of `lmmcore.extension.Penalty`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..errors import LmmcoreError
from ..extension import Coefficients
from .penalty_rules import RULES, Case, bad_input, bind, example, history, must_bind
from .penalty_shape import concavity, divergence
from .rules import RuleBroken, copies, global_state_kept, hold, require_methods, threads

__all__ = ["RuleBroken", "check_penalty"]


def check_penalty(penalty: Any, sizes: Sequence[int] = (1, 2, 7), max_examples: int = 25) -> None:
    """Check a `Penalty` against every rule of its protocol.

    Parameters
    ----------
    penalty : Penalty
        The object that would be registered, not bound to coefficients.
    sizes : sequence of int
        Numbers of coefficients to try.
    max_examples : int
        Number of cases to draw for each size: points, strengths, steps, weights, groups and curvatures.

    Raises
    ------
    RuleBroken
        The penalty breaks a rule. The error names the first one, of methods, raises, purity, bind,
        concavity, shape, repeatable, memory, finite, zero, strength, weights, prox, nonexpansive,
        derivative, kkt, blockwise, degrees of freedom, pickling, threads, bad input, global state, and
        shows the smallest case that Hypothesis found.
    """
    require_methods(penalty, ("bind", "value", "prox"), "a Penalty")
    with global_state_kept(f"class {type(penalty).__name__}"):
        history(penalty)
        hold([_cases(penalty, p) for p in sizes], RULES, max_examples)
        case = example(penalty)
        concavity(case)
        divergence(case)
        copies(case.penalty, lambda other: replace(case, penalty=other).tell())
        points = [case.at(case.point * (1.0 + 0.1 * i)) for i in range(8)]
        threads([point.tell for point in points], case)
        bad_input(case)


@st.composite
def _cases(draw: st.DrawFn, penalty: Any, p: int) -> Case:
    numbers = st.floats(-3, 3).map(lambda x: round(x, 2))
    positive = st.floats(0.1, 3).map(lambda x: round(x, 2))

    def vector(of: st.SearchStrategy[float]) -> np.ndarray:
        return np.array(draw(st.lists(of, min_size=p, max_size=p)), dtype=float)

    weights = vector(st.one_of(st.just(1.0), st.just(0.0), positive))
    groups = np.cumsum([0] + [int(draw(st.booleans())) for _ in range(p - 1)])
    if draw(st.booleans()):  # groups of one weight each, with one of weight zero now and then
        weights = weights[groups]
    of = Coefficients(
        tuple(f"x{j}" for j in range(p)), weights, groups, vector(positive), vector(numbers)
    )
    try:
        found = bind(penalty, of)
    except LmmcoreError:  # weights that it cannot take; those of zero and one it must
        of = replace(of, weights=(weights > 0).astype(float))
        found = must_bind(penalty, of)
    step = draw(positive) / (1.0 + 4.0 * float(found.concavity))
    return Case(found, of, vector(numbers), draw(positive), step)

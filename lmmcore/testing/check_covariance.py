"""Conformance of a covariance structure: the rules of `lmmcore.extension.CovarianceStructure`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .covariance_rules import FORM, MEANING, Member, bind, generic, history, not_a_number, once
from .description_rules import DESCRIPTION
from .rules import (
    RuleBroken,
    bound,
    call,
    copies,
    global_state_kept,
    hold,
    require,
    require_methods,
    threads,
)

__all__ = ["RuleBroken", "check_covariance"]

METHODS = (
    "n_parameters", "parameters", "factor", "factor_derivative", "factor_second_derivative", "describe"
)  # fmt: skip


def check_covariance(
    structure: Any,
    sizes: Sequence[int] = (1, 2, 3, 4),
    names: Callable[[int], Sequence[str]] | None = None,
    max_examples: int = 25,
) -> None:
    """Check a `CovarianceStructure` against every rule of its protocol.

    Parameters
    ----------
    structure : CovarianceStructure
    sizes : sequence of int
        Numbers of columns to try.
    names : callable, optional
        Returns names for k columns, for a structure with ``bind``.
    max_examples : int
        Number of θ to draw for each size.

    Raises
    ------
    RuleBroken
        The structure breaks a rule. The error names the first one, of methods, raises, purity, bind,
        shape, finite, repeatable, memory, derivative, second derivative, parameters, boundary,
        closed_under, non-member, idle, rank, describe, pickling, threads, nan, global state, and shows
        the smallest θ that Hypothesis found.
    """
    require_methods(structure, METHODS, "a CovarianceStructure")
    first = [_member(structure, k, names or _names) for k in sizes]
    with global_state_kept("; ".join(map(str, first))):
        drawn = [_members(member) for member in first]
        hold(drawn, FORM, max_examples)
        if hasattr(structure, "bind"):
            bind(structure, first)
        for member in first:
            history(member.at(member.theta, first))
        hold(drawn, MEANING, max_examples)
        for member in first:
            once(member)
        hold(drawn, DESCRIPTION, max(5, max_examples // 3))
        for member in first:
            copies(member.structure, member.tell_of)
            points = [member.at(member.theta * (1.0 + 0.1 * i)) for i in range(8)]
            threads([point.tell for point in points], member)
            not_a_number(member)


def _names(k: int) -> list[str]:
    return [f"x[{i}]" for i in range(k)]


def _member(structure: Any, k: int, names: Callable[[int], Sequence[str]]) -> Member:
    at = f"k = {k}"
    shown = tuple(names(k))
    if hasattr(structure, "bind"):
        structure = bound(structure, shown, f"names = {shown}")
        require_methods(structure, METHODS, "a CovarianceStructure")
    m = call(structure, "n_parameters", k, at=at)
    require(
        isinstance(m, (int, np.integer)) and not isinstance(m, bool) and m >= 0, "shape",
        f"n_parameters({k}) returned {m!r}", "a whole number", at,
    )  # fmt: skip
    return Member(structure, k, shown, generic(int(m)))


def _members(member: Member) -> st.SearchStrategy[Member]:
    """Draw θ."""
    m = len(member.theta)
    drawn = st.floats(-1.25, 1.25).map(lambda x: round(x, 3))
    return st.builds(
        lambda values: member.at(np.array(values, dtype=float)),
        st.lists(drawn, min_size=m, max_size=m),
    )

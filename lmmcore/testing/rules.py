"""Common parts of all checks: the error, monitored calls, the search for the first broken rule.

A rule is a function of a case, which is a plugin with an input. It raises `RuleBroken`. Hypothesis draws
the cases.
"""

from __future__ import annotations

import pickle
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

SHRINKING = 5.0  # seconds in which a smaller case is looked for

Rule = Callable[[Any], None]


class RuleBroken(AssertionError):
    """A plugin broke a rule of its protocol.

    Attributes
    ----------
    rule : str
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"[{rule}] {message}")
        self.rule, self.message = rule, message


class _Enough(BaseException):
    """Ends a run of Hypothesis at the last failure."""


def require(holds: Any, rule: str, found: str, expected: str, at: object) -> None:
    """Raise `RuleBroken` unless something holds; `at` is shown as the case."""
    if not holds:
        raise RuleBroken(rule, f"{found}; expected {expected}; {at}")


def call(plugin: Any, method: str, *arguments: Any, at: object) -> Any:
    """Call a method of a plugin.

    Raises
    ------
    RuleBroken
        It raised ("raises"), or changed an array that it was given, or returned that very array ("purity").
    """
    handed = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
    try:
        found = getattr(plugin, method)(*handed)
    except Exception as exc:
        raise RuleBroken(
            "raises", f"{method} raised {type(exc).__name__}: {exc}; expected a result; {at}"
        ) from exc
    for given_, left in zip(arguments, handed):
        if not isinstance(given_, np.ndarray):
            continue
        if given_.tobytes() != left.tobytes():
            raise RuleBroken(
                "purity",
                f"{method} changed its argument from {given_.tolist()} to {left.tolist()}; expected the "
                f"argument as it was; {at}",
            )
        if isinstance(found, np.ndarray) and np.may_share_memory(found, left):
            raise RuleBroken(
                "purity",
                f"{method} returned its argument or a view of it; expected an array of its own; {at}",
            )
    return found


def bound(plugin: Any, to: Any, at: object) -> Any:
    """Return what a plugin's `bind` gives; the one it is called on must stay as it is ("bind")."""
    before = state(plugin)
    found = call(plugin, "bind", to, at=at)
    require(
        state(plugin) == before, "bind",
        f"bind changed the object it is called on, which now has {getattr(plugin, '__dict__', {})}",
        "a new object, and the old one as it was", at,
    )  # fmt: skip
    return found


def require_methods(plugin: Any, names: Sequence[str], kind: str) -> None:
    """Raise `RuleBroken` where a plugin lacks a method."""
    missing = [name for name in names if not callable(getattr(plugin, name, None))]
    require(
        not missing, "methods", f"{plugin!r} has no {', '.join(missing)}", f"all methods of {kind}",
        f"class {type(plugin).__name__}",
    )  # fmt: skip


def numbers(found: Any) -> np.ndarray | None:
    """Return an array of floats, None where something is no array of real numbers."""
    try:
        array = np.asarray(found)
    except ValueError:  # lists of unequal lengths
        return None
    return array.astype(float) if array.dtype.kind in "fiu" else None


def hold(
    strategies: Sequence[st.SearchStrategy[Any]], rules: Sequence[Rule], max_examples: int
) -> None:
    """Try rules on drawn cases; report the first rule that is broken, with its smallest case.

    Parameters
    ----------
    strategies : sequence of strategy
        Of cases of different sizes.
    rules : sequence of callable
    max_examples : int
        Cases drawn of each strategy.
    """
    first: tuple[int, st.SearchStrategy[Any], RuleBroken] | None = None
    for cases in strategies:

        def all_rules(case: Any, cases: st.SearchStrategy[Any] = cases) -> None:
            nonlocal first
            for i, rule in enumerate(rules[: first[0]] if first else rules):
                try:
                    rule(case)
                except RuleBroken as exc:
                    first = i, cases, exc
                    return

        _draw(cases, all_rules, max_examples)
    if first is not None:
        i, cases, found = first
        _raise_smallest(cases, rules[i], max_examples)
        raise _not_the_same(found)


def _raise_smallest(cases: st.SearchStrategy[Any], rule: Rule, max_examples: int) -> None:
    """Raise what a rule says of the smallest case that is found in a few seconds."""
    failures: list[RuleBroken] = []
    ends = 0.0

    def one_rule(case: Any) -> None:
        nonlocal ends
        try:
            rule(case)
        except RuleBroken as exc:
            failures.append(exc)
            ends = ends or time.monotonic() + SHRINKING
            if time.monotonic() > ends:
                raise _Enough from None
            raise

    try:
        _draw(cases, one_rule, max_examples)
    except _Enough:
        raise failures[-1] from failures[-1].__cause__
    except RuleBroken as exc:
        exc.__notes__ = []  # Hypothesis' own words on how to repeat it
        raise
    except Flaky:
        raise _not_the_same(failures[-1]) from None


def _draw(cases: st.SearchStrategy[Any], use: Callable[[Any], None], max_examples: int) -> None:
    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(cases)
    def drawn(case: Any) -> None:
        use(case)

    drawn()


def _not_the_same(found: RuleBroken) -> RuleBroken:
    return RuleBroken(
        "repeatable",
        f"a rule was broken once, and kept when it was tried again with the same input; expected the same "
        f"result every time; it was {found}",
    )


# Rules for any plugin: `tell` returns arrays and numbers that tell all that a plugin says of a case.


def plain(told: Any) -> Any:
    """Return lists in place of arrays, so that two tellings can be compared and shown."""
    if isinstance(told, (np.ndarray, np.generic)):
        return told.tolist()
    if isinstance(told, dict):
        return {key: plain(value) for key, value in told.items()}
    return [plain(x) for x in told] if isinstance(told, (list, tuple)) else told


def same(one: Any, other: Any) -> bool:
    """Whether two tellings are equal to the last bit; NaN is equal to NaN."""
    return repr(plain(one)) == repr(plain(other))


def state(plugin: Any) -> Any:
    """Return what the attributes of a plugin hold, in a form that can be compared."""
    held = getattr(plugin, "__dict__", {})
    try:
        return pickle.dumps(held)
    except Exception:  # another rule
        return repr(held)


def copies(plugin: Any, tell: Callable[[Any], Any]) -> None:
    """A copy by pickle says the same."""
    try:
        other = pickle.loads(pickle.dumps(plugin))
    except Exception as exc:
        raise RuleBroken(
            "pickling", f"{type(exc).__name__}: {exc}; expected a plugin that pickle can copy"
        ) from exc
    mine, its = tell(plugin), tell(other)
    require(
        same(mine, its), "pickling", f"a copy by pickle gives {its}", f"{mine}, as the plugin gives",
        f"class {type(plugin).__name__}",
    )  # fmt: skip


def threads(tells: Sequence[Callable[[], Any]], at: object) -> None:
    """Several threads at once hear what each hears alone."""
    separately = [tell() for tell in tells]
    # catch_warnings is not safe in threads before Python 3.14: the filters can stay changed without a fault.
    with warnings.catch_warnings(), ThreadPoolExecutor(len(tells)) as pool:
        together = list(pool.map(lambda tell: tell(), tells))
    for one, other in zip(separately, together):
        require(
            same(one, other), "threads", f"called by {len(tells)} threads at once it gives {other}",
            f"{one}, as when called alone", at,
        )  # fmt: skip


@contextmanager
def global_state_kept(at: object) -> Iterator[None]:
    """Global state is left as it is: the generators of random numbers, numpy's error handling, warnings.

    The generators start from states that nobody seeds them with, and are given back as they were.
    """
    legacy, plain = np.random.get_state(legacy=True), random.getstate()  # noqa: NPY002
    np.random.seed()  # noqa: NPY002
    random.seed()
    before = _global_state()
    try:
        yield
        after = _global_state()
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(plain)
    for what, now in after.items():
        require(
            same(now, before[what]), "global state", f"{what} was changed",
            "it as it was: draw from a generator of your own, np.random.default_rng(seed), and change "
            "errors and warnings in a `with` block", at,
        )  # fmt: skip


def _global_state() -> dict[str, Any]:
    return {
        "the state of np.random": np.random.get_state(legacy=True),  # noqa: NPY002
        "the state of random": random.getstate(),
        "np.geterr()": np.geterr(),
        "warnings.filters": [str(f) for f in warnings.filters],
    }

"""Conformance of a covariance structure: the rules of `lmmcore.extension.CovarianceStructure`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class RuleBroken(AssertionError):
    """A plugin broke a rule of its protocol.

    Attributes
    ----------
    rule : str
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"[{rule}] {message}")
        self.rule = rule


def _require(holds: Any, rule: str, message: str) -> None:
    if not holds:
        raise RuleBroken(rule, message)


def _shapes(s: Any, theta: np.ndarray, k: int) -> None:
    m = s.n_parameters(k)
    _require(
        isinstance(m, (int, np.integer)) and m == len(theta), "shape", f"n_parameters({k}) = {m!r}"
    )
    root = np.asarray(s.factor(theta, k))
    where = f"k = {k}, θ = {theta.tolist()}"
    _require(
        root.ndim == 2 and root.shape[0] == k, "shape", f"factor has shape {root.shape}; {where}"
    )
    _require(
        root.dtype == np.float64 and np.isfinite(root).all(), "finite", f"factor: {root}; {where}"
    )
    slope = np.asarray(s.factor_derivative(theta, k))
    _require(
        slope.shape == (m, *root.shape), "shape",
        f"factor_derivative has shape {slope.shape}, expected {(m, *root.shape)}; {where}",
    )  # fmt: skip
    second = s.factor_second_derivative(theta, k)
    if second is not None:
        _require(
            np.shape(second) == (m, m, *root.shape), "shape",
            f"factor_second_derivative has shape {np.shape(second)}; {where}",
        )  # fmt: skip


def _differences(
    call: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, step: float
) -> np.ndarray:
    """Return derivatives by central differences of fourth order.

    The steps are small for the sake of structures whose second derivative jumps, as a spherical one's does.
    """
    out = []
    for i in range(len(theta)):
        h = np.zeros(len(theta))
        h[i] = step
        near, far = call(theta + h) - call(theta - h), call(theta + 2 * h) - call(theta - 2 * h)
        out.append((8 * near - far) / (12 * step))
    return np.array(out)


def _derivative(s: Any, theta: np.ndarray, k: int) -> None:
    slope = np.asarray(s.factor_derivative(theta, k))
    expected = _differences(lambda t: np.asarray(s.factor(t, k)), theta, 5e-7)
    size = 1.0 + np.abs(expected).max(initial=0.0)
    _require(
        np.abs(slope - expected).max(initial=0.0) <= 1e-6 * size, "derivative",
        f"factor_derivative differs from differences of factor by "
        f"{np.abs(slope - expected).max(initial=0.0):.2g}; k = {k}, θ = {theta.tolist()}",
    )  # fmt: skip
    second = s.factor_second_derivative(theta, k)
    expected = _differences(lambda t: np.asarray(s.factor_derivative(t, k)), theta, 2e-5)
    given_ = np.zeros_like(expected) if second is None else np.asarray(second)
    what = "is None (Λ linear in θ)" if second is None else "differs from differences"
    size = 1.0 + np.abs(expected).max(initial=0.0)
    _require(
        np.abs(given_ - expected).max(initial=0.0) <= 1e-4 * size, "second derivative",
        f"factor_second_derivative {what}, but factor_derivative changes; k = {k}, "
        f"θ = {theta.tolist()}",
    )  # fmt: skip


def _gram(s: Any, theta: np.ndarray, k: int) -> np.ndarray:
    root = np.asarray(s.factor(theta, k))
    return root @ root.T


def _round_trip(s: Any, theta: np.ndarray, k: int) -> None:
    g = _gram(s, theta, k)
    closed = getattr(s, "closed_under", "nothing")
    _require(
        closed in ("nothing", "scaling", "shifting"), "closed_under",
        f"closed_under = {closed!r}; expected 'nothing', 'scaling' or 'shifting'",
    )  # fmt: skip
    back = np.asarray(s.parameters(g.copy()), dtype=float)
    where = f"k = {k}, θ = {theta.tolist()}"
    _require(
        back.shape == theta.shape and np.isfinite(back).all(), "parameters",
        f"parameters(g) = {back}; expected {len(theta)} finite numbers; {where}",
    )  # fmt: skip
    # What reports parameters of a closed family reads them from g; else they are start values.
    tolerance = 0.5 if closed == "nothing" else 1e-6
    size = np.abs(g).max(initial=0.0) + 1e-12
    _require(
        np.abs(_gram(s, back, k) - g).max() <= tolerance * size, "parameters",
        f"parameters(g) does not give g = {g.tolist()} back; {where}",
    )  # fmt: skip
    if closed == "nothing":
        return
    change = np.diag(0.5 + np.arange(k) / 2.0)
    if closed == "shifting":
        change[0, 1:] = 0.3
    moved = change @ g @ change.T
    _require(
        np.abs(_gram(s, np.asarray(s.parameters(moved)), k) - moved).max()
        <= 1e-6 * (np.abs(moved).max() + 1e-12),
        "closed_under", f"the family is not closed under {closed}; {where}",
    )  # fmt: skip


def _purity(s: Any, theta: np.ndarray, k: int) -> None:
    given_, g = theta.copy(), _gram(s, theta.copy(), k)
    matrix = g.copy()
    first = np.array(s.factor(given_, k))
    s.factor_derivative(given_, k)
    s.parameters(matrix)
    s.describe(given_, [f"x{i}" for i in range(k)], 1.0)
    where = f"k = {k}, θ = {theta.tolist()}"
    _require(
        np.array_equal(given_, theta) and np.array_equal(matrix, g), "purity",
        f"an argument was changed in place; {where}",
    )  # fmt: skip
    again = np.asarray(s.factor(given_, k))
    _require(np.array_equal(first, again), "purity", f"factor is not the same twice; {where}")
    kept = again.copy()
    s.factor(given_ + 0.5, k)
    _require(
        np.array_equal(again, kept), "purity",
        f"a second call of factor changes the array that the first one returned; {where}",
    )  # fmt: skip


def _description(s: Any, theta: np.ndarray, k: int) -> None:
    names = [f"x{i}" for i in range(k)]
    found = s.describe(theta, names, 2.0)
    ok = isinstance(found, dict) and all(
        isinstance(key, str) and isinstance(value, float) for key, value in found.items()
    )
    _require(ok and found, "describe", f"describe returned {found!r}; expected {{text: float}}")


def _copies(s: Any, theta: np.ndarray, k: int) -> None:
    try:
        other = pickle.loads(pickle.dumps(s))
    except Exception as exc:
        raise RuleBroken("pickling", f"{type(exc).__name__}: {exc}") from exc
    same = np.array_equal(other.factor(theta, k), s.factor(theta, k))
    _require(same, "pickling", "a copy by pickle gives another factor")


def _threads(s: Any, theta: np.ndarray, k: int) -> None:
    points = [theta * (1.0 + 0.1 * i) for i in range(16)]
    alone = [np.array(s.factor(t, k)) for t in points]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda t: np.array(s.factor(t, k)), points))
    same = all(np.array_equal(a, b) for a, b in zip(alone, together))
    _require(same, "threads", f"factor differs when called from several threads; k = {k}")


def _nan(s: Any, k: int) -> None:
    theta = np.full(s.n_parameters(k), np.nan)
    if not len(theta):
        return
    try:
        with np.errstate(all="ignore"):
            root = np.asarray(s.factor(theta, k), dtype=float)
    except Exception:
        return
    _require(
        not np.isfinite(root).all(), "nan", f"factor of NaN is finite: {root.tolist()}; k = {k}"
    )


_RULES = (_shapes, _purity, _derivative, _round_trip, _description)


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
        Gives the names of k columns to a structure with ``bind``.
    max_examples : int
        Points θ drawn for each size.

    Raises
    ------
    RuleBroken
        Names the rule (shape, finite, derivative, second derivative, parameters, closed_under, purity,
        describe, pickling, threads, nan) and shows the smallest θ that Hypothesis found.
    """
    for k in sizes:
        bound = structure
        if hasattr(structure, "bind"):
            bound = structure.bind(tuple(names(k) if names else [f"x[{i}]" for i in range(k)]))
        m = bound.n_parameters(k)
        _require(isinstance(m, (int, np.integer)) and m >= 0, "shape", f"n_parameters({k}) = {m!r}")
        _run(bound, k, int(m), max_examples)
        _nan(bound, k)
        theta = np.linspace(0.5, 1.0, int(m))
        _copies(bound, theta, k)
        _threads(bound, theta, k)


def _run(structure: Any, k: int, m: int, max_examples: int) -> None:
    numbers = st.floats(-1.25, 1.25).map(lambda x: round(x, 3))

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(st.lists(numbers, min_size=m, max_size=m))
    def all_rules(values: list[float]) -> None:
        theta = np.array(values, dtype=float)
        for rule in _RULES:
            rule(structure, theta, k)

    all_rules()

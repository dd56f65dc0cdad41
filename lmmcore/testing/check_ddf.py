"""The check of a plugin that gives degrees of freedom."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..api import mixedlm
from ..errors import OptionError
from ..extension import ReferenceDistribution
from .rules import RuleBroken, require

CLOSE = 1e-6


@cache
def _fits() -> tuple[Any, ...]:
    """Return results of small models: unbalanced groups, a random slope, crossed grouping factors."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(9), [2, 3, 4, 5, 6, 7, 5, 4, 3])
    n = len(g)
    frame = pd.DataFrame({"g": g, "h": rng.integers(0, 6, n), "x": rng.standard_normal(n)})
    frame["f"] = np.array(list("abc"))[g % 3]
    frame["y"] = frame.x + rng.standard_normal(9)[g] + 0.7 * rng.standard_normal(6)[frame.h]
    frame["y"] += (1 + 0.5 * rng.standard_normal(9)[g]) * frame.x + rng.standard_normal(n)
    formulas = ("y ~ x + f + (1 | g)", "y ~ x + f + (1 + x | g)", "y ~ x + (1 | g) + (1 | h)")
    return tuple(mixedlm(formula, frame).fit(ddf="z") for formula in formulas)


def check_ddf(method: Any, *, max_examples: int = 60) -> None:
    """Check that a `DegreesOfFreedom` keeps its contract.

    Parameters
    ----------
    method : DegreesOfFreedom
    max_examples : int
        Number of drawn cases.

    Raises
    ------
    RuleBroken
        It says which rule is broken: "methods", "raises", "shape", "covariance", "finite", "purity",
        "repeatable", "rows" (M L, for a multiple M of a rotation, has the covariance M C M' and the same
        df and scale) or "pickling".
    """
    title = getattr(method, "title", None)
    require(isinstance(title, str) and title, "methods", f"title is {title!r}", "text", "class")
    require(callable(method) or hasattr(method, "bind"), "methods", "no __call__", "one", "class")

    @settings(
        max_examples=max_examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.integers(0, 2), st.integers(1, 2), st.integers(0, 10_000), st.floats(0.1, 50.0))
    def check(which: int, m: int, seed: int, factor: float) -> None:
        _check_case(method, _fits()[which], m, seed, factor)

    check()


def _check_case(method: Any, results: Any, m: int, seed: int, factor: float) -> None:
    fit, rng = results.fit, np.random.default_rng(seed)
    matrix = rng.standard_normal((m, fit.spec.k_fe))
    at = f"L = {matrix.round(3).tolist()} of {fit.spec.formula!r}"
    if hasattr(method, "bind"):
        try:
            method = method.bind(results.model, fit)
        except OptionError:
            return  # a model that it does not know, in words
    found = _called(method, fit, matrix, at)
    cov = np.asarray(found.covariance)
    require(cov.shape == (m, m), "shape", f"covariance has shape {cov.shape}", f"({m}, {m})", at)
    finite = (
        np.isfinite(cov).all() and found.df > 0 and np.isfinite(found.scale) and found.scale > 0
    )
    require(finite, "finite", f"df = {found.df}, scale = {found.scale}", "positive numbers", at)
    size = float(np.abs(cov).max())
    symmetric = np.allclose(cov, cov.T, atol=CLOSE * size)
    positive = symmetric and np.linalg.eigvalsh(cov)[0] >= -CLOSE * size
    require(positive, "covariance", f"{cov.tolist()}", "a positive semidefinite matrix", at)
    again = _called(method, fit, matrix, at)
    same = again.df == found.df and np.array_equal(again.covariance, found.covariance)
    require(same, "repeatable", "a second call gave another result", "the same", at)
    change = factor * np.linalg.qr(rng.standard_normal((m, m)))[0]
    moved = _called(method, fit, change @ matrix, at)
    expected = change @ cov @ change.T
    close = np.allclose(moved.covariance, expected, atol=CLOSE * float(np.abs(expected).max()))
    require(close, "rows", "covariance of M L is not M C M'", "that", at)
    for name in ("df", "scale"):
        a, b = float(getattr(found, name)), float(getattr(moved, name))
        require(np.isclose(a, b, rtol=1e-5), "rows", f"{name} of M L is {b}", f"{a}, as of L", at)
    copy = pickle.loads(pickle.dumps(method))
    other = _called(copy, fit, matrix, at)
    require(other.df == found.df, "pickling", "a pickled copy gave another result", "the same", at)


def _called(method: Any, fit: Any, matrix: np.ndarray, at: str) -> ReferenceDistribution:
    given_ = matrix.copy()
    try:
        found = method(fit, given_)
    except Exception as exc:
        raise RuleBroken("raises", f"{type(exc).__name__}: {exc}; expected a result; {at}") from exc
    require(np.array_equal(given_, matrix), "purity", "L was changed", "L as it was", at)
    kind = isinstance(found, ReferenceDistribution)
    require(kind, "shape", f"returned {type(found).__name__}", "a ReferenceDistribution", at)
    return found

"""Measure penalized fits beside statsmodels, over the number of rows, and with 10,000 columns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import problems

import lmmcore

REPEATS = 7


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Return the median time of a call and its last result."""
    seconds, out = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        out = call()
        seconds.append(time.perf_counter() - start)
    return median(seconds), out


def model_of(problem: problems.Problem) -> lmmcore.MixedLM:
    groups = problem.frame[problem.groups]
    return lmmcore.MixedLM.from_formula(
        problem.formula, problem.frame, groups=groups, re_formula=problem.re_formula
    )


def beside_statsmodels() -> None:
    import statsmodels.api as sm

    problem = problems.penalized()
    print(problem.title)
    build, model = timed(lambda: model_of(problem))
    fit, path = timed(lambda: model.fit_regularized_path("lasso"))
    print(f"  lmmcore: model {build:.4f} s; unpenalized fit and 100 weights {fit:.4f} s")
    frame = problem.frame
    exog = problem.exog()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = sm.MixedLM(frame["y"].to_numpy(), exog, frame["g"].to_numpy())
        theirs, _ = timed(lambda: other.fit_regularized(alpha=path.alphas[50]), 3)
    print(f"  statsmodels: one weight {theirs:.3f} s; ratio {theirs / fit:.0f} without the model, "
          f"{theirs / (fit + build):.0f} with it")  # fmt: skip
    for penalty in ("adaptive_lasso", "group_lasso", "scad", "mcp", "slope", "fused"):
        seconds, _ = timed(lambda p=penalty: model.fit_regularized_path(p), 3)
        print(f"  lmmcore {penalty}: {seconds:.4f} s")
    for what, call in (
        ("10-fold cross-validation", lambda: path.cross_validate(10, rng=0)),
        ("stability selection, 50 pairs", lambda: path.stability(rng=0)),
    ):
        print(f"  lmmcore {what}: {timed(call, 3)[0]:.3f} s")


def by_rows() -> None:
    for rows in (10_000, 100_000, 1_000_000):
        model = model_of(problems.penalized(rows, 500, 20))
        seconds, _ = timed(lambda m=model: m.fit_regularized_path("lasso"))
        fit, _ = timed(model.fit)
        print(f"{rows:>9,} rows, 20 columns: path {seconds:.4f} s, of it the fit {fit:.4f} s")


def many_columns() -> None:
    rng = np.random.default_rng(0)
    n, groups = 500, 50
    for columns in (1_000, 10_000):
        x = np.column_stack([np.ones(n), rng.standard_normal((n, columns))])
        g = np.repeat(np.arange(groups), n // groups)
        y = x[:, 1:6] @ np.array([2, -2, 1.5, -1.5, 1.0]) + rng.standard_normal(groups)[g]
        y = y + rng.standard_normal(n)
        model = lmmcore.MixedLM(y, x, g)
        for penalty in ("lasso", "mcp"):
            call = partial(
                model.fit_regularized_path, penalty, variances="joint", reml=False, n_alphas=10,
                smallest=0.3,
            )  # fmt: skip
            seconds, path = timed(call, 1)
            chosen = np.flatnonzero(path.coefficients.iloc[path.best("ebic")])
            print(f"{n} rows, {columns:,} columns, {penalty}: {len(path)} weights jointly "
                  f"{seconds:.2f} s; EBIC takes columns {chosen.tolist()}")  # fmt: skip


if __name__ == "__main__":
    beside_statsmodels()
    by_rows()
    many_columns()

"""What it costs to go through plugins: fits with their guards, and with the built-ins called directly.

Run it on an idle machine: ``python asv_bench/plugin_cost.py``. Fits with and without take turns one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

import lmmcore
import lmmcore.covariance.lookup as lookup
import lmmcore.fitting.options as options
from lmmcore.extension import find

FORMULA = "Reaction ~ Days + (Days | Subject)"
WITH = (lookup.GuardedStructure, options.guarded_optimizer)
WITHOUT = (lambda structure, label, k: structure, lambda name: find("optimizer", name))


def through(doors: tuple[Any, Any]) -> None:
    """Make fits go through the guards, or past them."""
    lookup.GuardedStructure, options.guarded_optimizer = doors  # type: ignore[misc]


def main(repeats: int = 4000) -> None:
    """Print quartiles of both, and their ratio."""
    data = lmmcore.datasets.load_sleepstudy()
    built = {}
    for name, doors in (("with", WITH), ("without", WITHOUT)):
        through(doors)
        built[name] = lmmcore.mixedlm(FORMULA, data)
        built[name].fit()

    def whole(name: str) -> Any:
        return lmmcore.mixedlm(FORMULA, data).fit()

    def again(name: str) -> Any:
        return built[name].fit()

    tasks: dict[str, Callable[[str], Any]] = {"model and fit": whole, "fit again": again}
    for label, task in tasks.items():
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(repeats):
            for name, doors in (("with", WITH), ("without", WITHOUT)):
                through(doors)
                began = perf_counter()
                task(name)
                seconds[name].append(perf_counter() - began)
        through(WITH)
        on, off = (1e6 * np.quantile(seconds[n], [0.25, 0.5, 0.75]) for n in ("with", "without"))
        print(f"{label}: {on.round()} µs with guards, {off.round()} µs without: {on / off - 1}")


if __name__ == "__main__":
    main()

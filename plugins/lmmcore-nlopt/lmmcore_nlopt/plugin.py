"""What lmmcore finds by the entry point: names, and where the optimizers are."""

from __future__ import annotations

from lmmcore.extension import Register, hookimpl

ALGORITHMS = {
    "bobyqa": "quadratic models, no derivatives (Powell)",
    "newuoa": "quadratic models, no derivatives, no bounds (Powell)",
    "cobyla": "linear models, no derivatives (Powell)",
    "neldermead": "simplex, no derivatives",
    "sbplx": "simplex in subspaces, no derivatives",
    "slsqp": "sequential quadratic programming",
    "lbfgs": "limited-memory quasi-Newton",
    "mma": "moving asymptotes",
    "ccsaq": "conservative separable quadratic approximation",
    "var2": "limited-memory variable metric, rank 2",
}
SHORT = ("bobyqa", "newuoa")  # names that nothing else has


@hookimpl
def lmmcore_optimizers(register: Register) -> None:
    for name, what in ALGORITHMS.items():
        where, line = f"lmmcore_nlopt.optimizers:{name.upper()}", f"NLopt's {name.upper()}: {what}."
        register(f"nlopt-{name}", where, line)
        if name in SHORT:
            register(name, where, line)

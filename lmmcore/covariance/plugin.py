"""The built-in covariance structures, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extension import hookimpl
from .correlation import Autoregressive, Exchangeable, Stationary
from .diagonal import Diagonal
from .linear import FactorAnalytic, KnownMatrix
from .scaled import Heterogeneous, Homogeneous
from .unstructured import Unstructured

RANKS = 5


@hookimpl
def lmmcore_covariances(register: Callable[[str, Any], None]) -> None:
    for name in ("unstructured", "us"):
        register(name, Unstructured())
    for name in ("diagonal", "diag"):
        register(name, Diagonal())
    register("id", KnownMatrix())
    cs, ar, toep = Exchangeable(), Autoregressive(), Stationary()
    one, own = "one sd.", "a sd for each column."
    register("cs", Homogeneous(cs, f"Compound symmetry: one correlation, {one}"))
    register("csh", Heterogeneous(cs, f"Heterogeneous compound symmetry: one correlation, {own}"))
    register("hcs", Heterogeneous(cs, f"Heterogeneous compound symmetry: one correlation, {own}"))
    register("ar1", Homogeneous(ar, f"Autoregressive of order 1 in the columns' order, {one}"))
    for name in ("ar1h", "har1"):
        register(name, Heterogeneous(ar, f"Autoregressive in the columns' order, {own}"))
    register("toep", Homogeneous(toep, f"Toeplitz: a correlation for each distance, {one}"))
    register("toeph", Heterogeneous(toep, f"Toeplitz: a correlation for each distance, {own}"))
    for rank in range(1, RANKS + 1):
        register(f"fa{rank}", FactorAnalytic(rank, specific=True))
        register(f"rr{rank}", FactorAnalytic(rank, specific=False))

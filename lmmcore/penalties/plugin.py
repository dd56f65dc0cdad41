"""The built-in penalties, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extension import hookimpl
from .elastic_net import ElasticNet, Lasso, Ridge


@hookimpl
def lmmcore_penalties(register: Callable[[str, Any], None]) -> None:
    for name in ("l1", "lasso"):
        register(name, Lasso())
    for name in ("l2", "ridge"):
        register(name, Ridge())
    register("elastic_net", ElasticNet())

"""The built-in penalties, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extension import hookimpl
from .adaptive import AdaptiveLasso
from .chains import Fused, Slope
from .concave import MCP, SCAD, GroupMCP, GroupSCAD
from .elastic_net import ElasticNet, Lasso, Ridge
from .groups import GroupLasso, SparseGroupLasso


@hookimpl
def lmmcore_penalties(register: Callable[[str, Any], None]) -> None:
    for name in ("l1", "lasso"):
        register(name, Lasso())
    for name in ("l2", "ridge"):
        register(name, Ridge())
    register("elastic_net", ElasticNet())
    register("adaptive_lasso", AdaptiveLasso())
    register("group_lasso", GroupLasso())
    register("sparse_group_lasso", SparseGroupLasso())
    register("scad", SCAD())
    register("mcp", MCP())
    register("group_scad", GroupSCAD())
    register("group_mcp", GroupMCP())
    register("slope", Slope())
    register("fused", Fused())

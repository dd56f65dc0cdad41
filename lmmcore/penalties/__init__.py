"""Penalties of penalized fits, as objects. Give an object instead of a name to choose its shape."""

from .adaptive import AdaptiveLasso
from .chains import Fused, Slope
from .concave import MCP, SCAD, GroupMCP, GroupSCAD
from .elastic_net import ElasticNet, Lasso, Ridge
from .groups import GroupLasso, SparseGroupLasso

__all__ = [
    "MCP",
    "SCAD",
    "AdaptiveLasso",
    "ElasticNet",
    "Fused",
    "GroupLasso",
    "GroupMCP",
    "GroupSCAD",
    "Lasso",
    "Ridge",
    "Slope",
    "SparseGroupLasso",
]

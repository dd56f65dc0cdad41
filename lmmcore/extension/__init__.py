"""All that the author of an extension imports."""

from .hookspecs import hookimpl
from .manager import Plugin, find, plugins, register, unregister
from .matrices import semidefinite_cholesky
from .protocols import CovarianceStructure, Objective, OptimizeOutcome, Optimizer

__all__ = [
    "CovarianceStructure",
    "Objective",
    "OptimizeOutcome",
    "Optimizer",
    "Plugin",
    "find",
    "hookimpl",
    "plugins",
    "register",
    "semidefinite_cholesky",
    "unregister",
]

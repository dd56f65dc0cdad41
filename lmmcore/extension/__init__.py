"""All that the author of an extension imports."""

from .hookspecs import hookimpl
from .manager import Plugin, find, plugins, register, unregister
from .matrices import eigh, lower_indices, semidefinite_cholesky, symmetric
from .protocols import CovarianceStructure, Objective, OptimizeOutcome, Optimizer

__all__ = [
    "CovarianceStructure",
    "Objective",
    "OptimizeOutcome",
    "Optimizer",
    "Plugin",
    "eigh",
    "find",
    "hookimpl",
    "lower_indices",
    "plugins",
    "register",
    "semidefinite_cholesky",
    "symmetric",
    "unregister",
]

"""All that the author of an extension imports."""

from ..errors import OptionError, suggest
from .hookspecs import hookimpl
from .manager import Plugin, find, plugins, register, unregister
from .matrices import eigh, lower_indices, semidefinite_cholesky, symmetric
from .protocols import CovarianceStructure, Objective, OptimizeOutcome, Optimizer

__all__ = [
    "CovarianceStructure",
    "Objective",
    "OptimizeOutcome",
    "Optimizer",
    "OptionError",
    "Plugin",
    "eigh",
    "find",
    "hookimpl",
    "lower_indices",
    "plugins",
    "register",
    "semidefinite_cholesky",
    "suggest",
    "symmetric",
    "unregister",
]

"""All that the author of an extension imports."""

from ..errors import DataValueError, OptionError, suggest
from .hookspecs import hookimpl
from .manager import Plugin, find, plugins, register, unregister
from .matrices import eigh, lower_indices, semidefinite_cholesky, symmetric
from .penalties import Blockwise, Coefficients
from .protocols import CovarianceStructure, Objective, OptimizeOutcome, Optimizer, Penalty
from .structures import DerivedStructure, analytic_cholesky, sd_and_correlations

__all__ = [
    "Blockwise",
    "Coefficients",
    "CovarianceStructure",
    "DataValueError",
    "DerivedStructure",
    "Objective",
    "OptimizeOutcome",
    "Optimizer",
    "OptionError",
    "Penalty",
    "Plugin",
    "analytic_cholesky",
    "eigh",
    "find",
    "hookimpl",
    "lower_indices",
    "plugins",
    "register",
    "sd_and_correlations",
    "semidefinite_cholesky",
    "suggest",
    "symmetric",
    "unregister",
]

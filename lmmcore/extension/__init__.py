"""Everything that the author of an extension needs to import."""

from ..errors import DataValueError, DesignError, OptionError, suggest
from ..linalg.matrices import (
    cholesky_inverse,
    eigh,
    lower_indices,
    semidefinite_cholesky,
    symmetric,
)
from ..plugin_host.hookspecs import Register, hookimpl
from ..plugin_host.manager import find, look_up, plugins, register, unregister
from ..plugin_host.plugin import Plugin
from .inference import DegreesOfFreedom, ReferenceDistribution
from .options import take_options
from .penalties import Blockwise, Coefficients
from .protocols import CovarianceStructure, Objective, OptimizeOutcome, Optimizer, Penalty
from .residuals import BoundResidual, Positions, ResidualStructure
from .structures import DerivedStructure, analytic_cholesky, sd_and_correlations

__all__ = [
    "Blockwise",
    "BoundResidual",
    "Coefficients",
    "CovarianceStructure",
    "DataValueError",
    "DegreesOfFreedom",
    "DerivedStructure",
    "DesignError",
    "Objective",
    "OptimizeOutcome",
    "Optimizer",
    "OptionError",
    "Penalty",
    "Plugin",
    "Positions",
    "ReferenceDistribution",
    "Register",
    "ResidualStructure",
    "analytic_cholesky",
    "cholesky_inverse",
    "eigh",
    "find",
    "hookimpl",
    "look_up",
    "lower_indices",
    "plugins",
    "register",
    "sd_and_correlations",
    "semidefinite_cholesky",
    "suggest",
    "symmetric",
    "take_options",
    "unregister",
]

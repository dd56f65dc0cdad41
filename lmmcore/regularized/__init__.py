"""Penalized fits: one strength, a path with its choice, selection of random effects."""

from .fit import fit_penalized
from .path import RegularizationPath
from .path_fits import fit_path
from .random_effects import RandomEffectsPath, random_effects_path
from .results import HeldResults, JointResults, RegularizedResults, SmoothResults
from .selection import CrossValidation, StabilitySelection
from .smooth import with_alpha

__all__ = [
    "CrossValidation",
    "HeldResults",
    "JointResults",
    "RandomEffectsPath",
    "RegularizationPath",
    "RegularizedResults",
    "SmoothResults",
    "StabilitySelection",
    "fit_path",
    "fit_penalized",
    "random_effects_path",
    "with_alpha",
]

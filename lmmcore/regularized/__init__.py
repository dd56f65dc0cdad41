"""Penalized fits: one weight, a path with its choice, selection of random effects."""

from .along import fit_path
from .choice import CrossValidation, StabilitySelection
from .fit import fit_penalised
from .path import RegularizationPath
from .random import RandomEffectsPath, random_effects_path
from .results import HeldResults, JointResults, RegularizedResults, SmoothResults
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
    "fit_penalised",
    "random_effects_path",
    "with_alpha",
]

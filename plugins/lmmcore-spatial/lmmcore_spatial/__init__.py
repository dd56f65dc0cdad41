"""Spatial covariance structures for lmmcore."""

from .correlograms import Correlogram, ExponentialDecay, GaussianDecay, MaternDecay, SphericalDecay
from .positions import positions, read_positions
from .structures import Exponential, Gaussian, Matern, Spatial, Spherical

__all__ = [
    "Correlogram",
    "Exponential",
    "ExponentialDecay",
    "Gaussian",
    "GaussianDecay",
    "Matern",
    "MaternDecay",
    "Spatial",
    "Spherical",
    "SphericalDecay",
    "positions",
    "read_positions",
]

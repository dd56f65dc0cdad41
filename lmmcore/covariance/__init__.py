"""Structures of the covariance matrices of random effects (built-in plugins)."""

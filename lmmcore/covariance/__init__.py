"""Covariance structures of random effects (built-in plugins)."""

"""Optimizers (built-in plugins)."""

"""Penalties of regularised fits: the penalised quadratic and its solver."""

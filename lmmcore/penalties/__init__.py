"""Penalties of regularised fits; none yet."""

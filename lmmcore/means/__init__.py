"""Marginal means, slopes and contrasts."""

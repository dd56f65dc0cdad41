"""Optimizers of NLopt for lmmcore."""

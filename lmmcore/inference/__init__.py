"""Degrees of freedom, tests, profiles, bootstrap; none yet."""

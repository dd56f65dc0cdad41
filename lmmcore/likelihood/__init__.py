"""Criterion, gradient and Hessian of the profiled likelihood."""

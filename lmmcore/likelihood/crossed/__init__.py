"""The engine of a model with several grouping factors: a blocked sparse Cholesky factorization."""

"""Bootstrap and permutation: refits of resampled groups, of drawn responses, of permuted residuals."""

"""Models whose residuals are correlated within groups, or have unequal variances."""

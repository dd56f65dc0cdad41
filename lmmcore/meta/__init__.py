"""Meta-analysis: effects with known sampling variances."""

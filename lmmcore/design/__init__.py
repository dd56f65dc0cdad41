"""Formula and data to a design: named columns and codes."""

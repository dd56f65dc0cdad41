"""The built-in structures of residuals within groups."""

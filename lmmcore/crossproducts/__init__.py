"""Cross-products of a design: the one pass over the rows."""

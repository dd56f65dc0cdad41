"""Small dense matrices: what the core computes with, and what extensions get through `lmmcore.extension`."""

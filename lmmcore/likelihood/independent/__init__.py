"""The engine of a model whose groups are independent: a small dense problem for each group."""

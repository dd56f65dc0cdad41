"""Common parts of the addition of cross-products: equal columns, levels by label, pairs of levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataValueError


def refuse_other_columns(a: Any, b: Any, attributes: Sequence[str]) -> None:
    """Raise a DataValueError if two sets of cross-products have different columns."""
    for what in attributes:
        mine, theirs = getattr(a, what), getattr(b, what)
        if mine != theirs:
            raise DataValueError(
                f"cross-products with {what} {mine} and {theirs} cannot be added; expected the "
                "same columns. Give categorical variables the same categories in every chunk"
            )


def match_labels(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sorted labels of both, and the positions of the labels of each."""
    labels, where = np.unique(np.concatenate([a, b]), return_inverse=True)
    return labels, where[: len(a)], where[len(a) :]


def sorted_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of the rows by (a, b), rows in between, and where each pair begins in it."""
    n = len(a)
    pair = a.astype(np.int64) * (int(b.max()) + 1) + b
    bits = max(1, (n - 1).bit_length())
    if int(pair.max()).bit_length() + bits < 63:
        # One sort of plain integers, pair and row in one, is several times faster than argsort.
        packed = np.sort((pair << bits) | np.arange(n))
        order, pair = packed & ((1 << bits) - 1), packed >> bits
    else:
        order = np.argsort(pair, kind="stable")
        pair = pair[order]
    return order, np.flatnonzero(np.diff(pair, prepend=pair[0] - 1))

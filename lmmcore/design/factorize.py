"""Codes of different values, as ``pandas.factorize`` gives them, also for text with NUL characters."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd


def factorize(values: Any) -> tuple[np.ndarray, Any]:
    """Return codes (n,), -1 for missing values, and the different values in order of appearance.

    Before version 3, pandas compares text only up to its first NUL character. It would take ``"a"`` and
    ``"a\\0"`` for one value.

    Parameters
    ----------
    values : Series, Index, or array (n,) of NumPy or pandas
    """
    if isinstance(values, pd.arrays.NumpyExtensionArray):
        values = values.to_numpy()
    if _ends_text_at_nul() and (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
        objects = np.asarray(values, dtype=object)
        if any("\0" in value for value in objects if isinstance(value, str)):
            return _one_by_one(objects)
    codes, uniques = pd.factorize(values)
    return codes, uniques


@cache
def _ends_text_at_nul() -> bool:
    return len(pd.factorize(np.array(["a", "a\0"], dtype=object))[1]) == 1


def _one_by_one(objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and different values of an array of objects, by a dictionary."""
    seen: dict[Any, int] = {}
    codes = np.full(len(objects), -1, dtype=np.intp)
    for i in np.flatnonzero(~pd.isna(objects)).tolist():
        codes[i] = seen.setdefault(objects[i], len(seen))
    uniques = np.empty(len(seen), dtype=object)
    uniques[:] = list(seen)
    return codes, uniques

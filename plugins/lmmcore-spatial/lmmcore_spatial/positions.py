"""Positions of columns: from coordinates to labels, and from labels to coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmmcore.extension import DesignError

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def positions(*coordinates: Any) -> list[str]:
    """Return labels such as "(0.5, 2.0)", one for each row, from columns of coordinates.

    Parameters
    ----------
    *coordinates : array_like (n,)

    Examples
    --------
    >>> positions([0, 1], [0.5, 2])
    ['(0.0, 0.5)', '(1.0, 2.0)']
    """
    rows = np.column_stack([np.asarray(c, dtype=float) for c in coordinates])
    return ["(" + ", ".join(repr(float(x)) for x in row) + ")" for row in rows]


def read_positions(names: Sequence[str]) -> np.ndarray:
    """Return the coordinates (k, dimensions) in the names of columns.

    They are the numbers in the last brackets of a name, as in "C(pos)[(0.5, 2)]" or "pos[T.3]".

    Raises
    ------
    DesignError
        A name without numbers, or names with different numbers of them.

    Examples
    --------
    >>> read_positions(["C(time)[0]", "C(time)[2.5]"]).tolist()
    [[0.0], [2.5]]
    """
    found = []
    for name in names:
        inside = name[name.rfind("[") + 1 :] if "[" in name else ""
        numbers = [float(x) for x in _NUMBER.findall(inside.removeprefix("T."))]
        if not numbers:
            raise DesignError(
                f"the column {name!r} has no position; expected numbers in brackets, as the levels of a "
                "categorical have: exp(0 + C(time) | g), or labels by lmmcore_spatial.positions(x, y)"
            )
        found.append(numbers)
    if len({len(numbers) for numbers in found}) > 1:
        raise DesignError(
            f"the columns {', '.join(map(repr, names))} have different numbers of coordinates; expected "
            "as many for each"
        )
    return np.array(found)

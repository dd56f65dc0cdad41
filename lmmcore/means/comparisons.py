"""Contrasts between means, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..arguments import numbers
from ..errors import DataValueError, OptionError, suggest

NAMES = ("pairwise", "consecutive", "polynomial", "dunnett", "mean")


def contrast_matrix(
    method: Any, labels: Sequence[str], reference: int = 0
) -> tuple[np.ndarray, list[str], str]:
    """Return a matrix (c, m) over m means, names of its rows, and the adjustment that goes with it.

    Parameters
    ----------
    method : str, array (c, m) or mapping of names to rows (m,)
        "pairwise": all differences. "consecutive": each minus the one before. "polynomial": orthogonal
        polynomials of equally spaced levels, in integers for up to seven. "dunnett": each minus
        the reference. "mean": each minus the mean of all.
    labels : sequence of str
    reference : int
        The level of "dunnett".

    Raises
    ------
    OptionError
        Another name.
    DataValueError
        A matrix of another width.
    """
    m = len(labels)
    identity = np.eye(m)
    if isinstance(method, str):
        if m < 2:
            raise OptionError(f"contrast {method!r} of one mean; expected two means or more")
        if method == "pairwise":
            pairs = list(combinations(range(m), 2))
            return (
                np.array([identity[i] - identity[j] for i, j in pairs]),
                [f"{labels[i]} - {labels[j]}" for i, j in pairs],
                "tukey",
            )
        if method == "consecutive":
            rows = [identity[i + 1] - identity[i] for i in range(m - 1)]
            return np.array(rows), [f"{labels[i + 1]} - {labels[i]}" for i in range(m - 1)], "mvt"
        if method == "dunnett":
            others = [i for i in range(m) if i != reference]
            rows = [identity[i] - identity[reference] for i in others]
            return np.array(rows), [f"{labels[i]} - {labels[reference]}" for i in others], "mvt"
        if method == "mean":
            return identity - 1.0 / m, [f"{label} - mean" for label in labels], "fdr_bh"
        if method == "polynomial":
            return _polynomial(m), _degrees(m), "none"
        raise OptionError(
            f"contrast {method!r}{suggest(method, NAMES)}; expected one of {', '.join(NAMES)}, a matrix, "
            "or a mapping of names to rows"
        )
    names = [str(name) for name in method] if isinstance(method, Mapping) else []
    given = list(method.values()) if isinstance(method, Mapping) else method
    matrix = np.atleast_2d(numbers(given, "the contrasts", "a row of numbers for each"))
    if matrix.ndim != 2 or matrix.shape[1] != m or not np.isfinite(matrix).all():
        raise DataValueError(
            f"the contrasts have shape {matrix.shape}; expected finite numbers in {m} columns, one for "
            f"each of {', '.join(labels)}"
        )
    return matrix, names or [f"c{i + 1}" for i in range(len(matrix))], "none"


def _degrees(m: int) -> list[str]:
    words = ["linear", "quadratic", "cubic", "quartic"]
    return [words[d] if d < 4 else f"degree {d + 1}" for d in range(m - 1)]


def _polynomial(m: int) -> np.ndarray:
    """Return orthogonal polynomials over 0, …, m − 1, as the smallest whole numbers where there are such."""
    x = np.arange(m) - (m - 1) / 2.0
    q, r = np.linalg.qr(np.vander(x, min(m, 7), increasing=True))
    rows = (q * np.sign(np.diag(r))).T[1:]
    out = []
    for row in rows:
        scaled = row / np.abs(row[np.abs(row) > 1e-10]).min()
        for factor in range(1, 61):
            whole = scaled * factor
            if np.abs(whole - np.round(whole)).max() < 1e-6:
                scaled = np.round(whole)
                break
        out.append(scaled)
    return np.array(out)

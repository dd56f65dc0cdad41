"""B'E_cCE_dB of independent groups, for each pair of entries of γ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...linalg.matrices import lower_indices
from ..state import State, TermShape

AT_ONCE = 1 << 22  # numbers that are held at a time


def adjustment_of_groups(
    r: np.ndarray,
    white: np.ndarray,
    lam: np.ndarray,
    levels: Sequence[int],
    terms: Sequence[TermShape],
    state: State,
    out: np.ndarray,
) -> None:
    """Add the sums of one batch of groups to `out` (m, m, p, p), in the metric of the state.

    With Z_g = Q_gR_g and N = I + RΛΛ'R', C = R'N⁻¹R and B = R'N⁻¹Q'X.

    Parameters
    ----------
    r : array (G, K, K)
    white : array (G, K, p + 1)
        Q_g'[X y].
    lam : array (K, K)
        Λ of a group.
    levels : sequence of int
        Levels of each term in a group.
    """
    m, _, p, _ = out.shape
    if not p:
        return
    k = r.shape[1]
    step = max(1, AT_ONCE // (m * k * p))
    total = np.zeros((m * p, m * p))
    to_metric = state.inverse[:p, :p].T
    for start in range(0, len(r), step):
        part = r[start : start + step]
        root = part @ lam
        inner = np.linalg.inv(np.eye(k) + root @ root.swapaxes(1, 2))
        left = part.swapaxes(1, 2) @ inner
        c, b = left @ part, left @ (white[start : start + step, :, :p] @ to_metric)
        moved = np.zeros((len(part), k, m, p))
        for coordinate, rows, cols in patterns(levels, terms):
            moved[:, rows, coordinate] += b[:, cols]
        x = moved.reshape(len(part), k, m * p)
        cx = c @ x
        total += x.reshape(-1, m * p).T @ cx.reshape(-1, m * p)
    out += total.reshape(m, p, m, p).transpose(0, 2, 1, 3)


def patterns(
    levels: Sequence[int], terms: Sequence[TermShape]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield a coordinate, and rows and columns where its pattern E has ones: for each order of a pair."""
    start = 0
    for count, term in zip(levels, terms):
        first = start + term.k * np.arange(count)
        for c, (a, b) in enumerate(zip(*lower_indices(term.k)), start=term.coordinates.start):
            yield c, first + a, first + b
            if a != b:
                yield c, first + b, first + a
        start += count * term.k

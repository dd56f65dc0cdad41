"""The covariance matrix of the residuals of any rows."""

from __future__ import annotations

import numpy as np

from .structure import Structure


class RowCovariance:
    """R of some rows, relative to σ², without prior weights; zero between groups of residuals.

    Parameters
    ----------
    structure : Structure
    u : array (m,)
        Its parameters.
    """

    def __init__(self, structure: Structure, u: np.ndarray) -> None:
        n = len(structure.positions.groups)
        log_sd = structure.log_sd(u)
        self._sd = np.ones(n) if log_sd is None else np.exp(log_sd)
        self._matrices = [structure.matrix(u, p) for p in structure.patterns]
        self._place = np.empty(
            (n, 3), dtype=np.intp
        )  # pattern, group, and place in it, of each row
        groups = 0
        for i, pattern in enumerate(structure.patterns):
            count, t = pattern.rows.shape
            self._place[pattern.rows, 0] = i
            self._place[pattern.rows, 1] = groups + np.arange(count)[:, None]
            self._place[pattern.rows, 2] = np.arange(t)
            groups += count

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return R (m, m) of rows (m,)."""
        out = np.zeros((len(rows), len(rows)))
        place, sd = self._place[rows], self._sd[rows]
        for group in np.unique(place[:, 1]).tolist():
            at = np.flatnonzero(place[:, 1] == group)
            own = place[at, 2]
            out[np.ix_(at, at)] = self._matrices[place[at[0], 0]][np.ix_(own, own)]
        out *= sd[:, None]
        out *= sd
        return out

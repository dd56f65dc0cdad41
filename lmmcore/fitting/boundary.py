"""The boundary of a covariance matrix: where it is singular, where to leave it, how to say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..likelihood.profiled import Point, ProfiledLikelihood
from .identification import shown


def negligible_variance(likelihood: ProfiledLikelihood, t: int) -> float:
    """Return a variance that is negligible beside the sampling variance of one level."""
    return likelihood.terms[t].levels / likelihood.engine.n


def falling_member(
    likelihood: ProfiledLikelihood, t: int, d: np.ndarray, directions: np.ndarray
) -> np.ndarray | None:
    """Return a member of the family, of trace one, along which the criterion falls from zero, or None.

    The steepest direction of all matrices may not be in the family. Tried are the members nearest to the
    rank-one matrices of the eigenvectors of D, of equal columns, and of columns of alternating sign.
    """
    structure, k = likelihood.structures[t], likelihood.terms[t].k
    least, best, steepest = negligible_variance(likelihood, t), None, -1e-7
    signs = np.where(np.arange(k) % 2, -1.0, 1.0)
    for v in (*directions.T, np.ones(k), signs):
        root = structure.factor(structure.parameters(np.outer(v, v)), k)
        g = root @ root.T
        size = float(np.trace(g))
        slope = float(np.sum(d * g)) / size * least if size > 0.0 else 0.0
        if slope < steepest:
            best, steepest = g / size, slope
    return best


def boundary_words(
    likelihood: ProfiledLikelihood,
    point: Point,
    spectra: Sequence[tuple[np.ndarray, np.ndarray]],
    names: Sequence[Sequence[str]],
    groups: Sequence[str],
) -> list[str]:
    """Say in words which variances are zero and which correlations are ±1."""
    words = []
    for t, (term, factor, group) in enumerate(zip(likelihood.terms, point.factors, groups)):
        values = spectra[t][0]
        if values.item(0) > 1e-8 * negligible_variance(likelihood, t):
            continue
        zero = values <= 1e-8 * negligible_variance(likelihood, t)
        g = term.to_user(factor @ factor.T)
        variances = np.diag(g)
        size = 1.0 / np.diag(term.basis) ** 2
        nothing = variances * size <= 1e-8 * negligible_variance(likelihood, t)
        for name in np.array(names[t], dtype=object)[nothing]:
            words.append(
                f"the variance of {shown(name, group)} is zero: the groups do not differ more "
                "than by chance"
            )
        if int(zero.sum()) <= int(nothing.sum()):
            continue
        rest = np.flatnonzero(~nothing).tolist()
        pairs = [
            (i, j)
            for i in rest
            for j in rest
            if i < j and abs(g[i, j]) >= (1 - 1e-8) * np.sqrt(variances[i] * variances[j])
        ]
        for i, j in pairs if len(pairs) <= 3 else ():
            sign = "−1" if g[i, j] < 0 else "1"
            words.append(
                f"the correlation of {shown(names[t][i], group)} and {names[t][j]} is at {sign}: the "
                "data do not support this many random coefficients"
            )
        if not 0 < len(pairs) <= 3:
            rank = len(values) - int(zero.sum())
            listed = ", ".join(names[t])
            words.append(
                f"the covariance matrix of ({listed} | {group}) has rank {rank} of {term.k}: the data "
                "do not support this many random coefficients"
            )
    return words

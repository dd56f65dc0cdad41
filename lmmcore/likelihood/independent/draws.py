"""Responses drawn from the model of independent groups, without rows.

Everything that the likelihood asks of a response y are Q_g'y for the groups (Z_g = Q_gR_g), X'y and y'y. With
``y = Zb + e``: ``Q_g'y = R_g b_g + N(0, σ² I)``; the part of e orthogonal to all Q_g gives X a share of
``N(0, σ² X_w'X_w)``, X_w the part of X orthogonal to all Q_g, and y'y the rest, ``σ² χ²`` with n − rank [Z X]
degrees of freedom. So a draw costs as many numbers as there are random effects, and is exact in distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .many import ManyResponses, WhitenedResponses


def draw_responses(
    many: ManyResponses,
    factors: Sequence[np.ndarray],
    sigma: float,
    r: int,
    rng: np.random.Generator | np.random.RandomState,
) -> WhitenedResponses:
    """Return r responses with β = 0.

    Parameters
    ----------
    factors : sequence of arrays (k, k)
        Λ_t of each term, relative to σ², in the units of the engine.
    sigma : float
        Residual standard deviation in the basis.
    """
    p = many.p
    xy, yy, ys = np.zeros((r, p)), np.zeros(r), []
    for group in many.groups:
        g, k, _ = group.r.shape
        lam = np.zeros((k, k))
        at = 0
        for m, f in zip(group.levels, factors):
            for _ in range(m):
                lam[at : at + len(f), at : at + len(f)] = f
                at += len(f)
        y = np.einsum("gab,rgb->rga", group.r @ lam, rng.standard_normal((r, g, k)))
        y += rng.standard_normal((r, g, k)) * group.seen
        y *= sigma
        flat = y.reshape(r, -1)
        xy += flat @ group.x.reshape(group.seen.size, p)
        yy += np.einsum("ij,ij->i", flat, flat)
        ys.append(y)
    # X has orthonormal columns, so that eigenvalues are parts of one.
    values, vectors = np.linalg.eigh(many.within) if p else (np.zeros(0), np.zeros((0, 0)))
    seen = values > 1e-10
    z = rng.standard_normal((r, int(seen.sum())))
    xy += sigma * (z * np.sqrt(values[seen])) @ vectors[:, seen].T
    yy += sigma**2 * np.einsum("ij,ij->i", z, z)
    rest = many.n - many.rank - z.shape[1]
    if rest > 0:
        yy += sigma**2 * rng.chisquare(rest, r)
    return WhitenedResponses(tuple(ys), xy, yy)

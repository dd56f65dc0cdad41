"""Certificates of a penalized minimum: the duality gap, or the violation of stationarity."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ..extension.penalties import Blockwise
from ..extension.protocols import Penalty
from .quadratic import Quadratic, Stored


class DualityGap:
    """Upper bounds of how far the objective ½β'Hβ − c'β + P(β) is above its minimum, for a convex P.

    For any s, −½(c − s)'A⁻¹(c − s) − P*(s) is a lower bound of ½β'Aβ − c'β + P. If A is well conditioned, s
    is the slope at β, moved into the domain of P*; the gap is then of second order in the error. Otherwise
    the slope and the residual are shrunk together, which needs no inverse.
    """

    def __init__(self, quadratic: Quadratic) -> None:
        self.quadratic = quadratic
        self._ridge: np.ndarray | None = None
        self._factor: tuple[np.ndarray, bool] | None = None

    def _inverse(self, l2: np.ndarray) -> tuple[np.ndarray, bool] | None:
        """Return the Cholesky factor of H + diag(l2), or None if that is ill conditioned."""
        if self._ridge is None or not np.array_equal(self._ridge, l2):
            self._ridge, self._factor = l2, None
            if isinstance(self.quadratic, Stored):
                a = self.quadratic.h + np.diag(l2)
                try:
                    factor = cho_factor(a, lower=True, check_finite=False)
                except LinAlgError:
                    return None
                pivots = np.diag(factor[0])
                if (pivots > 1e-5 * np.sqrt(np.diag(a))).all():
                    self._factor = factor
        return self._factor

    def blockwise(self, form: Blockwise, beta: np.ndarray, slope: np.ndarray) -> float:
        """Return the gap at β, for slope = c − Hβ; `form` has no concave part."""
        q, l2 = self.quadratic, form.l2
        inner = slope - l2 * beta  # of the quadratic that includes the ridge
        penalty = form.value(beta) - 0.5 * float(l2 @ beta**2)
        quad = float(beta @ (q.c - inner))  # β'Aβ
        primal = 0.5 * quad - float(q.c @ beta) + penalty
        factor = self._inverse(l2)
        if factor is not None:
            rest = q.c - into_ball(form, inner)
            return max(
                0.0, primal + 0.5 * float(rest @ cho_solve(factor, rest, check_finite=False))
            )
        if (l2 > 0).all():  # the conjugate is finite everywhere
            over = np.maximum(np.abs(slope) - form.l1, 0.0)
            size = np.sqrt(np.bincount(form.groups, over**2 / l2, len(form.norm)))
            root = np.zeros(len(form.norm))
            root[form.groups] = np.sqrt(l2)
            conjugate = 0.5 * float(np.sum(np.maximum(size - form.norm / root, 0.0) ** 2))
            return max(0.0, form.value(beta) + conjugate - float(slope @ beta))
        return self._shrunk(shrinkage(form, inner), primal, quad, float(q.c @ beta))

    def general(
        self, penalty: Penalty, strength: float, beta: np.ndarray, slope: np.ndarray
    ) -> float:
        """Return the gap at β from the proximal map, or by shrinking if H is singular."""
        q = self.quadratic
        quad = float(beta @ (q.c - slope))
        value = float(penalty.value(beta, strength))
        primal = 0.5 * quad - float(q.c @ beta) + value
        factor = self._inverse(np.zeros(len(beta)))
        if factor is not None:
            # Moreau: s = (v − prox v)/t is a subgradient at x = prox v, so P*(s) = s'x − P(x).
            step = 1.0 / max(float(q.diagonal.max()), np.finfo(float).tiny)
            point = beta + step * slope
            x = penalty.prox(point, step, strength)
            s = (point - x) / step
            conjugate = float(s @ x) - float(penalty.value(x, strength))
            rest = q.c - s
            dual = -0.5 * float(rest @ cho_solve(factor, rest, check_finite=False)) - conjugate
            return max(0.0, primal - dual)
        largest = zero_from(penalty, slope)
        shrink = min(1.0, strength / largest) if largest > 0 else 1.0
        return self._shrunk(shrink, primal, quad, float(q.c @ beta))

    def _shrunk(self, t: float, primal: float, quad: float, crossed: float) -> float:
        yy = self.quadratic.yy
        dual = -0.5 * ((1 - t) ** 2 * yy + 2 * t * (1 - t) * crossed + t**2 * quad)
        # yy is much larger than the gap, so rounding may make the difference negative.
        return max(0.0, primal - dual)


def into_ball(form: Blockwise, slope: np.ndarray) -> np.ndarray:
    """Return slopes at which the conjugate of a convex form without l2 is zero."""
    clipped = np.clip(slope, -form.l1, form.l1)
    over = slope - clipped
    size = np.sqrt(np.bincount(form.groups, over**2, len(form.norm)))
    part = np.minimum(1.0, form.norm / np.where(size > 0, size, 1.0))
    return clipped + over * part[form.groups]


def shrinkage(form: Blockwise, slope: np.ndarray) -> float:
    """Return the largest t ≤ 1 for which the conjugate of the form is zero at t · slope."""
    size = np.abs(slope)
    counts = np.bincount(form.groups, minlength=len(form.norm))
    single = counts[form.groups] == 1
    limit = form.l1 + form.norm[form.groups]
    t = 1.0
    over = single & (size > limit)
    if over.any():
        t = float((limit[over] / size[over]).min())
    for g in np.flatnonzero(counts > 1):
        mine = form.groups == g
        own, l1, low, high = size[mine], form.l1[mine], 0.0, t
        if np.linalg.norm(np.maximum(t * own - l1, 0.0)) <= form.norm[g] * (1 + 1e-15):
            continue
        for _ in range(60):
            middle = 0.5 * (low + high)
            inside = np.linalg.norm(np.maximum(middle * own - l1, 0.0)) <= form.norm[g]
            low, high = (middle, high) if inside else (low, middle)
        t = low
    return t


def zero_from(penalty: Penalty, slope: np.ndarray, least: float = 0.0) -> float:
    """Return the smallest strength at which β = 0 is stationary, for the slope c at zero.

    For a penalty that never gives zeros, `least` is the part of the point that may be left.
    """
    size = float(np.abs(slope).max(initial=0.0))
    if size == 0.0:
        return 0.0
    step = min(1.0, 0.5 / penalty.concavity) if penalty.concavity > 0 else 1.0

    def zero(strength: float) -> bool:
        left = np.abs(penalty.prox(step * slope, step, strength)).max(initial=0.0)
        return bool(left <= least * step * size)

    high = size
    for _ in range(60):
        if zero(high):
            break
        high *= 4.0
    else:
        return np.inf
    low = 0.0
    while high - low > 1e-15 * high:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (low, middle) if zero(middle) else (middle, high)
    return high


def violation(form: Blockwise, beta: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return how much the slope c − Hβ of each coefficient violates stationarity (p,)."""
    norms = np.sqrt(np.bincount(form.groups, beta**2, len(form.norm)))
    pull = form.slope_of_norm(norms) / np.where(norms > 0, norms, 1.0)
    on = norms[form.groups] > 0
    smooth = slope - form.l2 * beta - pull[form.groups] * beta
    over = np.sign(smooth) * np.maximum(np.abs(smooth) - form.l1, 0.0)
    inside = np.where(beta != 0.0, smooth - form.l1 * np.sign(beta), over)
    # A group at zero: what exceeds its norm.
    size = np.sqrt(np.bincount(form.groups, over**2, len(form.norm)))
    part = np.maximum(size - form.norm, 0.0) / np.where(size > 0, size, 1.0)
    return np.where(on, inside, over * part[form.groups])

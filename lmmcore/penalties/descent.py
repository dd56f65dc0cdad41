"""Coordinate descent for blockwise penalties: screened groups, warm starts, Newton at the end.

Sources: Friedman, Hastie and Tibshirani (2010), *Journal of Statistical Software* 33(1); Tibshirani and
others (2012), *JRSS B* 74 (screening); Yang and Zou (2015), *Statistics and Computing* 25 (groups).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ConvergenceError
from ..extension.penalties import Blockwise
from ._descent import descend
from .certificate import DualityGap, violation
from .quadratic import Quadratic, Whitened

SCREENED = 300  # columns above which groups are screened
LEAST = 1e-2  # gaps are relative to the objective, or to this if that is larger
NEWTON = 30  # steps in a row
MOST_SWEEPS = 10_000
SWEEPS = 4  # over all groups, and up to ten times as many over nonzero ones, between Newton steps


@dataclass(frozen=True, eq=False)
class Solution:
    """A penalized minimum with its certificate.

    Attributes
    ----------
    beta : array (p,)
    objective : float
        ½β'Hβ − c'β + ½ yy + P(β), half of −2 log-likelihood plus penalty.
    gap : float
        Duality gap: an upper bound of how far the objective is above its minimum; NaN for a concave penalty.
    residual : float
        Largest violation of stationarity divided by √H_jj, relative to the largest slope at β = 0.
    sweeps : int
        Sweeps of coordinate descent over all coefficients, or proximal steps.
    """

    beta: np.ndarray
    objective: float
    gap: float
    residual: float
    sweeps: int


class BlockDescent:
    """Solves penalized quadratics with one H and one set of groups, along a path.

    Parameters
    ----------
    quadratic : Quadratic
    groups : int array (p,)
        Numbers 0, 1, … of the groups.
    """

    def __init__(self, quadratic: Quadratic, groups: np.ndarray) -> None:
        self.quadratic = quadratic
        self.groups = groups
        self.order = np.argsort(groups, kind="stable")
        self.sizes = np.bincount(groups)
        self.n_groups = len(self.sizes)
        self.gap = DualityGap(quadratic)
        self.unit = np.sqrt(np.maximum(quadratic.diagonal, np.finfo(float).tiny))
        self.largest = float(np.max(np.abs(quadratic.c) / self.unit, initial=0.0)) or 1.0
        self._bounds = np.full(self.n_groups, np.nan)
        self._set: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def _working(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return columns, H among them, group starts and bounds of chosen groups (a mask)."""
        if self._set is not None and np.array_equal(self._set[0], chosen):
            return self._set
        columns = self.order[chosen[self.groups[self.order]]]
        h = self.quadratic.block(columns)
        starts = np.concatenate([[0], np.cumsum(self.sizes[chosen])]).astype(np.intp)
        for i, g in enumerate(np.flatnonzero(chosen)):
            if np.isnan(self._bounds[g]):
                a, b = starts[i], starts[i + 1]
                block = h[a:b, a:b]
                top = block[0, 0] if b == a + 1 else np.linalg.eigvalsh(block)[-1] * (1 + 1e-12)
                self._bounds[g] = max(float(top), 0.0)
        self._set = (chosen, columns, h, starts)
        return self._set

    def solve(
        self,
        form: Blockwise,
        start: np.ndarray,
        convex: bool,
        screen: Blockwise | None = None,
        tolerance: float = 1e-12,
        maxit: int = MOST_SWEEPS,
    ) -> Solution:
        """Minimize ½β'Hβ − c'β + penalty.

        Parameters
        ----------
        start : array (p,)
        screen : Blockwise, optional
            The penalty at twice this strength minus that of `start`. Groups whose slopes are below it are
            left out at first, and checked at the end.
        tolerance : float
            Largest gap relative to the objective; for concave penalties, its square root is the largest
            residual.

        Raises
        ------
        ConvergenceError
            Not converged after `maxit` sweeps over all groups; those over nonzero groups are not counted.
        """
        q = self.quadratic
        beta = np.array(start, dtype=float)
        slope = q.slope(beta)
        chosen = np.ones(self.n_groups, dtype=bool)
        if len(beta) > SCREENED:
            chosen = self._over(screen or form, slope) | self._on(beta)
        step, sweeps, gap, residual, value = 1e-17 * q.yy, 0, np.inf, np.inf, np.inf
        slow = False  # whether a round of sweeps was not enough, so that Newton steps are tried
        if not (form.l1.any() or form.norm.any()) and (form.l2 > 0).all():
            beta = ridge(q, form.l2)
            slope = q.slope(beta)
            gap = self.gap.blockwise(form, beta, slope)
            value = 0.5 * (q.yy - float(beta @ (q.c + slope))) + form.value(beta)
            if gap <= 1e-10 * value:
                return Solution(beta, value, gap, self._residual(form, beta, slope), 0)
        while True:
            _, columns, h, starts = self._working(chosen)
            part = restricted(form, columns, chosen)
            inner, rest = np.ascontiguousarray(beta[columns]), np.ascontiguousarray(slope[columns])
            sweeps += descend(
                h, starts, self._bounds[chosen], part.l1, part.l2, part.norm, part.fall_from,
                part.fall_to, inner, rest, np.empty(len(inner)),
                min(SWEEPS, maxit - sweeps), step,
            )  # fmt: skip
            beta[columns] = polished(h, q.c[columns], part, inner) if slow else inner
            slope = q.slope(beta)
            missing = self._over(form, slope) & ~chosen
            value = 0.5 * (q.yy - float(beta @ (q.c + slope))) + form.value(beta)
            if missing.any():
                chosen = chosen | missing
                continue
            if convex:
                gap = self.gap.blockwise(form, beta, slope)
                done = gap <= tolerance * max(value, 1e-8 * q.yy, LEAST)
            else:
                residual = self._residual(form, beta, slope)
                done = residual <= np.sqrt(tolerance) * 1e-2
            if done or sweeps >= maxit:
                break
            slow = True
        # Rounding may prevent the tolerance from being reached.
        good = (
            gap <= max(tolerance, 1e-10) * max(value, 1e-8 * q.yy, LEAST)
            if convex
            else residual <= 1e-7
        )
        if not good:
            what = (
                f"a duality gap of {gap:.1e}"
                if convex
                else f"slopes that are off by {residual:.1e} of the largest"
            )
            raise ConvergenceError(
                f"coordinate descent did not converge in maxit={maxit} sweeps: it stopped with {what} "
                f"(objective {value:.3g}). Raise maxit, standardize the columns, or remove nearly "
                "collinear ones"
            )
        residual = self._residual(form, beta, slope)
        return Solution(beta, value, gap if convex else float("nan"), residual, sweeps)

    def _residual(self, form: Blockwise, beta: np.ndarray, slope: np.ndarray) -> float:
        off = np.abs(violation(form, beta, slope)) / self.unit
        return float(np.max(off, initial=0.0)) / self.largest

    def _on(self, beta: np.ndarray) -> np.ndarray:
        return np.bincount(self.groups, beta != 0.0, self.n_groups) > 0

    def _over(self, form: Blockwise, slope: np.ndarray) -> np.ndarray:
        """Return which groups would leave zero."""
        over = np.maximum(np.abs(slope) - form.l1, 0.0)
        size = np.sqrt(np.bincount(self.groups, over**2, self.n_groups))
        return size > form.norm * (1 + 1e-12)


def restricted(form: Blockwise, columns: np.ndarray, chosen: np.ndarray) -> Blockwise:
    """Return the form of some columns: all those of the chosen groups, in the order of these."""
    number = np.cumsum(chosen) - 1
    return Blockwise(
        number[form.groups[columns]],
        np.ascontiguousarray(form.l1[columns]),
        np.ascontiguousarray(form.l2[columns]),
        np.ascontiguousarray(form.norm[chosen]),
        np.ascontiguousarray(form.fall_from[chosen]),
        np.ascontiguousarray(form.fall_to[chosen]),
    )


def polished(h: np.ndarray, c: np.ndarray, form: Blockwise, beta: np.ndarray) -> np.ndarray:
    """Return β after Newton steps in the nonzero coefficients, as far as these decrease the objective.

    Coordinate descent soon finds which coefficients are zero, but converges slowly in the others if
    columns are correlated. In these, the objective is smooth.
    """
    on = np.flatnonzero(beta)
    if not len(on) or len(on) > 3000:
        return beta
    part = Blockwise(
        form.groups[on], form.l1[on], form.l2[on], form.norm, form.fall_from, form.fall_to
    )
    inner, target = h[np.ix_(on, on)], c[on]
    x = beta[on]

    def objective(z: np.ndarray) -> float:
        return float(0.5 * z @ inner @ z - target @ z) + part.value(z)

    best = objective(x)
    kept = np.ones(len(on), dtype=bool)
    for _ in range(NEWTON):
        wrong = violation(part, x, target - inner @ x)
        curvature = inner + part.curvature(x, concave=True)
        step = np.zeros(len(on))
        try:
            step[kept] = np.linalg.solve(curvature[np.ix_(kept, kept)], wrong[kept])
        except np.linalg.LinAlgError:
            break
        if not np.isfinite(step).all():
            break
        new = x + step
        crossed = np.flatnonzero(new * x < 0.0)
        if len(crossed):  # no further than to where the first of them is zero
            first = crossed[np.argmin(-x[crossed] / step[crossed])]
            new = x - step * x[first] / step[first]
            new[first], kept[first] = 0.0, False
        value = objective(new)
        if value > best + 1e-14 * abs(best):
            break
        small = not len(crossed) and float(np.abs(step) @ np.sqrt(np.diag(inner))) <= 1e-13 * (
            1.0 + abs(best)
        )
        x, best = new, min(best, value)
        if small:
            break
    out = beta.copy()
    out[on] = x
    return out


def ridge(quadratic: Quadratic, l2: np.ndarray) -> np.ndarray:
    """Return the minimum of ½β'(H + diag(l2))β − c'β; by rows where these are fewer than columns."""
    if isinstance(quadratic, Whitened) and len(quadratic.y) < len(l2):
        scaled = quadratic.x / l2
        inner = scaled @ quadratic.x.T + np.eye(len(quadratic.y))
        return np.asarray(scaled.T @ np.linalg.solve(inner, quadratic.y))
    h = quadratic.block(np.arange(len(l2))) + np.diag(l2)
    unit = np.sqrt(np.diag(h))
    return np.asarray(np.linalg.solve(h / (unit[:, None] * unit), quadratic.c / unit) / unit)

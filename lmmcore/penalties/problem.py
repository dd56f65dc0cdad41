"""A penalty on some of the coefficients of a quadratic.

Translates between all coefficients of a model and those that the solvers get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ..extension.penalties import Coefficients
from ..plugin_host.guarded_penalty import guarded_penalty
from .certificate import zero_from
from .descent import MOST_SWEEPS, BlockDescent, Solution
from .proximal import MOST_STEPS, ProximalDescent
from .quadratic import ALIVE, STORED, Quadratic, Stored, Whitened


@dataclass(frozen=True, eq=False)
class PenaltyTerms:
    """How a penalty applies to p coefficients.

    Attributes
    ----------
    names : tuple of str (p,)
    weights : array (p,)
        Numbers that multiply the strength; 0 means no penalty.
    groups : int array (p,)
        Group numbers; coefficients with equal numbers form a group.
    scales : array (p,)
        The penalty is one of β_j · units_j.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    groups: np.ndarray
    scales: np.ndarray

    def take(self, columns: np.ndarray) -> PenaltyTerms:
        """Return the terms of some columns."""
        return PenaltyTerms(
            tuple(self.names[j] for j in columns), self.weights[columns], self.groups[columns],
            self.scales[columns],
        )  # fmt: skip


class PenalizedQuadratic:
    """Minimizes ½β'Hβ − c'β + P(β; λ) for any λ, unpenalized coefficients profiled out.

    Parameters
    ----------
    quadratic : Whitened
    terms : PenaltyTerms
    penalty : Penalty
        Not yet bound.
    curvature : array (p,), optional
        Curvature for concave penalties; by default, the diagonal of H without what the
        unpenalized columns explain.

    Attributes
    ----------
    penalized : int array
        The columns with a penalty that can be other than zero.
    dead : int array
        Penalized columns that the unpenalized ones determine: their coefficients are zero.
    """

    def __init__(
        self,
        quadratic: Whitened,
        terms: PenaltyTerms,
        penalty: Any,
        curvature: np.ndarray | None = None,
        pilot: np.ndarray | None = None,
    ) -> None:
        self.quadratic, self.terms = quadratic, terms
        free = np.flatnonzero(terms.weights == 0.0)
        others = np.flatnonzero(terms.weights > 0.0)
        before = quadratic.diagonal[others]
        self.free = free
        reduced, self.free_part = quadratic.without(free)
        alive = reduced.diagonal > ALIVE * before
        inside: Quadratic = reduced
        if len(others) <= min(STORED, len(reduced.y)):
            inside = reduced.stored()
        self.penalized, self.dead = others[alive], others[~alive]
        self._alive = alive
        scales = terms.scales[self.penalized]
        self.inner: Quadratic = inside.of(np.flatnonzero(alive), scales)
        self.groups = np.unique(terms.groups[self.penalized], return_inverse=True)[1]
        if curvature is None:
            curvature = np.zeros(len(terms.names))
            curvature[self.penalized] = self.inner.diagonal
        self.curvature = curvature
        pilot = self.pilot if pilot is None else pilot[self.penalized] * scales
        self.penalty = guarded_penalty(penalty).bind(
            Coefficients(
                tuple(terms.names[j] for j in self.penalized), terms.weights[self.penalized],
                self.groups, curvature[self.penalized], pilot,
            )
        )  # fmt: skip

    @cached_property
    def pilot(self) -> np.ndarray:
        """A first estimate of the penalized coefficients, times their scales.

        It is the unpenalized estimate, or if there is none, that of each coefficient alone.
        """
        inner = self.inner
        if isinstance(inner, Stored) and len(inner.c):
            unit = np.sqrt(inner.diagonal)
            try:
                factor = cho_factor(inner.h / (unit[:, None] * unit), check_finite=False)
            except LinAlgError:
                factor = None
            if factor is not None and (np.diag(factor[0]) > 1e-5).all():
                return np.asarray(cho_solve(factor, inner.c / unit) / unit)
        return inner.c / inner.diagonal

    @cached_property
    def _descent(self) -> BlockDescent | None:
        form = self._form(0.0)
        return None if form is None else BlockDescent(self.inner, form.groups)

    @cached_property
    def _proximal(self) -> ProximalDescent:
        return ProximalDescent(self.inner)

    def _form(self, strength: float) -> Any:
        make = getattr(self.penalty, "blockwise", None)
        return None if make is None else make(strength)

    def largest_strength(self) -> float:
        """Return the smallest strength at which all penalized coefficients are zero.

        For a penalty that never gives zeros: at which they are 1/1000 of the unpenalized ones.
        """
        found = zero_from(self.penalty, self.inner.c)
        if np.isfinite(found):
            return found
        # Ridge: c/(d + λ) is 1/1000 of c/d from about 1000 d on.
        return 1e3 * float(np.max(self.inner.diagonal / self.terms.weights[self.penalized]))

    def path(
        self,
        strengths: Sequence[float] | np.ndarray,
        tolerance: float = 1e-12,
        maxit: int | None = None,
    ) -> list[Solution]:
        """Return the solutions at decreasing strengths, each started from the one before.

        `maxit` is the largest number of sweeps (or proximal steps) at one strength.
        """
        start, last, out = np.zeros(len(self.penalized)), np.inf, []
        for strength in strengths:
            found = self._solve(float(strength), start, last, tolerance, maxit)
            start, last = found.beta, float(strength)
            out.append(found)
        return out

    def _solve(
        self, strength: float, start: np.ndarray, last: float, tolerance: float, maxit: int | None
    ) -> Solution:
        if not len(self.penalized):
            return Solution(np.zeros(0), 0.5 * self.inner.yy, 0.0, 0.0, 0)
        form = self._form(strength)
        if form is None or self._descent is None:
            return self._proximal.solve(
                self.penalty, strength, start, tolerance, maxit or MOST_STEPS
            )
        # Slopes move by no more than strengths do, as a rule; what breaks it is found afterwards.
        near = max(2.0 * strength - last, 0.0) if np.isfinite(last) else strength
        screen = self._form(near)
        convex = self.penalty.concavity == 0.0
        return self._descent.solve(form, start, convex, screen, tolerance, maxit or MOST_SWEEPS)

    def solve(
        self,
        strength: float,
        start: np.ndarray | None = None,
        tolerance: float = 1e-12,
        maxit: int | None = None,
    ) -> Solution:
        """Return the solution at one strength.

        `start` holds all p coefficients. Without it a concave penalty, whose objective has several
        minima, comes down a short path from where all coefficients are zero.
        """
        if start is not None:
            inner = start[self.penalized] * self.terms.scales[self.penalized]
            return self._solve(strength, inner, strength, tolerance, maxit)
        path = [strength]
        if self.penalty.concavity > 0.0 and strength > 0.0:
            top = self.largest_strength()
            if top > strength:
                path = list(np.geomspace(top, strength, 20))
        return self.path(path, tolerance, maxit)[-1]

    def coefficients(self, solution: Solution) -> np.ndarray:
        """Return all p coefficients in the original units of the columns."""
        out = np.zeros(len(self.terms.names))
        out[self.penalized] = solution.beta / self.terms.scales[self.penalized]
        if len(self.free):
            others = np.zeros(len(self._alive))
            others[self._alive] = out[self.penalized]
            out[self.free] = self.free_part.at(others)
        return out

    def residual(self, beta: np.ndarray, strength: float) -> float:
        """Return how far β (p,) is from stationary: how much one proximal step changes it.

        Divided by √H_jj, and relative to the largest slope at zero.
        """
        inner = beta[self.penalized] * self.terms.scales[self.penalized]
        unit = np.sqrt(self.inner.diagonal)
        off = 0.0
        if len(inner):
            slope = self.inner.slope(inner)
            step = 1.0 / max(float(unit.max()) ** 2, 1.01 * self.penalty.concavity)
            moved = inner - self.penalty.prox(inner + step * slope, step, strength)
            off = float(np.max(np.abs(moved) / step / unit))
        if len(self.free):
            free = self.quadratic.slope(beta)[self.free] / np.sqrt(
                self.quadratic.diagonal[self.free]
            )
            off = max(off, float(np.abs(free).max()))
        return off / (float(np.max(np.abs(self.inner.c) / unit, initial=0.0)) or 1.0)

    def degrees_of_freedom(self, solution: Solution, strength: float) -> float:
        """Return the degrees of freedom of all coefficients, penalized and unpenalized."""
        own = getattr(self.penalty, "degrees_of_freedom", None)
        on = np.flatnonzero(solution.beta)
        if own is None:
            return float(len(self.free) + len(on))
        h = np.zeros((0, 0))
        if isinstance(self.inner, Stored):
            h = self.inner.h
        elif len(on):
            return float(len(self.free)) + self._df_of_active(solution, strength, on)
        return float(len(self.free)) + float(own(solution.beta, h, strength))

    def _df_of_active(self, solution: Solution, strength: float, on: np.ndarray) -> float:
        """Degrees of freedom from the rows and columns of H of the coefficients that are not zero."""
        of = self.penalty.bind(
            Coefficients(
                tuple(str(j) for j in on), self.terms.weights[self.penalized][on],
                np.unique(self.groups[on], return_inverse=True)[1],
                self.curvature[self.penalized][on],
            )
        )  # fmt: skip
        own: Any = of
        return float(own.degrees_of_freedom(solution.beta[on], self.inner.block(on), strength))

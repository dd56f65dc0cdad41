"""Smooth penalties in the profiled likelihood: β is replaced by what minimizes the penalized criterion.

At each θ the criterion is the least of ``d(β, θ) + 2 P(β)`` over β, plus ``2 Q(G, G⁻¹)``. By the envelope
theorem its derivative in G is that of d at this β, held fixed, plus that of Q: so the boundary is
decided by D = ∂/∂G as for the likelihood alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataValueError
from ..linalg.matrices import eigh, lower_indices
from .coordinates import Coordinates
from .engine import Engine
from .residual import Derivatives, Residual, derivatives, gradient
from .state import State, TermShape

STEPS = 200  # of Newton in β
DONE = 1e-13  # decrement in β, in units of −2 log-likelihood
STEP = 1e-5  # of the differences that give the curvature of a penalty, relative


@dataclass(frozen=True, eq=False)
class Penalized:
    """The penalized β at one state.

    Attributes
    ----------
    residual : Residual
        Its residual.
    value : float
        2 P(β).
    curvature : array (p, p)
        ∂²(2 P)/∂b∂b, b the coordinates of β in the basis.
    """

    residual: Residual
    value: float
    curvature: np.ndarray


class SmoothPenalties:
    """Penalties on β and on G, subtracted from the log-likelihood.

    Parameters
    ----------
    fe_pen : object or None
        ``func(β)`` and its gradient ``deriv(β)``.
    cov_pen : object or None
        ``func(G, G⁻¹)`` and ``deriv(G, G⁻¹)`` in the lower triangle of G (k, k), relative to σ².
    fixed : Coordinates
    k_re : int
        k. The terms of the random coefficients come first, variance components have no penalty.
    """

    def __init__(self, fe_pen: Any, cov_pen: Any, fixed: Coordinates, k_re: int) -> None:
        self.fe_pen: Any = fe_pen
        self.cov_pen: Any = cov_pen if k_re else None
        self.fixed, self.k_re = fixed, k_re
        self._last: tuple[State, Penalized] | None = None

    # β

    def at(self, state: State, n_eff: int) -> Penalized:
        """Return the penalized β at a state: the lowest of the minima below β̂ and below zero."""
        if self._last is None or self._last[0] is not state:
            self._last = (state, self._minimum(state, n_eff))
        return self._last[1]

    def _minimum(self, state: State, n_eff: int) -> Penalized:
        p = len(state.root) - 1
        best = state.inverse[:p, :p].T @ state.root[p, :p]
        if self.fe_pen is None or p == 0:
            return Penalized(Residual(np.append(-best, 1.0), state.r2), 0.0, np.zeros((p, p)))
        # β = β̂ + map z with z in standard errors: d = n_eff log(1 + z'z/n_eff) + d(β̂).
        unit = np.sqrt(state.r2 / n_eff)
        to_b = unit * state.inverse[:p, :p].T
        search = _Search(self.fe_pen, self.fixed.at(best), self.fixed.matrix @ to_b, n_eff)
        starts = [np.zeros(p), np.linalg.solve(search.map, -search.beta)]
        z, value = min((search.down(z) for z in starts), key=lambda found: found[1])
        if not np.isfinite(value):
            return Penalized(Residual(np.append(-best, 1.0), state.r2), np.inf, np.zeros((p, p)))
        back = np.tril(state.root[:p, :p]).T / unit  # z = back (b − b̂)
        curvature = back.T @ search.curvature(z) @ back
        qf = state.r2 * (1.0 + float(z @ z) / n_eff)
        u = np.append(-(best + to_b @ z), 1.0)
        return Penalized(Residual(u, qf), 2.0 * search.penalty(z), curvature)

    def beta(self, state: State, n_eff: int) -> np.ndarray:
        """Return the penalized β (p,) at a state."""
        return self.fixed.at(-self.at(state, n_eff).residual.u[:-1])

    # G

    def of_covariances(self, terms: Sequence[TermShape], factors: Sequence[np.ndarray]) -> float:
        """Return 2 Q(G, G⁻¹), infinite where the penalty is not finite."""
        if self.cov_pen is None:
            return 0.0
        g = self._covariance(terms, [f @ f.T for f in factors])
        try:
            value = 2.0 * float(self.cov_pen.func(g, _inverse(g)))
        except np.linalg.LinAlgError:
            return np.inf
        return value if np.isfinite(value) else np.inf

    def _covariance(
        self, terms: Sequence[TermShape], covariances: Sequence[np.ndarray]
    ) -> np.ndarray:
        out, at = np.zeros((self.k_re, self.k_re)), 0
        for term, g in zip(terms, covariances):
            if at < self.k_re:
                out[at : at + term.k, at : at + term.k] = term.to_user(g)
                at += term.k
        return out

    def _slope_in_g(
        self, terms: Sequence[TermShape], covariances: Sequence[np.ndarray], m: int
    ) -> np.ndarray:
        """Return the gradient of 2 Q in γ (m,)."""
        g = self._covariance(terms, covariances)
        rows, cols = lower_indices(self.k_re)
        given = np.asarray(self.cov_pen.deriv(g, _inverse(g)), dtype=float)
        if given.shape != rows.shape:
            raise DataValueError(
                f"cov_pen.deriv returned shape {given.shape}; expected ({len(rows)},), the derivative in "
                "the lower triangle of cov_re"
            )
        d = np.zeros((self.k_re, self.k_re))
        d[rows, cols] = d[cols, rows] = np.where(rows == cols, 2.0, 1.0) * given
        out, at = np.zeros(m), 0
        for term in terms:
            if at >= self.k_re:
                break
            part = d[at : at + term.k, at : at + term.k]
            a, b = lower_indices(term.k)
            own = term.basis.T @ part @ term.basis
            out[term.coordinates] = np.where(a == b, 1.0, 2.0) * own[a, b]
            at += term.k
        return out

    def _curvature_in_g(
        self, terms: Sequence[TermShape], covariances: Sequence[np.ndarray], m: int
    ) -> np.ndarray:
        """Return the Hessian of 2 Q in γ by differences; zeros beside a singular G."""
        out = np.zeros((m, m))
        at = 0
        for t, term in enumerate(terms):
            if at >= self.k_re:
                break
            at += term.k
            g = covariances[t]
            size = np.sqrt(np.maximum(np.diag(g), 0.0))
            for c, (i, j) in enumerate(zip(*lower_indices(term.k)), start=term.coordinates.start):
                h = STEP * float(size[i] * size[j])
                near = [g.copy(), g.copy()]
                for moved, sign in zip(near, (h, -h)):
                    moved[i, j] += sign
                    moved[j, i] = moved[i, j]
                if h == 0.0 or min(float(np.linalg.eigvalsh(x)[0]) for x in near) <= 0.0:
                    continue
                up, down = (
                    self._slope_in_g(terms, [*covariances[:t], x, *covariances[t + 1 :]], m)
                    for x in near
                )
                out[:, c] = (up - down) / (2.0 * h)
        out = 0.5 * (out + out.T)
        return out if np.isfinite(out).all() else np.zeros((m, m))

    # Together

    def gradient(
        self,
        engine: Engine,
        factors: list[np.ndarray],
        state: State,
        reml: bool,
    ) -> np.ndarray:
        """Return the gradient of the penalized criterion in γ (m,), β at its penalized optimum."""
        found = self.at(state, engine.n - (engine.p if reml else 0))
        out = gradient(engine, factors, state, found.residual, reml)
        if self.cov_pen is not None:
            out += self._slope_in_g(engine.terms, [f @ f.T for f in factors], len(out))
        return out

    def gradient_hessian(
        self,
        engine: Engine,
        factors: list[np.ndarray],
        state: State,
        reml: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and Hessian in γ; the average information where the engine has no more."""
        found = self.at(state, engine.n - (engine.p if reml else 0))
        if engine.is_exact:
            of = derivatives(engine, factors, state, found.residual, reml)
            g, h = of.gamma, of.gamma_gamma - _explained(of, found.curvature)
        else:
            g, h = engine.gradient_hessian(factors, found.residual.state(state), reml)
        if self.cov_pen is not None:
            covariances = [f @ f.T for f in factors]
            g = g + self._slope_in_g(engine.terms, covariances, len(g))
            h = h + self._curvature_in_g(engine.terms, covariances, len(g))
        return g, h


def _explained(of: Derivatives, curvature: np.ndarray) -> np.ndarray:
    """Return what the movement of β takes from the Hessian in γ."""
    values, vectors = eigh(of.b_b + curvature)
    kept = values > 1e-12 * max(float(values[-1]), 1e-300) if len(values) else values > 0.0
    part = of.gamma_b @ vectors[:, kept]
    return np.asarray((part / values[kept]) @ part.T)


def _inverse(g: np.ndarray) -> np.ndarray:
    """Return G⁻¹, infinite on the diagonal where there is none."""
    try:
        inverse = np.linalg.inv(g)
    except np.linalg.LinAlgError:
        inverse = np.full(g.shape, np.nan)
    return inverse if np.isfinite(inverse).all() else np.diag(np.full(len(g), np.inf))


class _Search:
    """Minimizes n_eff log(1 + z'z/n_eff) + 2 P(β̂ + map z) over z by Newton steps made downhill."""

    def __init__(self, penalty: Any, beta: np.ndarray, map: np.ndarray, n_eff: int) -> None:
        self.pen, self.beta, self.map, self.n_eff = penalty, beta, map, n_eff
        self.units = np.sqrt((map**2).sum(axis=1))

    def penalty(self, z: np.ndarray) -> float:
        return float(np.sum(self.pen.func(self.beta + self.map @ z)))

    def value(self, z: np.ndarray) -> float:
        value = self.n_eff * float(np.log1p(z @ z / self.n_eff)) + 2.0 * self.penalty(z)
        return value if np.isfinite(value) else np.inf

    def _slope(self, beta: np.ndarray) -> np.ndarray:
        given = np.asarray(self.pen.deriv(beta), dtype=float)
        if given.shape != beta.shape:
            raise DataValueError(
                f"fe_pen.deriv returned shape {given.shape}; expected {beta.shape}, the derivative in "
                "the fixed effects"
            )
        return given

    def curvature(self, z: np.ndarray) -> np.ndarray:
        """Return ∂²(2 P)/∂z∂z (p, p) by differences."""
        beta = self.beta + self.map @ z
        p = len(beta)
        h = STEP * np.maximum(np.abs(beta), self.units)
        out = np.empty((p, p))
        for j in range(p):
            step = np.zeros(p)
            step[j] = h[j]
            out[:, j] = (self._slope(beta + step) - self._slope(beta - step)) / (2.0 * h[j])
        out = self.map.T @ (out + out.T) @ self.map
        return out if np.isfinite(out).all() else np.zeros((p, p))

    def down(self, z: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the minimum below z, and its value."""
        value = self.value(z)
        for _ in range(STEPS):
            if not np.isfinite(value):
                break
            part = 1.0 + float(z @ z) / self.n_eff
            g = 2.0 * z / part + 2.0 * self.map.T @ self._slope(self.beta + self.map @ z)
            h = (2.0 / part) * np.eye(len(z)) + self.curvature(z)
            values, vectors = eigh(h - (4.0 / self.n_eff / part**2) * np.outer(z, z))
            if values[0] <= 0.0:  # far from β̂ the logarithm is concave: its tangent lies above it
                values, vectors = eigh(h)
            size = max(abs(float(values[0])), abs(float(values[-1])), 1e-300)
            slope = vectors.T @ g
            scaled = slope / np.maximum(np.abs(values), 1e-10 * size)
            decrement = 0.5 * float(slope @ scaled)
            step = vectors @ scaled
            length = 1.0
            while length > 1e-12:
                new = z - length * step
                lower = self.value(new)
                if lower < value - 1e-4 * length * decrement:
                    break
                length *= 0.5
            else:  # nothing is lower to rounding: the last step is that of Newton
                if decrement < 1e-8 and self.value(z - step) <= value + 1e-12 * (1.0 + abs(value)):
                    z = z - step
                break
            z, value = new, lower
            if decrement <= DONE:
                break
        return z, value

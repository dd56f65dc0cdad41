"""The profiled likelihood: θ ↦ criterion, gradient, Hessian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..extension.protocols import CovarianceStructure
from ..linalg.matrices import eigh, semidefinite_cholesky
from .chain import chain_rule
from .coordinates import Coordinates
from .crossed.engine import CrossedEngine
from .engine import Engine, Sums
from .independent import _groups
from .independent.engine import IndependentEngine
from .penalized import SmoothPenalties
from .state import State, TermShape, quadratic_weights


def build_engine(
    cp: CrossProducts | CrossedProducts, sizes: Sequence[int], centered: bool = False
) -> Engine:
    """Return the engine of a model, by what its cross-products are."""
    if isinstance(cp, CrossedProducts):
        return CrossedEngine(cp, sizes, centered)
    return IndependentEngine(cp, sizes, centered)


@dataclass(eq=False)
class Point:
    """What is known of the criterion at one θ.

    `roots` are Λ_t (k, w) as the structures give them, `factors` square ones (k, k) for the engine;
    `sums` are the exact sums of the engine (`Engine.derivatives`), where the Hessian was made of them.
    """

    theta: np.ndarray
    roots: list[np.ndarray]
    factors: list[np.ndarray]
    state: State | None
    value: float
    gamma_gradient: np.ndarray | None = None
    gradient: np.ndarray | None = None
    hessian: np.ndarray | None = None
    sums: Sums | None = None


class ProfiledLikelihood:
    """−2 log-likelihood with β and σ² at their optimum for θ, or with σ² held.

    θ is the concatenation of the parameters of each term's covariance structure, in the units of
    the engine (columns of Z scaled by powers of two). It is an `lmmcore.extension.Objective`.

    Parameters
    ----------
    cp : CrossProducts or CrossedProducts
    structures : sequence of CovarianceStructure
        One for each term.
    sizes : sequence of int
        Columns per level of each term.
    reml : bool
    penalty : SmoothPenalties, optional
        Makes it the penalized criterion, β at its penalized optimum for θ.
    coordinates : Coordinates, optional
        Those of the basis, where they are known already.
    scale : float, optional
        A held σ². Without it, σ² is at its optimum.
    """

    def __init__(
        self,
        cp: CrossProducts | CrossedProducts,
        structures: Sequence[CovarianceStructure],
        sizes: Sequence[int],
        reml: bool,
        engine: Engine | None = None,
        penalty: SmoothPenalties | None = None,
        coordinates: Coordinates | None = None,
        scale: float | None = None,
    ) -> None:
        self.engine: Engine = engine if engine is not None else build_engine(cp, sizes)
        self.structures = tuple(structures)
        self.reml, self.penalty = reml, penalty
        self.n_eff = self.engine.n - (self.engine.p if reml else 0)
        self.coordinates = coordinates = coordinates or Coordinates(cp.basis)
        self.scale = scale
        self.sigma2_held = None if scale is None else scale * coordinates.y_scale**2
        of_scale = 1.0 - log(self.n_eff) if self.sigma2_held is None else log(self.sigma2_held)
        self._constant = (
            self.n_eff * (of_scale + log(2.0 * pi) - 2.0 * coordinates.log_y_scale)
            - cp.log_weights
            - (coordinates.log_det if reml else 0.0)
        )
        self.slices: list[slice] = []  # of θ, for each term
        start = 0
        for term, structure in zip(self.engine.terms, self.structures):
            m = structure.n_parameters(term.k)
            self.slices.append(slice(start, start + m))
            start += m
        self.n_parameters = start
        self.evaluations = 0
        self._last: Point | None = None

    def forget(self) -> None:
        """Count evaluations from zero, and do not know any point."""
        self.evaluations, self._last = 0, None

    @property
    def terms(self) -> list[TermShape]:
        return self.engine.terms

    def parts(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return the parameters of each term."""
        return [theta[s] for s in self.slices]

    def roots(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return Λ_t (k, w) of each term, in the engine's units."""
        return [
            s.factor(theta[at], term.k)
            for s, term, at in zip(self.structures, self.engine.terms, self.slices)
        ]

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return square Λ_t (k, k) of each term, in the engine's units."""
        return [_square(root) for root in self.roots(theta)]

    def covariances(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return G_t of each term, in the engine's units."""
        return [f @ f.T for f in self.roots(theta)]

    def parameters(self, covariances: Sequence[np.ndarray]) -> np.ndarray:
        """Return θ for positive semidefinite G_t in the engine's units."""
        parts = [s.parameters(g) for s, g in zip(self.structures, covariances)]
        if len(parts) == 1:
            return np.array(parts[0], dtype=float)
        return np.concatenate([np.zeros(0), *parts])

    def point(self, theta: np.ndarray, order: int = 0) -> Point:
        """Return the criterion (order 0) with gradient (order 1) and Hessian (order 2) at θ."""
        last = self._last
        if theta.flags.writeable or theta.base is not None:
            theta = np.array(theta, dtype=float)
            theta.flags.writeable = False  # it is handed to structures
        if last is None or last.theta.tobytes() != theta.tobytes():
            roots = self.roots(theta)
            factors = list(map(_square, roots))
            state = self.engine.state(factors)
            self.evaluations += 1
            last = self._last = Point(theta, roots, factors, state, self.value_of(state, factors))
        if last.state is None or order == 0 or last.value == np.inf:
            return last
        if order == 1 and not self.engine.is_exact:
            if last.gradient is None:
                g = (
                    self.engine.gradient(last.factors, last.state, self.reml, self.sigma2_held)
                    if self.penalty is None
                    else self.penalty.gradient(self.engine, last.factors, last.state, self.reml)
                )
                last.gamma_gradient = g
                last.gradient = self._chain(last, g, np.zeros((len(g), len(g))))[0]
        elif last.hessian is None:
            if self.penalty is not None:
                g, h = self.penalty.gradient_hessian(
                    self.engine, last.factors, last.state, self.reml
                )
            elif self.engine.is_exact:
                last.sums = self.exact_sums(last)
                g, h = self._assembled(last.sums, last.state)
            else:
                g, h = self.engine.gradient_hessian(
                    last.factors, last.state, self.reml, self.sigma2_held
                )
            last.gamma_gradient = g
            last.gradient, last.hessian = self._chain(last, g, h)
        return last

    def exact_sums(self, point: Point) -> Sums:
        """Return the sums of which the exact Hessian is made; they are formed once."""
        if point.sums is None:
            assert point.state is not None
            weights = (-1.0, 2.0 if self.reml else 0.0, 2.0 * self._weights(point.state)[0])
            point.sums = self.engine.derivatives(point.factors, point.state, self.reml, weights)
        return point.sums

    def hessian_of(self, point: Point, sums: Sums) -> np.ndarray:
        """Return the exact Hessian in θ (m, m) from the exact sums there."""
        assert point.state is not None
        return self._chain(point, *self._assembled(sums, point.state))[1]

    def of_gamma(self, point: Point, slopes: np.ndarray) -> np.ndarray:
        """Return derivatives in θ (m,) for those in γ."""
        return self._chain(point, slopes, np.zeros((len(slopes), len(slopes))))[0]

    def log_scale_derivatives(
        self, point: Point, sums: Sums, of_log_det: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and Hessian (m, m) of log σ̂² in θ under ML, from the exact sums.

        `of_log_det` is ∂²log|V|/∂γ∂γ, which leaves n ∂² log σ̂²/∂γ∂γ of the criterion's Hessian.
        """
        assert point.state is not None
        slope = -sums[2][:, -1]
        bent = (self._assembled(sums, point.state)[1] - of_log_det) / self.n_eff
        return self._chain(point, slope, bent)

    def _assembled(self, sums: Sums, state: State) -> tuple[np.ndarray, np.ndarray]:
        m, on_q = self._weights(state)
        return _groups.assemble(*sums, self.engine.p, self.reml, m, -1.0, -m, on_q)

    def _weights(self, state: State) -> tuple[float, float]:
        return quadratic_weights(self.n_eff, state.r2, self.sigma2_held)

    def residual_weight(self, state: State) -> float:
        """Return 1/σ² in the basis: the weight of the residual's square in ∂d/∂A."""
        return self._weights(state)[0] / state.r2

    def value_of(self, state: State | None, factors: Sequence[np.ndarray]) -> float:
        """Return the criterion for the pieces that the factors Λ_t give."""
        square = 0.0 if state is None else state.r2
        if state is None or not square > 0.0:
            return np.inf
        price = 0.0
        if self.penalty is not None:
            found = self.penalty.at(state, self.n_eff)
            square = found.residual.qf
            price = found.value + self.penalty.of_covariances(self.terms, factors)
        held = self.sigma2_held
        fit = self.n_eff * log(square) if held is None else square / held
        value = state.log_det_v + fit + self._constant + price
        return value + state.log_det_h if self.reml else value

    def _chain(self, point: Point, g: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From γ to θ: G = ΛΛ', ∂G = ∂ΛΛ' + Λ∂Λ'."""
        theta, terms = point.theta, self.engine.terms
        slopes = [
            structure.factor_derivative(theta[at], term.k)
            for structure, at, term in zip(self.structures, self.slices, terms)
        ]
        gradient, hessian = chain_rule(g, h, terms, point.roots, slopes)
        for term, structure, at, factor in zip(terms, self.structures, self.slices, point.roots):
            second = structure.factor_second_derivative(theta[at], term.k)
            if second is not None:
                hessian[at, at] += 2.0 * np.einsum("ijab,ab->ij", second, term.matrix(g) @ factor)
        return gradient, hessian

    @cached_property
    def value_without_effects(self) -> float:
        """The criterion where all G_t are zero: that of least squares."""
        nothing = [] if self.penalty is None else [np.zeros((t.k, t.k)) for t in self.terms]
        return self.value_of(self.engine.least_squares, nothing)

    # The objective of an optimizer

    def value(self, theta: np.ndarray) -> float:
        return self.point(theta).value

    @property
    def hessian_is_cheap(self) -> bool:
        """Whether the Hessian costs little beside the gradient; it is then exact."""
        return self.engine.is_exact

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        point = self.point(theta, order=1)
        if point.gradient is None:
            return np.inf, np.zeros(self.n_parameters)
        return point.value, point.gradient

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        point = self.point(theta, order=2)
        if point.gradient is None or point.hessian is None:
            m = self.n_parameters
            return np.inf, np.zeros(m), np.eye(m)
        return point.value, point.gradient, point.hessian

    def em_step(self, theta: np.ndarray) -> np.ndarray:
        """Return θ after G ← G − G D G / q: the EM step written by the gradient D."""
        point = self.point(theta, order=1)
        if point.gamma_gradient is None:
            return point.theta
        if self.penalty is not None:  # the step of the likelihood may go too far
            return self._damped_em_step(point)
        return self._em_step(point, 1.0)

    def _damped_em_step(self, point: Point) -> np.ndarray:
        for halvings in range(30):
            moved = self._em_step(point, 0.5**halvings)
            if self.value(moved) <= point.value:
                return moved
        return point.theta

    def _em_step(self, point: Point, length: float) -> np.ndarray:
        assert point.gamma_gradient is not None
        new = []
        for term, factor in zip(self.terms, point.factors):
            d = term.matrix(point.gamma_gradient)
            inner = np.eye(term.k) - length * (factor.T @ d @ factor) / term.levels
            if self.penalty is not None:
                values, vectors = eigh(inner)
                inner = (vectors * np.maximum(values, 0.0)) @ vectors.T
            new.append(factor @ inner @ factor.T)
        return self.parameters(new)

    # Quantities at the optimum

    def sigma2(self, state: State) -> float:
        """Return σ̂² in the basis (the response scaled)."""
        if self.penalty is not None:
            return self.penalty.at(state, self.n_eff).residual.qf / self.n_eff
        return state.r2 / self.n_eff if self.sigma2_held is None else self.sigma2_held

    def scale_at(self, state: State) -> float:
        """Return σ̂² = e'V⁻¹e / n_eff, or the held σ²."""
        if self.scale is not None:
            return self.scale
        return state.r2 / self.n_eff / self.coordinates.y_scale**2

    @property
    def log_scale_variance(self) -> float:
        """The variance of log σ̂² for given θ: 2/n_eff; zero where σ² is held."""
        return 2.0 / self.n_eff if self.scale is None else 0.0


def _square(root: np.ndarray) -> np.ndarray:
    return root if root.shape[0] == root.shape[1] else semidefinite_cholesky(root @ root.T)

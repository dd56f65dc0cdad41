"""The profiled likelihood: θ ↦ criterion, gradient, Hessian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import TypeAlias

import numpy as np

from .._dense import cholesky_inverse
from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..extension.matrices import semidefinite_cholesky
from ..extension.protocols import CovarianceStructure
from .chain import chain_rule
from .crossed import CrossedEngine
from .grouped import GroupedEngine, State, TermShape

Engine: TypeAlias = GroupedEngine | CrossedEngine


def build_engine(
    cp: CrossProducts | CrossedProducts, sizes: Sequence[int], centred: bool = False
) -> Engine:
    """Return the engine of a model, by what its cross-products are."""
    if isinstance(cp, CrossedProducts):
        return CrossedEngine(cp, sizes, centred)
    return GroupedEngine(cp, sizes, centred)


@dataclass(eq=False)
class Point:
    """What is known of the criterion at one θ.

    `roots` are Λ_t (k, w) as the structures give them, `factors` square ones (k, k) for the engine.
    """

    theta: np.ndarray
    roots: list[np.ndarray]
    factors: list[np.ndarray]
    state: State | None
    value: float
    gamma_gradient: np.ndarray | None = None
    gradient: np.ndarray | None = None
    hessian: np.ndarray | None = None


class ProfiledLikelihood:
    """−2 log-likelihood with β and σ² at their optimum for θ.

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
    """

    def __init__(
        self,
        cp: CrossProducts | CrossedProducts,
        structures: Sequence[CovarianceStructure],
        sizes: Sequence[int],
        reml: bool,
        engine: Engine | None = None,
    ) -> None:
        self.engine: Engine = engine if engine is not None else build_engine(cp, sizes)
        self.structures = tuple(structures)
        self.reml = reml
        self.n_eff = self.engine.n - (self.engine.p if reml else 0)
        scale = float(cp.basis.map[-1, -1])
        self._constant = (
            self.n_eff * (1.0 + np.log(2.0 * np.pi / self.n_eff) - 2.0 * np.log(scale))
            - cp.log_weights
            - (cp.basis.log_det() if reml else 0.0)
        )
        self._slices: list[slice] = []
        start = 0
        for term, structure in zip(self.engine.terms, self.structures):
            m = structure.n_parameters(term.k)
            self._slices.append(slice(start, start + m))
            start += m
        self.n_parameters = start
        self.evaluations = 0
        self._last: Point | None = None

    @property
    def terms(self) -> list[TermShape]:
        return self.engine.terms

    def parts(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return the parameters of each term."""
        return [theta[s] for s in self._slices]

    def roots(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return Λ_t (k, w) of each term, in the engine's units."""
        return [
            s.factor(part, term.k)
            for s, term, part in zip(self.structures, self.terms, self.parts(theta))
        ]

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return square Λ_t (k, k) of each term, in the engine's units."""
        return [_square(root) for root in self.roots(theta)]

    def covariances(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return G_t of each term, in the engine's units."""
        return [f @ f.T for f in self.roots(theta)]

    def parameters(self, covariances: Sequence[np.ndarray]) -> np.ndarray:
        """Return θ for positive semidefinite G_t in the engine's units."""
        return np.concatenate([s.parameters(g) for s, g in zip(self.structures, covariances)])

    def point(self, theta: np.ndarray, order: int = 0) -> Point:
        """Return the criterion (order 0) with gradient (order 1) and Hessian (order 2) at θ."""
        last = self._last
        theta = np.array(theta, dtype=float)
        theta.flags.writeable = False  # it is handed to structures
        if last is None or last.theta.tobytes() != theta.tobytes():
            roots = self.roots(theta)
            factors = [_square(root) for root in roots]
            state = self.engine.state(factors)
            self.evaluations += 1
            last = self._last = Point(theta, roots, factors, state, self._value(state))
        if last.state is None or order == 0:
            return last
        if order == 1 and not self.engine.is_exact:
            if last.gradient is None:
                g = self.engine.gradient(last.factors, last.state, self.reml)
                last.gamma_gradient = g
                last.gradient = self._chain(last, g, np.zeros((len(g), len(g))))[0]
        elif last.hessian is None:
            g, h = self.engine.gradient_hessian(last.factors, last.state, self.reml)
            last.gamma_gradient = g
            last.gradient, last.hessian = self._chain(last, g, h)
        return last

    def _value(self, state: State | None) -> float:
        if state is None or not state.r2 > 0.0:
            return np.inf
        value = state.log_det_v + self.n_eff * log(state.r2) + self._constant
        return value + state.log_det_h if self.reml else value

    def _chain(self, point: Point, g: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From γ to θ: G = ΛΛ', ∂G = ∂ΛΛ' + Λ∂Λ'."""
        parts = self.parts(point.theta)
        slopes = [
            structure.factor_derivative(theta, term.k)
            for structure, theta, term in zip(self.structures, parts, self.terms)
        ]
        gradient, hessian = chain_rule(g, h, self.terms, point.roots, slopes)
        for term, structure, theta, at, factor in zip(
            self.terms, self.structures, parts, self._slices, point.roots
        ):
            second = structure.factor_second_derivative(theta, term.k)
            if second is not None:
                hessian[at, at] += 2.0 * np.einsum("ijab,ab->ij", second, term.matrix(g) @ factor)
        return gradient, hessian

    @cached_property
    def value_without_effects(self) -> float:
        """The criterion where all G_t are zero: that of least squares."""
        gram = self.engine.total.copy()
        inverse, ok = cholesky_inverse(gram)
        return self._value(State(0.0, gram, inverse) if ok else None)

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
        new = []
        for term, factor in zip(self.terms, point.factors):
            d = term.matrix(point.gamma_gradient)
            inner = np.eye(term.k) - factor.T @ d @ factor / term.levels
            new.append(factor @ inner @ factor.T)
        return self.parameters(new)

    # Quantities at the optimum

    def sigma2(self, state: State) -> float:
        """Return σ̂² in the basis (the response scaled)."""
        return state.r2 / self.n_eff


def _square(root: np.ndarray) -> np.ndarray:
    return root if root.shape[0] == root.shape[1] else semidefinite_cholesky(root @ root.T)

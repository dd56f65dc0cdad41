"""Derivatives of −2 log-likelihood in the entries of G and in β, at any β: σ² alone is profiled out.

The engine's sums take the residual of any β in place of the best one. Coordinates of β are those of
the basis, in which [X y]'V⁻¹[X y] has the root that a `State` holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from . import _grouped
from .crossed import CrossedEngine
from .grouped import GroupedEngine, State


@dataclass(frozen=True, eq=False)
class FixedEffects:
    """β = matrix b − shift for the coordinates b of the fixed effects in the basis."""

    matrix: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, cp: CrossProducts | CrossedProducts, order: np.ndarray) -> FixedEffects:
        """Return them for the kept columns, in the order in which they were given."""
        kept = cp.basis.kept
        last = float(cp.basis.map[-1, -1])
        return cls(
            (cp.basis.map[np.ix_(kept, kept)] / last)[order], (cp.basis.map[kept, -1] / last)[order]
        )

    def at(self, b: np.ndarray) -> np.ndarray:
        """Return β (p,)."""
        return np.asarray(self.matrix @ b - self.shift)


@dataclass(frozen=True, eq=False)
class Residual:
    """The residual of some β.

    Attributes
    ----------
    u : array (p + 1,)
        ``[X y] u`` is the residual, in the basis.
    qf : float
        e'V⁻¹e in the basis.
    """

    u: np.ndarray
    qf: float

    def state(self, state: State) -> State:
        """Return the state that makes the engine take this residual."""
        inverse = state.inverse.copy()
        inverse[-1] = self.u / self.qf**0.5
        return State(state.log_det_v, state.root, inverse)


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Of −2 log-likelihood in γ (m,) and in b (p,).

    Attributes
    ----------
    gamma : array (m,)
    gamma_gamma : array (m, m)
    gamma_b : array (m, p)
    b_b : array (p, p)
    """

    gamma: np.ndarray
    gamma_gamma: np.ndarray
    gamma_b: np.ndarray
    b_b: np.ndarray


def gradient(
    engine: GroupedEngine | CrossedEngine,
    factors: list[np.ndarray],
    state: State,
    residual: Residual,
    reml: bool,
) -> np.ndarray:
    """Return the gradient in γ (m,), β held fixed."""
    m = float(engine.n - (engine.p if reml else 0))
    weights = (-1.0, 2.0 if reml else 0.0, 2.0 * m)
    sums = engine.derivatives(factors, residual.state(state), reml, weights, with_quad=False)
    return np.asarray(_grouped.assemble(*sums, engine.p, reml, m, 0.0, 0.0)[0])


def derivatives(
    engine: GroupedEngine | CrossedEngine,
    factors: list[np.ndarray],
    state: State,
    residual: Residual,
    reml: bool,
) -> Derivatives:
    """Return gradient and Hessian in γ and b, exact."""
    p = engine.p
    m = float(engine.n - (p if reml else 0))
    weights = (-1.0, 2.0 if reml else 0.0, 2.0 * m)
    trace, quad, outer = engine.derivatives(factors, residual.state(state), reml, weights)
    # β is a parameter here, so that nothing is subtracted for profiling it: no terms in w.
    last = p * (p + 1) // 2
    crossed = outer[:, last : last + p].copy()
    quantities = outer.copy()
    quantities[:, last : last + p] = 0.0
    first, second = _grouped.assemble(trace, quad, quantities, p, reml, m, -1.0, -m)
    root, qf = np.tril(state.root), residual.qf
    h = root[:p, :p] @ root[:p, :p].T
    xe = (root @ (root.T @ residual.u))[:p]  # X'V⁻¹e
    # w_c = X'V⁻¹Z E_c Z'V⁻¹e, from the metric of the sums; q_c = e'V⁻¹Z E_c Z'V⁻¹e / qf.
    w = crossed @ root[:p, :p].T * qf**0.5
    q = outer[:, last + p]
    return Derivatives(
        first,
        second,
        2.0 * m * (w - np.outer(q, xe)) / qf,
        2.0 * m * h / qf - 4.0 * m * np.outer(xe, xe) / qf**2,
    )

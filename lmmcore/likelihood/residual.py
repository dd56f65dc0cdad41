"""Derivatives of −2 log-likelihood in the entries of G and in β, at any β: σ² alone is profiled out.

The engine's sums take the residual of any β in place of the best one. Coordinates of β are those of
the basis, in which [X y]'V⁻¹[X y] has the root that a `State` holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .engine import Engine, Sums
from .independent import _groups
from .state import State, quadratic_weights


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
    engine: Engine,
    factors: list[np.ndarray],
    state: State,
    residual: Residual,
    reml: bool,
    sums: Sums | None = None,
    sigma2: float | None = None,
) -> np.ndarray:
    """Return the gradient in γ (m,), β held fixed; `sums` are those of the engine, where they are known.

    `sigma2` is a held σ², in the basis.
    """
    m, _ = quadratic_weights(engine.n - (engine.p if reml else 0), residual.qf, sigma2)
    weights = (-1.0, 2.0 if reml else 0.0, 2.0 * m)
    if sums is None:
        sums = engine.derivatives(factors, residual.state(state), reml, weights, with_quad=False)
    return np.asarray(_groups.assemble(*sums, engine.p, reml, m, 0.0, 0.0, 0.0)[0])


def derivatives(
    engine: Engine,
    factors: list[np.ndarray],
    state: State,
    residual: Residual,
    reml: bool,
    sums: Sums | None = None,
    sigma2: float | None = None,
) -> Derivatives:
    """Return gradient and Hessian in γ and b, exact; `sums` are those of the engine, where they are known."""
    p = engine.p
    m, on_q = quadratic_weights(engine.n - (p if reml else 0), residual.qf, sigma2)
    weights = (-1.0, 2.0 if reml else 0.0, 2.0 * m)
    if sums is None:
        sums = engine.derivatives(factors, residual.state(state), reml, weights)
    trace, quad, outer = sums
    # β is a parameter here, so that nothing is subtracted for profiling it: no terms in w.
    last = p * (p + 1) // 2
    crossed = outer[:, last : last + p].copy()
    quantities = outer.copy()
    quantities[:, last : last + p] = 0.0
    first, second = _groups.assemble(trace, quad, quantities, p, reml, m, -1.0, -m, on_q)
    root, qf = np.tril(state.root), residual.qf
    h = root[:p, :p] @ root[:p, :p].T
    xe = (root @ (root.T @ residual.u))[:p]  # X'V⁻¹e
    # w_c = X'V⁻¹Z E_c Z'V⁻¹e, from the metric of the sums; q_c = e'V⁻¹Z E_c Z'V⁻¹e / qf.
    w = crossed @ root[:p, :p].T * qf**0.5
    q = outer[:, last + p] if sigma2 is None else np.zeros(len(w))  # from the profile of σ²
    of_profile = 0.0 if sigma2 is not None else 4.0 * m / qf**2
    return Derivatives(
        first,
        second,
        2.0 * m * (w - np.outer(q, xe)) / qf,
        2.0 * m * h / qf - of_profile * np.outer(xe, xe),
    )

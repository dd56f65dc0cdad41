"""How the covariance matrix of β̂ moves with the covariance parameters, and how far these are uncertain.

With H = X'V⁻¹X and V relative to σ², ``∂H⁻¹/∂γ_c = H⁻¹ B'E_cB H⁻¹`` for B = Z'V⁻¹X and the pattern E_c
of an entry γ_c of G, and ``∂ log σ̂²/∂γ_c = −s'E_c s / r²`` for s = Z'V⁻¹(y − Xβ̂): no differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..fitting.fit import Fit, once
from ..likelihood.engine import Sums
from ..linalg.matrices import lower_indices

SMALL = 1e-9  # eigenvalue of the Hessian, relative to the largest, of a direction that is left out


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """Derivatives of cov(β̂) = σ² H⁻¹ in θ, and the covariance of θ̂.

    Attributes
    ----------
    half : array (p, p)
        H⁻¹ = half'half, in the user's columns, without σ².
    patterns : array (n_coordinates, p, p)
        ∂H⁻¹/∂γ_c = half' patterns_c half.
    log_scale : array (n_coordinates,)
        ∂ log σ̂²/∂γ.
    jacobian : array (n_coordinates, m)
        ∂γ/∂θ.
    cov_theta : array (m, m)
        2 × the inverse Hessian of −2 log-likelihood in θ, σ² at its optimum.
    """

    half: np.ndarray
    patterns: np.ndarray
    log_scale: np.ndarray
    jacobian: np.ndarray
    cov_theta: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """∂(half⁻ᵀ H⁻¹ half⁻¹)/∂θ, with the share of σ̂² that moves with θ (m, p, p)."""
        own = np.tensordot(self.jacobian.T, self.patterns, 1)
        moved = self.jacobian.T @ self.log_scale
        out: np.ndarray = own + moved[:, None, None] * np.eye(own.shape[1])
        return out


@once
def second_order(fit: Fit) -> SecondOrder:
    """Return the derivatives of cov(β̂) at the optimum; formed once."""
    likelihood, point, coordinates = fit.likelihood, fit.point, fit.likelihood.coordinates
    sums = likelihood.exact_sums(point)
    p = fit.spec.k_fe
    outer = sums[2]
    if not fit.reml:  # the sums of ML leave B'E_cB out
        engine, factors = likelihood.engine, point.factors
        outer = engine.derivatives(factors, fit.state, True, (-1.0, 0.0, 0.0), with_quad=False)[2]
    outer = _symmetric(outer, p + 1)
    half = fit.state.inverse[:p, :p] @ coordinates.matrix.T * coordinates.y_scale
    jacobian = gamma_slopes(fit)
    if fit.residual is not None:
        return _with_residual(fit, outer, half, jacobian)
    slope = -outer[:, p, p] if not fit.holds_scale else np.zeros(len(outer))
    hessian = exact_hessian(fit, sums)
    return SecondOrder(half, outer[:, :p, :p], slope, jacobian, 2.0 * _inverse(hessian))


def _with_residual(
    fit: Fit, outer: np.ndarray, half: np.ndarray, jacobian: np.ndarray
) -> SecondOrder:
    """Return the same with the parameters u of the residual structure beside θ, and after γ."""
    p, residual = fit.spec.k_fe, fit.residual
    effects = fit.likelihood.engine.effects_of_columns(fit.point.factors)
    moved = residual.products.moved(residual.u, effects, fit.equations.crossproducts.basis.kept)
    metric = fit.state.inverse
    outer = np.concatenate([outer, metric @ moved @ metric.T])
    slope = -outer[:, p, p] if not fit.holds_scale else np.zeros(len(outer))
    both = np.zeros((len(outer), jacobian.shape[1] + len(moved)))
    both[: len(jacobian), : jacobian.shape[1]] = jacobian
    both[len(jacobian) :, jacobian.shape[1] :] = np.eye(len(moved))
    return SecondOrder(half, outer[:, :p, :p], slope, both, 2.0 * _inverse(residual.hessian))


def _symmetric(packed: np.ndarray, size: int) -> np.ndarray:
    rows, cols = lower_indices(size)
    out = np.zeros((len(packed), size, size))
    out[:, rows, cols] = packed
    out[:, cols, rows] = packed
    return out


def gamma_slopes(fit: Fit) -> np.ndarray:
    """Return ∂γ/∂θ (n_coordinates, m) for the entries γ of all G, in the engine's columns."""
    likelihood, point = fit.likelihood, fit.point
    out = np.zeros((likelihood.engine.n_coordinates, likelihood.n_parameters))
    for term, structure, at, root in zip(
        likelihood.terms, likelihood.structures, likelihood.slices, point.roots
    ):
        rows, cols = lower_indices(term.k)
        moved = structure.factor_derivative(point.theta[at], term.k) @ root.T
        out[term.coordinates, at] = (moved[:, rows, cols] + moved[:, cols, rows]).T
    return out


def exact_hessian(fit: Fit, sums: Sums) -> np.ndarray:
    """Return the exact Hessian in θ (m, m), also where the optimizer used average information."""
    likelihood = fit.likelihood
    if likelihood.engine.is_exact and fit.point.hessian is not None:
        return fit.point.hessian
    return likelihood.hessian_of(fit.point, sums)


def _inverse(hessian: np.ndarray) -> np.ndarray:
    """Return the inverse on the directions of positive curvature."""
    if not len(hessian):
        return hessian
    size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(size, size))
    kept = values > SMALL * max(values[-1], 1.0)
    out: np.ndarray = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T / np.outer(size, size)
    return out

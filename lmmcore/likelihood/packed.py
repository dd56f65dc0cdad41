"""The likelihood at any parameters, in the parameterisation of statsmodels.

Parameters are β, the lower triangle of the covariance matrix of the random coefficients and the
variance components, both divided by σ²; σ² is always profiled out, β only when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..errors import DataValueError
from ..extension.matrices import lower_indices, semidefinite_cholesky
from ..params import MixedLMParams
from .grouped import State
from .profiled import Engine
from .residual import FixedEffects, Residual, derivatives, gradient


@dataclass(frozen=True, eq=False)
class PackedPoint:
    """What is needed at one set of parameters.

    Attributes
    ----------
    factors : list of arrays
        Λ_t in the engine's units.
    state : State
    u : array (p + 1,)
        ``[X y] u`` is the residual, in the basis.
    qf : float
        e'V⁻¹e in the basis.
    """

    factors: list[np.ndarray]
    state: State
    u: np.ndarray
    qf: float


class PackedLikelihood:
    """Log-likelihood, score and Hessian of a model with unstructured terms.

    Parameters
    ----------
    engine : GroupedEngine or CrossedEngine
    cp : CrossProducts or CrossedProducts
    order : int array (p,)
        Position in the basis of each fixed effect.
    k_re, k_vc : int
        Numbers of random coefficients and variance components.
    """

    def __init__(
        self,
        engine: Engine,
        cp: CrossProducts | CrossedProducts,
        order: np.ndarray,
        k_re: int,
        k_vc: int,
    ) -> None:
        self.engine, self.order = engine, order
        self.k_re, self.k_vc = k_re, k_vc
        self.fixed = FixedEffects.of(cp, order)
        self.matrix, self.shift = self.fixed.matrix, self.fixed.shift
        self.y_scale = float(cp.basis.map[-1, -1])
        self.log_det = cp.basis.log_det()
        self.log_weights = cp.log_weights
        self.jacobian = self._jacobian()

    def _jacobian(self) -> np.ndarray:
        """Return ∂γ/∂(packed covariance parameters), γ in the engine.

        Entries between different terms have no effect: the model holds them at zero.
        """
        rows, cols = lower_indices(self.k_re)
        packed = np.full((self.k_re, self.k_re), -1)
        packed[rows, cols] = np.arange(len(rows))
        out = np.zeros((self.engine.n_coordinates, len(rows) + self.k_vc))
        start = component = 0
        for term in self.engine.terms:
            a, b = lower_indices(term.k)
            if start < self.k_re:
                where = packed[start + a, start + b]
                start += term.k
            else:
                where = np.array([len(rows) + component])
                component += 1
            for i in range(len(a)):
                pattern = np.zeros((term.k, term.k))
                pattern[a[i], b[i]] = pattern[b[i], a[i]] = 1.0
                out[term.coordinates, where[i]] = term.to_engine(pattern)[a, b]
        return out

    def n_eff(self, reml: bool) -> int:
        return self.engine.n - (self.engine.p if reml else 0)

    def factors(self, params: MixedLMParams) -> list[np.ndarray]:
        """Return Λ_t of each term, in the engine's units.

        Raises
        ------
        DataValueError
            Wrong shapes, or a matrix that is no covariance matrix.
        """
        if params.cov_re.shape != (self.k_re, self.k_re) or len(params.vcomp) != self.k_vc:
            raise DataValueError(
                f"params has cov_re of shape {params.cov_re.shape} and {len(params.vcomp)} variance "
                f"components; expected ({self.k_re}, {self.k_re}) and {self.k_vc}"
            )
        out, start, component = [], 0, 0
        for term in self.engine.terms:
            if start < self.k_re:
                g = params.cov_re[start : start + term.k, start : start + term.k]
                start += term.k
            else:
                g = params.vcomp[component : component + 1, None]
                component += 1
            g = term.to_engine(g)
            factor = semidefinite_cholesky(g)
            error = np.abs(factor @ factor.T - g).max(initial=0.0)
            if not error <= 1e-8 * np.abs(g).max(initial=0.0):
                what = "cov_re" if term.k > 1 or component == 0 else "vcomp"
                raise DataValueError(
                    f"params: {what} is not positive semidefinite, so that it is no covariance matrix; "
                    "expected non-negative variances and correlations between -1 and 1"
                )
            out.append(factor)
        return out

    def at(self, params: MixedLMParams, profile_fe: bool) -> PackedPoint:
        """Evaluate the sums at parameters, with their β or the best one."""
        factors = self.factors(params)
        state = self.engine.state(factors)
        if state is None:
            raise DataValueError(
                "params: the likelihood is not finite there; expected smaller values"
            )
        p = self.engine.p
        u = np.ones(p + 1)
        if profile_fe:
            u[:p] = -(state.inverse[:p, :p].T @ state.root[p, :p])
            return PackedPoint(factors, state, u, state.r2)
        beta = np.asarray(params.fe_params, dtype=float)
        if beta.shape != (p,):
            raise DataValueError(
                f"params has {beta.size} fixed effects; expected {p}, one for each column of exog"
            )
        u[:p] = -np.linalg.solve(self.matrix, beta + self.shift)
        root = np.tril(state.root)
        return PackedPoint(factors, state, u, float(np.sum((root.T @ u) ** 2)))

    def fe_params(self, point: PackedPoint) -> np.ndarray:
        """Return β (p,)."""
        return -self.matrix @ point.u[:-1] - self.shift

    def scale(self, point: PackedPoint, reml: bool) -> float:
        """Return the estimate of σ² for these parameters."""
        return point.qf / self.y_scale**2 / self.n_eff(reml)

    def loglike(self, point: PackedPoint, reml: bool) -> float:
        """Return the log-likelihood, σ² profiled out."""
        m = self.n_eff(reml)
        value = point.state.log_det_v - self.log_weights
        value += m * (1.0 + np.log(2.0 * np.pi * self.scale(point, reml)))
        if reml:
            value += point.state.log_det_h - self.log_det
        return -0.5 * float(value)

    def score_fe(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative in β (p,): X'V⁻¹e / σ̂²."""
        p = self.engine.p
        root = np.tril(point.state.root)
        crossed = (root @ (root.T @ point.u))[:p]  # Q'V⁻¹e
        return np.linalg.solve(self.matrix.T, crossed) * self.n_eff(reml) / point.qf

    def score_cov(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative in the packed covariance parameters, β held fixed."""
        residual = Residual(point.u, point.qf)
        found = gradient(self.engine, point.factors, point.state, residual, reml)
        return np.asarray(-0.5 * found @ self.jacobian)

    def log_scale_slope(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative of log σ̂² in the packed covariance parameters."""
        at_point = Residual(point.u, point.qf).state(point.state)
        weights = (-1.0, 2.0 if reml else 0.0, 2.0 * self.n_eff(reml))
        outer = self.engine.derivatives(point.factors, at_point, reml, weights, False)[2]
        return np.asarray(-outer[:, -1] @ self.jacobian)

    def crossed(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return −∂(X'V⁻¹e)/∂(packed covariance parameters) (k, p), V relative to σ², β held fixed."""
        p, at_point = self.engine.p, Residual(point.u, point.qf).state(point.state)
        weights = (-1.0, 2.0 if reml else 0.0, 2.0 * self.n_eff(reml))
        outer = self.engine.derivatives(point.factors, at_point, reml, weights, False)[2]
        last = p * (p + 1) // 2
        root = np.tril(point.state.root)[:p, :p]
        w = outer[:, last : last + p] @ root.T * point.qf**0.5
        return np.asarray(self.jacobian.T @ w @ np.linalg.inv(self.matrix)) / self.y_scale**2

    def hessian(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the Hessian in β and the packed covariance parameters, σ² profiled out."""
        p, k = self.engine.p, self.jacobian.shape[1]
        residual = Residual(point.u, point.qf)
        found = derivatives(self.engine, point.factors, point.state, residual, reml)
        to_raw = np.linalg.inv(self.matrix)  # b = to_raw (β + shift)
        out = np.zeros((p + k, p + k))
        out[p:, p:] = -0.5 * self.jacobian.T @ found.gamma_gamma @ self.jacobian
        out[:p, :p] = -0.5 * to_raw.T @ found.b_b @ to_raw
        out[p:, :p] = -0.5 * self.jacobian.T @ found.gamma_b @ to_raw
        out[:p, p:] = out[p:, :p].T
        return out

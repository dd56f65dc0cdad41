"""The likelihood at any parameters, in the parameterization of statsmodels.

Parameters are β, the lower triangle of the covariance matrix of the random coefficients and the
variance components, both divided by σ²; σ² is always profiled out, β only when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..crossproducts.crossproducts import CrossProducts
from ..design.layout import Layout
from ..errors import DataValueError
from ..linalg.matrices import lower_indices, semidefinite_cholesky
from ..params import MixedLMParams
from .coordinates import Coordinates
from .engine import Engine, Sums
from .residual import Residual, derivatives, gradient
from .state import State, quadratic_weights


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
    sums : tuple or None
        The exact sums of the engine there, where they are known.
    """

    factors: list[np.ndarray]
    state: State
    u: np.ndarray
    qf: float
    sums: Sums | None = None


class PackedLikelihood:
    """Log-likelihood, score and Hessian of a model with unstructured terms.

    Parameters
    ----------
    engine : Engine
    cp : CrossProducts or CrossedProducts
    layout : Layout
    scale : float, optional
        A held σ².
    """

    def __init__(
        self, engine: Engine, cp: CrossProducts | CrossedProducts, layout: Layout,
        scale: float | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.layout = engine, layout
        self.coordinates = Coordinates(cp.basis)
        self.held = scale
        self.sigma2_held = None if scale is None else scale * self.coordinates.y_scale**2
        self.log_weights = cp.log_weights

    @cached_property
    def jacobian(self) -> np.ndarray:
        """∂γ/∂(packed covariance parameters), γ in the engine.

        Entries between different terms have no effect: the model holds them at zero.
        """
        layout = self.layout
        out = np.zeros((self.engine.n_coordinates, layout.k_re2 + layout.k_vc))
        for term, where in zip(self.engine.terms, layout.packed):
            a, b = lower_indices(term.k)
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
        k_re, k_vc = self.layout.k_re, self.layout.k_vc
        if params.cov_re.shape != (k_re, k_re) or len(params.vcomp) != k_vc:
            raise DataValueError(
                f"params has cov_re of shape {params.cov_re.shape} and {len(params.vcomp)} variance "
                f"components; expected ({k_re}, {k_re}) and {k_vc}"
            )
        out = []
        parts = self.layout.split(params.cov_re, params.vcomp)
        for own, term, part in zip(self.layout.terms, self.engine.terms, parts):
            g = term.to_engine(part)
            factor = semidefinite_cholesky(g)
            error = np.abs(factor @ factor.T - g).max(initial=0.0)
            if not error <= 1e-8 * np.abs(g).max(initial=0.0):
                what = "vcomp" if own.is_component else "cov_re"
                raise DataValueError(
                    f"params: {what} is not positive semidefinite, so it is not a covariance "
                    f"matrix; expected "
                    "nonnegative variances and correlations between -1 and 1"
                )
            out.append(factor)
        return out

    def at(self, params: MixedLMParams, profile_fe: bool) -> PackedPoint:
        """Evaluate the sums at parameters, with their β or the best one."""
        factors = self.factors(params)
        state = self.engine.state(factors)
        if state is None:
            raise DataValueError(
                "params: the likelihood is not finite at these values; expected smaller ones"
            )
        p = self.engine.p
        if profile_fe:
            return PackedPoint(factors, state, state.solution, state.r2)
        beta = np.asarray(params.fe_params, dtype=float)
        if beta.shape != (p,):
            raise DataValueError(
                f"params has {beta.size} fixed effects; expected {p}, one for each column of exog"
            )
        u = self.coordinates.solution(beta)
        root = np.tril(state.root)
        return PackedPoint(factors, state, u, float(np.sum((root.T @ u) ** 2)))

    def fe_params(self, point: PackedPoint) -> np.ndarray:
        """Return β (p,)."""
        return self.coordinates.of_solution(point.u)

    def scale(self, point: PackedPoint, reml: bool) -> float:
        """Return the estimate of σ² for these parameters, or the held σ²."""
        if self.held is not None:
            return self.held
        return point.qf / self.coordinates.y_scale**2 / self.n_eff(reml)

    def loglike(self, point: PackedPoint, reml: bool) -> float:
        """Return the log-likelihood, σ² profiled out or held."""
        value = point.state.log_det_v - self.log_weights
        value += self.n_eff(reml) * np.log(2.0 * np.pi * self.scale(point, reml))
        value += self._weight(point, reml)
        if reml:
            value += point.state.log_det_h - self.coordinates.log_det
        return -0.5 * float(value)

    def _weight(self, point: PackedPoint, reml: bool) -> float:
        """Return e'V⁻¹e/σ²."""
        return quadratic_weights(self.n_eff(reml), point.qf, self.sigma2_held)[0]

    def score_fe(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative in β (p,): X'V⁻¹e / σ̂²."""
        p = self.engine.p
        root = np.tril(point.state.root)
        crossed = (root @ (root.T @ point.u))[:p]  # Q'V⁻¹e
        return (
            np.linalg.solve(self.coordinates.matrix.T, crossed)
            * self._weight(point, reml)
            / point.qf
        )

    def score_cov(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative in the packed covariance parameters, β held fixed."""
        residual = Residual(point.u, point.qf)
        found = gradient(
            self.engine, point.factors, point.state, residual, reml, point.sums, self.sigma2_held
        )
        return np.asarray(-0.5 * found @ self.jacobian)

    def _outer(self, point: PackedPoint, reml: bool) -> np.ndarray:
        if point.sums is not None:
            return point.sums[2]
        at_point = Residual(point.u, point.qf).state(point.state)
        weights = (-1.0, 2.0 if reml else 0.0, 2.0 * self._weight(point, reml))
        return self.engine.derivatives(point.factors, at_point, reml, weights, False)[2]

    def log_scale_slope(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the derivative of log σ̂² in the packed covariance parameters; zero where σ² is held."""
        if self.held is not None:
            return np.zeros(self.jacobian.shape[1])
        return np.asarray(-self._outer(point, reml)[:, -1] @ self.jacobian)

    def crossed(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return −∂(X'V⁻¹e)/∂(packed covariance parameters) (k, p), V relative to σ², β held fixed."""
        p, coordinates = self.engine.p, self.coordinates
        last = p * (p + 1) // 2
        root = np.tril(point.state.root)[:p, :p]
        w = self._outer(point, reml)[:, last : last + p] @ root.T * point.qf**0.5
        return np.asarray(self.jacobian.T @ w @ np.linalg.inv(coordinates.matrix)) / (
            coordinates.y_scale**2
        )

    def hessian(self, point: PackedPoint, reml: bool) -> np.ndarray:
        """Return the Hessian in β and the packed covariance parameters, σ² profiled out."""
        p, k = self.engine.p, self.jacobian.shape[1]
        residual = Residual(point.u, point.qf)
        found = derivatives(
            self.engine, point.factors, point.state, residual, reml, point.sums, self.sigma2_held
        )
        to_raw = np.linalg.inv(self.coordinates.matrix)  # b = to_raw (β + shift)
        out = np.zeros((p + k, p + k))
        out[p:, p:] = -0.5 * self.jacobian.T @ found.gamma_gamma @ self.jacobian
        out[:p, :p] = -0.5 * to_raw.T @ found.b_b @ to_raw
        out[p:, :p] = -0.5 * self.jacobian.T @ found.gamma_b @ to_raw
        out[:p, p:] = out[p:, :p].T
        return out

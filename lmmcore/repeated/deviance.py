"""−2 log-likelihood (ML) in ψ = (θ, u, log σ²), and its optimum with one function of ψ held.

With the criterion d(θ, u), in which σ² is at its optimum σ̂²(θ, u),

    −2 log-likelihood = d + n (log σ² − log σ̂² + σ̂²/σ² − 1),   n ∂log σ̂² = ∂d − ∂log|V|,

and ∂log|V| is the gradient of d without its terms in β̂ and σ̂².
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from .likelihood import JointLikelihood

TOLERANCE = 1e-10  # of −2 log-likelihood, where a constrained search ends
MET = 1e-6  # distance from the held value at which it counts as held
STEP = 1e-6  # of differences of the held function
Function = Callable[[np.ndarray], float]


class JointDeviance:
    """−2 log-likelihood of a fit by maximum likelihood.

    Parameters
    ----------
    fit : Fit
    """

    def __init__(self, fit: Any) -> None:
        residual = fit.residual
        self.joint = JointLikelihood(fit.equations, residual.products, False)
        self.n, self.holds_scale = fit.spec.nobs, fit.holds_scale
        self.best = np.concatenate([fit.point.theta, residual.u, [np.log(fit.scale)]])
        self.least = fit.criterion

    def value_and_gradient(self, psi: np.ndarray) -> tuple[float, np.ndarray]:
        """Return −2 log-likelihood and its gradient (m,); infinite where R is not positive definite."""
        joint = self.joint
        value, slope = joint.value_and_gradient(psi[:-1])
        if not np.isfinite(value) or self.holds_scale:
            return value, np.append(slope, 0.0)
        theta, u = joint.split(psi[:-1])
        inner = joint.inner(u)
        assert inner is not None
        likelihood: Any = inner.likelihood
        point = likelihood.point(theta)
        ratio = np.log(likelihood.scale_at(point.state)) - psi[-1]
        of_scale = (slope - self._of_log_det(likelihood, point, u)) / self.n
        moved = self.n * (np.exp(ratio) - 1.0)
        return (
            float(value + self.n * (np.exp(ratio) - ratio - 1.0)),
            np.append(slope + moved * of_scale, -moved),
        )

    def _of_log_det(self, likelihood: Any, point: Any, u: np.ndarray) -> np.ndarray:
        """Return ∂log|V| in θ and u."""
        engine = likelihood.engine
        alone = engine.product_derivative(point.factors, point.state, 0.0, 0.0)
        of_u = self.joint.products.gradient(u, alone)
        if not self.joint.m_theta:
            return of_u
        trace = engine.derivatives(point.factors, point.state, False, (1.0, 0.0, 0.0), False)[0]
        of_theta = likelihood.of_gamma(point, trace)
        return np.concatenate([of_theta, of_u])

    def held(self, c: Function, target: float, start: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the least value with c(ψ) = target, and ψ there.

        Raises
        ------
        ConvergenceError
            No ψ with this value was found.
        """
        from scipy.optimize import minimize

        def slopes(psi: np.ndarray) -> np.ndarray:
            out = np.empty(len(psi))
            for i in range(len(psi)):
                e = np.zeros(len(psi))
                e[i] = STEP * max(abs(psi[i]), 0.1)
                out[i] = (c(psi + e) - c(psi - e)) / (2.0 * e[i])
            return out

        def objective(psi: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.value_and_gradient(psi)
            return (value - self.least, gradient) if np.isfinite(value) else (1e6, 0.0 * psi)

        constraint = {"type": "eq", "fun": lambda psi: c(psi) - target, "jac": slopes}
        with np.errstate(all="ignore"):
            found = minimize(
                objective, start, jac=True, method="SLSQP", constraints=[constraint],
                options={"ftol": TOLERANCE, "maxiter": 200},
            )  # fmt: skip
        if not np.isfinite(found.x).all() or abs(c(found.x) - target) > MET or found.fun > 1e5:
            raise ConvergenceError(
                f"the profile did not converge at {target:.6g}; expected a smooth likelihood. Use the "
                "parametric bootstrap"
            )
        return float(found.fun), np.asarray(found.x)

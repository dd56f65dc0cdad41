"""The deviance with one function of the covariance parameters held: what a profile needs.

The parameters are ψ = (θ, log σ²), β at its optimum. With the profiled criterion d(θ) and its σ̂²(θ),

    −2 log-likelihood = d(θ) + n (log σ² − log σ̂² + σ̂²/σ² − 1),

so that value and gradient follow from the likelihood's own. Where σ² is held, log σ² stays. A function c(ψ)
is held by Newton's method for the Lagrangian; its multiplier is the derivative of the profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import ConvergenceError
from ..fitting.fit import Fit
from ..likelihood.state import State

STEPS = 60  # of Newton's method for one value
CLOSE = 1e-9  # decrement of the Lagrangian at which it stops
KICKS, KICK = 3, 0.05  # how often, and how far, it leaves a saddle point


@dataclass(frozen=True, eq=False)
class Held:
    """The optimum with a function held at a value.

    Attributes
    ----------
    psi : array (m + 1,)
    value : float
        −2 log-likelihood there.
    slope : float
        Its derivative in the held value.
    """

    psi: np.ndarray
    value: float
    slope: float


class Deviance:
    """−2 log-likelihood (ML) as a function of ψ = (θ, log σ²).

    Parameters
    ----------
    fit : Fit
        A fit by maximum likelihood.
    """

    def __init__(self, fit: Fit) -> None:
        self.likelihood, self.n = fit.likelihood, fit.spec.nobs
        self.best = np.append(fit.point.theta, np.log(fit.scale))
        self.criterion = fit.criterion

    def value(self, psi: np.ndarray) -> float:
        """Return −2 log-likelihood; infinite where there is none."""
        point = self.likelihood.point(psi[:-1])
        if point.state is None:
            return np.inf
        if self.likelihood.scale is not None:
            return float(point.value)
        log_ratio = self._log_scale(point.state) - psi[-1]
        return float(point.value + self.n * (np.exp(log_ratio) - log_ratio - 1.0))

    def _log_scale(self, state: State) -> float:
        return float(np.log(self.likelihood.scale_at(state)))

    def second(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return value, gradient and Hessian."""
        likelihood = self.likelihood
        point = likelihood.point(psi[:-1], order=2)
        assert point.state is not None
        assert point.gradient is not None
        assert point.hessian is not None
        sums = likelihood.exact_sums(point)
        if likelihood.scale is not None:
            m = len(point.gradient)
            hessian = np.eye(m + 1)
            hessian[:m, :m] = likelihood.hessian_of(point, sums)
            return self.value(psi), np.append(point.gradient, 0.0), hessian
        # ∂²log|V|/∂γ∂γ; the rest of the criterion's Hessian is n ∂² log σ̂²/∂γ∂γ.
        _, of_log_det, _ = likelihood.engine.derivatives(
            point.factors, point.state, False, (-1.0, 0.0, 0.0)
        )
        slope, bent = likelihood.log_scale_derivatives(point, sums, of_log_det)
        hessian_theta = likelihood.hessian_of(point, sums)
        ratio = np.exp(self._log_scale(point.state) - psi[-1])
        n, m = self.n, len(slope)
        gradient = np.append(point.gradient + n * (ratio - 1.0) * slope, n * (1.0 - ratio))
        hessian = np.empty((m + 1, m + 1))
        hessian[:m, :m] = hessian_theta + n * ratio * np.outer(slope, slope)
        hessian[:m, :m] += n * (ratio - 1.0) * bent
        hessian[m, :m] = hessian[:m, m] = -n * ratio * slope
        hessian[m, m] = n * ratio
        return self.value(psi), gradient, hessian

    def held(
        self, c: Callable[[np.ndarray], tuple[float, np.ndarray]], target: float, start: np.ndarray
    ) -> Held:
        """Return the optimum with c(ψ) = target.

        Parameters
        ----------
        c : callable
            ψ → value and gradient.

        Raises
        ------
        ConvergenceError
            Newton's method does not reach it.
        """
        psi, multiplier, kicks = start.copy(), 0.0, 0
        c = self.moving(c)
        for step in range(STEPS):
            found, a = c(psi)
            if not np.isfinite(self.value(psi)) or not np.isfinite(a).all():
                break
            value, gradient, hessian = self.second(psi)
            if step == 0:
                multiplier = float(gradient @ a / (a @ a))
            rest = gradient - multiplier * a
            whole = hessian - multiplier * self._curvature(c, psi)
            whole = _positive_on(whole, a)
            m = len(psi)
            system = np.zeros((m + 1, m + 1))
            system[:m, :m], system[:m, m], system[m, :m] = whole, a, a
            right = np.append(-gradient, target - found)
            move = np.linalg.lstsq(system, right, rcond=None)[0]
            change, multiplier = move[:m], -float(move[m])
            decrement = abs(float(change @ rest)) + abs(target - found) * (abs(multiplier) + 1.0)
            if decrement < CLOSE and abs(target - found) < 1e-10:
                away = _falling(hessian - multiplier * self._curvature(c, psi), a)
                if away is None or kicks == KICKS:
                    return Held(psi, value, multiplier)
                kicks += 1  # a saddle point, such as a variance of zero that should not be
                psi = psi + KICK * max(1.0, float(np.abs(psi[:-1]).max(initial=0.0))) * away
                continue
            psi = self._damped(c, psi, change, target, value, abs(multiplier))
        raise ConvergenceError(
            f"the profile did not converge at {target:.6g}; expected a smooth likelihood. Use the parametric "
            "bootstrap"
        )

    def moving(
        self, c: Callable[[np.ndarray], tuple[float, np.ndarray]]
    ) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """Return c with a gradient in what is estimated: without log σ², where that is held."""
        if self.likelihood.scale is None:
            return c

        def without_scale(psi: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = c(psi)
            return value, np.append(gradient[:-1], 0.0)

        return without_scale

    def _damped(
        self, c: Callable[[np.ndarray], tuple[float, np.ndarray]], psi: np.ndarray, change: np.ndarray,
        target: float, value: float, price: float,
    ) -> np.ndarray:  # fmt: skip
        price = 2.0 * price + 1.0
        merit = value + price * abs(c(psi)[0] - target)
        size = 1.0
        for _ in range(12):
            moved = psi + size * change
            with np.errstate(all="ignore"):
                new = self.value(moved) + price * abs(c(moved)[0] - target)
            if np.isfinite(new) and new <= merit + 1e-9 * (1.0 + abs(merit)):
                return moved
            size *= 0.5
        return psi + size * change

    @staticmethod
    def _curvature(
        c: Callable[[np.ndarray], tuple[float, np.ndarray]], psi: np.ndarray
    ) -> np.ndarray:
        """Return ∂²c/∂ψ∂ψ by differences of its gradient; c costs nothing."""
        m = len(psi)
        out = np.zeros((m, m))
        for i in range(m):
            h = 1e-5 * max(abs(psi[i]), 0.1)
            e = np.zeros(m)
            e[i] = h
            out[i] = (c(psi + e)[1] - c(psi - e)[1]) / (2.0 * h)
        return 0.5 * (out + out.T)


def _falling(hessian: np.ndarray, a: np.ndarray) -> np.ndarray | None:
    """Return a direction orthogonal to a of negative curvature, or None."""
    q = np.linalg.qr(np.column_stack([a, np.eye(len(a))]))[0][:, 1 : len(a)]
    values, vectors = np.linalg.eigh(q.T @ hessian @ q)
    if not len(values) or values[0] > -1e-5 * max(float(np.abs(values).max()), 1e-300):
        return None
    out: np.ndarray = q @ vectors[:, 0]
    return out


def _positive_on(hessian: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return a matrix that is positive definite on the plane orthogonal to a."""
    m = len(a)
    q = np.linalg.qr(np.column_stack([a, np.eye(m)]))[0][:, 1:]
    inner = q.T @ hessian @ q
    values, vectors = np.linalg.eigh(inner)
    floor = 1e-8 * max(abs(values).max(initial=0.0), 1e-300)
    if not len(values) or values[0] > floor:
        return hessian
    lifted = (vectors * (np.maximum(np.abs(values), floor) - values)) @ vectors.T
    out: np.ndarray = hessian + q @ lifted @ q.T
    return out

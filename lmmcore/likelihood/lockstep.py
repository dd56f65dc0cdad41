"""Newton's method for many responses at once, each with a θ of its own.

It serves the clear cases: structures whose Λ is linear in θ, and responses whose optimum lies inside, in few
steps from a common start. The others are left to the ordinary way of fitting, which knows about
boundaries and further optima.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..linalg.matrices import lower_indices, symmetric_index
from .independent.many import ManyResponses, States, WhitenedResponses
from .profiled import ProfiledLikelihood
from .start import raised

MAXITER = 12
DECREMENT = 1e-11  # largest Newton decrement of a response that is done, as of a single fit
INSIDE = 1e-3  # part of a variance's sampling error below which it may belong on the boundary


@dataclass(frozen=True, eq=False)
class Optima:
    """Where the responses ended.

    Attributes
    ----------
    theta : array (r, m)
    states : States
        At θ.
    clear : bool array (r,)
        Whether θ is an interior optimum that no further start could better by the rules of a single fit.
    evaluations : int array (r,)
    """

    theta: np.ndarray
    states: States
    clear: np.ndarray
    evaluations: np.ndarray


class LockStep:
    """The criterion of many responses in θ.

    Parameters
    ----------
    many : ManyResponses
    likelihood : ProfiledLikelihood
        Of the same model, for its structures.
    """

    def __init__(self, many: ManyResponses, likelihood: ProfiledLikelihood) -> None:
        self.many, self.likelihood, self.reml = many, likelihood, likelihood.reml
        self.n_eff = likelihood.n_eff
        self.n_parameters = likelihood.n_parameters
        zero = np.zeros(self.n_parameters)
        self.base = likelihood.roots(zero)
        self.slopes = [
            s.factor_derivative(part, t.k)
            for s, t, part in zip(likelihood.structures, likelihood.terms, likelihood.parts(zero))
        ]
        self.slices = [slice(s.start, s.stop) for s in likelihood.slices]
        self.least = [t.levels / many.n for t in many.terms]

    @staticmethod
    def serves(likelihood: ProfiledLikelihood) -> bool:
        """Return whether Λ of all terms is square and linear in θ, and σ² is estimated."""
        if not likelihood.n_parameters or likelihood.scale is not None:
            return False
        theta = np.ones(likelihood.n_parameters)
        return all(
            s.factor_second_derivative(part, t.k) is None
            and root.shape == (t.k, t.k)
            and np.allclose(
                root, s.factor(0.0 * part, t.k)
                + np.einsum("i,iab->ab", part, s.factor_derivative(part, t.k)),
            )
            for s, t, part, root in zip(
                likelihood.structures, likelihood.terms, likelihood.parts(theta),
                likelihood.roots(theta),
            )
        )  # fmt: skip

    def factors(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return Λ_t (r, k, k) of each term."""
        return [
            base + np.einsum("ji,iab->jab", theta[:, at], slope)
            for base, at, slope in zip(self.base, self.slices, self.slopes)
        ]

    def values(self, states: States) -> np.ndarray:
        """Return the criterion but for the constants of each response; infinite where it is not finite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = states.log_det_v + self.n_eff * np.log(states.r2)
            if self.reml:
                value = value + states.log_det_h
        return np.where(np.isfinite(value), value, np.inf)

    def derivatives(
        self, theta: np.ndarray, states: States, responses: WhitenedResponses
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradients (r, m) and Hessians (r, m, m) in θ."""
        factors = self.factors(theta)
        g, h = self.many.gradient_hessian(factors, states, responses, self.reml)
        r, m = theta.shape
        jacobian = np.zeros((r, m, self.many.n_coordinates))
        second = np.zeros((r, m, m))
        for term, at, factor, slope in zip(self.many.terms, self.slices, factors, self.slopes):
            rows, cols = lower_indices(term.k)
            moved = np.einsum("iad,jbd->jiab", slope, factor)
            moved = moved + moved.swapaxes(2, 3)
            jacobian[:, at, term.coordinates] = moved[:, :, rows, cols]
            d = g[:, term.coordinates][:, symmetric_index(term.k)] * (0.5 + 0.5 * np.eye(term.k))
            second[:, at, at] = 2.0 * np.einsum("iad,jab,lbd->jil", slope, d, slope)
        gradient = np.einsum("jic,jc->ji", jacobian, g)
        hessian = jacobian @ h @ jacobian.swapaxes(1, 2) + second
        return gradient, hessian

    def minimize(self, start: np.ndarray, responses: WhitenedResponses) -> Optima:
        """Return where Newton's method ends for each response.

        Parameters
        ----------
        start : array (m,)
            A common θ; variances that are zero there are raised, as zero is stationary for any response.
        """
        r = len(responses)
        start = self.likelihood.parameters(
            raised(self.likelihood, self.likelihood.covariances(np.asarray(start, dtype=float)))
        )
        theta = np.tile(start, (r, 1))
        states = self.many.states(self.factors(theta), responses)
        value = self.values(states)
        evaluations = np.ones(r, dtype=int)
        radius = np.full(r, max(1.0, float(np.linalg.norm(start))))
        done = np.zeros(r, dtype=bool)
        active = np.flatnonzero(np.isfinite(value))
        for _ in range(MAXITER):
            if not len(active):
                break
            some = responses.take(active)
            gradient, hessian = self.derivatives(theta[active], _of(states, active), some)
            step, decrement, positive = _steps(gradient, hessian, radius[active])
            limit = np.maximum(DECREMENT, 1e-15 * np.abs(value[active]))
            ended = positive & (decrement <= limit)
            done[active[ended]] = True
            active, step = active[~ended], step[~ended]
            if not len(active):
                break
            some = some.take(~ended)
            new = theta[active] + step
            found = self.many.states(self.factors(new), some)
            new_value = self.values(found)
            evaluations[active] += 1
            noise = 1e-13 * (np.abs(value[active]) + 1.0)
            better = new_value <= value[active] + noise
            at = active[better]
            theta[at], value[at] = new[better], new_value[better]
            for mine, theirs in zip(
                (states.log_det_v, states.root, states.inverse),
                (found.log_det_v, found.root, found.inverse),
            ):
                mine[at] = theirs[better]
            length = np.linalg.norm(step, axis=1)
            radius[active] = np.where(better, np.maximum(radius[active], length), 0.25 * length)
        clear = done & self._inside(theta) & (value < self._without_effects(responses))
        return Optima(theta, states, clear, evaluations)

    def _inside(self, theta: np.ndarray) -> np.ndarray:
        """Return whether no variance is near zero in any direction."""
        out = np.ones(len(theta), dtype=bool)
        for least, factor in zip(self.least, self.factors(theta)):
            smallest = np.linalg.svd(factor, compute_uv=False)[:, -1] ** 2
            out &= smallest > INSIDE * least
        return out

    def _without_effects(self, responses: WhitenedResponses) -> np.ndarray:
        """Return the criterion of least squares, in the constants of `values`."""
        p = self.many.p
        total = np.zeros((len(responses), p + 1, p + 1))
        total[:, :p, :p] = self.many.xx
        total[:, p, :p] = total[:, :p, p] = responses.xy
        total[:, p, p] = responses.yy
        root = np.linalg.cholesky(total)
        return self.values(States(np.zeros(len(responses)), root, root))


def _of(states: States, index: np.ndarray) -> States:
    return States(states.log_det_v[index], states.root[index], states.inverse[index])


def _steps(
    gradient: np.ndarray, hessian: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps within the radius, Newton decrements, and where the Hessian is positive definite."""
    values, vectors = np.linalg.eigh(hessian)
    slope = np.einsum("jab,ja->jb", vectors, gradient)
    size = np.abs(values).max(axis=1, keepdims=True)
    curvature = np.maximum(np.abs(values), 1e-9 * size + 1e-300)
    step = -slope / curvature
    decrement = 0.5 * np.sum(slope * slope / curvature, axis=1)
    length = np.linalg.norm(step, axis=1)
    with np.errstate(divide="ignore"):
        step *= np.minimum(1.0, radius / np.where(length > 0.0, length, 1.0))[:, None]
    positive = values[:, 0] > 1e-9 * size[:, 0]
    return np.einsum("jab,jb->ja", vectors, step), decrement, positive

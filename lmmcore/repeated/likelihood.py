"""−2 log-likelihood in the parameters of random effects and residuals together: ψ = (θ, u).

θ enters through the likelihood of the cross-products of u. Value and gradient are exact. The Hessian in θ is
that of the likelihood; its rows for u are differences of exact gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fitting.equations import Equations
from ..likelihood.profiled import ProfiledLikelihood
from .crossed_products import CrossedResidualProducts
from .products import ResidualProducts

Products = ResidualProducts | CrossedResidualProducts

STEP = 1e-4  # of differences of gradients
KEPT = 8  # likelihoods that are kept


@dataclass(eq=False)
class Inner:
    """The likelihood in θ for one u."""

    equations: Equations
    likelihood: ProfiledLikelihood


class JointLikelihood:
    """The objective of a model with a residual structure. It follows `lmmcore.extension.Objective`.

    Parameters
    ----------
    equations : Equations
        Those without the structure.
    products : ResidualProducts or CrossedResidualProducts
    reml : bool
    """

    hessian_is_cheap = False

    def __init__(self, equations: Equations, products: Products, reml: bool) -> None:
        self.equations, self.products, self.reml = equations, products, reml
        self._kept: dict[bytes, Inner | None] = {}
        self._last: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._exact: tuple[np.ndarray, float, np.ndarray, np.ndarray] | None = None
        self.evaluations = 0
        self._engine = equations.plain_engine
        base = equations.likelihood(reml, None, equations.plain_engine)
        self.m_theta = base.n_parameters
        self.n_parameters = self.m_theta + products.structure.n_parameters

    def split(self, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return θ and u."""
        return psi[: self.m_theta], psi[self.m_theta :]

    def inner(self, u: np.ndarray) -> Inner | None:
        """Return the likelihood in θ for one u; None where R is not positive definite."""
        key = np.asarray(u, dtype=float).tobytes()
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._made(u)
        return self._kept[key]

    def _made(self, u: np.ndarray) -> Inner | None:
        with np.errstate(all="ignore"):
            cp = self.products.at(u)
        if cp is None:
            return None
        old = self.equations
        new = Equations(old.layout, cp, old.structures, old.coordinates, old.scale)
        engine = self._engine = self._engine.with_products(cp)  # which keeps its elimination plan
        new.__dict__.update(engine=engine, plain_engine=engine)
        return Inner(new, new.likelihood(self.reml, None, engine))

    def value(self, psi: np.ndarray) -> float:
        """Return −2 log-likelihood."""
        theta, u = self.split(psi)
        inner = self.inner(u)
        self.evaluations += 1
        return np.inf if inner is None else inner.likelihood.value(theta)

    def value_and_gradient(self, psi: np.ndarray) -> tuple[float, np.ndarray]:
        """Return −2 log-likelihood and its gradient (m,)."""
        theta, u = self.split(psi)
        inner = self.inner(u)
        if inner is None:
            return np.inf, np.zeros(self.n_parameters)
        if self.m_theta:
            value, own = inner.likelihood.value_and_gradient(theta)
        else:
            value, own = inner.likelihood.value(theta), np.zeros(0)
        if not np.isfinite(value):
            return value, np.zeros(self.n_parameters)
        return value, np.concatenate([own, self._of_residual(inner, theta, u)])

    def _of_residual(self, inner: Inner, theta: np.ndarray, u: np.ndarray) -> np.ndarray:
        likelihood: Any = inner.likelihood
        point = likelihood.point(theta)
        derivative = likelihood.engine.product_derivative(
            point.factors,
            point.state,
            float(self.reml),
            likelihood.residual_weight(point.state),
        )
        return self.products.gradient(u, derivative)

    def value_gradient_hessian(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return value, gradient (m,) and Hessian (m, m) for a step of Newton's method.

        Its part in θ is that of the engine: exact, or average information. The rows of u come from
        differences once; from then on the gradients along the way correct them (symmetric rank-one
        updates), which saves most evaluations. `exact` has them anew.
        """
        value, gradient = self.value_and_gradient(psi)
        m = self.n_parameters
        if not np.isfinite(value):
            return value, gradient, np.eye(m)
        last = self._last
        if last is None:
            return self.exact(psi)
        hessian = last[2].copy()
        step, change = psi - last[0], gradient - last[1]
        rest = change - hessian @ step
        size = float(rest @ step)
        if abs(size) > 1e-8 * float(np.linalg.norm(rest) * np.linalg.norm(step)):
            hessian += np.outer(rest, rest) / size
        self._put_theta(psi, hessian, exact=False)
        self._last = (psi.copy(), gradient, hessian)
        return value, gradient, hessian.copy()

    def _put_theta(self, psi: np.ndarray, hessian: np.ndarray, exact: bool) -> None:
        """Put the Hessian in θ into its place: exact, or as the engine has it for a step."""
        theta, u = self.split(psi)
        inner = self.inner(u)
        if self.m_theta and inner is not None:
            own, point = inner.likelihood, inner.likelihood.point(theta, order=2)
            found = own.hessian_of(point, own.exact_sums(point)) if exact else point.hessian
            hessian[: self.m_theta, : self.m_theta] = found

    def exact(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return value, gradient (m,) and Hessian (m, m), exact but for differences of exact gradients."""
        if self._exact is not None and np.array_equal(self._exact[0], psi):
            return self._exact[1], self._exact[2], self._exact[3].copy()
        value, gradient = self.value_and_gradient(psi)
        m = self.n_parameters
        if not np.isfinite(value):
            return value, gradient, np.eye(m)
        hessian = np.zeros((m, m))
        for j in range(self.m_theta, m):
            e = np.zeros(m)
            e[j] = STEP * max(1.0, abs(psi[j]))
            up, down = self.value_and_gradient(psi + e), self.value_and_gradient(psi - e)
            if np.isfinite(up[0]) and np.isfinite(down[0]):
                hessian[:, j] = (up[1] - down[1]) / (2.0 * e[j])
            else:  # at the edge of where R is positive definite
                hessian[j, j] = 1.0
        for j in range(self.m_theta, m):
            hessian[j, : self.m_theta] = hessian[: self.m_theta, j]
        corner = hessian[self.m_theta :, self.m_theta :]
        hessian[self.m_theta :, self.m_theta :] = 0.5 * (corner + corner.T)
        self._put_theta(psi, hessian, exact=True)
        self._last = (psi.copy(), gradient, hessian)
        self._exact = (psi.copy(), value, gradient, hessian)
        return value, gradient, hessian.copy()

    def forget(self) -> None:
        """Take the Hessian anew at the next point."""
        self._last = None

    def em_step(self, psi: np.ndarray) -> np.ndarray:
        """Return θ after a step of EM, and u."""
        theta, u = self.split(psi)
        inner = self.inner(u)
        if inner is None or not self.m_theta:
            return psi
        return np.concatenate([inner.likelihood.em_step(theta), u])

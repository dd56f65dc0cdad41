"""The fit of a model with a residual structure: all covariance parameters together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from ..extension.protocols import Optimizer
from ..fitting.candidate import DECREMENT, rounding
from ..fitting.certificate import Convergence
from ..fitting.equations import Equations
from ..fitting.estimate import Estimate, estimate
from ..fitting.fit import Fit
from ..fitting.options import optimizers_of
from ..fitting.run import warn_of
from ..influence.deletions import Rows
from ..likelihood.start import start_values
from ..linalg.matrices import eigh
from ..optimizers.newton import TrustRegionNewton
from .crossed_products import CrossedResidualProducts
from .kenward_roger import sums_of_groups
from .likelihood import JointLikelihood
from .products import ResidualProducts
from .structure import Structure

FEW = 5000  # rows up to which all starts are tried
SMALL, DRAWN = 400, 6  # rows up to which starts are drawn as well, and how many
ROUNDS = 4  # how often the search goes on from a better optimum in θ
FLAT = 1e-7  # eigenvalue of the scaled Hessian, of a direction that the data do not determine
SADDLE = 1e-5  # negative eigenvalue of the scaled Hessian, of a saddle point
EDGE = 1e-6  # change of R with a parameter, from which the parameter is at the edge of its range


@dataclass(frozen=True, eq=False)
class FittedResidual:
    """The residual structure of a fit at its estimates.

    Attributes
    ----------
    structure : Structure
    products : ResidualProducts or CrossedResidualProducts
    u : array (m,)
        Free parameters of the structure.
    hessian : array (m_θ + m, m_θ + m)
        Of −2 log-likelihood in (θ, u), σ² and β at their optimum.
    """

    structure: Structure
    products: ResidualProducts | CrossedResidualProducts
    u: np.ndarray
    hessian: np.ndarray

    def sums_of_groups(self, fit: Fit, natural: Any) -> tuple[Any, ...]:
        """Return what Kenward and Roger's formulas need of the groups."""
        return sums_of_groups(fit, natural)


def fit_repeated(
    model: Any, structure: Structure, reml: bool, optimizers: Sequence[tuple[str, Optimizer]],
    options: Mapping[str, Any], callback: Callable[[int, float], None] | None,
) -> Fit:  # fmt: skip
    """Return the fit, and warn of what its certificate does not hold.

    Raises
    ------
    ConvergenceError
        The likelihood is finite at no start.
    """
    began = time.perf_counter()
    products = products_of(model, structure)
    joint = JointLikelihood(model.equations, products, reml)
    name, optimizer = optimizers[0]
    search = _Search(joint, optimizer, options, callback)
    for u in structure.starts:
        psi = _start(joint, u)
        if psi is not None:
            search.run(psi)
        if search.is_enough(structure, model.nobs):
            break
    if model.nobs <= SMALL and search.psi is not None and joint.n_parameters:
        search.explore(structure)
    if search.psi is None:
        raise ConvergenceError(
            f"residual structure {structure.title}: the likelihood is not finite at any start; check whether "
            "fixed and random effects reproduce the response"
        )
    own = search.settle(model.spec.layout)
    psi = search.psi
    theta, u = joint.split(psi)
    inner = joint.inner(u)
    assert inner is not None
    _, gradient, hessian = joint.exact(psi)
    certificate = _certificate(
        joint, structure, psi, gradient, hessian, None if own is None else own.convergence
    )
    certificate = replace(
        certificate, optimizer=name, message=search.message, iterations=search.iterations,
        path=tuple(search.path),
        evaluations=joint.evaluations, seconds=time.perf_counter() - began,
    )  # fmt: skip
    warn_of(certificate, False)
    fitted = FittedResidual(structure, products, u, hessian)
    point = inner.likelihood.point(np.array(theta), order=2 if joint.m_theta else 0)
    equations: Equations = inner.equations
    return Fit(model.spec, equations, inner.likelihood, point, reml, certificate, residual=fitted)


def products_of(model: Any, structure: Structure) -> ResidualProducts | CrossedResidualProducts:
    """Return the cross-products of a model as a function of the parameters of its residual structure."""
    made = CrossedResidualProducts if structure.crosses else ResidualProducts
    return made(model.crossproducts, Rows(model, model.crossproducts), structure)


@dataclass(eq=False)
class _Search:
    """The best point of several descents."""

    joint: JointLikelihood
    optimizer: Optimizer
    options: Mapping[str, Any]
    callback: Callable[[int, float], None] | None
    psi: np.ndarray | None = None
    value: float = np.inf
    converged: bool = False
    iterations: int = 0
    message: str = ""
    path: list[tuple[int, float]] = field(default_factory=list)

    def run(self, psi: np.ndarray) -> None:
        """Descend from ψ; keep where it ends, if that is lower."""
        self.joint.forget()
        if not self.joint.n_parameters:
            self.psi, self.value, self.converged = psi, self.joint.value(psi), True
            return
        found = self.optimizer.minimize(
            self.joint, psi, options=self.options, callback=self.callback
        )
        value = self.joint.value(found.theta)
        self.iterations += found.iterations
        if self.psi is None or value < self.value - rounding(value):
            self.psi, self.value, self.converged = found.theta, value, found.converged
            self.path, self.message = list(found.path), found.message

    def explore(self, structure: Structure) -> None:
        """Look for a better optimum from drawn starts, which are the same each time."""
        rng, newton = np.random.default_rng(0), TrustRegionNewton()
        for i in range(DRAWN):
            start = structure.starts[i % len(structure.starts)]
            psi = _start(self.joint, start + rng.standard_normal(len(start)))
            if psi is None:
                continue
            m = self.joint.m_theta
            psi[:m] *= rng.uniform(0.3, 2.0, m)
            self.joint.forget()
            found = newton.minimize(self.joint, psi, options={"maxiter": 40, "tol": 1e-5})
            if self.joint.value(found.theta) < self.value - 1e-4:
                self.run(found.theta)

    def is_enough(self, structure: Structure, rows: int) -> bool:
        """Return whether other starts are left out: in large data, from a clear optimum."""
        if self.psi is None or rows <= FEW or not self.converged:
            return False
        return not _edges(structure, self.joint.split(self.psi)[1]).any()

    def settle(self, layout: Any) -> Estimate | None:
        """Go on until θ and all parameters together are at an optimum; return what holds for θ."""
        own = None
        for _ in range(ROUNDS):
            assert self.psi is not None
            theta, u = self.joint.split(self.psi)
            inner = self.joint.inner(u)
            assert inner is not None
            if self.joint.m_theta:
                own = estimate(
                    inner.likelihood, optimizers_of(None), layout.names, layout.groups, None, {}, None,
                    theta,
                )  # fmt: skip
                better = own.point.value < self.value - rounding(self.value)
                self.psi, self.value = np.concatenate([own.point.theta, u]), own.point.value
                if better:
                    self.run(self.psi)
                    continue
            further = self.way_down()
            if further is None:
                break
            self.run(further)
        return own

    def way_down(self) -> np.ndarray | None:
        """Return ψ to go on from, where the exact Hessian shows a saddle point or a slope; or None."""
        assert self.psi is not None
        if not self.joint.n_parameters:
            return None
        _, gradient, hessian = self.joint.exact(self.psi)
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        values, vectors = eigh(hessian / np.outer(size, size))
        slope = vectors.T @ (gradient / size)
        kept = values > FLAT
        if len(values) and values[0] < -SADDLE:
            direction = vectors[:, 0] / size
            direction *= 0.1 / max(float(np.abs(direction).max()), 1e-300)
            for psi in (self.psi - direction, self.psi + direction):
                if self.joint.value(psi) < self.value - rounding(self.value):
                    return psi
        return None if 0.5 * np.sum(slope[kept] ** 2 / values[kept]) <= DECREMENT else self.psi


def _start(joint: JointLikelihood, u: np.ndarray) -> np.ndarray | None:
    inner = joint.inner(u)
    if inner is None:
        return None
    theta = start_values(inner.likelihood) if joint.m_theta else np.zeros(0)
    psi = np.concatenate([theta, u])
    return psi if np.isfinite(joint.value(psi)) else None


def _certificate(
    joint: JointLikelihood, structure: Structure, psi: np.ndarray, gradient: np.ndarray,
    hessian: np.ndarray, inner: Convergence | None,
) -> Convergence:  # fmt: skip
    """Return what holds at ψ: decrement and curvature of all free parameters together."""
    m_theta = joint.m_theta
    edges = _edges(structure, psi[m_theta:])
    free = np.ones(len(psi), dtype=bool)
    free[m_theta:] = ~edges
    zero = np.abs(np.diag(hessian)[:m_theta]) <= 1e-10 * max(
        1.0, float(np.abs(hessian).max(initial=0.0))
    )
    free[:m_theta] &= ~zero
    decrement, smallest = 0.0, float("nan")
    flat: tuple[str, ...] = ()
    if free.any():
        g, h = gradient[free], hessian[np.ix_(free, free)]
        size = np.sqrt(np.maximum(np.abs(np.diag(h)), 1e-300))
        values, vectors = eigh(h / np.outer(size, size))
        slope = vectors.T @ (g / size)
        kept = values > FLAT
        decrement = 0.5 * float(np.sum(slope[kept] ** 2 / values[kept]))
        smallest = float(values[0])
        if not kept.all() and edges.sum() < len(edges):
            direction = vectors[:, 0] / size
            flat = _words(
                structure, direction[-int((~edges).sum()) :] if (~edges).any() else direction
            )
    names = [n for n, e in zip(_names(structure, psi[m_theta:]), edges) if e]
    boundary = tuple(f"{n} of {structure.title} is at the edge of its range" for n in names)
    holds = decrement <= DECREMENT and (np.isnan(smallest) or smallest > -FLAT)
    if inner is None:
        return Convergence(
            bool(holds),
            decrement,
            smallest,
            boundary,
            False,
            "",
            "",
            0,
            0,
            0.0,
            not_identified=flat,
        )
    return replace(
        inner, converged=bool(holds and inner.converged), newton_decrement=decrement,
        min_hessian_eigenvalue=smallest, boundary=(*inner.boundary, *boundary),
        not_identified=(*inner.not_identified, *flat),
    )  # fmt: skip


def _names(structure: Structure, u: np.ndarray) -> list[str]:
    """Return names of the parameters, as far as there is one for each."""
    names = list(structure.describe(u))
    return names if len(names) == len(u) else [f"parameter {i + 1}" for i in range(len(u))]


def _words(structure: Structure, direction: np.ndarray) -> tuple[str, ...]:
    if not len(direction):
        return ()
    return (
        f"the data cannot tell the parameters of the residual structure {structure.title} from each other, "
        "from the variances of the random effects, or from the residual variance",
    )


def _edges(structure: Structure, u: np.ndarray) -> np.ndarray:
    """Return which parameters do not move R any more (m,)."""
    out = np.zeros(len(u), dtype=bool)
    for a in range(structure.n_correlation):
        change = max(
            (float(np.abs(structure.slopes(u, p)[a]).max()) for p in structure.patterns[:200]),
            default=0.0,
        )
        out[a] = change < EDGE
    return out

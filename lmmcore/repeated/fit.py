"""The fit of a model with a residual structure: all covariance parameters together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ConvergenceError
from ..extension.protocols import Optimizer
from ..fitting.candidate import DECREMENT, rounding
from ..fitting.certificate import Convergence
from ..fitting.equations import Equations
from ..fitting.estimate import Estimate, estimate, refuse_no_residual
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
from .row_covariance import RowCovariance
from .structure import Structure

FEW = 5000  # rows up to which all starts are tried
SMALL, DRAWN = 400, 6  # rows up to which starts are drawn as well, and how many
ROUNDS = 4  # how often the search goes on from a better optimum in θ
FLAT = 1e-7  # eigenvalue of the scaled Hessian, of a direction that the data do not determine
MOVES = 0.05  # part of a flat direction from which a parameter counts as moving
UNKNOWN = 1e-5  # second derivative in a free parameter of R that the data say nothing about
VALLEY = 1e-3  # eigenvalue of the scaled Hessian below which the search goes on to the bottom
EXACT, POLISHED = 1e-14, 5  # decrement at the bottom, and how many steps lead there
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

    @cached_property
    def covariance_of(self) -> RowCovariance:
        """R of any rows."""
        return RowCovariance(self.structure, self.u)

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
    refuse_no_residual(model.equations.likelihood(reml, None, model.equations.plain_engine))
    name, optimizer = optimizers[0]
    search = _Search(joint, optimizer, options, callback)
    for u in structure.starts:
        psi = _start(joint, u)
        if psi is not None:
            search.run(psi)
        if search.is_enough(structure, model.nobs):
            break
    drawn = model.nobs <= SMALL and structure.start is None
    if drawn and search.psi is not None and joint.n_parameters:
        search.explore(structure)
    if search.psi is None:
        raise ConvergenceError(
            f"residual structure {structure.title}: the likelihood is not finite at any start; check whether "
            "fixed and random effects reproduce the response"
        )
    own = search.settle(model.spec.layout)
    if own is None or not own.convergence.boundary:
        search.polish()
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
                    theta, has_residual=True,
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

    def polish(self) -> None:
        """Go to the bottom of a valley that is nearly flat, where its curvature says whether it is."""
        for _ in range(POLISHED):
            assert self.psi is not None
            _, gradient, hessian = self.joint.exact(self.psi)
            size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
            values, vectors = eigh(hessian / np.outer(size, size))
            if not len(values) or values[0] > VALLEY:
                return
            kept = values > VALLEY
            slope = vectors[:, kept].T @ (gradient / size)
            if 0.5 * float(np.sum(slope**2 / values[kept])) < EXACT:
                return
            moved = self.psi - (vectors[:, kept] @ (slope / values[kept])) / size
            value = self.joint.value(moved)
            if not value <= self.value + rounding(self.value):
                return
            self.psi, self.value = moved, min(value, self.value)

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
        of_residual = np.flatnonzero(free) >= m_theta
        unknown = (np.abs(np.diag(h)) < UNKNOWN) & of_residual
        if unknown.any():
            flat = _unknown(structure, psi[m_theta:], np.flatnonzero(free)[unknown] - m_theta)
        elif not kept.all() and edges.sum() < len(edges):
            direction = np.zeros(len(psi))
            direction[free] = vectors[:, 0]
            flat = (_together(joint, structure, psi, direction),)
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


def _together(
    joint: JointLikelihood, structure: Structure, psi: np.ndarray, direction: np.ndarray
) -> str:
    """Name what moves along a direction in which the likelihood is constant."""
    theta, u = joint.split(psi)
    inner = joint.inner(u)
    assert inner is not None
    large = np.abs(direction) > MOVES * np.abs(direction).max()
    likelihood = inner.likelihood
    terms = [
        term.title
        for term, at in zip(joint.equations.layout.terms, likelihood.slices)
        if large[: len(theta)][at].any()
    ]
    names = [n for n, moves in zip(_names(structure, u), large[len(theta) :]) if moves]
    of_residual = f"{', '.join(names)} of {structure.title}" if names else ""
    what = [f"the variances of {' and '.join(terms)}"] if terms else []
    what += [of_residual] if of_residual else []
    return f"the data cannot tell apart {' and '.join([*what, 'the residual variance'])}"


def _unknown(structure: Structure, u: np.ndarray, which: np.ndarray) -> tuple[str, ...]:
    names = _names(structure, u)
    return tuple(
        f"the data say nothing about {names[i]} of the residual structure {structure.title}"
        for i in which.tolist()
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

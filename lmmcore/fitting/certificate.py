"""The certificate of a fit: what has been verified at the estimate, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..errors import counted
from .identification import NullDirection


@dataclass(frozen=True, eq=False)
class TermAtOptimum:
    """A term at the optimum.

    Attributes
    ----------
    names : tuple of str
    group : str
    basis : array (k, k)
        (Z as given)⁻¹(Z of the engine, columns of a mean square of about one).
    factor : array (k, k)
        Λ of the term in the engine.
    """

    names: tuple[str, ...]
    group: str
    basis: np.ndarray
    factor: np.ndarray

    @property
    def title(self) -> str:
        """The term as in a formula."""
        shown = " + ".join("1" if x == self.group else x for x in self.names)
        return f"({shown} | {self.group})"

    def shares(self) -> tuple[float, ...]:
        """Return the shares of its principal components; all zero if nothing varies."""
        scaled = (self.basis @ self.factor) / np.diag(self.basis)[:, None]
        values = np.linalg.svd(scaled, compute_uv=False) ** 2
        total = values.sum()
        return tuple((values / total if total > 0 else values).tolist())


@dataclass(frozen=True)
class Convergence:
    """The certificate: what was found at the end of a fit.

    Attributes
    ----------
    converged : bool
        Whether the Newton decrement is negligible, the Hessian is positive definite on
        the free directions, and every boundary direction is certified.
    newton_decrement : float
        ½ g'H⁻¹g on the free directions: about how far −2 log-likelihood is above its minimum.
    min_hessian_eigenvalue : float
        Smallest eigenvalue of the Hessian of −2 log-likelihood in θ on the free directions (NaN when
        every direction is on the boundary).
    boundary : tuple of str
        The directions on the boundary, in words; empty for an interior optimum.
    singular : bool
        Whether an estimated covariance matrix of random effects is singular.
    not_identified : tuple of str
        The covariance parameters that the data cannot tell apart, in words.
        Other values of these parameters have the same likelihood.
    caution : str
        A warning, or empty. If random effects with a singular covariance matrix may reproduce
        all rows, the likelihood may be unbounded, and the optimum only a local one.
    optimizer : str
    message : str
        Why the optimizer stopped.
    evaluations : int
        Evaluations of the criterion on the way to the optimum.
    iterations : int
    seconds : float
        Wall-clock time from cross-products to optimum.
    path : tuple of (int, float)
        Iterations and the criterion.
    explored : int
        Evaluations spent on further starts, where the likelihood may have several optima.
    """

    converged: bool
    newton_decrement: float
    min_hessian_eigenvalue: float
    boundary: tuple[str, ...]
    singular: bool
    optimizer: str
    message: str
    evaluations: int
    iterations: int
    seconds: float
    path: tuple[tuple[int, float], ...] = ()
    explored: int = 0
    not_identified: tuple[str, ...] = ()
    caution: str = ""
    terms: tuple[TermAtOptimum, ...] = field(default=(), repr=False, compare=False)
    null_directions: tuple[NullDirection, ...] = field(default=(), repr=False, compare=False)

    @property
    def identified(self) -> bool:
        """Whether the data can tell all covariance parameters apart at the optimum."""
        return not self.not_identified

    @property
    def components(self) -> dict[str, tuple[float, ...]]:
        """The shares of the principal components of each term of several coefficients, descending.

        The columns are scaled to a mean square of one. A share near zero means that the data
        do not support this direction (Bates, Kliegl, Vasishth and Baayen 2015).
        """
        return {term.title: term.shares() for term in self.terms if len(term.names) > 1}

    def __str__(self) -> str:
        if self.converged:
            where = "a boundary" if self.boundary else "an interior"
            head = f"Converged to {where} optimum"
            if not self.identified:
                head = "Not identified: converged to one of many optima of the same likelihood,"
        else:
            head = f"Not converged: {self.message};"
        steps = counted(self.iterations, "iteration")
        work = f"{steps}, {counted(self.evaluations, 'evaluation')}, {self.seconds:.2g} s"
        if self.explored:
            work += f" (and {counted(self.explored, 'evaluation')} from further starts)"
        proof = f"  Newton decrement {self.newton_decrement:.1e}"
        if not math.isnan(self.min_hessian_eigenvalue):
            proof += f", smallest Hessian eigenvalue {self.min_hessian_eigenvalue:.2g}"
        lines = [f"{head} by {self.optimizer} in {work}", proof]
        for term, shares in self.components.items():
            shown = ", ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"  Principal components of {term}, percent: {shown}")
        said = list(self.not_identified)
        if said:
            said.append(
                "the estimates of these parameters are one choice of many; standard errors that depend on "
                "them are NaN"
            )
        said += self.boundary
        if self.caution:
            said.append(self.caution)
        return "\n".join([*lines, *(f"  {sentence}" for sentence in said)])

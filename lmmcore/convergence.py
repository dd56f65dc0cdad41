"""The certificate of a fit: what holds at the estimate, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Convergence:
    """What was found at the end of a fit.

    Attributes
    ----------
    converged : bool
        Whether the Newton decrement is negligible, the Hessian positive on the free directions and
        every boundary direction certified.
    newton_decrement : float
        ½ g'H⁻¹g on the free directions: by how much −2 log-likelihood could still fall.
    min_hessian_eigenvalue : float
        Smallest eigenvalue of the Hessian of −2 log-likelihood in θ on the free directions (NaN when
        every direction is on the boundary).
    boundary : tuple of str
        The directions on the boundary, in words; empty for an interior optimum.
    singular : bool
        Whether an estimated covariance matrix of random effects is singular.
    optimizer : str
    message : str
        Why the optimizer stopped.
    evaluations : int
        Evaluations of the criterion, start values included.
    iterations : int
    seconds : float
        Wall-clock time from cross-products to optimum.
    path : tuple of (int, float)
        Iterations and the criterion.
    components : tuple of (str, tuple of float)
        Each term of several coefficients with the shares of its principal components, descending, in
        columns scaled to a mean square of one: a share near zero is a direction the data do not need.
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
    components: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __str__(self) -> str:
        if self.converged:
            where = "a boundary" if self.boundary else "an interior"
            head = f"Converged to {where} optimum"
        else:
            head = f"Not converged: {self.message};"
        plural = "" if self.iterations == 1 else "s"
        work = f"{self.iterations} iteration{plural}, {self.evaluations} evaluations, {self.seconds:.2g} s"
        proof = f"  Newton decrement {self.newton_decrement:.1e}"
        if not math.isnan(self.min_hessian_eigenvalue):
            proof += f", smallest Hessian eigenvalue {self.min_hessian_eigenvalue:.2g}"
        lines = [f"{head} by {self.optimizer} in {work}", proof]
        for term, shares in self.components:
            shown = ", ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"  Principal components of {term}, per cent: {shown}")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.boundary)])

"""The certificate of a fit: what holds at the estimate, in numbers and in words."""

from __future__ import annotations

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

    def __str__(self) -> str:
        where = "a boundary optimum" if self.boundary else "an interior optimum"
        head = f"converged to {where}" if self.converged else f"not converged: {self.message}"
        lines = [
            f"{head} ({self.optimizer}, {self.evaluations} evaluations, {self.iterations} iterations, "
            f"{self.seconds:.3g} s; Newton decrement {self.newton_decrement:.1e}, smallest Hessian "
            f"eigenvalue {self.min_hessian_eigenvalue:.2g})"
        ]
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.boundary)])

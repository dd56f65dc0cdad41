"""What an optimizer and a covariance structure must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class Objective(Protocol):
    """A smooth function of θ (m,) that an optimizer minimises: the profiled criterion.

    ``value_and_gradient`` costs about three times ``value``; ``value_gradient_hessian`` little
    more. A point where the criterion is not finite has value ``inf``.
    """

    evaluations: int

    def value(self, theta: np.ndarray) -> float:
        """Return the criterion d(θ) = −2 log-likelihood."""
        ...

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return d and ∂d/∂θ (m,)."""
        ...

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return d, ∂d/∂θ (m,) and the exact Hessian (m, m)."""
        ...

    def em_step(self, theta: np.ndarray) -> np.ndarray:
        """Return θ after one step of EM, which never increases d."""
        ...


@dataclass(frozen=True)
class OptimizeOutcome:
    """Where an optimizer stopped.

    Attributes
    ----------
    theta : array (m,)
    converged : bool
        Whether the optimizer's own criterion of convergence holds.
    message : str
        Why it stopped.
    iterations : int
    path : list of (iteration, value)
        By default every evaluation that found a lower value.
    evaluations : int
        Evaluations of the criterion; the core counts them.
    """

    theta: np.ndarray
    converged: bool
    message: str
    iterations: int
    path: list[tuple[int, float]] = field(default_factory=list)
    evaluations: int = 0


class Optimizer(Protocol):
    """Minimises an `Objective`, which counts its evaluations and hands out copies.

    Every optimizer takes the options ``maxiter`` and ``tol`` (the tolerance of its own criterion of
    convergence); the core takes ``max_evaluations`` for all of them.
    """

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        """Return the outcome.

        Parameters
        ----------
        objective : Objective
        start : array (m,)
            A copy, which may be changed.
        options : mapping
            Those that the user gave; an unknown one is an `OptionError` (see `take_options`).
        callback : callable, optional
            To be called with the iteration and the criterion. What it raises must pass.
        """
        ...


class CovarianceStructure(Protocol):
    """A family of k × k covariance matrices G = Λ Λ' with Λ (k × w, any w) a smooth function of θ.

    G is relative: the covariance matrix is σ² G, for the columns as the user gave them. Λ need not be
    unique in θ (signs of columns), and a singular G is an ordinary value: choose θ so that the boundary
    lies at a finite point, such as a standard deviation of zero or the sine of an angle as correlation.

    Attributes
    ----------
    closed_under : {"nothing", "scaling", "shifting"}, optional
        Whether the family stays the same when columns are rescaled one by one, or replaced by
        any triangular combination of columns (which contains rescaling). The core then chooses
        columns in which it computes well. By default "nothing".

    An optional method ``bind(names)`` returns the structure for columns with these names: a structure in
    space reads positions from them. An optional method ``rank(k)`` returns the largest rank of G where
    that is less than k.
    """

    def n_parameters(self, k: int) -> int:
        """Return the number m of parameters for k columns."""
        ...

    def parameters(self, g: np.ndarray) -> np.ndarray:
        """Return θ (m,) of a member close to a positive semidefinite g (k, k); of g if it is one."""
        ...

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        """Return Λ (k, w)."""
        ...

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        """Return ∂Λ/∂θ (m, k, w)."""
        ...

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> np.ndarray | None:
        """Return ∂²Λ/∂θ∂θ (m, m, k, w), or None when Λ is linear in θ."""
        ...

    def describe(self, theta: np.ndarray, names: Sequence[str], sigma: float) -> dict[str, float]:
        """Return the parameters of σ² G in the user's terms, such as ``{"sd(x)": 1.2}``."""
        ...

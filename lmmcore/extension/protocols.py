"""What an optimizer, a covariance structure and a penalty must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .penalties import Coefficients


class Objective(Protocol):
    """A smooth function of θ (m,) that an optimizer minimises: the profiled criterion.

    ``value_and_gradient`` costs about three times ``value``. A point where the criterion is not finite
    has value ``inf``.

    Attributes
    ----------
    evaluations : int
        Evaluations of the criterion so far.
    hessian_is_cheap : bool
        Whether the Hessian costs little beside the gradient. It is then exact; else, in large models with
        several grouping factors, it is the average information, which is positive semidefinite.
    """

    evaluations: int

    @property
    def hessian_is_cheap(self) -> bool: ...

    def value(self, theta: np.ndarray) -> float:
        """Return the criterion d(θ) = −2 log-likelihood."""
        ...

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return d and ∂d/∂θ (m,)."""
        ...

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return d, ∂d/∂θ (m,) and the Hessian (m, m), exact or the average information."""
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
            To be called as ``callback(iteration, value)`` with the criterion: with ``(0, value)`` at the
            start, then after each iteration. What it raises must pass.
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


class Penalty(Protocol):
    """A penalty P(β; λ) ≥ 0 on coefficients β (p,), zero at β = 0 and at λ = 0, never falling in λ.

    A fit minimises ``½ β'Hβ − c'β + P(β; λ)``, where H (p, p) and c (p,) are X'V⁻¹X/σ² and X'V⁻¹y/σ²:
    P is in units of half of −2 log-likelihood and the strength λ ≥ 0 in those of a slope, c − Hβ. The
    lasso is Σ λ w_j|β_j|. What is registered carries parameters of its shape alone; `bind` gives it the
    coefficients. The solver hands it no coefficients of weight zero, which it profiles out.

    Attributes
    ----------
    concavity : float
        Once bound, the least ρ ≥ 0 for which P(β; λ) + ½ρ β'β is convex in β for every λ: 0 for a convex
        penalty, whose fits stop on their duality gap; others stop on the stationarity of the slopes.

    Optional methods
    ----------------
    ``derivative(size, strength)``
        ∂P/∂|β_j| (p,) at |β| = `size`, at zero from the right: for a penalty that is a sum over
        coefficients.
    ``blockwise(strength)``
        The penalty as a `Blockwise` one, which coordinate descent solves fast. Others are solved by
        accelerated proximal steps.
    ``degrees_of_freedom(beta, h, strength)``
        Degrees of freedom of a fit; by default the number of coefficients that are not zero.
    """

    @property
    def concavity(self) -> float: ...

    def bind(self, coefficients: Coefficients) -> Penalty:
        """Return the penalty of these p coefficients; the one it is called on stays as it is.

        Weights other than zero and one may be refused by a `DataValueError`.
        """
        ...

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        ...

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimises ½‖x − point‖²/step + P(x; λ), for step · concavity < 1."""
        ...

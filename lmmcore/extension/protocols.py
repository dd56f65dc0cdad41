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
        Why it stopped; not empty.
    iterations : int
        Zero or more; at least one where θ is not the start.
    path : list of (iteration, value)
        The way there: iterations of zero or more that do not fall, each with a finite value that the
        criterion had. `theta` is no worse than the lowest of them. By default every evaluation that found
        a lower value.
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
    convergence), and both have an effect; the core takes ``max_evaluations`` for all of them. The same call
    has the same outcome, bit by bit: random numbers come from a generator of the call's own with a fixed
    seed (or one that is an option), and nothing is remembered from one call to the next.
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
            Where the search begins: the criterion is asked for there, and the outcome is no higher. It
            stays as it is. Where the criterion is not finite at the start, the outcome is not converged.
        options : mapping
            Those that the user gave; an unknown one is an `OptionError` (see `take_options`).
        callback : callable, optional
            To be called as ``callback(iteration, value)``, an int that does not fall and a float, the
            criterion as it was found at the point reached: with ``(0, value)`` at the start, then after each
            iteration.

        Notes
        -----
        What `callback` and `objective` raise must pass, `KeyboardInterrupt` among it: no ``except:``, and no
        ``except Exception`` around calls of them.
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
    space reads positions from them. The structure that it is called on stays as it is. An optional method
    ``rank(k)`` returns the largest rank of G; a family needs it where that is less than k.

    Methods are functions of their arguments: they change none, and remember neither θ nor k. Each
    parameter has an effect of its own on Λ, for every k.
    """

    def n_parameters(self, k: int) -> int:
        """Return the number m of parameters for k columns."""
        ...

    def parameters(self, g: np.ndarray) -> np.ndarray:
        """Return θ (m,) of a member close to a positive semidefinite g (k, k); of g if it is one.

        Any such g has one, as fits start here: a g that is no member, or is singular or zero, gets finite θ
        of a member with variances of the same size (zero only for zero). Members come back to 1e-6 of their
        size in families that are closed under something, as results are read from here, and to some parts
        in a thousand in others.
        """
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
        """Return the parameters of σ² G in the user's terms, such as ``{"sd(x)": 1.2}``.

        ``sd(x)`` and ``var(x)`` are those of the column x, ``corr(x, y)`` and ``cov(x, y)`` those of two
        columns, ``sd`` and ``corr`` those of all where they are equal, ``corr(lag 2)`` of columns two apart,
        always in the order of `names`; other names are the structure's own. Names that begin with sd grow
        with σ and are not negative, those with corr lie in [-1, 1]. There are as many entries as parameters
        or more, with the same names at every θ, and θ with different G are told apart.
        """
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
        penalty, whose fits stop on their duality gap; others stop on the stationarity of the slopes. A
        finite number, which depends on the coefficients alone (their curvature, say), not on β or λ. Too
        small a one ends fits at points that are no minimum.

    Optional methods
    ----------------
    ``derivative(size, strength)``
        ∂P/∂|β_j| (p,) at |β| = `size`, at zero from the right: for a penalty that is a sum over
        coefficients.
    ``blockwise(strength)``
        The penalty as a `Blockwise` one, which coordinate descent solves fast. Others are solved by
        accelerated proximal steps.
    ``degrees_of_freedom(beta, h, strength)``
        Degrees of freedom of a fit, with h the H of the fit: zero or more, none where all coefficients are
        zero, at most p if the penalty is convex. By default the number of coefficients that are not zero.

    Methods are functions of their arguments: they change none, and remember neither β nor λ.
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
        """Return the x (p,) that minimises ½‖x − point‖²/step + P(x; λ), for step · concavity < 1.

        For points of any size: an array of its own, and `point` itself where λ is zero.
        """
        ...

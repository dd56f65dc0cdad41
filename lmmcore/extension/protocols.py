"""The protocols of plugins: what an optimizer, a covariance structure and a penalty must provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .penalties import Coefficients


class Objective(Protocol):
    """A smooth function of θ (m,) that an optimizer minimizes: the profiled criterion.

    ``value_and_gradient`` costs about three times as much as ``value``. Where the criterion is not
    finite, the value is ``inf``.

    Attributes
    ----------
    evaluations : int
        Evaluations of the criterion so far.
    hessian_is_cheap : bool
        Whether the Hessian costs little more than the gradient. If so, it is exact. Otherwise, in
        large models
        with several grouping factors, it is the average information, which is positive semidefinite.
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
        Whether the optimizer's own stopping rule is satisfied.
    message : str
        Why it stopped; not empty.
    iterations : int
        Zero or more; at least one if θ is not the start.
    path : list of (iteration, value)
        Iteration numbers, zero or more and never decreasing, each with a finite value of the criterion. The
        value at `theta` is not higher than any of these. By default, the path contains every evaluation
        that found a lower value.
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
    """Minimizes an `Objective`. The objective counts its evaluations and returns copies.

    Every optimizer accepts the options ``maxiter`` and ``tol`` (the tolerance of its own stopping
    rule), and both
    must have an effect. The core handles ``max_evaluations`` for all optimizers. The same call must give the
    same outcome, bit by bit: take random numbers from a generator that is created in the call, with a fixed
    seed or a seed given as an option, and keep nothing from one call to the next.
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
            Evaluate the criterion here; the outcome must not be higher. Do not change the array. If the
            criterion is not finite at the start, the outcome is not converged.
        options : mapping
            The options that the user gave. An unknown one is an `OptionError` (see `take_options`).
        callback : callable, optional
            Call it as ``callback(0, value)`` at the start, and as ``callback(iteration, value)`` after each
            iteration. `iteration` is an int that never decreases, and `value` is the criterion at the
            current point, as the objective returned it.

        Notes
        -----
        Exceptions of `callback` and `objective` must pass through, including `KeyboardInterrupt`. Put no
        ``except:`` or ``except Exception`` around their calls.
        """
        ...


class CovarianceStructure(Protocol):
    """A family of k × k covariance matrices G = Λ Λ' with Λ (k × w, any w) a smooth function of θ.

    The covariance matrix is σ² G, for the columns as the user gave them. Several θ may have the same G (for
    example, the signs of columns of Λ do not matter). A singular G is an ordinary value. Choose θ so that the
    boundary is at a finite point: for example, a standard deviation, or the sine of an angle as correlation.

    Attributes
    ----------
    closed_under : {"nothing", "scaling", "shifting"}, optional
        "scaling": rescaling single columns maps the family to itself. "shifting": replacing the columns by
        triangular combinations of columns (rescaling included) does. The core can then choose columns in
        which it computes accurately. By default "nothing".

    The optional method ``bind(names)`` returns the structure for columns with these names: a spatial
    structure
    reads positions from them. It does not change the object. The optional method ``rank(k)`` returns the
    largest rank of G; a family needs it if this is less than k.

    All methods depend only on their arguments. They do not change them, and keep neither θ nor k. Each
    parameter has an effect of its own on Λ, for every k.
    """

    def n_parameters(self, k: int) -> int:
        """Return the number m of parameters for k columns."""
        ...

    def parameters(self, g: np.ndarray) -> np.ndarray:
        """Return θ (m,) of a member of the family close to a positive semidefinite g (k, k).

        Fits start here, so every g must have an answer. If g is not a member, is singular or is zero, return
        finite θ of a member with variances of similar size (zero only for zero). If g is a member, θ must
        reproduce it: to 1e-6 of its size if the family is closed under something, because results are
        computed in this way; otherwise to a few parts in a thousand.
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

        Use ``sd(x)`` and ``var(x)`` for column x, ``corr(x, y)`` and ``cov(x, y)`` for two columns (in
        the order
        of `names`), ``sd`` and ``corr`` if they are equal for all columns, and ``corr(lag 2)`` for columns
        that are two apart. Choose any other names yourself. Values whose names begin with sd are
        proportional to σ
        and not negative; those that begin with corr are in [-1, 1]. There are at least as many entries as
        parameters. Their names are the same for every θ, and their values differ if G differs.
        """
        ...


class Penalty(Protocol):
    """A penalty P(β; λ) ≥ 0 of coefficients β (p,): zero at β = 0 and at λ = 0, and never decreasing in λ.

    A fit minimizes ``½ β'Hβ − c'β + P(β; λ)``, where H (p, p) and c (p,) are X'V⁻¹X/σ² and X'V⁻¹y/σ²:
    P is on the scale of the log-likelihood, and the strength λ ≥ 0 on that of its slope, c − Hβ. The lasso is
    Σ λ w_j|β_j|. The registered object knows only the parameters of its shape; `bind` gives it the
    coefficients. The solver profiles out coefficients of weight zero, so the penalty never gets them.

    Attributes
    ----------
    concavity : float
        After `bind`: the smallest ρ ≥ 0 for which P(β; λ) + ½ρ β'β is convex in β for every λ. It is 0 for a
        convex penalty, and then fits stop on their duality gap; others stop when the slopes are stationary.
        It is finite, and may depend on the coefficients (such as their curvature), but not on β or λ. If it
        is too small, fits can end at points that are not minima.

    Optional methods
    ----------------
    ``derivative(size, strength)``
        ∂P/∂|β_j| (p,) at |β| = `size` (at zero, the derivative from the right), for a penalty that is a sum
        over coefficients.
    ``blockwise(strength)``
        The penalty as a `Blockwise` penalty, which coordinate descent solves fast. Other penalties are solved
        by accelerated proximal steps.
    ``degrees_of_freedom(beta, h, strength)``
        Degrees of freedom of a fit with the given H: zero or more, and zero if all coefficients are zero. If
        the penalty is convex, they are the trace of the derivative of the fitted values with respect to the
        response, which is at most p. By default, the number of nonzero coefficients.

    All methods depend only on their arguments. They do not change them, and keep neither β nor λ.
    """

    @property
    def concavity(self) -> float: ...

    def bind(self, coefficients: Coefficients) -> Penalty:
        """Return the penalty of these p coefficients, without changing this object.

        Raise a `DataValueError` if the penalty does not support weights other than zero and one.
        """
        ...

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        ...

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + P(x; λ), for step · concavity < 1.

        It must work for points of any size, and return a new array. If λ is zero, the result equals `point`.
        """
        ...

"""The engine: criterion and derivatives of one model, in the entries of its covariance matrices.

An engine knows the cross-products of a model and nothing of θ: its arguments are Λ_t, the Cholesky
factors of the relative covariance matrices G_t, one for each random-effects term, in the engine's units.
Derivatives are in γ, the entries of the lower triangles of the G_t, term by term, in which V is linear.
`profiled` knows how G depends on θ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from .products import ProductDerivative
from .state import State, TermShape

Roots = Sequence[np.ndarray]
Sums = tuple[np.ndarray, np.ndarray, np.ndarray]


class Engine(Protocol):
    """The protocol of engines: what `ProfiledLikelihood` and everything above it need.

    There are two: of independent groups (`independent/`) and of several grouping factors (`crossed/`).
    All methods may be called from several threads at once.

    Attributes
    ----------
    n, p : int
        Rows, fixed effects.
    terms : list of TermShape
    n_coordinates : int
        Entries of γ.
    total : array (p + 1, p + 1)
        [X y]'[X y] in the basis.
    within : array (p + 1, p + 1) or None
        The part of `total` that is orthogonal to all random effects, or None if unknown.
    rank : int
        An upper bound for the rank of Z; exact for independent groups.
    residual : float
        The residual sum of squares without random effects, in the basis.
    columns : int
        Columns of Z that one factorization couples.
    starts : dict of bool to list of arrays
        Start values G_t found so far, by REML or ML; see `start`.
    is_exact : bool
        Whether `gradient_hessian` gives the exact Hessian, at little cost.
    is_centered : bool
        Whether columns of Z are shifted along a constant one.
    """

    n: int
    p: int
    terms: list[TermShape]
    n_coordinates: int
    total: np.ndarray
    within: np.ndarray | None
    rank: int
    columns: int
    residual: float
    starts: dict[bool, list[np.ndarray]]

    @property
    def within_variance(self) -> float | None:
        """σ² of the regression inside groups; None without degrees of freedom, or if unknown."""

    @property
    def least_squares(self) -> State | None:
        """The pieces of the criterion without random effects."""

    @property
    def is_exact(self) -> bool: ...

    @property
    def is_centered(self) -> bool: ...

    def state(self, factors: Roots) -> State | None:
        """Return the pieces of the criterion for the factors Λ_t; None where it is not finite."""

    def gradient(
        self, factors: Roots, state: State, reml: bool, sigma2: float | None = None
    ) -> np.ndarray:
        """Return ∂d/∂γ (m,) of −2 log-likelihood, β and σ² at their optimum, or σ² held (in the basis)."""

    def gradient_hessian(
        self, factors: Roots, state: State, reml: bool, sigma2: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and Hessian (m, m) in γ: exact (`is_exact`), or average information."""

    def derivatives(
        self,
        factors: Roots,
        state: State,
        reml: bool,
        weights: tuple[float, float, float],
        with_quad: bool = True,
    ) -> Sums:
        """Return the exact sums trace (m,), quad (m, m) and outer (m, q (q + 1) / 2).

        With C = Z'V⁻¹Z, [B s] = Z'V⁻¹[X e] in the metric of the state and E_c the pattern of a
        coordinate: trace_c = tr(C E_c), quad_cd = tr(C E_c F E_d) for F = weights · (C, BB', ss'), and
        outer_c the lower triangle of [B s]'E_c[B s].
        """

    def adjustment(self, factors: Roots, state: State) -> np.ndarray:
        """Return the sums B'E_cCE_dB (m, m, p, p) in the metric of the state, for all pairs of γ.

        They are what the adjusted covariance of β̂ of Kenward and Roger needs beside `derivatives`.
        """

    def scoring(
        self, factors: Roots, state: State, reml: bool, sigma2: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and expected information (times two) in γ for a fixed σ²."""

    def ranks(self) -> tuple[int, int]:
        """Return the ranks of Z and of [Z X]; for crossed factors at the cost of `columns` cubed."""

    def with_response(self, cp: Any) -> Engine:
        """Return the engine of the same design with another response, from its cross-products."""

    def with_products(self, cp: Any) -> Engine:
        """Return the engine for other cross-products of the same columns, in the same units."""

    def effects_of_columns(self, factors: Roots) -> list[np.ndarray]:
        """Return K Z'[X y] (q, k, p + 1) of each block of groups, or factor, for the stored columns."""

    def moments(self) -> list[np.ndarray] | None:
        """Return first estimates of the G_t that cost no factorization; None to use `scoring`."""

    def product_derivative(
        self, factors: Roots, state: State, of_fixed: float, of_residual: float
    ) -> ProductDerivative:
        """Return K + of_fixed · UH⁻¹U' + of_residual · cc' at the entries of the cross-products.

        With ``of_fixed=1`` (ML: 0) and ``of_residual = 1/σ̂²`` that is ∂d/∂A; see `products`.
        """

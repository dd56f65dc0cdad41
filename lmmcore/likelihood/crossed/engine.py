"""The engine of a model with several grouping factors, crossed, nested or both.

The Hessian is exact for a model of few columns; else it is the average information, the mean of observed
and expected information, which needs no traces.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ...crossproducts.crossed import CrossedProducts
from ...linalg._dense import cholesky_inverse
from ...linalg.matrices import gram_rank
from ..engine import Roots, Sums
from ..products import ProductDerivative
from ..state import State, TermShape, state_without_effects
from .derivatives import Derivatives
from .products import product_derivative
from .structure import Structure
from .system import System
from .workspace import Workspace, vanish


class CrossedEngine:
    """Criterion and derivatives from the cross-products of several grouping factors.

    The equations of the model are shared by all threads; each thread factors in a workspace of its own.

    Parameters
    ----------
    cp : CrossedProducts
    term_sizes : sequence of int
        Columns per level of each term.
    centered : bool
        Whether columns may stay shifted along a constant first one, as they were read.

    Raises
    ------
    DesignError
        A column that is zero everywhere, or more columns than fit into memory.
    """

    # Nothing is known of the variation inside all levels.
    within: np.ndarray | None = None
    within_variance = None

    def __init__(
        self, cp: CrossedProducts, term_sizes: Sequence[int], centered: bool = False
    ) -> None:
        self._take(System(cp, term_sizes, centered))
        self._of_thread = threading.local()

    def _take(self, system: System) -> None:
        self.system = system
        self.n, self.p = system.n, system.p
        self.terms: list[TermShape] = system.terms
        self.n_coordinates = system.n_coordinates
        self.total, self.residual = system.total, system.residual
        self.starts: dict[bool, list[np.ndarray]] = {}
        self.__dict__.pop("least_squares", None)
        self.columns = system.columns
        self.rank = min(system.columns, self.n)

    def with_response(self, cp: CrossedProducts) -> CrossedEngine:
        """Return the engine of the same design with another response; it shares the workspaces."""
        new = object.__new__(CrossedEngine)
        new.__dict__.update(self.__dict__)
        new._take(self.system.with_response(cp))
        return new

    def with_products(self, cp: CrossedProducts) -> CrossedEngine:
        """Return the engine for other cross-products of the same columns, in the same units."""
        new = object.__new__(CrossedEngine)
        new._take(System(cp, [t.k for t in self.terms], self.system.shifted, self.system))
        new._of_thread = threading.local()
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_of_thread"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._of_thread = threading.local()

    @property
    def workspace(self) -> Workspace:
        """The workspace of the running thread."""
        own: Workspace | None = getattr(self._of_thread, "workspace", None)
        if own is None:
            own = self._of_thread.workspace = Workspace(self.system)
        own.system = self.system
        return own

    @property
    def is_exact(self) -> bool:
        """Whether `gradient_hessian` returns the exact Hessian, not the average information."""
        return self.system.is_exact

    @cached_property
    def least_squares(self) -> State | None:
        """The pieces of the criterion without random effects."""
        return state_without_effects(self.total)

    @property
    def is_centered(self) -> bool:
        """Whether columns of Z are shifted along the constant one."""
        factors = self.system.factors
        return self.system.shifted and any(bool(np.any(np.triu(f.z_map, 1))) for f in factors)

    @property
    def structure(self) -> Structure:
        """Order, storage and cost of an evaluation, for a person to read."""
        return Structure.of(self.system.factors, self.system.plan, self.p)

    @property
    def _derivatives(self) -> Derivatives:
        return Derivatives(self.system, self.workspace)

    def state(self, factors: Roots) -> State | None:
        """Return the pieces of the criterion for the factors Λ_t; None where it is not finite."""
        if not vanish(factors):
            workspace = self.workspace
            log_det = workspace.hold(factors)
            if not np.isfinite(log_det):
                return None
            gram = self.total - workspace.t.T @ workspace.t
        else:  # no random effects: nothing to eliminate
            log_det, gram = 0.0, self.total.copy()
        inverse, ok = cholesky_inverse(gram)
        return State(log_det, gram, inverse) if ok else None

    def gradient(
        self, factors: Roots, state: State, reml: bool, sigma2: float | None = None
    ) -> np.ndarray:
        """Return ∂d/∂γ (m,)."""
        return self._derivatives.gradient(factors, state, reml, sigma2)

    def gradient_hessian(
        self, factors: Roots, state: State, reml: bool, sigma2: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (m,) and Hessian (m, m) in γ: exact, or the average information."""
        return self._derivatives.gradient_hessian(factors, state, reml, sigma2)

    def derivatives(
        self,
        factors: Roots,
        state: State,
        reml: bool,
        weights: tuple[float, float, float],
        with_quad: bool = True,
    ) -> Sums:
        """Return the exact sums (trace, quad, outer); see `Engine.derivatives`."""
        return self._derivatives.derivatives(factors, state, reml, weights, with_quad)

    def adjustment(self, factors: Roots, state: State) -> np.ndarray:
        """Return B'E_cCE_dB (m, m, p, p); see `Engine.adjustment`."""
        return self._derivatives.adjustment(factors, state)

    def scoring(
        self, factors: Roots, state: State, reml: bool, sigma2: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and expected information (times two) in γ for a fixed σ²."""
        return self._derivatives.scoring(factors, state, reml, sigma2)

    def ranks(self) -> tuple[int, int]:
        """Return the ranks of Z and of [Z X]."""
        system, p = self.system, self.p
        zz, zx = self.workspace.multiply(np.eye(system.columns)), system.zxy[:, :p]
        whole = np.block([[zz, zx], [zx.T, self.total[:p, :p]]])
        return gram_rank(zz), gram_rank(whole)

    def moments(self) -> list[np.ndarray] | None:
        """Return first estimates of the G_t, which may be indefinite; None for a model of few columns."""
        return None if self.is_exact else self._derivatives.moments()

    def product_derivative(
        self, factors: Roots, state: State, of_fixed: float, of_residual: float
    ) -> ProductDerivative:
        """Return the derivative in the cross-products; see `Engine.product_derivative`."""
        return product_derivative(
            self.system, self.workspace, factors, state, of_fixed, of_residual
        )

    def effects_of_columns(self, factors: Roots) -> list[np.ndarray]:
        """Return K Z'[X y] (q, k, p + 1) of each grouping factor, for the stored columns."""
        solution, system = self.workspace.solution(factors), self.system
        return [
            unit @ solution[at[:, None] + np.arange(f.k)]
            for at, f, unit in zip(system.plan.starts, system.factors, system.column_maps)
        ]

    # Random effects

    def solution(self, factors: Roots) -> np.ndarray:
        """Return K Z'[X y] (columns, p + 1): the random effects of each column of [X y]."""
        return self.workspace.solution(factors)

    def conditional_covariances(self, factors: Roots) -> list[np.ndarray]:
        """Return K_ℓℓ = (ΛΩ⁻¹Λ')_ℓℓ of each grouping factor (q, k, k), in the engine's units."""
        return self.workspace.conditional_covariances(factors)

    def joint(self, factors: Roots) -> np.ndarray:
        """Return K = ΛΩ⁻¹Λ' (columns, columns), in the order of elimination."""
        out = np.eye(self.system.columns)
        if vanish(factors):
            return np.zeros_like(out)
        workspace = self.workspace
        workspace.hold(factors)
        workspace.forward(out)
        workspace.backward(out)
        return out

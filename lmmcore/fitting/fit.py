"""Fit: a fitted model as frozen data, on which inference, prediction and display stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from ..crossproducts.crossed import CrossedProducts
from ..design.layout import Layout
from ..design.spec import ModelSpec
from ..likelihood.packed import PackedLikelihood, PackedPoint
from ..likelihood.profiled import Point, ProfiledLikelihood
from ..likelihood.state import State
from ..likelihood.users_columns import InUsersColumns
from ..params import MixedLMParams
from .certificate import Convergence
from .equations import Equations

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Fit:
    """The estimates of a model and the likelihood there. It has no rows, and evaluates nothing again.

    Attributes
    ----------
    spec : ModelSpec
    equations : Equations
    likelihood : ProfiledLikelihood
        The likelihood with this optimum, its covariance structures and its engine.
    point : Point
        θ̂, the criterion and its derivatives there.
    reml : bool
    certificate : Convergence
    held : MixedLMParams or None
        A mask of covariance parameters that were held fixed.
    inference : Choice or None
        The degrees of freedom and the covariance of β̂ that tests use, if `fit` was asked for any.
    residual : FittedResidual or None
        The residual structure, if the model has one. The cross-products of `equations` are those at its
        estimates.
    """

    spec: ModelSpec
    equations: Equations
    likelihood: ProfiledLikelihood
    point: Point
    reml: bool
    certificate: Convergence
    held: MixedLMParams | None = None
    inference: Any = None
    residual: Any = None
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)  # of functions made by `once`

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    is_plain = True  # without a penalty

    @property
    def layout(self) -> Layout:
        return self.spec.layout

    @property
    def state(self) -> State:
        """The pieces of the criterion at θ̂."""
        assert self.point.state is not None  # a fit ends where the criterion is finite
        return self.point.state

    @property
    def criterion(self) -> float:
        """−2 log-likelihood (REML: −2 log restricted likelihood)."""
        return float(self.point.value)

    @property
    def n_eff(self) -> int:
        """Divisor of σ̂²: n − p under REML, else n."""
        return self.likelihood.n_eff

    @cached_property
    def scale(self) -> float:
        """σ̂² (of an observation with weight 1), or the held σ²."""
        return self.likelihood.scale_at(self.state)

    @cached_property
    def beta(self) -> np.ndarray:
        """β̂ (p,)."""
        return self.likelihood.coordinates.beta(self.state)

    @cached_property
    def cov_beta(self) -> np.ndarray:
        """σ̂² (X'V⁻¹X)⁻¹ (p, p)."""
        return self.likelihood.coordinates.covariance(self.state, self.scale)

    @property
    def df(self) -> float:
        """Degrees of freedom of the fixed effects: their number."""
        return self.spec.k_fe

    @property
    def n_variances(self) -> int:
        """Number of covariance parameters, an estimated σ² and those of a residual structure among them."""
        own = 0 if self.residual is None else len(self.residual.u)
        return self.likelihood.n_parameters + own + int(not self.holds_scale)

    @property
    def holds_scale(self) -> bool:
        """Whether σ² was held at a value, not estimated."""
        return self.likelihood.scale is not None

    @property
    def theta_hessian(self) -> np.ndarray | None:
        """Hessian of −2 log-likelihood in θ, as the optimizer had it."""
        return self.point.hessian

    @property
    def is_crossed(self) -> bool:
        """Whether the groups are not independent of each other."""
        return isinstance(self.equations.crossproducts, CrossedProducts)

    @property
    def of_effects(self) -> Fit:
        """The fit whose random effects these are."""
        return self

    @property
    def of_variances(self) -> Fit:
        """The fit whose variances, with their standard errors, these are."""
        return self

    @property
    def solution(self) -> np.ndarray:
        """The vector (p + 1,) for which [X y], in the basis, times it is the residual."""
        return self.state.solution

    # Covariance of the random effects

    @cached_property
    def relative(self) -> list[np.ndarray]:
        """G_t (k, k) of each term for the columns as given, relative to σ²."""
        return [t.to_user(f @ f.T) for t, f in zip(self.likelihood.terms, self.point.factors)]

    @cached_property
    def params_object(self) -> MixedLMParams:
        """All parameters; covariances relative to σ²."""
        cov_re, vcomp = self.layout.join(self.relative)
        return MixedLMParams.from_components(self.beta, cov_re, vcomp=vcomp)

    @cached_property
    def params(self) -> np.ndarray:
        """β̂, lower triangle of cov_re / σ², vcomp / σ²."""
        return self.params_object.get_packed(use_sqrt=False, has_fe=True)

    @cached_property
    def theta(self) -> np.ndarray:
        """Parameters of the structures of the relative covariance matrices, for the columns as given."""
        likelihood = self.likelihood
        parts = likelihood.parts(self.point.theta)
        own = [
            part if isinstance(s, InUsersColumns) else s.parameters(g)
            for s, part, g in zip(likelihood.structures, parts, self.relative)
        ]
        return np.concatenate([np.zeros(0), *own])

    @cached_property
    def held_positions(self) -> np.ndarray:
        """Which entries of `params` were held fixed."""
        if self.held is None:
            return np.zeros(0, dtype=np.intp)
        fixed = np.flatnonzero(self.held.get_packed(use_sqrt=False, has_fe=True) == 0.0)
        return fixed[fixed >= self.spec.k_fe]

    # Second order, in the parameters of statsmodels

    @cached_property
    def packed(self) -> PackedLikelihood:
        """The likelihood in statsmodels' parameters, by the engine of the fit."""
        cp = self.equations.crossproducts
        return PackedLikelihood(self.likelihood.engine, cp, self.layout, self.likelihood.scale)

    @cached_property
    def at(self) -> PackedPoint:
        """The estimates for `packed`, with the exact sums of second order.

        If the optimizer used average information, they are formed once here.
        """
        sums = self.likelihood.exact_sums(self.point)
        return PackedPoint(self.point.factors, self.state, self.solution, self.state.r2, sums)

    @cached_property
    def hessian(self) -> np.ndarray:
        """Hessian of the log-likelihood in `params`, σ² profiled out."""
        return self.packed.hessian(self.at, self.reml)

    @cached_property
    def log_scale_slope(self) -> np.ndarray:
        """∂ log σ̂² / ∂(covariance parameters of `params`)."""
        return self.packed.log_scale_slope(self.at, self.reml)


def once(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Compute a quantity of a fit when it is first needed, and keep it with the fit."""

    @wraps(function)
    def kept(fit: Any) -> T:
        if function not in fit.kept:
            fit.kept[function] = function(fit)
        value: T = fit.kept[function]
        return value

    return kept

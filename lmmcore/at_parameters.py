"""The likelihood of a model at any parameters: log-likelihood, score, Hessian, GLS estimates.

Names, packing and scales are those of statsmodels' ``MixedLM``: covariances are relative to σ², which
is always profiled out, and whether the likelihood is restricted is said by ``model.reml``, which
holds what the last fit used (REML before any fit).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import has_parameters, numbers
from .covariance.choice import bound_structure
from .design.layout import Layout
from .errors import DataValueError
from .extension import CovarianceStructure
from .likelihood.packed import PackedLikelihood, PackedPoint
from .likelihood.profiled import Engine, build_engine
from .linalg.matrices import lower_indices, semidefinite_cholesky, symmetric_index
from .params import MixedLMParams

if TYPE_CHECKING:
    from .crossproducts.crossed import CrossedProducts
    from .crossproducts.crossproducts import CrossProducts
    from .design.design import Design

Params = MixedLMParams | Sequence[float] | np.ndarray


def as_params(given: MixedLMParams) -> MixedLMParams:
    """Return parameters as arrays: those of statsmodels' class, or ours with frames or lists set."""
    parts = (given.fe_params, given.cov_re, given.vcomp)
    if isinstance(given, MixedLMParams) and all(type(part) is np.ndarray for part in parts):
        return given
    return MixedLMParams.from_components(given.fe_params, given.cov_re, vcomp=given.vcomp)


def closed_under(structure: CovarianceStructure) -> str:
    """Return under which changes of columns a family of covariance matrices stays the same."""
    return str(getattr(structure, "closed_under", "nothing"))


class AtParameters:
    """Evaluations at given parameters; a base of `MixedLM`."""

    k_fe: int
    k_re: int
    k_re2: int
    k_vc: int
    use_sqrt: bool
    reml: bool
    crossproducts: CrossProducts | CrossedProducts
    design: Design

    @cached_property
    def _term_names(self) -> list[tuple[str, ...]]:
        components = self.design.components
        own = () if components is None else components.names
        return [t.names for t in self.design.terms] + [(name,) for name in own]

    @cached_property
    def _term_groups(self) -> list[str]:
        """Name of the grouping factor of each term."""
        own = [self.design.groupings[t.factor].name for t in self.design.terms]
        return own + [self.design.grouping.name] * (len(self._term_names) - len(own))

    @cached_property
    def _layout(self) -> Layout:
        design = self.design
        components = () if design.components is None else design.components.names
        return Layout.of(
            [(t.names, t.factor) for t in design.terms],
            components,
            [g.name for g in design.groupings],
        )

    @cached_property
    def _structures(self) -> list[CovarianceStructure]:
        """The structure of each term, for the user's columns."""
        out = [
            bound_structure(t.covariance, t.names, group)
            for t, group in zip(self.design.terms, self._term_groups)
        ]
        components = self.design.components
        if components is not None:
            out += [bound_structure("unstructured", ("",), "")] * len(components.names)
        return out

    @cached_property
    def _engine(self) -> Engine:
        centred = all(closed_under(s) == "shifting" for s in self._structures)
        sizes = [len(names) for names in self._term_names]
        return build_engine(self.crossproducts, sizes, centred)

    @cached_property
    def _plain_engine(self) -> Engine:
        """The engine for structures that hold for the columns as they were given only."""
        if not self._engine.is_centred:
            return self._engine
        return build_engine(self.crossproducts, [len(names) for names in self._term_names])

    @cached_property
    def _packed(self) -> PackedLikelihood:
        return PackedLikelihood(self._engine, self.crossproducts, self._layout)

    def _params(self, params: Params, use_sqrt: bool, has_fe: bool) -> MixedLMParams:
        """Return params as an object; check the length of a packed vector."""
        if has_parameters(params):
            return as_params(params)
        packed = numbers(params, "params", "MixedLMParams, or a vector of parameters")
        size = self.k_re2 + self.k_vc + (self.k_fe if has_fe else 0)
        if packed.shape != (size,):
            fixed = f"{self.k_fe} fixed effects, " if has_fe else ""
            raise DataValueError(
                f"params has shape {packed.shape}; expected ({size},): {fixed}{self.k_re2} entries of "
                f"cov_re and {self.k_vc} variance components"
            )
        if not all(map(isfinite, packed.tolist())):
            raise DataValueError(f"params has {packed.tolist()}; expected finite numbers")
        return MixedLMParams.from_packed(packed, self.k_fe, self.k_re, use_sqrt, has_fe)

    def _at(self, params: Params, profile_fe: bool) -> PackedPoint:
        given = isinstance(params, MixedLMParams) or has_parameters(params)
        return self._evaluate(
            self._params(params, self.use_sqrt, has_fe=False), profile_fe or not given
        )

    def _evaluate(self, params: MixedLMParams, profile_fe: bool) -> PackedPoint:
        point = self._packed.at(params, profile_fe)
        if not isfinite(point.qf):
            raise DataValueError(
                f"params has fe_params {np.asarray(params.fe_params).tolist()}; expected finite numbers "
                "for which the sum of squares is finite"
            )
        return point

    def loglike(self, params: Params, profile_fe: bool = True) -> float:
        """Return the log-likelihood, restricted if ``model.reml``, with σ² profiled out.

        Parameters
        ----------
        params : MixedLMParams or array_like
            An array holds the covariance parameters as `use_sqrt` packs them.
        profile_fe : bool
            Whether β is replaced by its GLS estimate; always so for an array.
        """
        return self._packed.loglike(self._at(params, profile_fe), self.reml)

    def score(self, params: Params, profile_fe: bool = True) -> np.ndarray:
        """Return the derivative of `loglike` in the parameters as `use_sqrt` packs them.

        Returns
        -------
        array (k_re2 + k_vc,), after the k_fe fixed effects if `profile_fe` is false
        """
        given_fe = isinstance(params, MixedLMParams) or has_parameters(params)
        has_fe = given_fe and not profile_fe
        given = self._params(params, self.use_sqrt, has_fe=False)
        if not has_fe:
            given = self._with_gls(given)
        method = self.score_sqrt if self.use_sqrt else self.score_full
        parts = method(given, calc_fe=has_fe)
        return np.concatenate(parts if has_fe else parts[1:])

    def score_full(
        self, params: Params, calc_fe: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the derivatives in β, the lower triangle of cov_re and vcomp, β held fixed.

        Parameters
        ----------
        params : MixedLMParams or array_like
            An array holds β, the lower triangle of cov_re and vcomp.
        calc_fe : bool
            If false, zeros take the place of the derivative in β.
        """
        given = self._params(params, use_sqrt=False, has_fe=True)
        point = self._evaluate(given, profile_fe=False)
        cov = self._packed.score_cov(point, self.reml)
        fe = self._packed.score_fe(point, self.reml) if calc_fe else np.zeros(self.k_fe)
        return fe, cov[: self.k_re2], cov[self.k_re2 :]

    def score_sqrt(
        self, params: Params, calc_fe: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the derivatives in β, the Cholesky factor of cov_re and the roots of vcomp.

        Parameters
        ----------
        params : MixedLMParams or array_like
            An array holds β, the Cholesky factor of cov_re and the roots of vcomp.
        """
        given = self._params(params, use_sqrt=True, has_fe=True)
        fe, re, vc = self.score_full(given, calc_fe)
        if self.k_re:
            # An entry off the diagonal stands for two entries of the matrix.
            d = re[symmetric_index(self.k_re)] * (0.5 + 0.5 * np.eye(self.k_re))
            re = (2.0 * d @ semidefinite_cholesky(given.cov_re))[lower_indices(self.k_re)]
        return fe, re, 2.0 * vc * np.sqrt(given.vcomp)

    def hessian(self, params: Params) -> tuple[np.ndarray, bool]:
        """Return the Hessian of the log-likelihood in β, cov_re and vcomp, σ² profiled out.

        Parameters
        ----------
        params : MixedLMParams or array_like
            An array holds β and the covariance parameters as `use_sqrt` packs them.

        Returns
        -------
        hessian : array (k_fe + k_re2 + k_vc,) squared
            In the lower triangle of cov_re, not its root. It is exact at any β; statsmodels leaves out
            the terms of the blocks of β that vanish at the GLS estimate.
        singular : bool
            Whether a covariance matrix is singular.
        """
        given = self._params(params, self.use_sqrt, has_fe=True)
        point = self._evaluate(given, profile_fe=False)
        singular = any(
            not np.linalg.eigvalsh(f @ f.T)[0] > 1e-10 * max(1.0, float(np.abs(f).max()) ** 2)
            for f in point.factors
        )
        return self._packed.hessian(point, self.reml), singular

    def information(self, params: Params) -> np.ndarray:
        """Return minus the Hessian: the observed information."""
        return -self.hessian(params)[0]

    def get_fe_params(self, cov_re: Any, vcomp: Any, tol: float = 1e-10) -> tuple[np.ndarray, bool]:
        """Return the GLS estimate of β for relative covariances, and whether these are singular."""
        params = MixedLMParams.from_components(np.zeros(self.k_fe), cov_re, vcomp=vcomp)
        best = self._packed.fe_params(self._packed.at(params, profile_fe=True))
        smallest = np.linalg.eigvalsh(params.cov_re)[0] if self.k_re else np.inf
        singular = bool(min(float(smallest), *params.vcomp, np.inf) < tol)
        return best, singular

    def get_scale(self, fe_params: Any, cov_re: Any, vcomp: Any) -> float:
        """Return the estimate of σ² for β and relative covariances."""
        params = MixedLMParams.from_components(fe_params, cov_re, vcomp=vcomp)
        return self._packed.scale(self._evaluate(params, profile_fe=False), self.reml)

    def _with_gls(self, params: MixedLMParams) -> MixedLMParams:
        out = params.copy()
        out.fe_params = self._packed.fe_params(self._packed.at(params, profile_fe=True))
        return out

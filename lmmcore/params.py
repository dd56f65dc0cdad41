"""MixedLMParams: the parameters of a mixed model, and how they are packed into a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from .arguments import numbers, whole_number
from .errors import DataValueError
from .linalg.matrices import semidefinite_cholesky


@dataclass(eq=False)
class MixedLMParams:
    """Parameters of a linear mixed model, in the parameterization of statsmodels.

    Parameters
    ----------
    k_fe, k_re, k_vc : int
        Numbers of fixed effects, random coefficients and variance components.

    Attributes
    ----------
    fe_params : array (k_fe,)
    cov_re : array (k_re, k_re)
        Covariance matrix of the random coefficients, divided by σ².
    vcomp : array (k_vc,)
        Variance components, divided by σ².
    """

    k_fe: int
    k_re: int
    k_vc: int

    def __post_init__(self) -> None:
        for name in ("k_fe", "k_re", "k_vc"):
            setattr(self, name, whole_number(getattr(self, name), name, 0))
        self.fe_params = np.zeros(self.k_fe)
        self.cov_re = np.eye(self.k_re)
        self.vcomp = np.ones(self.k_vc)

    @property
    def k_re2(self) -> int:
        """Number of entries of the lower triangle of cov_re."""
        return self.k_re * (self.k_re + 1) // 2

    @property
    def k_tot(self) -> int:
        """Number of all parameters."""
        return self.k_fe + self.k_re2 + self.k_vc

    @classmethod
    def from_components(
        cls,
        fe_params: np.ndarray | None = None,
        cov_re: np.ndarray | None = None,
        cov_re_sqrt: np.ndarray | None = None,
        vcomp: np.ndarray | None = None,
    ) -> MixedLMParams:
        """Build from parts; `cov_re_sqrt` is a lower triangular Cholesky factor of `cov_re`."""
        if cov_re is None and cov_re_sqrt is not None:
            root = numbers(cov_re_sqrt, "cov_re_sqrt", "a square matrix")
            if root.ndim != 2 or root.shape[0] != root.shape[1]:
                raise DataValueError(
                    f"cov_re_sqrt has shape {root.shape}; expected a square matrix"
                )
            cov_re = root @ root.T
        fe = np.zeros(0) if fe_params is None else numbers(fe_params, "fe_params", "a vector")
        cov = np.zeros((0, 0)) if cov_re is None else numbers(cov_re, "cov_re", "a square matrix")
        vc = np.zeros(0) if vcomp is None else numbers(vcomp, "vcomp", "a vector")
        if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
            raise DataValueError(f"cov_re has shape {cov.shape}; expected a square matrix")
        for name, vector in (("fe_params", fe), ("vcomp", vc)):
            if vector.ndim != 1:
                raise DataValueError(f"{name} has shape {vector.shape}; expected a vector")
        out = cls(len(fe), len(cov), len(vc))
        out.fe_params, out.cov_re, out.vcomp = fe, cov, vc
        return out

    @classmethod
    def from_packed(
        cls, params: np.ndarray, k_fe: int, k_re: int, use_sqrt: bool, has_fe: bool
    ) -> MixedLMParams:
        """Undo `get_packed`."""
        params = numbers(params, "params", "a vector of parameters")
        if params.ndim != 1:
            raise DataValueError(f"params has shape {params.shape}; expected a vector")
        k_re2 = k_re * (k_re + 1) // 2
        at = k_fe if has_fe else 0
        k_vc = len(params) - at - k_re2
        if k_vc < 0:
            raise DataValueError(
                f"params has length {len(params)}; expected at least {at + k_re2} "
                f"({at} fixed effects, {k_re2} entries of cov_re)"
            )
        out = cls(k_fe, k_re, k_vc)
        if has_fe:
            out.fe_params = params[:k_fe].copy()
        rows, cols = np.tril_indices(k_re)
        lower = np.zeros((k_re, k_re))
        lower[rows, cols] = params[at : at + k_re2]
        out.cov_re = lower @ lower.T if use_sqrt else lower + np.tril(lower, -1).T
        vcomp = params[at + k_re2 :]
        out.vcomp = vcomp**2 if use_sqrt else vcomp.copy()
        return out

    def get_packed(self, use_sqrt: bool, has_fe: bool = False) -> np.ndarray:
        """Return the fixed effects (optional), the lower triangle of cov_re, and the variance components.

        With `use_sqrt`, the Cholesky factor of cov_re and the square roots of the variance components.

        Raises
        ------
        DataValueError
            With `use_sqrt`, if these do not exist.
        """
        rows, cols = np.tril_indices(self.k_re)
        matrix, vcomp = self.cov_re, self.vcomp
        if use_sqrt:
            self.check()
            matrix, vcomp = semidefinite_cholesky(matrix), np.sqrt(vcomp)
        parts = [matrix[rows, cols], vcomp]
        return np.concatenate([self.fe_params, *parts] if has_fe else parts)

    def check(self, name: str = "params") -> None:
        """Raise an error if a covariance matrix is invalid, or a parameter is not finite.

        Parameters
        ----------
        name : str
            The argument that holds these parameters.

        Raises
        ------
        DataValueError
        """
        cov, vcomp = np.asarray(self.cov_re), np.asarray(self.vcomp)
        for part, values in (("fe_params", self.fe_params), ("cov_re", cov), ("vcomp", vcomp)):
            if not np.isfinite(values).all():
                raise DataValueError(
                    f"{name} has {part} {np.asarray(values).tolist()}; expected finite numbers"
                )
        if (vcomp < 0.0).any():
            raise DataValueError(
                f"{name} has vcomp {vcomp.tolist()}; expected no negative variance"
            )
        root = semidefinite_cholesky(cov)
        # Of an upper triangle that differs from the lower one there is no such root either.
        error = np.abs(root @ root.T - cov).max(initial=0.0)
        if not error <= 1e-8 * np.abs(cov).max(initial=0.0):
            raise DataValueError(
                f"{name} has cov_re {cov.tolist()}, which is no covariance matrix; expected a symmetric "
                "matrix with variances that are not negative and correlations between -1 and 1"
            )

    def copy(self) -> MixedLMParams:
        """Return an independent copy."""
        return MixedLMParams.from_components(
            self.fe_params.copy(), self.cov_re.copy(), vcomp=self.vcomp.copy()
        )


def as_params(given: Any) -> MixedLMParams:
    """Return parameters as arrays: those of statsmodels' class, or ours with frames or lists set."""
    parts = (given.fe_params, given.cov_re, given.vcomp)
    if isinstance(given, MixedLMParams) and all(type(part) is np.ndarray for part in parts):
        return given
    return MixedLMParams.from_components(given.fe_params, given.cov_re, vcomp=given.vcomp)


def has_parameters(given: Any) -> TypeGuard[MixedLMParams]:
    """Whether `given` has the attributes of `MixedLMParams`, as the one of statsmodels does."""
    return all(hasattr(given, name) for name in ("fe_params", "cov_re", "vcomp"))

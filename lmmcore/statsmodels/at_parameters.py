"""The likelihood of a model at any parameters: log-likelihood, score, Hessian, GLS estimates.

Names, packing and scales are those of statsmodels' ``MixedLM``: covariances are relative to σ², which
is always profiled out, and whether the likelihood is restricted is said by ``model.reml``, which
holds what the last fit used (REML before any fit).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from ..arguments import numbers
from ..errors import DataValueError
from ..likelihood.packed import PackedPoint
from ..linalg.matrices import lower_indices, semidefinite_cholesky, symmetric_index
from ..params import MixedLMParams, as_params, has_parameters

Params = MixedLMParams | Sequence[float] | np.ndarray


def params_of(model: Any, params: Params, use_sqrt: bool, has_fe: bool) -> MixedLMParams:
    """Return params as an object; check the length of a packed vector."""
    if has_parameters(params):
        return as_params(params)
    packed = numbers(params, "params", "MixedLMParams, or a vector of parameters")
    size = model.k_re2 + model.k_vc + (model.k_fe if has_fe else 0)
    if packed.shape != (size,):
        fixed = f"{model.k_fe} fixed effects, " if has_fe else ""
        raise DataValueError(
            f"params has shape {packed.shape}; expected ({size},): {fixed}{model.k_re2} entries of "
            f"cov_re and {model.k_vc} variance components"
        )
    if not all(map(isfinite, packed.tolist())):
        raise DataValueError(f"params has {packed.tolist()}; expected finite numbers")
    return MixedLMParams.from_packed(packed, model.k_fe, model.k_re, use_sqrt, has_fe)


def _point_at(model: Any, params: Params, profile_fe: bool) -> PackedPoint:
    given = isinstance(params, MixedLMParams) or has_parameters(params)
    return _evaluate(
        model, params_of(model, params, model.use_sqrt, has_fe=False), profile_fe or not given
    )


def _evaluate(model: Any, params: MixedLMParams, profile_fe: bool) -> PackedPoint:
    point = model.equations.packed.at(params, profile_fe)
    if not isfinite(point.qf):
        raise DataValueError(
            f"params has fe_params {np.asarray(params.fe_params).tolist()}; expected finite numbers "
            "for which the sum of squares is finite"
        )
    return point


def _reml(model: Any, reml: bool | None) -> bool:
    return model.reml if reml is None else bool(reml)


def loglike(
    model: Any, params: Params, profile_fe: bool = True, *, reml: bool | None = None
) -> float:
    """Return the log-likelihood, restricted if `reml`, with σ² profiled out.

    Parameters
    ----------
    params : MixedLMParams or array_like
        An array holds the covariance parameters as `use_sqrt` packs them.
    profile_fe : bool
        Whether β is replaced by its GLS estimate; always so for an array.
    reml : bool, optional
        By default ``model.reml``, which the last fit has set.
    """
    return model.equations.packed.loglike(_point_at(model, params, profile_fe), _reml(model, reml))


def score(
    model: Any, params: Params, profile_fe: bool = True, *, reml: bool | None = None
) -> np.ndarray:
    """Return the derivative of `loglike` in the parameters as `use_sqrt` packs them.

    Returns
    -------
    array (k_re2 + k_vc,), after the k_fe fixed effects if `profile_fe` is false
    """
    given_fe = isinstance(params, MixedLMParams) or has_parameters(params)
    has_fe = given_fe and not profile_fe
    given = params_of(model, params, model.use_sqrt, has_fe=False)
    if not has_fe:
        given = _with_gls(model, given)
    method = score_sqrt if model.use_sqrt else score_full
    parts = method(model, given, has_fe, reml)
    return np.concatenate(parts if has_fe else parts[1:])


def score_full(
    model: Any, params: Params, calc_fe: bool = True, reml: bool | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the derivatives in β, the lower triangle of cov_re and vcomp, β held fixed.

    Parameters
    ----------
    params : MixedLMParams or array_like
        An array holds β, the lower triangle of cov_re and vcomp.
    calc_fe : bool
        If false, zeros take the place of the derivative in β.
    """
    given = params_of(model, params, use_sqrt=False, has_fe=True)
    point = _evaluate(model, given, profile_fe=False)
    cov = model.equations.packed.score_cov(point, _reml(model, reml))
    fe = (
        model.equations.packed.score_fe(point, _reml(model, reml))
        if calc_fe
        else np.zeros(model.k_fe)
    )
    return fe, cov[: model.k_re2], cov[model.k_re2 :]


def score_sqrt(
    model: Any, params: Params, calc_fe: bool = True, reml: bool | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the derivatives in β, the Cholesky factor of cov_re and the roots of vcomp.

    Parameters
    ----------
    params : MixedLMParams or array_like
        An array holds β, the Cholesky factor of cov_re and the roots of vcomp.
    """
    given = params_of(model, params, use_sqrt=True, has_fe=True)
    fe, re, vc = score_full(model, given, calc_fe, reml)
    if model.k_re:
        # An entry off the diagonal stands for two entries of the matrix.
        d = re[symmetric_index(model.k_re)] * (0.5 + 0.5 * np.eye(model.k_re))
        re = (2.0 * d @ semidefinite_cholesky(given.cov_re))[lower_indices(model.k_re)]
    return fe, re, 2.0 * vc * np.sqrt(given.vcomp)


def hessian(model: Any, params: Params, reml: bool | None = None) -> tuple[np.ndarray, bool]:
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
    given = params_of(model, params, model.use_sqrt, has_fe=True)
    point = _evaluate(model, given, profile_fe=False)
    singular = any(
        not np.linalg.eigvalsh(f @ f.T)[0] > 1e-10 * max(1.0, float(np.abs(f).max()) ** 2)
        for f in point.factors
    )
    return model.equations.packed.hessian(point, _reml(model, reml)), singular


def information(model: Any, params: Params, reml: bool | None = None) -> np.ndarray:
    """Return minus the Hessian: the observed information."""
    return -hessian(model, params, reml)[0]


def get_fe_params(
    model: Any, cov_re: Any, vcomp: Any, tol: float = 1e-10
) -> tuple[np.ndarray, bool]:
    """Return the GLS estimate of β for relative covariances, and whether these are singular."""
    params = MixedLMParams.from_components(np.zeros(model.k_fe), cov_re, vcomp=vcomp)
    best = model.equations.packed.fe_params(model.equations.packed.at(params, profile_fe=True))
    smallest = np.linalg.eigvalsh(params.cov_re)[0] if model.k_re else np.inf
    singular = bool(min(float(smallest), *params.vcomp, np.inf) < tol)
    return best, singular


def get_scale(model: Any, fe_params: Any, cov_re: Any, vcomp: Any) -> float:
    """Return the estimate of σ² for β and relative covariances."""
    params = MixedLMParams.from_components(fe_params, cov_re, vcomp=vcomp)
    return model.equations.packed.scale(_evaluate(model, params, profile_fe=False), model.reml)


def _with_gls(model: Any, params: MixedLMParams) -> MixedLMParams:
    out = params.copy()
    out.fe_params = model.equations.packed.fe_params(
        model.equations.packed.at(params, profile_fe=True)
    )
    return out

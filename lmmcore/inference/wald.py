"""Standard errors, tests and intervals from the observed information (normal quantiles)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from ..arguments import number, numbers
from ..errors import DataValueError, OptionError
from .unidentified import Unidentified, generalized_inverse


@dataclass(frozen=True, eq=False)
class CovarianceOfParams:
    """Covariance matrix of all parameters, NaN where it does not exist.

    Attributes
    ----------
    values : array (k, k)
    reason : str
        Why entries are NaN; empty when none is.
    whole : array (k, k) or None
        A generalized inverse of the information, if the data do not identify all parameters. It is valid
        for what they identify.
    """

    values: np.ndarray
    reason: str
    whole: np.ndarray | None = None


def covariance_of_params(
    hessian: np.ndarray,
    cov_fe: np.ndarray,
    boundary: tuple[str, ...],
    flat: Unidentified | None = None,
) -> CovarianceOfParams:
    """Invert the observed information.

    Parameters
    ----------
    hessian : array (k, k)
        Of the log-likelihood at the estimate; rows of zeros belong to parameters that are fixed.
    cov_fe : array (p, p)
        What stands for the fixed effects when the whole cannot be inverted.
    boundary : tuple of str
        The boundary directions of the fit, in words.
    flat : Unidentified, optional
        What moves along directions in which the likelihood is constant.
    """
    k, p = len(hessian), len(cov_fe)
    out = np.full((k, k), np.nan)
    if boundary:
        out[:p, :p] = cov_fe
        return CovarianceOfParams(
            out,
            "no standard errors of variance parameters: the estimate lies on the boundary ("
            + "; ".join(boundary)
            + "), where the information matrix says nothing about their spread"
            + (f"; {flat.reason}" if flat else ""),
        )
    free = np.flatnonzero(np.diag(hessian) != 0.0)
    information = -hessian[np.ix_(free, free)]
    if flat is not None:
        directions = np.vstack([np.zeros((p, flat.rank)), flat.directions])[free]
        inverse = generalized_inverse(information, directions)
        if inverse is not None:
            out[:] = 0.0
            out[np.ix_(free, free)] = inverse
            return without_unidentified(out, flat)
    scale = 1.0 / np.sqrt(np.abs(np.diag(information)))
    scaled = information * np.outer(scale, scale)
    if np.linalg.eigvalsh(scaled)[0] <= 1e-12:
        out[:p, :p] = cov_fe
        return CovarianceOfParams(
            out,
            "no standard errors of variance parameters: the observed information is not positive "
            "definite at the estimate",
        )
    out[:] = 0.0
    out[np.ix_(free, free)] = np.linalg.inv(scaled) * np.outer(scale, scale)
    return CovarianceOfParams(out, "")


def without_unidentified(whole: np.ndarray, flat: Unidentified) -> CovarianceOfParams:
    """Return a covariance matrix of all parameters with NaN for what is not identified."""
    p = len(flat.fixed)
    out = whole.copy()
    out[:p, :p][flat.fixed] = np.nan
    moved = p + np.flatnonzero(flat.relative)
    out[moved] = out[:, moved] = np.nan
    return CovarianceOfParams(out, flat.reason, whole)


def covariance_of_variances(
    cov: np.ndarray,
    relative: np.ndarray,
    log_scale_slope: np.ndarray,
    scale: float,
    log_scale_variance: float,
) -> np.ndarray:
    """Return the covariance matrix (k + 1, k + 1) of the estimates σ̂² γ̂ and σ̂².

    C is the covariance matrix of the relative parameters γ̂, with σ² profiled out. σ̂² changes with γ̂ by
    its slope, and its logarithm has a variance of 2/n_eff at given γ̂ (zero where σ² is held). The rest is
    the delta method.

    Parameters
    ----------
    cov : array (k, k)
    relative : array (k,)
        γ̂.
    log_scale_slope : array (k,)
        ∂ log σ̂² / ∂γ.
    scale : float
        σ̂².
    log_scale_variance : float
        Of log σ̂² at given γ̂.
    """
    k = len(relative)
    with_scale = np.vstack([np.eye(k), scale * log_scale_slope])  # of (γ, σ²) in γ
    joint = with_scale @ cov @ with_scale.T
    joint[k, k] += scale**2 * log_scale_variance
    # (σ²γ, σ²) in (γ, σ²).
    change = np.zeros((k + 1, k + 1))
    change[:k, :k] = scale * np.eye(k)
    change[:k, k] = relative
    change[k, k] = 1.0
    return change @ joint @ change.T


def p_values(z: np.ndarray) -> np.ndarray:
    """Return two-sided p-values of normal statistics."""
    return 2.0 * ndtr(-np.abs(z))


def level(alpha: Any) -> float:
    """Return a significance level that was given, checked."""
    value = number(alpha, "alpha", "a number between 0 and 1, such as 0.05")
    if not 0.0 < value < 1.0:
        raise OptionError(f"alpha={value!r}; expected a number between 0 and 1, such as 0.05")
    return value


def interval(estimates: np.ndarray, se: np.ndarray, alpha: float) -> np.ndarray:
    """Return confidence limits (k, 2) of level 1 − alpha."""
    reach = float(ndtri(1.0 - level(alpha) / 2.0)) * se
    return np.column_stack([estimates - reach, estimates + reach])


def combine(cov: np.ndarray, r_matrix: Any, column: Any, other: Any) -> np.ndarray:
    """Return ``R C R'``, ``R C other'`` or the block of some columns of a covariance matrix C (k, k).

    Raises
    ------
    OptionError
        `column` together with `r_matrix` or `other`, or `other` alone.
    DataValueError
        A matrix with another number of columns than C.
    """
    if column is not None:
        if r_matrix is not None or other is not None:
            raise OptionError(
                "column was given together with r_matrix or other; expected only column"
            )
        index = np.asarray(column)
        if index.dtype.kind not in "iu" or index.ndim > 1 or not (
            (-len(cov) <= index) & (index < len(cov))
        ).all():  # fmt: skip
            raise OptionError(
                f"column={column!r}; expected positions of parameters, 0 to {len(cov) - 1}"
            )
        return cov[index, index] if index.ndim == 0 else cov[np.ix_(index, index)]
    if r_matrix is None:
        if other is not None:
            raise OptionError("other was given without r_matrix; expected both, or only r_matrix")
        return cov
    left = numbers(r_matrix, "r_matrix", "a matrix")
    right = left if other is None else numbers(other, "other", "a matrix")
    for name, matrix in (("r_matrix", left), ("other", right)):
        if matrix.ndim not in (1, 2) or matrix.shape[-1] != len(cov):
            raise DataValueError(
                f"{name} has shape {matrix.shape}; expected {len(cov)} columns, one for each parameter"
            )
    return product(left, cov, right)


def product(left: np.ndarray, cov: np.ndarray, right: np.ndarray) -> Any:
    """Return ``left C right'``, NaN only where a combination uses an entry of C that is NaN."""
    unknown = np.isnan(cov)
    if not unknown.any():
        return left @ cov @ right.T
    out = np.asarray(left @ np.where(unknown, 0.0, cov) @ right.T)
    used = (left != 0.0).astype(float) @ unknown @ (right != 0.0).astype(float).T
    return np.where(used > 0.0, np.nan, out)

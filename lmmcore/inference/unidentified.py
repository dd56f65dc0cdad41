"""Which standard errors depend on parameters that the data cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fitting.fit import once
from ..linalg.matrices import lower_indices

PART = 1e-6  # change, as a part of a standard error, below which an estimate does not move


@dataclass(frozen=True, eq=False)
class Unidentified:
    """What moves along the null directions of a fit.

    Attributes
    ----------
    rank : int
        Number of null directions.
    reason : str
    relative : bool array (k,)
        Entries of cov_re / σ² (lower triangle) and vcomp / σ².
    absolute : bool array (k + 1,)
        Those of cov_re, vcomp and scale.
    fixed : bool array (p, p)
        Entries of the covariance matrix of the fixed effects.
    directions : array (k, rank)
        Changes of the entries of cov_re / σ² (lower triangle) and vcomp / σ².
    """

    rank: int
    reason: str
    relative: np.ndarray
    absolute: np.ndarray
    fixed: np.ndarray
    directions: np.ndarray


@once
def unidentified(fit: Any) -> Unidentified | None:
    """Return what moves along the null directions of a fit; None where there are none."""
    directions = fit.certificate.null_directions
    if not directions:
        return None
    relative = np.any([_packed(fit, d.relative_moves) for d in directions], axis=0)
    absolute = np.any([_packed(fit, d.moves) for d in directions], axis=0)
    residual = any(d.residual for d in directions)
    back = fit.likelihood.coordinates.matrix
    se = np.sqrt(np.diag(fit.cov_beta))
    fixed = np.zeros(fit.cov_beta.shape, dtype=bool)
    for d in directions:
        cov = back @ d.fixed_cov @ back.T
        fixed |= np.abs(cov) > PART * np.outer(se, se)
        moved = np.abs(back @ d.fixed_shift) > PART * se
        fixed |= moved[:, None] | moved
    return Unidentified(
        len(directions),
        "no standard errors of parameters that the data do not identify: "
        + "; ".join(fit.certificate.not_identified),
        relative,
        np.append(absolute, residual),
        fixed,
        np.column_stack([_packed(fit, d.relative) for d in directions]),
    )


def why_none(names: Sequence[str], values: Mapping[str, float]) -> str:
    """Say why fixed effects have no standard errors: a penalty sets them to zero, or see `Unidentified`."""
    zero = [name for name in names if values[name] == 0.0]
    rest = [name for name in names if values[name] != 0.0]
    words = [f"the penalized fit has {', '.join(zero)} at zero"] if zero else []
    if rest:
        words.append(
            f"the data do not identify the standard error{'' if len(rest) == 1 else 's'} of "
            f"{', '.join(rest)} (cov_params_note)"
        )
    return " and ".join(words)


def _packed(fit: Any, terms: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return a matrix for each term as entries of cov_re (lower triangle) and components."""
    layout = fit.layout
    out = np.zeros(layout.k_re2 + layout.k_vc, dtype=terms[0].dtype)
    for where, matrix in zip(layout.packed, terms):
        out[where] = matrix[lower_indices(len(matrix))]
    return out


def cov_fe_of(fit: Any) -> np.ndarray:
    """Return the covariance matrix of the fixed effects, NaN where it is not identified."""
    flat = unidentified(fit) if fit.is_plain else None
    cov: np.ndarray = fit.cov_beta
    return cov if flat is None else np.where(flat.fixed, np.nan, cov)


def generalized_inverse(information: np.ndarray, directions: np.ndarray) -> np.ndarray | None:
    """Return a generalized inverse of an information matrix with known null directions (k, rank).

    As many parameters as there are directions are taken as known. The covariance matrix of what the data
    identify is the same whichever these are. None where the rest is not positive definite.
    """
    k = len(information)
    rest = directions / np.abs(directions).max(axis=0)
    free = np.ones(k, dtype=bool)
    for j in range(rest.shape[1]):
        at = int(np.argmax(np.abs(rest[:, j])))
        free[at] = False
        rest = rest - np.outer(rest[:, j], rest[at] / rest[at, j])
    inner = information[np.ix_(free, free)]
    size = np.sqrt(np.maximum(np.diag(inner), 1e-300))
    values, vectors = np.linalg.eigh(inner / np.outer(size, size))
    if values.min(initial=1.0) <= 1e-12:
        return None
    out = np.zeros((k, k))
    out[np.ix_(free, free)] = (vectors / values) @ vectors.T / np.outer(size, size)
    return out

"""The parameters of V in which Kenward and Roger's formulas are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fitting.fit import Fit
from ..likelihood.users_columns import InUsersColumns
from ..linalg.matrices import lower_indices

STEP = 1e-4  # of second differences, relative


@dataclass(frozen=True, eq=False)
class Natural:
    """Parameters φ of the relative covariance matrices, at σ² held.

    Attributes
    ----------
    slopes : array (n_coordinates, m)
        ∂γ/∂φ.
    curvature : array (m, m, n_coordinates) or None
        ∂²γ/∂φ∂φ; None where all structures are linear.
    scaling : array (m,)
        ∂φ/∂ log s for the matrices s G: φ for a variance, zero for a correlation. Parameters of the matrices
        σ²G, which are not relative, move with φ and log σ² by ``δφ + scaling δ log σ²``. It is zero in linear
        spaces, where it is not needed.
    """

    slopes: np.ndarray
    curvature: np.ndarray | None
    scaling: np.ndarray


def natural_parameters(fit: Fit) -> Natural:
    """Return the parameters of a fit, term by term.

    A structure whose matrices form a linear space, such as the unstructured, the diagonal, or compound
    symmetry, has coordinates of that space. They are the same near the boundary and on it. Any other has
    the parameters that `covariance_parameters` names, standard deviations as variances; if these are too
    many, it has θ.
    """
    likelihood = fit.likelihood
    n = likelihood.engine.n_coordinates
    parts: list[tuple[slice, np.ndarray, np.ndarray | None, np.ndarray]] = []
    for t, term in enumerate(likelihood.terms):
        basis = _linear_space(fit, t)
        if basis is not None:
            parts.append((term.coordinates, basis, None, np.zeros(basis.shape[1])))
        else:
            parts.append((term.coordinates, *_curved(fit, t)))
    m = sum(slopes.shape[1] for _, slopes, _, _ in parts)
    slopes, curvature, scaling = np.zeros((n, m)), np.zeros((m, m, n)), np.zeros(m)
    at = 0
    for where, own, bent, scaled in parts:
        mine = slice(at, at + own.shape[1])
        slopes[where, mine], scaling[mine] = own, scaled
        if bent is not None:
            curvature[mine, mine, where] = bent
        at = mine.stop
    linear = all(bent is None for _, _, bent, _ in parts)
    return Natural(slopes, None if linear else curvature, scaling)


def _tangent(fit: Fit, t: int, theta: np.ndarray) -> np.ndarray:
    """Return ∂γ/∂θ of one term (entries, m_t)."""
    structure, term = fit.likelihood.structures[t], fit.likelihood.terms[t]
    root = structure.factor(theta, term.k)
    moved = structure.factor_derivative(theta, term.k) @ root.T
    rows, cols = lower_indices(term.k)
    out: np.ndarray = (moved[:, rows, cols] + moved[:, cols, rows]).T
    return out


def _linear_space(fit: Fit, t: int) -> np.ndarray | None:
    """Return a basis (entries, m_t) of the space of a structure's matrices; None if it is curved."""
    theta = fit.likelihood.parts(fit.point.theta)[t]
    k = fit.likelihood.terms[t].k
    entries = k * (k + 1) // 2
    if not len(theta):
        return np.zeros((entries, 0))
    if len(theta) == entries and not isinstance(fit.likelihood.structures[t], InUsersColumns):
        return np.eye(entries)
    # Tangents at several points span a linear space of as many dimensions as there are parameters only if
    # the matrices lie in it.
    rng = np.random.default_rng(0)
    near = [theta + 0.3 * rng.standard_normal(len(theta)) for _ in range(4)]
    spanned = np.hstack([_tangent(fit, t, x) for x in near])
    size = np.linalg.norm(spanned, axis=0)
    vectors, values, _ = np.linalg.svd(spanned / np.where(size > 0.0, size, 1.0))
    rank = int(np.sum(values > 1e-9 * values[0]))
    return np.asarray(vectors[:, :rank]) if rank <= len(theta) else None


def _curved(fit: Fit, t: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return ∂γ/∂φ (entries, m_t), ∂²γ/∂φ∂φ (m_t, m_t, entries) and the scaling of a curved structure."""
    theta = fit.likelihood.parts(fit.point.theta)[t]
    own = _tangent(fit, t, theta)
    named = _named(fit, t, theta)
    m = len(theta)
    if len(named) != m:
        return own, None, np.zeros(m)
    size = STEP * np.maximum(np.abs(theta), 0.1)
    slopes, bent_named = np.empty((m, m)), np.empty((m, m, m))
    bent_own = np.empty((m, m, len(own)))
    for j, h in enumerate(size):
        e = np.zeros(m)
        e[j] = h
        up, down = _named(fit, t, theta + e), _named(fit, t, theta - e)
        slopes[:, j] = (up - down) / (2.0 * h)
        bent_own[j] = ((_tangent(fit, t, theta + e) - _tangent(fit, t, theta - e)) / (2.0 * h)).T
        bent_named[j, j] = (up - 2.0 * named + down) / h**2
        for i in range(j):
            d = np.zeros(m)
            d[i] = size[i]
            corners = [
                sign * other * _named(fit, t, theta + sign * e + other * d)
                for sign in (1.0, -1.0)
                for other in (1.0, -1.0)
            ]
            bent_named[i, j] = bent_named[j, i] = np.sum(corners, axis=0) / (4.0 * h * size[i])
    if not np.linalg.cond(slopes) < 1e10:
        return own, None, np.zeros(m)
    back = np.linalg.inv(slopes)  # ∂θ/∂φ
    natural = own @ back
    # γ(θ(φ)): ∂²γ/∂φ∂φ = back' (∂²γ/∂θ∂θ − Σ ∂γ/∂φ_r ∂²φ_r/∂θ∂θ) back
    curved = 0.5 * (bent_own + bent_own.swapaxes(0, 1)) - bent_named @ natural.T
    return natural, np.einsum("ir,ijc,js->rsc", back, curved, back), _scaling(fit, t, theta)


def _scaling(fit: Fit, t: int, theta: np.ndarray) -> np.ndarray:
    """Return ∂φ/∂ log s for the matrices s G (m_t,)."""
    structure, k = fit.likelihood.structures[t], fit.likelihood.terms[t].k
    root = structure.factor(theta, k)
    up, down = (
        _named(fit, t, structure.parameters(np.exp(h) * root @ root.T)) for h in (STEP, -STEP)
    )
    out: np.ndarray = (up - down) / (2.0 * STEP)
    return out


def _named(fit: Fit, t: int, theta: np.ndarray) -> np.ndarray:
    """Return the named parameters of a term, relative to σ², standard deviations as variances."""
    likelihood = fit.likelihood
    structure: Any = likelihood.structures[t]
    term = likelihood.terms[t]
    if not isinstance(structure, InUsersColumns):
        root = structure.factor(theta, term.k)
        theta = structure.parameters(term.to_user(root @ root.T))
    found = structure.describe(theta, list(fit.layout.names[t]), 1.0)
    return np.array([v * v if name.startswith("sd") else v for name, v in found.items()])

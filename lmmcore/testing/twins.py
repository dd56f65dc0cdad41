"""Twins of the Cython kernels in NumPy: the same quantities, one group or row at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import lsq_linear

from ..extension import Blockwise


def accumulate(
    x: np.ndarray,
    shift: np.ndarray,
    basis: np.ndarray | None,
    weights: np.ndarray | None,
    z: np.ndarray,
    z_shift: np.ndarray,
    codes: np.ndarray,
    n_groups: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twin of ``_rows.accumulate``: (x'x, z'z by group, z'x by group) of the transformed rows."""
    root = np.ones(len(x)) if weights is None else np.sqrt(weights)
    rows = (x - shift) * root[:, None]
    if basis is not None:
        rows = rows @ basis
    z = (z - z_shift) * root[:, None]
    s = np.stack([z[codes == g].T @ z[codes == g] for g in range(n_groups)])
    w = np.stack([z[codes == g].T @ rows[codes == g] for g in range(n_groups)])
    return rows.T @ rows, s, w


def whiten(s: np.ndarray, w: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Twin of ``_groups.whiten`` for one group: R with s = R'R and R'⁻¹w; zero rows where singular."""
    k = len(s)
    r = np.zeros((k, k))
    out = np.zeros_like(w)
    for a in range(k):
        pivot = s[a, a] - r[:a, a] @ r[:a, a]
        if pivot <= tolerance * s[a, a]:
            continue
        r[a, a] = np.sqrt(pivot)
        r[a, a + 1 :] = (s[a, a + 1 :] - r[:a, a] @ r[:a, a + 1 :]) / r[a, a]
        out[a] = (w[a] - r[:a, a] @ out[:a]) / r[a, a]
    return r, out


def grouped_criterion(
    r: np.ndarray, w: np.ndarray, multiplicity: np.ndarray, lam: np.ndarray
) -> tuple[float, np.ndarray]:
    """Twin of ``Batch.criterion``: (log|N|, Σ T'T) over groups r (G, k, k), w (G, k, q)."""
    log_det, gram = 0.0, np.zeros((w.shape[2], w.shape[2]))
    for r_g, w_g, m in zip(r, w, multiplicity):
        n = np.eye(len(r_g)) + r_g @ lam @ lam.T @ r_g.T
        log_det += m * np.linalg.slogdet(n)[1]
        gram += w_g.T @ np.linalg.solve(n, w_g)
    return log_det, gram


def grouped_derivatives(
    r: np.ndarray,
    w: np.ndarray,
    multiplicity: np.ndarray,
    lam: np.ndarray,
    inverse: np.ndarray,
    patterns: Sequence[np.ndarray],
    weights: tuple[float, float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twin of ``Batch.derivatives``; `patterns` are the E_c (k, k) of the coordinates.

    Returns trace (m,), quad (m, m) and outer (m, q, q).
    """
    m, q = len(patterns), w.shape[2]
    trace, quad, outer = np.zeros(m), np.zeros((m, m)), np.zeros((m, q, q))
    for r_g, w_g, times in zip(r, w, multiplicity):
        n = np.eye(len(r_g)) + r_g @ lam @ lam.T @ r_g.T
        c = r_g.T @ np.linalg.solve(n, r_g)
        bs = r_g.T @ np.linalg.solve(n, w_g) @ inverse.T
        b, s = bs[:, :-1], bs[:, -1]
        f = weights[0] * times * c + weights[1] * b @ b.T + weights[2] * np.outer(s, s)
        for i, e in enumerate(patterns):
            trace[i] += times * np.trace(c @ e)
            outer[i] += bs.T @ e @ bs
            for j, d in enumerate(patterns):
                quad[i, j] += np.trace(c @ e @ f @ d)
    return trace, quad, outer


def grouped_product_derivative(
    s: np.ndarray,
    w: np.ndarray,
    root: np.ndarray,
    inverse_h: np.ndarray,
    solution: np.ndarray,
    of_residual: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Twin of ``_products.product_derivative`` where all columns are kept: zz (G, k, k), zx (G, k, p + 1)."""
    k = len(root)
    zz, zx = np.empty((len(s), k, k)), np.empty_like(w)
    for g, (lower, w_g) in enumerate(zip(s, w)):
        s_g = np.tril(lower) + np.tril(lower, -1).T
        own = root @ np.linalg.inv(root.T @ s_g @ root + np.eye(root.shape[1])) @ root.T
        b = own @ w_g
        moved, e = b[:, :-1] @ inverse_h, b @ solution
        zz[g] = own + moved @ b[:, :-1].T + of_residual * np.outer(e, e)
        zx[g] = -of_residual * np.outer(e, solution)
        zx[g, :, :-1] -= moved
    return zz, zx


def descend(
    h: np.ndarray, c: np.ndarray, form: Blockwise, beta: np.ndarray, sweeps: int
) -> np.ndarray:
    """Twin of ``_descent.descend``: β after sweeps over all groups on ½β'Hβ − c'β + penalty."""
    beta = beta.copy()
    for _ in range(sweeps):
        for g in range(len(form.norm)):
            index = np.flatnonzero(form.groups == g)
            top = np.linalg.eigvalsh(h[np.ix_(index, index)])[-1]
            target = (c - h @ beta)[index] + top * beta[index]
            target = np.sign(target) * np.maximum(np.abs(target) - form.l1[index], 0.0)
            size = np.linalg.norm(target)
            sizes = np.linspace(0.0, size / top, 200_001)  # of the new group: tried one by one
            one = np.full(len(sizes), form.norm[g])
            value = (
                0.5 * (top + form.l2[index[0]]) * sizes**2 - size * sizes
                + norm_penalty(sizes, one, form.fall_from[g], form.fall_to[g])
            )  # fmt: skip
            beta[index] = target / max(size, 1e-300) * sizes[np.argmin(value)]
    return beta


def norm_penalty(
    size: np.ndarray, slope: np.ndarray, fall_from: float, fall_to: float
) -> np.ndarray:
    """Return ∫₀^size of a slope that falls in a straight line to zero between two points."""
    low = np.minimum(size, fall_from)
    if not np.isfinite(fall_to) or fall_to == fall_from:
        return np.where(np.isfinite(fall_to), 0.0, slope * low)
    into = np.clip(size, fall_from, fall_to) - fall_from
    return slope * (low + into - 0.5 * into**2 / (fall_to - fall_from))


def isotonic_decreasing(y: np.ndarray) -> np.ndarray:
    """Twin of ``_prox.isotonic_decreasing``, by the min-max formula."""
    n = len(y)
    means = [
        min(max(float(np.mean(y[a : b + 1])) for b in range(i, n)) for a in range(i + 1))
        for i in range(n)
    ]
    return np.maximum(means, 0.0)


def fused(y: np.ndarray, step: float, l1: np.ndarray, tv: np.ndarray) -> np.ndarray:
    """Twin of ``_prox.fused``, by its dual: a least squares problem with bounds."""
    n = len(y)
    pull = np.vstack([np.diff(np.eye(n), axis=0), np.eye(n)])
    bounds = np.concatenate([tv, l1])
    pull, bounds = pull[bounds > 0], bounds[bounds > 0]
    if not len(bounds):
        return y.copy()
    dual = lsq_linear(pull.T, y / step, (-bounds, bounds), method="bvls", tol=1e-14).x
    return np.asarray(y - step * pull.T @ dual)


def crossed(
    zz: np.ndarray, lam: np.ndarray, rhs: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Twin of ``_crossed.Elimination``, all levels at once.

    Parameters
    ----------
    zz : array (m, m)
        Z'Z.
    lam : array (m, m)
        Λ, block-diagonal.
    rhs : array (m, r)

    Returns
    -------
    log|Ω|, ``T = L⁻¹Λ' rhs`` up to an orthogonal map (T'T is what counts), K rhs and ``C = Z'V⁻¹Z``, with
    ``Ω = Λ'Z'ZΛ + I = LL'`` and ``K = ΛΩ⁻¹Λ'``.
    """
    omega = lam.T @ zz @ lam + np.eye(len(zz))
    root = np.linalg.cholesky(omega)
    t = np.linalg.solve(root, lam.T @ rhs)
    k = lam @ np.linalg.solve(omega, lam.T)
    return 2.0 * float(np.log(np.diag(root)).sum()), t, k @ rhs, zz - zz @ k @ zz

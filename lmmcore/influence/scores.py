"""Scores: the derivative of the log-likelihood at the estimates, group by group.

With Ψ = σ²G, Σ = σ²V and P = Σ⁻¹ − Σ⁻¹X(X'Σ⁻¹X)⁻¹X'Σ⁻¹ (ML: P = Σ⁻¹ in the traces), a group i adds

    β:    X_i'(Σ⁻¹e)_i                                   e = y − Xβ̂
    Ψ_ab: −½ [tr(Z'PZ E_ab) − (Z'Σ⁻¹e)'E_ab(Z'Σ⁻¹e)]_i   E_ab the pattern of Ψ_ab and Ψ_ba
    σ²:   −½ [tr(P) − (Σ⁻¹e)'(Σ⁻¹e)]_i

to the gradient (Wang and Merkle 2018, J. Stat. Softw. 87, Code Snippet 1). They are what sandwich estimators
and tests of parameter stability are made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..fitting.fit import Fit
from ..linalg.matrices import symmetric
from .at_once import Groups
from .deletions import Rows, deletions_of


def scores(results: Any, level: Any = None) -> pd.DataFrame:
    """Return the derivative of the log-likelihood at the estimates, a row for each group.

    The columns are the fixed effects, the entries of the covariance matrix of the random effects, on the
    scale of the response and whatever their structure, and σ² ("scale"). Under REML it is the restricted
    likelihood. A column sums to zero if its parameter is free and not on a boundary.

    Parameters
    ----------
    level : str or array_like (n,), optional
        What to sum over: the grouping factor, which is the default, or labels of all rows in which its groups
        are nested.

    Raises
    ------
    OptionError
        Several grouping factors, whose groups are not independent; labels that divide a group.
    """
    fit, model = results.fit, results.model
    if fit.is_crossed:
        raise OptionError(
            "scores of a model with several grouping factors; expected one, whose groups are independent"
        )
    of_rows = deletions_of(model, level)
    rows = Rows(model, fit.equations.crossproducts)
    parts = _of_groups(fit, rows)
    codes = model.design.grouping.codes
    clusters = np.empty(len(codes), dtype=np.intp)
    clusters[of_rows.order] = np.repeat(np.arange(len(of_rows)), np.diff(of_rows.bounds))
    cluster = np.full(len(parts), -1)
    cluster[codes] = clusters
    if (cluster[codes] != clusters).any():
        raise OptionError(
            f"level={of_rows.level!r} divides groups of {fit.spec.group_name!r}; expected labels that are "
            "the same within each group"
        )
    out = np.zeros((len(of_rows), parts.shape[1]))
    np.add.at(out, cluster, parts)
    index = pd.Index(of_rows.labels, name=of_rows.level)
    return pd.DataFrame(out, index=index, columns=_names(fit))


def _names(fit: Fit) -> list[str]:
    names = list(fit.spec.exog_names)
    for own in fit.layout.names:
        names += [
            f"{own[i]} Var" if i == j else f"{own[j]} x {own[i]} Cov"
            for i in range(len(own)) for j in range(i + 1)
        ]  # fmt: skip
    return [*names, "scale"]


def _of_groups(fit: Fit, rows: Rows) -> np.ndarray:
    """Return the scores of all groups (groups, parameters)."""
    groups, coordinates, scale = Groups(fit), fit.likelihood.coordinates, fit.scale
    cp: Any = fit.equations.crossproducts
    p, count = fit.spec.k_fe, groups.count
    xy = rows.xy[:, groups.kept]
    solution = (
        fit.state.solution / coordinates.y_scale
    )  # [X y] times it is the residual of the user
    half = fit.state.inverse[:p, :p]
    share = xy[:, :p] @ half.T if fit.reml else np.zeros((len(xy), 0))  # X H^(-½)
    residual = xy @ solution
    out = np.zeros((len(cp.labels), p + count + 1))
    of_gamma = np.zeros((len(cp.labels), count))
    code = np.full(len(xy), -1)
    for b, (block, at) in enumerate(zip(groups.blocks, groups.at)):
        s = groups.units[b].T @ symmetric(block.s) @ groups.units[b]
        w = groups.units[b].T @ block.w[:, :, groups.kept]
        g, k = groups.g[b], s.shape[1]
        inverse = np.linalg.inv(np.eye(k) + s @ g)
        u, c = inverse @ w, inverse @ s
        effects = u @ solution  # Z'V⁻¹e
        of_x = u[:, :, :p] @ half.T if fit.reml else u[:, :, :0]
        inner = c - of_x @ of_x.swapaxes(1, 2)
        traces = np.einsum("rkl,ckl->rc", inner, groups.patterns[b]) / scale
        squares = np.einsum("rk,ckl,rl->rc", effects, groups.patterns[b], effects) / scale**2
        of_gamma[block.groups] = -0.5 * (traces - squares)
        mine = np.flatnonzero(rows.levels[at] >= 0)
        level = rows.levels[at][mine]
        z = rows.z[at][mine] @ groups.units[b]
        residual[mine] -= np.einsum("rk,kl,rl->r", z, g, effects[level])
        share[mine] -= np.einsum("rk,kl,rlj->rj", z, g, of_x[level])
        code[mine] = block.groups[level]
        out[block.groups, -1] += np.einsum("kl,rkl->r", g, c) / scale * 0.5
    of_scale = 0.5 * (residual**2 / scale + np.sum(share**2, axis=1) - 1.0) / scale
    tall = np.column_stack([xy[:, :p] * residual[:, None], of_scale])
    sums = np.zeros((len(cp.labels), p + 1))
    np.add.at(sums, code, tall)
    to_user = np.linalg.inv(coordinates.matrix * coordinates.y_scale) if p else np.zeros((0, 0))
    out[:, :p] = sums[:, :p] @ to_user / scale
    out[:, -1] += sums[:, p]
    out[:, p:-1] = _to_user(fit, of_gamma)
    return out


def _to_user(fit: Fit, of_gamma: np.ndarray) -> np.ndarray:
    """Return derivatives in the entries of Ψ for the columns as given (groups, count)."""
    out = np.zeros_like(of_gamma)
    for term in fit.likelihood.terms:
        rows, cols = np.tril_indices(term.k)
        d = np.zeros((len(of_gamma), term.k, term.k))
        own = of_gamma[:, term.coordinates] * np.where(rows == cols, 1.0, 0.5)
        d[:, rows, cols] = d[:, cols, rows] = own
        inverse = np.linalg.inv(term.basis)
        moved = inverse.T @ d @ inverse
        out[:, term.coordinates] = moved[:, rows, cols] * np.where(rows == cols, 1.0, 2.0)
    return out

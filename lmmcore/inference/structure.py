"""Standard errors of a fit with covariance structures: information in θ, then the delta method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..likelihood.units import InUsersColumns
from ..linalg.matrices import lower_indices
from .wald import CovarianceOfParams, without_unidentified

if TYPE_CHECKING:
    from ..results import MixedLMResults

REDUNDANT = 1e-9  # eigenvalue of the scaled information in θ of a direction that moves no G


def is_structured(results: MixedLMResults) -> bool:
    """Return whether a term's covariance matrix has fewer parameters than entries, or other ones."""
    return any(
        s.n_parameters(t.k) != t.k * (t.k + 1) // 2 or isinstance(s, InUsersColumns)
        for s, t in zip(results._likelihood.structures, results._likelihood.terms)
        if t.k > 1
    )


def covariance_of_theta(results: MixedLMResults) -> tuple[np.ndarray, str]:
    """Return the inverse information in θ (m, m), and why it is NaN if it is."""
    likelihood, boundary = results._likelihood, results.convergence.boundary
    flat = results._unidentified
    m = likelihood.n_parameters
    nothing = np.full((m, m), np.nan)
    hessian = results._theta_hessian
    if boundary or hessian is None:
        return nothing, (
            "no standard errors of variance parameters: the estimate lies on the boundary ("
            + "; ".join(boundary)
            + "), where the information matrix says nothing about their spread"
            + (f"; {flat.reason}" if flat else "")
        )
    information = 0.5 * hessian  # the criterion is −2 log-likelihood
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    if flat is None and values[0] < -REDUNDANT * max(values[-1], 1.0):
        return nothing, (
            "no standard errors of variance parameters: the observed information is not positive "
            "definite at the estimate"
        )
    kept = values > REDUNDANT * values[-1]
    if flat is not None:
        # θ may have parameters too many beside what the data do not identify.
        kept[: m - int(np.linalg.matrix_rank(packed_slopes(results))) + flat.rank] = False
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse / np.outer(scale, scale), ""


def packed_slopes(results: MixedLMResults) -> np.ndarray:
    """Return ∂(cov_re, vcomp, relative)/∂θ (k_re2 + k_vc, m)."""
    likelihood, point = results._likelihood, results._point
    rows, cols = lower_indices(results.k_re)
    place = {(int(i), int(j)): at for at, (i, j) in enumerate(zip(rows, cols))}
    out = np.zeros((results.k_re2 + results.k_vc, likelihood.n_parameters))
    n_terms = len(results.model.design.terms)
    start = column = 0
    for t, (term, structure, theta, root) in enumerate(
        zip(likelihood.terms, likelihood.structures, likelihood.parts(point.theta), point.roots)
    ):
        for slope in structure.factor_derivative(theta, term.k):
            g = term.to_user(slope @ root.T + root @ slope.T)
            if t >= n_terms:
                out[results.k_re2 + t - n_terms, column] = g[0, 0]
            else:
                for i in range(term.k):
                    for j in range(i + 1):
                        out[place[start + i, start + j], column] = g[i, j]
            column += 1
        start += term.k
    return out


def covariance_of_structured(results: MixedLMResults) -> CovarianceOfParams:
    """Return the covariance matrix of ``params`` where a structure ties entries of cov_re together."""
    p = results.k_fe
    cov_theta, reason = covariance_of_theta(results)
    k = p + results.k_re2 + results.k_vc
    out = np.full((k, k), np.nan)
    out[:p, :p] = results._cov_fe
    if reason:
        return CovarianceOfParams(out, reason)
    packed = results.model._packed
    point = packed.at(results.params_object, profile_fe=False)
    hessian = packed.hessian(point, results.reml)
    slopes = packed_slopes(results)
    # β̂ moves with the covariance parameters.
    beta = -np.linalg.solve(hessian[:p, :p], hessian[:p, p:] @ slopes)
    both = np.vstack([beta, slopes])
    out = both @ cov_theta @ both.T
    out[:p, :p] -= np.linalg.inv(hessian[:p, :p])
    if results._unidentified is not None:
        return without_unidentified(out, results._unidentified)
    return CovarianceOfParams(out, "")


def covariance_parameters(results: MixedLMResults) -> pd.DataFrame:
    """Return the parameters of every structure in its own terms, with standard errors."""
    likelihood, point, model = results._likelihood, results._point, results.model
    cov_theta, _ = covariance_of_theta(results)
    slopes = packed_slopes(results)
    packed = model._packed
    at = packed.at(results.params_object, profile_fe=False)
    move = packed.log_scale_slope(at, results.reml) @ slopes  # of log σ² with θ
    joint = np.vstack([np.eye(len(move)), move]) @ cov_theta
    joint = joint @ np.vstack([np.eye(len(move)), move]).T
    joint[-1, -1] += 2.0 / packed.n_eff(results.reml)
    whole = np.append(point.theta, np.log(results.scale))
    null = np.zeros((len(whole), 0))
    if results._unidentified is not None:
        found = np.linalg.lstsq(slopes, results._unidentified.directions, rcond=None)[0]
        null = np.vstack([found, move @ found])
    rows: list[dict[str, Any]] = []
    for t, (term, structure, names, group) in enumerate(
        zip(likelihood.terms, likelihood.structures, model._term_names, model._term_groups)
    ):
        shown = ["Intercept" if name == group else name for name in names]

        def describe(
            x: np.ndarray, t: int = t, term: Any = term, s: Any = structure, shown: Any = shown
        ) -> dict[str, float]:
            theta = likelihood.parts(x[:-1])[t]
            if not isinstance(s, InUsersColumns):
                root = s.factor(theta, term.k)
                theta = s.parameters(term.to_user(root @ root.T))
            return s.describe(theta, shown, float(np.exp(0.5 * x[-1])))

        value = describe(whole)
        jacobian = np.zeros((len(value), len(whole)))
        for i in range(len(whole)):
            h = np.zeros(len(whole))
            h[i] = 1e-5 * max(abs(whole[i]), 0.1)
            up, down = describe(whole + h), describe(whole - h)
            jacobian[:, i] = [(up[key] - down[key]) / (2 * h[i]) for key in value]
        used = np.any(jacobian != 0.0, axis=0)
        part = jacobian[:, used]
        variances = np.einsum("ij,jk,ik->i", part, joint[np.ix_(used, used)], part)
        size = np.abs(jacobian) @ np.abs(null)
        variances[np.any(np.abs(jacobian @ null) > 1e-6 * size, axis=1)] = np.nan
        for (name, number), variance in zip(value.items(), variances):
            rows.append(
                {
                    "term": f"({' + '.join(shown)} | {group})",
                    "parameter": name,
                    "estimate": number,
                    "std_err": float(np.sqrt(variance)) if variance >= 0 else float("nan"),
                }
            )
    return pd.DataFrame(rows, columns=["term", "parameter", "estimate", "std_err"])

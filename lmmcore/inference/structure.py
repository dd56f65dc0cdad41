"""Standard errors of a fit with covariance structures: information in θ, then the delta method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..fitting.fit import once
from ..likelihood.users_columns import InUsersColumns
from ..linalg.matrices import lower_indices
from .unidentified import cov_fe_of, unidentified
from .wald import CovarianceOfParams, without_unidentified

REDUNDANT = 1e-9  # eigenvalue of the scaled information in θ of a direction that moves no G


def is_structured(fit: Any) -> bool:
    """Return whether some covariance structure does not let all entries of its matrix vary freely."""
    return any(
        s.n_parameters(t.k) != t.k * (t.k + 1) // 2 or isinstance(s, InUsersColumns)
        for s, t in zip(fit.likelihood.structures, fit.likelihood.terms)
        if t.k > 1
    )


def covariance_of_theta(fit: Any) -> tuple[np.ndarray, str]:
    """Return the inverse information in θ (m, m), and why it is NaN if it is."""
    likelihood, boundary = fit.likelihood, fit.certificate.boundary
    flat = unidentified(fit)
    m = likelihood.n_parameters
    nothing = np.full((m, m), np.nan)
    hessian = fit.theta_hessian
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
        kept[: m - int(np.linalg.matrix_rank(packed_slopes(fit))) + flat.rank] = False
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse / np.outer(scale, scale), ""


def packed_slopes(fit: Any) -> np.ndarray:
    """Return ∂(cov_re, vcomp, relative)/∂θ (k_re2 + k_vc, m)."""
    likelihood, point, layout = fit.likelihood, fit.point, fit.layout
    out = np.zeros((layout.k_re2 + layout.k_vc, likelihood.n_parameters))
    column = 0
    for term, where, structure, theta, root in zip(
        likelihood.terms, layout.packed, likelihood.structures, likelihood.parts(point.theta),
        point.roots,
    ):  # fmt: skip
        lower = lower_indices(term.k)
        for slope in structure.factor_derivative(theta, term.k):
            out[where, column] = term.to_user(slope @ root.T + root @ slope.T)[lower]
            column += 1
    return out


def covariance_of_structured(fit: Any) -> CovarianceOfParams:
    """Return the covariance matrix of ``params`` where a structure ties entries of cov_re together."""
    p = fit.spec.k_fe
    cov_theta, reason = covariance_of_theta(fit)
    k = len(fit.params)
    out = np.full((k, k), np.nan)
    out[:p, :p] = cov_fe_of(fit)
    if reason:
        return CovarianceOfParams(out, reason)
    hessian = fit.hessian
    slopes = packed_slopes(fit)
    # β̂ moves with the covariance parameters.
    beta = -np.linalg.solve(hessian[:p, :p], hessian[:p, p:] @ slopes)
    both = np.vstack([beta, slopes])
    out = both @ cov_theta @ both.T
    out[:p, :p] -= np.linalg.inv(hessian[:p, :p])
    flat = unidentified(fit)
    return CovarianceOfParams(out, "") if flat is None else without_unidentified(out, flat)


def _without_effect(slopes: np.ndarray) -> np.ndarray:
    """Return the directions of θ (m, any) that do not change the covariance matrices."""
    size = np.linalg.norm(slopes, axis=0)
    size[size == 0.0] = 1.0
    _, values, rows = np.linalg.svd(slopes / size)
    rank = int(np.sum(values > 1e-8 * values.max(initial=0.0)))
    return np.asarray(rows[rank:].T / size[:, None])


@once
def covariance_parameters(fit: Any) -> pd.DataFrame:
    """The parameters of the covariance structure of each random-effects term.

    The columns are term, parameter (such as "sd(x)" or "corr"), estimate (σ² included) and std_err.
    Standard errors come from the observed information, by the delta method. They are NaN on the boundary,
    for parameters that the data do not identify, and for those that have several values for one covariance
    matrix (`fa1` of two columns). `cov_params_note` names the reason.
    """
    if fit.of_variances is not fit:
        return covariance_parameters(fit.of_variances)
    likelihood, point = fit.likelihood, fit.point
    cov_theta, _ = covariance_of_theta(fit)
    slopes = packed_slopes(fit)
    move = fit.log_scale_slope @ slopes  # of log σ² with θ
    joint = np.vstack([np.eye(len(move)), move]) @ cov_theta
    joint = joint @ np.vstack([np.eye(len(move)), move]).T
    joint[-1, -1] += likelihood.log_scale_variance
    whole = np.append(point.theta, np.log(fit.scale))
    flat, same = unidentified(fit), _without_effect(slopes)
    null = np.vstack([same, np.zeros((1, same.shape[1]))])
    if flat is not None:
        found = np.linalg.lstsq(slopes, flat.directions, rcond=None)[0]
        null = np.hstack([null, np.vstack([found, move @ found])])
    rows: list[dict[str, Any]] = []
    for t, (term, structure, names, group) in enumerate(
        zip(likelihood.terms, likelihood.structures, fit.layout.names, fit.layout.groups)
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


def one_choice_of_many(fit: Any) -> str:
    """Name the terms whose structure has more parameters than a covariance matrix has entries; else empty."""
    found = []
    terms = zip(
        fit.likelihood.terms, fit.likelihood.structures, fit.layout.names, fit.layout.groups
    )
    for term, structure, names, group in terms:
        count, entries = structure.n_parameters(term.k), term.k * (term.k + 1) // 2
        if count > entries:
            shown = " + ".join("Intercept" if name == group else name for name in names)
            found.append(
                f"({shown} | {group}) has {count} parameters for {entries} variances and covariances: those "
                "without a standard error are one choice of many"
            )
    return "; ".join(found)

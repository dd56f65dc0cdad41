"""The influence of groups and of rows: what changes when one of them is left out.

The cross-products of what is deleted are subtracted from those of the model, and the fit goes on from its
estimates; the other rows are not read again. With b and V = cov(β̂) of the whole, and b_i, V_i without i,

    Cook's distance   (b − b_i)'V⁻¹(b − b_i)/p         (Cook 1977, Technometrics 19, 15–18)
    MDFFITS           (b − b_i)'V_i⁻¹(b − b_i)/p       (Belsley, Kuh and Welsch 1980, Regression Diagnostics)
    COVRATIO          det V_i / det V
    COVTRACE          |tr(V⁻¹V_i) − p|
    DFBETAS           (b − b_i)_j / √(V_i)_jj
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..fitting.fit import Fit
from ..likelihood.users_columns import InUsersColumns
from .at_once import AtOnce, inverses
from .deletions import Deletions, Rows, deletions_of, without
from .one_by_one import estimates_without

UNDETERMINED = (
    1e10  # increase of a variance of a fixed effect that is rounding: the rest does not have it
)
METHODS = ("exact", "one-step", "fixed")


@dataclass(frozen=True, eq=False)
class Influence:
    """Deletion diagnostics, a row for each deleted group or row.

    Attributes
    ----------
    level : str
        What was deleted: a grouping factor, or "row".
    method : str
    searches : int
        Deletions without which the optimizer was run; for the others one step was exact.
    dfbeta, dfbetas : DataFrame (deletions, k_fe)
        Changes of the fixed effects, b − b_i, and these divided by their standard errors without i.
    measures : DataFrame
        Columns cooks_distance, mdffits, covratio, covtrace.
    parameters : DataFrame
        θ and σ² without i, as `theta` and `scale` of results.
    failed : tuple
        Labels without which the model cannot be fitted, because a fixed effect is not determined. Their
        rows are NaN.
    """

    level: str
    method: str
    searches: int
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    measures: pd.DataFrame
    parameters: pd.DataFrame
    failed: tuple[Any, ...]

    @property
    def cooks_distance(self) -> pd.Series:
        """Cook's distances."""
        return self.measures["cooks_distance"]

    def plot(self, measure: str = "cooks_distance", *, ax: Any = None) -> Any:
        """Draw a measure for each deletion; see `lmmcore.plots.estimates.influence`."""
        from ..plots.estimates import influence as drawn

        return drawn(self, measure, ax=ax)

    def __str__(self) -> str:
        top = self.measures.sort_values("cooks_distance", ascending=False).head(10)
        lost = f"\nNot fitted without: {', '.join(map(str, self.failed))}" if self.failed else ""
        return (
            f"Deletion of each {self.level} ({self.method}), largest first\n{top.to_string()}{lost}"
        )

    def __repr__(self) -> str:
        return str(self)


def get_influence(results: Any, level: Any = None, method: str = "exact") -> Influence:
    """Return deletion diagnostics for the levels of a grouping factor, or for the rows.

    Parameters
    ----------
    level : str or array_like (n,), optional
        "row"; a grouping factor of the model, by default the first; or labels of all rows, for any other
        division of them.
    method : {"exact", "one-step", "fixed"}
        "exact": the covariance parameters are estimated again after each deletion. "one-step": they move by
        one Newton step. "fixed": they stay, with σ², at the estimates of the whole.

    Returns
    -------
    Influence

    Raises
    ------
    OptionError
        Another level or method; a model without fixed effects, or with parameters held fixed.

    Notes
    -----
    For independent groups, "exact" is a Newton step with a correction of third order wherever this moves no
    covariance matrix by more than 0.5 %, which leaves an error of about 1e-7; elsewhere the search goes on.
    The error of "one-step" is of the order of the square of the step: about 1e-8 of a parameter with 10,000
    groups, but a few percent with 20. In models of several grouping factors, each deletion costs about an
    evaluation of the likelihood ("fixed", "one-step") or a search ("exact"); above 400 random effects the
    Newton step has the Hessian of the whole.
    """
    fit, model = results.fit, results.model
    if method not in METHODS:
        raise OptionError(f"method={method!r}; expected one of {', '.join(METHODS)}")
    if fit.held is not None:
        raise OptionError(
            "get_influence of a fit with covariance parameters held fixed; expected a fit with all of them "
            "free. Fit the model without `free`"
        )
    if not fit.spec.k_fe:
        raise OptionError("get_influence of a model without fixed effects; expected at least one")
    deletions = deletions_of(model, level)
    rows = Rows(model, fit.equations.crossproducts)
    estimates, searches = _estimates(fit, rows, deletions, method)
    return _diagnostics(fit, deletions, method, searches, *estimates)


def _estimates(
    fit: Fit, rows: Rows, deletions: Deletions, method: str
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]:
    """Return θ (d, m), [X y]'V⁻¹[X y] (d, p + 1, p + 1), rows left (d,); and the number of searches."""
    count, width = len(deletions), fit.spec.k_fe + 1
    theta = np.full((count, len(fit.point.theta)), np.nan)
    m, n = np.full((count, width, width), np.nan), np.zeros(count, dtype=np.int64)
    alone = np.ones(count, dtype=bool)
    if not fit.is_crossed and not fit.holds_scale:
        together = AtOnce(fit, rows)
        third = together.third() if method == "exact" else None
        for start, stop in together.chunks(deletions):
            found = together.deleted(deletions, start, stop, third, method != "fixed")
            part = slice(start, stop)
            theta[part], m[part], n[part], alone[part] = found.theta, found.m, found.n, ~found.near
    chosen = np.flatnonzero(alone)
    cp = fit.equations.crossproducts
    for d in chosen.tolist():
        start_at = theta[d] if np.isfinite(theta[d]).all() else None
        found_alone = estimates_without(fit, without(cp, rows, deletions.rows(d)), method, start_at)
        theta[d], m[d] = np.nan, np.nan
        if found_alone is not None:
            theta[d], m[d], n[d] = found_alone.theta, found_alone.m, found_alone.n
    return (theta, m, n), len(chosen) if method == "exact" else 0


def _diagnostics(
    fit: Fit, deletions: Deletions, method: str, searches: int, theta: np.ndarray, m: np.ndarray,
    n: np.ndarray,
) -> Influence:  # fmt: skip
    """Return the diagnostics of estimates: θ of the engine, [X y]'V⁻¹[X y] and rows left."""
    p, coordinates = fit.spec.k_fe, fit.likelihood.coordinates
    inverse = inverses(m[:, :p, :p])
    b = np.einsum("dab,db->da", inverse, m[:, :p, p])
    r2 = m[:, p, p] - np.einsum("da,da->d", b, m[:, :p, p])
    n_eff = n - (p if fit.reml else 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = r2 / n_eff / coordinates.y_scale**2
    if method == "fixed" or fit.holds_scale:
        scale = np.where(np.isfinite(scale), fit.scale, np.nan)
    matrix = coordinates.matrix * coordinates.y_scale
    v = scale[:, None, None] * (matrix @ inverse @ matrix.T)
    beta = b @ coordinates.matrix.T - coordinates.shift
    variances = np.diagonal(v, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        lost = ~(variances <= UNDETERMINED * np.diag(fit.cov_beta)).all(axis=1) | ~(n_eff > 0)
    lost |= ~np.isfinite(theta).all(axis=1)
    beta[lost], v[lost], theta[lost], scale[lost] = np.nan, np.nan, np.nan, np.nan
    change, table = measures(fit, beta, v, lost)
    index = pd.Index(deletions.labels, name=deletions.level)
    names = fit.spec.exog_names
    se = np.sqrt(np.where(lost[:, None], np.nan, np.diagonal(v, axis1=1, axis2=2)))
    dfbeta = pd.DataFrame(change, index=index, columns=names)
    parameters = np.column_stack([_users(fit, theta), scale])
    columns = [*(f"theta{i}" for i in range(parameters.shape[1] - 1)), "scale"]
    return Influence(
        deletions.level, method, searches, dfbeta, pd.DataFrame(change / se, index=index, columns=names),
        pd.DataFrame(table, index=index, columns=["cooks_distance", "mdffits", "covratio", "covtrace"]),
        pd.DataFrame(parameters, index=index, columns=columns),
        tuple(label for label, gone in zip(deletions.labels, lost) if gone),
    )  # fmt: skip


def measures(
    fit: Fit, beta: np.ndarray, v: np.ndarray, lost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return β̂ − β̂₍d₎ (d, p), and Cook's distance, MDFFITS, COVRATIO and COVTRACE (d, 4).

    Parameters
    ----------
    beta, v : arrays (d, p), (d, p, p)
        Estimates without each deletion, and their covariance matrices.
    lost : bool array (d,)
        Deletions without estimates.
    """
    p = beta.shape[1]
    change, whole_inverse = fit.beta - beta, np.linalg.inv(fit.cov_beta)
    safe = np.where(lost[:, None, None], np.eye(p), v)
    table = np.column_stack(
        [
            np.einsum("da,ab,db->d", change, whole_inverse, change) / p,
            np.einsum("da,da->d", change, np.linalg.solve(safe, change[:, :, None])[:, :, 0]) / p,
            np.exp(np.linalg.slogdet(safe)[1] - np.linalg.slogdet(fit.cov_beta)[1]),
            np.abs(np.einsum("ab,dba->d", whole_inverse, safe) - p),
        ]
    )
    table[lost] = np.nan
    return change, table


def _users(fit: Fit, theta: np.ndarray) -> np.ndarray:
    """Return θ for the columns as given (d, m) of θ of the engine (d, m)."""
    likelihood = fit.likelihood
    out = theta.copy()
    for structure, term, at in zip(likelihood.structures, likelihood.terms, likelihood.slices):
        if isinstance(structure, InUsersColumns):
            continue
        for d in np.flatnonzero(np.isfinite(theta).all(axis=1)).tolist():
            root = structure.factor(theta[d, at], term.k)
            out[d, at] = structure.parameters(term.to_user(root @ root.T))
    return out

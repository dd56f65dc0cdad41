"""Deletion diagnostics of models with a residual structure: groups that are independent of each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LmmcoreError, LmmcoreWarning, OptionError
from ..inference.robust import clusters_of, rows_of_clusters
from ..influence.diagnostics import Influence, measures
from ..resampling.groups import of_rows
from .resampling import parameters

METHODS = ("exact", "fixed")


def get_influence(results: Any, level: Any = None, method: str = "exact") -> Influence:
    """Return deletion diagnostics for groups of rows.

    Parameters
    ----------
    level : str or array_like (n,), optional
        A grouping factor, a column of the data, or labels of all rows, in which random effects and residuals
        are nested. By default the outermost grouping factor, in `gls` the groups of the residuals.
    method : {"exact", "fixed"}
        "exact": all parameters are estimated again without the group. "fixed": covariance parameters stay at
        the estimates of the whole.

    Returns
    -------
    Influence
        `parameters` has the covariance parameters by name.

    Raises
    ------
    OptionError
        Another method; groups that are not independent of each other; a model without fixed effects.
    """
    fit, model = results.fit, results.model
    if method not in METHODS:
        raise OptionError(f"method={method!r}; expected 'exact' or 'fixed'")
    if not fit.spec.k_fe:
        raise OptionError("get_influence of a model without fixed effects; expected at least one")
    codes, name, labels = clusters_of(model, fit, level, "get_influence")
    names = list(fit.spec.exog_names)
    q, p = len(labels), len(names)
    whole = parameters(results)
    own = list(whole.index[p:])
    beta, cov = np.full((q, p), np.nan), np.full((q, p, p), np.nan)
    rest = np.tile(whole.to_numpy()[p:], (q, 1))
    if method == "fixed":
        inverse = np.linalg.inv(fit.cov_beta)
        for j, x, z, e, r in rows_of_clusters(model, fit, codes):
            v = fit.scale * (r + z @ z.T)
            solved = np.linalg.solve(v, np.column_stack([x, e]))
            h = inverse - x.T @ solved[:, :-1]
            values = np.linalg.eigvalsh(h)
            if values[0] > 1e-10 * values[-1]:
                cov[j] = np.linalg.inv(h)
                beta[j] = fit.beta - cov[j] @ (x.T @ solved[:, -1])
    else:
        design = model.design
        for j in range(q):
            kept = np.flatnonzero(codes != j)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", LmmcoreWarning)
                    smaller = of_rows(design, kept, [g.take(kept) for g in design.groupings])
                    again = results._refit(model._rebuilt(smaller), None)
            except LmmcoreError:
                continue
            found = parameters(again)
            if list(found.index) == list(whole.index):
                beta[j], rest[j] = found.to_numpy()[:p], found.to_numpy()[p:]
                cov[j] = again.fit.cov_beta
    lost = np.isnan(beta).any(axis=1)
    rest[lost] = np.nan
    index = pd.Index(labels, name=name)
    change, table = measures(fit, beta, cov, lost)
    se = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    return Influence(
        name, method, q if method == "exact" else 0, pd.DataFrame(change, index=index, columns=names),
        pd.DataFrame(change / se, index=index, columns=names),
        pd.DataFrame(table, index=index, columns=["cooks_distance", "mdffits", "covratio", "covtrace"]),
        pd.DataFrame(rest, index=index, columns=own),
        tuple(label for label, gone in zip(labels, lost) if gone),
    )  # fmt: skip

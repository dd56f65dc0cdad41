"""Residuals and predictions of a fit with a residual structure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from .. import prediction
from ..errors import OptionError
from .kriging import predicted_residuals

KINDS = ("conditional", "response", "marginal", "pearson", "normalized")


def residuals(results: Any, kind: str = "conditional") -> Any:
    """Return residuals (n,).

    Parameters
    ----------
    kind : str
        "conditional" or "response": y − Xβ̂ − Zb̂. "marginal": y − Xβ̂. "pearson": conditional ones divided by
        their standard deviation, of the variance function and the weights. "normalized": these multiplied by
        the inverse Cholesky factor of their correlation matrix, so that they are uncorrelated if the
        structure is right (Pinheiro and Bates 2000, Mixed-Effects Models in S and S-PLUS, section 5.3.4).

    Raises
    ------
    OptionError
        Another kind.
    """
    if kind not in KINDS:
        raise OptionError(f"kind={kind!r}; expected one of {', '.join(KINDS)}")
    fit, design = results.fit, results.model.design
    y = np.asarray(results.model.endog, dtype=float)
    fitted = predict(results) if kind == "marginal" else results.fittedvalues
    values = y - np.asarray(fitted)
    if kind in ("pearson", "normalized"):
        structure, u = fit.residual.structure, fit.residual.u
        root = 1.0 if design.weights is None else np.sqrt(np.asarray(design.weights))
        values = values * root / np.sqrt(fit.scale)
        log_sd = structure.log_sd(u)
        values = values if log_sd is None else values * np.exp(-log_sd)
        for pattern in structure.patterns:
            matrix = structure.matrix(u, pattern)
            own = values[pattern.rows]
            if kind == "pearson":
                values[pattern.rows] = own / np.sqrt(np.diag(matrix))
            else:
                lower = np.linalg.cholesky(matrix)
                values[pattern.rows] = solve_triangular(lower, own.T, lower=True).T
    return fit.spec.series(values, design.row_labels)


def fittedvalues(results: Any) -> Any:
    """Fitted values Xβ̂ + Zb̂ (n,)."""
    return prediction.fittedvalues(results) if results.fit.layout.terms else predict(results)


def resid(results: Any) -> Any:
    """Residuals y − Xβ̂ − Zb̂ (n,)."""
    return residuals(results)


def predict(
    results: Any,
    exog: Any = None,
    *,
    random_effects: bool | str | Collection[str] = False,
    groups: Any = None,
    new_groups: str = "error",
    correlated: bool = False,
) -> Any:
    """Return predictions: Xβ̂ (m,), or Xβ̂ + Zb̂ with random effects.

    Parameters
    ----------
    exog : DataFrame, optional
        New rows; by default those of the model.
    random_effects, groups, new_groups
        As for `MixedLMResults.predict`.
    correlated : bool
        Whether to add what the residuals of a known group say of new rows, by their correlation (kriging),
        also at positions that were not observed. It needs a structure with coordinates, and the random
        effects of the model: ``random_effects=True``.

    Raises
    ------
    OptionError
        `correlated` without new rows, without the random effects of the model, or with a variance function.
    """
    found = prediction.predict(
        results, exog, random_effects=random_effects, groups=groups, new_groups=new_groups
    )
    if not correlated:
        return found
    if exog is None or (results.fit.layout.terms and random_effects not in (True, "all")):
        raise OptionError(
            "correlated=True with "
            + ("the rows of the model" if exog is None else f"random_effects={random_effects!r}")
            + "; expected new rows, and random_effects=True where the model has random effects"
        )
    return found + predicted_residuals(results, exog)


def simulate(results: Any, n: int = 1, *, rng: Any = None) -> np.ndarray:
    """Return responses drawn from the fitted model (rows, n), with new random effects.

    Parameters
    ----------
    n : int
    rng : Generator, RandomState or int, optional
    """
    from ..arguments import generator, whole_number
    from ..linalg.matrices import semidefinite_cholesky

    n, rng = whole_number(n, "n", 1), generator(rng)
    fit, model, design = results.fit, results.model, results.model.design
    structure, u = fit.residual.structure, fit.residual.u
    out = np.repeat(np.asarray(predict(results))[:, None], n, axis=1)
    for f, grouping in enumerate(design.groupings if design.terms else ()):
        at = fit.layout.columns_of_factor(f)
        root = semidefinite_cholesky(fit.scale * fit.params_object.cov_re[np.ix_(at, at)])
        b = rng.standard_normal((n, grouping.n_levels, len(at))) @ root.T
        out += np.einsum("ik,rik->ir", model.exog_re[:, at], b[:, grouping.codes])
    noise = rng.standard_normal(out.shape)
    for pattern in structure.patterns:
        lower = np.linalg.cholesky(structure.matrix(u, pattern))
        noise[pattern.rows] = np.einsum("ij,gjr->gir", lower, noise[pattern.rows])
    log_sd = structure.log_sd(u)
    sd = (
        np.sqrt(fit.scale) * np.ones(len(out))
        if log_sd is None
        else np.sqrt(fit.scale) * np.exp(log_sd)
    )
    root_w = 1.0 if design.weights is None else np.sqrt(np.asarray(design.weights))
    drawn: np.ndarray = out + noise * (sd / root_w)[:, None]
    return drawn

"""The jackknife over groups, which gives BCa intervals their acceleration."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LmmcoreError, LmmcoreWarning
from ..influence.diagnostics import get_influence
from ..linalg.matrices import lower_indices
from .groups import without_level
from .replicates import Replicates
from .statistics import named_parameters, statistic_of


def acceleration(replicates: Replicates, columns: pd.Index) -> np.ndarray:
    """Return Σ d³ / (6 (Σ d²)^1.5) for d = mean − value without each level (m,).

    The levels are those of the factor that was resampled, or else of the first grouping factor.
    """
    values = _values(replicates, columns)
    kept = values[~np.isnan(values).any(axis=1)]
    d = kept.mean(axis=0) - kept
    square = np.sum(d**2, axis=0)
    out = np.zeros(values.shape[1])
    some = square > 0.0
    out[some] = np.sum(d[:, some] ** 3, axis=0) / (6.0 * square[some] ** 1.5)
    return out


def _values(replicates: Replicates, columns: pd.Index) -> np.ndarray:
    """Return the statistics without each level (q, m)."""
    results, fit = replicates.results, replicates.results.fit
    free = fit.is_plain and fit.held is None and fit.spec.k_fe
    if replicates.fun is None and free:
        found = get_influence(results, replicates.level)
        return _of_influence(fit, found)
    design = results.model.design
    names = [g.name for g in design.groupings]
    f = 0 if replicates.level is None else names.index(replicates.level)
    rows = []
    for level in range(design.groupings[f].n_levels):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LmmcoreWarning)
                smaller = without_level(design, f, level)
                again = results._refit(results.model._rebuilt(smaller), replicates.method)
                rows.append(statistic_of(again, replicates.fun, replicates.width))
        except LmmcoreError:
            rows.append(np.full(replicates.width, np.nan))
    values = np.array(rows)
    if replicates.fun is None:
        own = named_parameters(fit.spec.layout, list(fit.spec.exog_names), values)
        return np.nan_to_num(own[list(columns)].to_numpy(dtype=float), nan=0.0)
    return values


def _of_influence(fit: Any, found: Any) -> np.ndarray:
    """Return the named parameters without each level, from deletion diagnostics."""
    beta = fit.beta - found.dfbeta.to_numpy()
    theta, scale = found.parameters.to_numpy()[:, :-1], found.parameters.scale.to_numpy()
    layout = fit.layout
    packed = np.zeros((len(beta), layout.k_re2 + layout.k_vc))
    for structure, at, term, where in zip(
        fit.equations.structures, fit.likelihood.slices, layout.terms, layout.packed
    ):
        rows, cols = lower_indices(term.k)
        for d in range(len(beta)):
            if np.isfinite(theta[d]).all():
                root = structure.factor(theta[d, at], term.k)
                packed[d, where] = (root @ root.T)[rows, cols]
    values = np.column_stack([beta, packed, scale])
    out = named_parameters(layout, list(fit.spec.exog_names), values).to_numpy()
    lost = np.isnan(scale)
    out = np.nan_to_num(out, nan=0.0)  # a correlation where a standard deviation is zero
    out[lost] = np.nan
    return out

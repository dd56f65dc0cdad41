"""Variances, standard deviations and correlations of the random effects as a tidy table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..fitting.fit import once


@dataclass(frozen=True)
class TermCovariance:
    """The covariance matrix σ² G of one term, with its grouping factor and the names of its columns."""

    group: str
    names: tuple[str, ...]
    cov: np.ndarray

    def correlation(self, i: int, j: int) -> float:
        """Return a correlation, NaN where a variance is zero."""
        size = float(np.sqrt(self.cov[i, i] * self.cov[j, j]))
        return float(self.cov[i, j]) / size if size > 0 else float("nan")


def terms_of(fit: Any) -> Iterator[TermCovariance]:
    """Yield the covariance matrix of every term of the formula, then the variance components."""
    for term, g in zip(fit.layout.terms, fit.relative):
        if term.is_component:
            yield TermCovariance(f"{term.group} / {term.names[0]}", ("",), fit.scale * g)
        else:
            yield TermCovariance(term.group, term.shown, fit.scale * g)


@once
def varcorr(fit: Any) -> pd.DataFrame:
    """Variances, standard deviations and correlations of the random effects, σ² included.

    Each coefficient has a row. So has each pair of coefficients of a term, with their covariance in the
    column variance. The columns are term (the grouping factor), name, with (the other coefficient of a
    pair), variance, sd and correlation.
    """
    nan = float("nan")
    rows: list[tuple[str, str, str, float, float, float]] = []
    for term in terms_of(fit):
        k = len(term.names)
        for i in range(k):
            variance = float(term.cov[i, i])
            rows.append((term.group, term.names[i], "", variance, float(np.sqrt(variance)), nan))
        for i in range(k):
            for j in range(i):
                value = float(term.cov[i, j])
                pair = (term.names[j], term.names[i])
                rows.append((term.group, *pair, value, nan, term.correlation(i, j)))
    scale = float(fit.scale)
    rows.append(("Residual", "", "", scale, float(np.sqrt(scale)), nan))
    columns = ["term", "name", "with", "variance", "sd", "correlation"]
    return pd.DataFrame(rows, columns=columns)

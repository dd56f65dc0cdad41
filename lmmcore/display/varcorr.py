"""Variances, standard deviations and correlations of the random effects as a tidy table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ..results import MixedLMResults


@dataclass(frozen=True)
class TermCovariance:
    """The covariance matrix of one term: its group, the names of its columns, σ² G."""

    group: str
    names: tuple[str, ...]
    cov: np.ndarray

    def correlation(self, i: int, j: int) -> float:
        """Return a correlation, NaN where a variance is zero."""
        size = float(np.sqrt(self.cov[i, i] * self.cov[j, j]))
        return float(self.cov[i, j]) / size if size > 0 else float("nan")


def terms_of(results: MixedLMResults) -> Iterator[TermCovariance]:
    """Yield the covariance matrix of every term of the formula, then the variance components."""
    model, scale = results.model, results.scale
    relative = results._relative
    for term, group, g in zip(model.design.terms, model._term_groups, relative):
        names = tuple("Intercept" if x == group else x for x in term.names)
        yield TermCovariance(group, names, scale * g)
    for name, g in zip(model.vcomp_names, relative[len(model.design.terms) :]):
        yield TermCovariance(f"{model.group_name} / {name}", ("",), scale * g)


def varcorr(results: MixedLMResults) -> pd.DataFrame:
    """Return a row for each variance and each pair of coefficients; see ``MixedLMResults.varcorr``."""
    nan = float("nan")
    rows: list[tuple[str, str, str, float, float, float]] = []
    for term in terms_of(results):
        k = len(term.names)
        for i in range(k):
            variance = float(term.cov[i, i])
            rows.append((term.group, term.names[i], "", variance, float(np.sqrt(variance)), nan))
        for i in range(k):
            for j in range(i):
                value = float(term.cov[i, j])
                pair = (term.names[j], term.names[i])
                rows.append((term.group, *pair, value, nan, term.correlation(i, j)))
    scale = float(results.scale)
    rows.append(("Residual", "", "", scale, float(np.sqrt(scale)), nan))
    columns = ["term", "name", "with", "variance", "sd", "correlation"]
    return pd.DataFrame(rows, columns=columns)

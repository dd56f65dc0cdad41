"""A summary of what a fit assumes: normality of residuals and random effects, and outliers among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .random_effects import random_effects_of
from .residuals import residuals

LARGEST = 5000  # values up to which Shapiro and Wilk's p-value is defined


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What `MixedLMResults.diagnostics` found.

    Attributes
    ----------
    normality : DataFrame
        A row for residuals and for each random effect: n, skewness, excess kurtosis, test, statistic, p.
    residual_outliers : DataFrame
        Rows with |standardized residual| beyond what the largest of n normal values reaches: value and
        p-value by Bonferroni.
    group_outliers : DataFrame
        Levels whose random effects are far from zero: squared distance, df and p-value by Bonferroni.
    alpha : float
    """

    normality: pd.DataFrame
    residual_outliers: pd.DataFrame
    group_outliers: pd.DataFrame
    alpha: float

    def __str__(self) -> str:
        def table(frame: pd.DataFrame, title: str) -> str:
            return f"{title}: none" if frame.empty else f"{title}\n{frame.to_string()}"

        return "\n\n".join(
            [
                f"Normality\n{self.normality.to_string()}",
                table(
                    self.residual_outliers, f"Outlying rows (p < {self.alpha:g} after Bonferroni)"
                ),
                table(
                    self.group_outliers, f"Outlying levels (p < {self.alpha:g} after Bonferroni)"
                ),
            ]
        )

    def __repr__(self) -> str:
        return str(self)


def diagnostics(results: Any, alpha: float = 0.05) -> Diagnostics:
    """Return a summary of residuals and random effects: tests of normality, and outliers.

    Parameters
    ----------
    alpha : float
        Level of the outliers, for all rows or all levels of a factor together.

    Returns
    -------
    Diagnostics

    Notes
    -----
    Residuals are the standardized ones of `residuals`. Random effects b̂ are divided by their standard
    deviation under the model, from Var(b̂) = G − Var(b | y). A level's squared distance is
    b̂'Var(b̂)⁻¹b̂, χ² with as many df as it has random effects. Normality is tested by Shapiro and Wilk
    (1965, Biometrika 52, 591–611), above 5,000 values by D'Agostino and Pearson (1973, Biometrika 60,
    613–622). BLUPs are closer to normal than the effects that they estimate, so that their test has little
    power (Verbeke and Lesaffre 1996, JASA 91, 217–221).
    """
    from scipy.stats import chi2, norm

    from .inference.wald import level

    alpha = level(alpha)
    standardized = residuals(results, "standardized")
    values = np.asarray(standardized, dtype=float)
    index = (
        standardized.index if isinstance(standardized, pd.Series) else pd.RangeIndex(len(values))
    )
    rows = [_normality("residuals", values)]
    p = np.minimum(2.0 * norm.sf(np.abs(values)) * len(values), 1.0)
    far = np.flatnonzero(p < alpha)
    far = far[np.argsort(p[far], kind="stable")]
    outliers = pd.DataFrame({"residual": values[far], "p": p[far]}, index=index[far])
    found = []
    for factor, names, labels, means, spread in _effects(results):
        scaled, square, df = _standardized(means, spread)
        for name, column in zip(names, scaled.T):
            kept = np.isfinite(column)
            if kept.sum() >= 3:
                rows.append(_normality(f"{factor}: {name}", column[kept]))
        p = np.minimum(chi2.sf(square, np.maximum(df, 1)) * len(labels), 1.0)
        for i in np.flatnonzero((p < alpha) & (df > 0)).tolist():
            found.append((factor, labels[i], square[i], int(df[i]), p[i]))
    groups = pd.DataFrame(found, columns=["factor", "level", "distance", "df", "p"])
    return Diagnostics(
        pd.DataFrame(rows).set_index("of"), outliers,
        groups.sort_values("p", kind="stable").set_index(["factor", "level"]), alpha,
    )  # fmt: skip


def _normality(name: str, values: np.ndarray) -> dict[str, Any]:
    from scipy.stats import kurtosis, normaltest, shapiro, skew

    out = {"of": name, "n": len(values), "skewness": np.nan, "kurtosis": np.nan,
           "test": "", "statistic": np.nan, "p": np.nan}  # fmt: skip
    if len(values) < 3 or np.ptp(values) <= 1e-10 * max(1.0, float(np.abs(values).max())):
        return out
    test = shapiro if len(values) <= LARGEST else normaltest
    found = test(values)
    out.update(
        skewness=float(skew(values)), kurtosis=float(kurtosis(values)),
        test="Shapiro-Wilk" if test is shapiro else "D'Agostino-Pearson",
        statistic=float(found.statistic), p=float(found.pvalue),
    )  # fmt: skip
    return out


def _effects(results: Any) -> list[tuple[str, list[str], Any, np.ndarray, np.ndarray]]:
    """Return for each factor its name, coefficients, levels, b̂ (q, k) and Var(b̂) (q, k, k)."""
    from scipy.linalg import block_diag

    fit = results.fit
    out: list[tuple[str, list[str], Any, np.ndarray, np.ndarray]] = []
    if fit.is_crossed:
        found: Any = random_effects_of(fit)
        for factor, cov, own in zip(
            found.factors, found.covariances, fit.equations.crossproducts.factors
        ):
            terms = [fit.layout.terms[t] for t in own.terms]
            g = block_diag(*[fit.relative[t] for t in own.terms])
            names = [name for term in terms for name in term.shown]
            out.append((factor.name, names, factor.labels, factor.means, fit.scale * (g - cov)))
        return out
    k = fit.layout.k_re
    if not k:
        return out
    effects: Any = random_effects_of(fit)
    q = fit.spec.factors[0].n_levels
    spread = fit.scale * (fit.params_object.cov_re - effects.covariances(q, k))
    names = [name for term in fit.layout.bars for name in term.shown]
    own = fit.spec.factors[0]
    out.append((own.name, names, own.keys, effects.means(q, k), spread))
    return out


def _standardized(
    means: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return b̂ over its standard deviation (q, k), b̂'Var(b̂)⁻b̂ (q,) and the ranks of Var(b̂) (q,)."""
    variance = np.diagonal(spread, axis1=1, axis2=2)
    floor = 1e-10 * max(float(variance.max(initial=0.0)), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(variance > floor, means / np.sqrt(np.maximum(variance, floor)), np.nan)
    size = np.sqrt(np.maximum(variance, floor))
    values, vectors = np.linalg.eigh(spread / (size[:, :, None] * size[:, None, :]))
    kept = values > 1e-8
    along = np.einsum("qij,qi->qj", vectors, means / size)
    square = np.sum(np.where(kept, along**2 / np.where(kept, values, 1.0), 0.0), axis=1)
    return scaled, square, kept.sum(axis=1)

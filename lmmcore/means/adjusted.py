"""p-values and intervals of several comparisons, adjusted for their number."""

from __future__ import annotations

import numpy as np

from ..errors import OptionError, suggest
from ..inference.contrasts import t_p_values, t_quantile
from ..inference.multiplicity import adjust

METHODS = ("none", "tukey", "mvt", "dunnett", "bonferroni", "sidak", "holm", "holm-sidak", "simes-hochberg",
           "fdr_bh", "fdr_by")  # fmt: skip
DRAWS = 1 << 17  # of the multivariate t distribution, for its quantile


def check_method(method: str) -> str:
    """Return a method of adjustment, or raise OptionError."""
    if method not in METHODS:
        raise OptionError(
            f"adjust={method!r}{suggest(str(method), METHODS)}; expected one of {', '.join(METHODS)}"
        )
    return "mvt" if method == "dunnett" else method


def adjusted_p(
    t: np.ndarray, df: np.ndarray, correlation: np.ndarray, method: str, n_means: int
) -> np.ndarray:
    """Return adjusted p-values (m,).

    Parameters
    ----------
    t, df : arrays (m,)
        Statistics and degrees of freedom.
    correlation : array (m, m)
        Of the estimates, for "mvt".
    method : str
    n_means : int
        Number of means that are compared, for "tukey" (Tukey 1953; Kramer 1956: the studentized range of
        √2 |t|, exact for independent means of one precision).
    """
    plain = t_p_values(t, df)
    if method == "none" or not len(t):
        return plain
    if method == "tukey":
        from scipy.stats import studentized_range  # takes half a second to import

        reach = np.sqrt(2.0) * np.abs(t)
        finite = np.where(np.isinf(df), 1e6, df)
        found: np.ndarray = np.array(
            [float(studentized_range.sf(q, n_means, d)) for q, d in zip(reach, finite)]
        )
        return np.clip(found, plain, 1.0)
    if method == "mvt":
        return np.array(
            [1.0 - _inside(abs(x), correlation, d) for x, d in zip(t, df)]
        ).clip(0.0, 1.0)  # fmt: skip
    return adjust(plain, method)


def critical_value(
    alpha: float, df: np.ndarray, correlation: np.ndarray, method: str, n_means: int
) -> tuple[np.ndarray, bool]:
    """Return the factor (m,) of standard errors in intervals, and whether it is adjusted.

    Step-wise methods and false discovery rates have no intervals; these get those of single tests.
    """
    m = len(df)
    if method == "bonferroni":
        return t_quantile(alpha / m, df), True
    if method == "sidak":
        return t_quantile(-np.expm1(np.log1p(-alpha) / m), df), True
    if method == "tukey":
        from scipy.stats import studentized_range

        finite = np.where(np.isinf(df), 1e6, df)
        known = {d: float(studentized_range.isf(alpha, n_means, d)) for d in set(finite.tolist())}
        return np.array([known[d] for d in finite.tolist()]) / np.sqrt(2.0), True
    if method == "mvt":
        return np.array([_quantile(alpha, correlation, d) for d in df]), True
    return t_quantile(alpha, df), method == "none"


def _draws(correlation: np.ndarray, df: float) -> np.ndarray:
    """Return the largest |t| of draws of a multivariate t distribution, the same in every call."""
    from scipy.stats import qmc

    values, vectors = np.linalg.eigh(correlation)
    kept = values > 1e-10
    root = vectors[:, kept] * np.sqrt(values[kept])
    from scipy.special import chdtri, ndtri

    u = qmc.Sobol(kept.sum() + 1, seed=0).random(DRAWS).clip(1e-12, 1.0 - 1e-12)
    z = ndtri(u[:, :-1]) @ root.T
    largest: np.ndarray = np.abs(z).max(axis=1)
    if np.isinf(df):
        return largest
    return largest / np.sqrt(chdtri(df, u[:, -1]) / df)


def _inside(reach: float, correlation: np.ndarray, df: float) -> float:
    return float(np.mean(_draws(correlation, df) <= reach))


def _quantile(alpha: float, correlation: np.ndarray, df: float) -> float:
    return float(np.quantile(_draws(correlation, df), 1.0 - alpha))

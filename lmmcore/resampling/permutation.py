"""Permutation tests of fixed effects."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import generator, whole_number
from ..errors import DesignError, LmmcoreError, LmmcoreWarning, OptionError, suggest
from ..inference.terms import columns_of_terms
from ..prediction import fittedvalues
from ..refitting import reader_of, refit_to
from .groups import factor_of

EQUAL = 1e-10  # difference of two statistics, relative, that is rounding


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """A permutation test.

    Attributes
    ----------
    term : str
    statistic : float
        Wald's F of the term in the fit.
    distribution : array (n,)
        The statistic of each permutation; NaN where the refit failed.
    pvalue : float
        (1 + number of permutations with at least this F) / (1 + number of permutations).
    level : str
        The factor within whose levels residuals were permuted.
    """

    term: str
    statistic: float
    distribution: np.ndarray
    pvalue: float
    level: str

    def __str__(self) -> str:
        return (
            f"Permutation test of {self.term} within {self.level}: F = {self.statistic:.4g}, "
            f"p = {self.pvalue:.4g} ({np.isfinite(self.distribution).sum()} permutations)"
        )

    def __repr__(self) -> str:
        return str(self)


def permutation_test(
    results: Any,
    term: str,
    n: int = 999,
    *,
    level: str | None = None,
    rng: Any = None,
    callback: Callable[[int, int], None] | None = None,
) -> PermutationTest:
    """Test a term of the fixed effects by permuting residuals within groups.

    The model without the term is fitted. Its residuals, given the random effects, are permuted within the
    levels of a grouping factor and added to its fitted values, and the whole model is fitted to each such
    response (Freedman and Lane 1983, J. Bus. Econ. Stat. 1, 292–298; Winkler et al. 2014, NeuroImage 92,
    381–397).

    Parameters
    ----------
    term : str
        A term of the formula, or the name of a column of X.
    n : int
        Number of permutations.
    level : str, optional
        The grouping factor within whose levels residuals are exchanged; by default the only one.
    rng : Generator, RandomState or int, optional
    callback : callable, optional
        Called with the number of refits that are done, and n.

    Returns
    -------
    PermutationTest

    Raises
    ------
    OptionError
        An unknown term or level; a penalized fit.
    DesignError
        The term does not vary within the levels, so that such permutations say nothing of it.

    Notes
    -----
    It is exact for a balanced design with random intercepts and one term, and approximate otherwise.
    Residuals of unequal weights are exchanged times the roots of their weights.
    """
    n = whole_number(n, "n", 1)
    rng = generator(rng)
    fit, model, design = results.fit, results.model, results.model.design
    if not fit.is_plain:
        raise OptionError("permutation_test of a penalized fit; expected an ordinary one")
    columns = _columns_of(fit, term)
    grouping = design.groupings[factor_of(design, level)]
    _refuse_constant(model, columns, grouping, term)
    kept = np.setdiff1d(np.arange(fit.spec.k_fe), columns)
    reduced = type(model)._from_design(
        design.take_fixed(kept), getattr(model, "formula", None), model.use_sqrt
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LmmcoreWarning)
        null = results._refit(reduced, None)
        fitted = np.asarray(fittedvalues(null), dtype=float)
        if design.offset is not None:
            fitted = fitted - design.offset
        root = 1.0 if design.weights is None else np.sqrt(np.asarray(design.weights))
        residual = (np.asarray(design.endog, dtype=float) - fitted) * root
        by_level = np.argsort(grouping.codes, kind="stable")
        reader, out = reader_of(model), np.full(n, np.nan)
        for i in range(n):
            moved = np.empty_like(residual)
            moved[by_level] = residual[np.lexsort((rng.permutation(len(residual)), grouping.codes))]
            y = fitted + moved / root
            try:
                again = refit_to(results, y, reader.read(y[:, None]), 0, None)
                out[i] = _f(again.fit, columns)
            except LmmcoreError:
                pass
            if callback is not None:
                callback(i + 1, n)
    statistic = _f(fit, columns)
    good = out[np.isfinite(out)]
    above = int(np.sum(good >= statistic * (1.0 - EQUAL)))
    return PermutationTest(term, statistic, out, (1.0 + above) / (1.0 + len(good)), grouping.name)


def _f(fit: Any, columns: np.ndarray) -> float:
    b, cov = fit.beta[columns], fit.cov_beta[np.ix_(columns, columns)]
    return float(b @ np.linalg.solve(cov, b) / len(columns))


def _columns_of(fit: Any, term: str) -> np.ndarray:
    """Return the columns of a term, or the column of that name."""
    names = list(fit.spec.exog_names)
    terms = columns_of_terms(fit.spec)
    if term in terms:
        return np.asarray(terms[term])
    if term in names:
        return np.array([names.index(term)])
    known = [*terms, *(name for name in names if name not in terms)]
    raise OptionError(f"term={term!r}{suggest(str(term), known)}; expected a term or a column of X")


def _refuse_constant(model: Any, columns: np.ndarray, grouping: Any, term: str) -> None:
    x, codes = model.exog[:, columns], grouping.codes
    first = np.zeros((grouping.n_levels, x.shape[1]))
    first[codes[::-1]] = x[::-1]
    if np.all(x == first[codes]):
        raise DesignError(
            f"{term!r} does not vary within the levels of {grouping.name!r}, so that permutations of "
            "residuals within them say nothing of it; expected a term that varies. Use f_test with "
            "ddf='kenward-roger', or lmmcore.anova(m1, m2, test='bootstrap')"
        )

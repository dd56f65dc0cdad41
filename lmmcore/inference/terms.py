"""Joint tests of the terms of a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..design.spec import ModelSpec
from ..errors import OptionError, suggest
from .contrasts import ContrastResults


@dataclass(frozen=True, eq=False)
class TermTests:
    """Wald tests of terms, under the names that statsmodels uses.

    Attributes
    ----------
    distribution : {"chi2", "F"}
    table : DataFrame
        A row for each term, with columns statistic, pvalue, df_constraint (and df_denom for F).
    left_out : tuple of str
        Coefficients without standard errors, which are not tested.
    reason : str
        Why they have none.
    method : str
        What gave covariance and degrees of freedom, such as "Satterthwaite".
    """

    distribution: str
    table: pd.DataFrame
    left_out: tuple[str, ...] = ()
    reason: str = ""
    method: str = ""

    @property
    def statistic(self) -> np.ndarray:
        """Statistics (m,)."""
        return self.table["statistic"].to_numpy()

    @property
    def pvalues(self) -> np.ndarray:
        """p-values (m,)."""
        return self.table["pvalue"].to_numpy()

    @property
    def df_constraints(self) -> np.ndarray:
        """Numerator degrees of freedom (m,)."""
        return self.table["df_constraint"].to_numpy()

    @property
    def col_names(self) -> list[str]:
        """Headings of `summary_frame`."""
        last = ["df denom"] if self.distribution == "F" else []
        return [self.distribution, f"P>{self.distribution}", "df constraint", *last]

    def summary_frame(self) -> pd.DataFrame:
        """Return the table with headings that name the distribution."""
        return self.table.set_axis(self.col_names, axis=1)

    def __str__(self) -> str:
        text = self.summary_frame().to_string()
        if self.method:
            text += f"\nDegrees of freedom: {self.method}"
        if not self.left_out:
            return text
        return f"{text}\nNot tested: {', '.join(self.left_out)}, as {self.reason}"

    def __repr__(self) -> str:
        return str(self)


def columns_of_terms(spec: ModelSpec) -> dict[str, np.ndarray]:
    """Return the positions of each term's columns among the fixed effects of the fit.

    Columns that were dropped, because other columns determine them, are left out. In a model without a
    formula, each column is a term.
    """
    slices = getattr(spec.fixed_info, "term_name_slices", None)
    if slices is None:
        return {name: np.array([j]) for j, name in enumerate(spec.exog_names)}
    kept = spec.built
    return {
        name: np.flatnonzero((kept >= where.start) & (kept < where.stop))
        for name, where in slices.items()
    }


def tested_terms(fit: Any) -> dict[str, np.ndarray]:
    """Return the columns of each term that has any, without the intercept, whatever its name is."""
    basis, coordinates = fit.equations.crossproducts.basis, fit.likelihood.coordinates
    # Only beside a constant column, which then is the first of the basis, are the others shifted.
    constant = int(basis.order[0]) if np.any(basis.shift) else -1
    at = np.flatnonzero(coordinates.columns == constant)
    return {
        name: own
        for name, own in columns_of_terms(fit.spec).items()
        if name != "Intercept" and len(own) and own.tolist() != at.tolist()
    }


def wald_terms(
    spec: ModelSpec,
    test: Callable[[np.ndarray], ContrastResults],
    skip_single: bool,
    extra_constraints: Sequence[tuple[str, Any]],
    combine_terms: Sequence[str],
    left_out: Sequence[str] = (),
    reason: str = "",
) -> TermTests:
    """Test each term; see ``MixedLMResults.wald_test_terms``."""
    identity = np.eye(spec.k_fe)
    stays = np.array([name not in left_out for name in spec.exog_names], dtype=bool)
    terms = {name: where[stays[where]] for name, where in columns_of_terms(spec).items()}
    hypotheses = [
        (name, identity[where])
        for name, where in terms.items()
        if len(where) and not (skip_single and len(where) == 1)
    ]
    for part in combine_terms:
        inside = [where for name, where in terms.items() if part in name and len(where)]
        if not inside:
            raise OptionError(
                f"combine_terms has {part!r}, which is not part of the name of any "
                f"term{suggest(part, terms)}; "
                f"expected part of one of {', '.join(terms)}"
            )
        hypotheses.append((part, identity[np.concatenate(inside)]))
    hypotheses += [(name, np.atleast_2d(np.asarray(m, float))) for name, m in extra_constraints]
    if not hypotheses:
        raise OptionError(
            "no term is left to test: every term has one column and skip_single is true, or no coefficient "
            f"has a standard error{reason and f' ({reason})'}; expected skip_single=False, or "
            "extra_constraints"
        )
    rows, names, distribution, method = [], [], "chi2", ""
    for name, matrix in hypotheses:
        found = test(matrix)
        distribution, method = found.distribution, found.method
        row = {
            "statistic": found.statistic,
            "pvalue": found.pvalue,
            "df_constraint": int(found.df_num or 0),
        }
        if distribution == "F":
            row["df_denom"] = found.df_denom
        rows.append(row)
        names.append(name)
    return TermTests(distribution, pd.DataFrame(rows, index=names), tuple(left_out), reason, method)

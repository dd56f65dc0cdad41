"""Design: all that a model takes from its data, as named columns and codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DataValueError, DesignError, OptionError, suggest
from .columns import Column, stack
from .components import Components
from .groups import Grouping


@dataclass(frozen=True)
class RandomTerm:
    """Random coefficients that vary together: one term ``(columns | group)``.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    covariance : str or CovarianceStructure
        The structure of their covariance matrix, or its name.
    info : object
        What builds the columns for new data, or None.
    """

    names: tuple[str, ...]
    covariance: Any = "unstructured"
    info: Any = None


@dataclass(frozen=True, eq=False)
class Design:
    """Columns, groups and names; nothing is copied from the data where it can be used in place.

    Attributes
    ----------
    endog : 1-d array (n,)
    endog_name : str
    fixed : tuple of columns
        Columns of X; None is a column of ones.
    fixed_names : tuple of str
    grouping : Grouping
    terms : tuple of RandomTerm
    random : tuple of columns
        Columns of Z, those of the first term first.
    components : Components or None
        Variance components inside groups.
    weights : 1-d array (n,) or None
        Prior weights: Var(e_i) = σ²/w_i.
    row_labels : pandas.Index or None
        Labels of the rows, for what is returned per row.
    fixed_info : object
        What patsy needs to build X for new data, or None.
    n_dropped : int
        Rows left out because of missing values.
    labelled : bool
        Whether the data came as pandas objects, so that results are labelled.
    """

    endog: np.ndarray
    endog_name: str
    fixed: tuple[Column, ...]
    fixed_names: tuple[str, ...]
    grouping: Grouping
    terms: tuple[RandomTerm, ...]
    random: tuple[Column, ...]
    components: Components | None = None
    weights: np.ndarray | None = None
    row_labels: Any = None
    fixed_info: Any = None
    n_dropped: int = 0
    labelled: bool = True

    @property
    def n_rows(self) -> int:
        return len(self.endog)

    def exog(self) -> np.ndarray:
        """Return X as a float64 matrix (n, p)."""
        return stack(self.fixed, self.n_rows)

    def exog_re(self) -> np.ndarray:
        """Return Z, the columns of all random terms, as a float64 matrix (n, k)."""
        return stack(self.random, self.n_rows)


def check(design: Design) -> Design:
    """Check what can be checked without a pass over the rows; return the design.

    Raises
    ------
    DataValueError
        Lengths that differ, no rows, weights that are not positive.
    DesignError
        One group, a group for every row, no random effects.
    """
    n = design.n_rows
    lengths = {f"endog {design.endog_name!r}": n, "groups": len(design.grouping.codes)}
    for role, columns, names in (
        ("exog", design.fixed, design.fixed_names),
        ("exog_re", design.random, tuple(x for t in design.terms for x in t.names)),
    ):
        lengths |= {f"{role} {name!r}": len(c) for name, c in zip(names, columns) if c is not None}
    if design.weights is not None:
        lengths["weights"] = len(design.weights)
    wrong = [f"{what} has {m}" for what, m in lengths.items() if m != n]
    if wrong:
        raise DataValueError(
            f"endog {design.endog_name!r} has {n} rows but {', '.join(wrong)}; "
            "expected the same number of rows everywhere"
        )
    if n == 0:
        why = (
            f" after {design.n_dropped} with missing values were dropped"
            if design.n_dropped
            else ""
        )
        raise DataValueError(f"there are no rows{why}; expected at least one row per group")
    q = design.grouping.n_levels
    if not design.terms and design.components is None:
        raise DesignError(
            "the model has no random effects; add a term such as (1 | group), or fit a linear "
            "model by least squares"
        )
    if q == 1 and design.terms:
        raise DesignError(
            f"all {n} rows are in one group ({design.grouping.name} = {design.grouping.labels[0]}); "
            "expected at least two groups, as the variance between groups cannot be estimated "
            "from one. Fit a linear model, or group by another variable"
        )
    if q == n and design.components is None and not _slopes_only(design):
        raise DesignError(
            f"every row is its own group ({q} groups of {design.grouping.name} in {n} rows), so that "
            "group effects and residuals cannot be told apart; expected groups with several rows. "
            "Group by a variable with repeated labels"
        )
    k = len(design.random)
    if k > 1 and design.components is None:
        largest = int(np.bincount(design.grouping.codes, minlength=q).max())
        if largest < k:
            raise DesignError(
                f"each group of {design.grouping.name} has {k} random coefficients "
                f"but no group has more than {largest} rows; expected groups with at least {k} rows. "
                "Remove random slopes"
            )
    return design


def _slopes_only(design: Design) -> bool:
    return all(column is not None for column in design.random)


def with_covariance(design: Design, covariance: Any) -> Design:
    """Return the design with the covariance structures of the argument `covariance`.

    Raises
    ------
    OptionError
        A grouping factor that the model does not have, or a structure given twice.
    """
    if covariance is None:
        return design
    if isinstance(covariance, Mapping):
        unknown = [name for name in covariance if name != design.grouping.name]
        if unknown:
            raise OptionError(
                f"covariance names {unknown[0]!r}, which is no grouping factor"
                f"{suggest(str(unknown[0]), [design.grouping.name])}; expected "
                f"{{{design.grouping.name!r}: structure}}"
            )
        covariance = covariance.get(design.grouping.name, "unstructured")
    if any(term.covariance != "unstructured" for term in design.terms):
        raise OptionError(
            "covariance= was given, and the formula has a structure of its own; use one of the two"
        )
    terms = tuple(replace(term, covariance=covariance) for term in design.terms)
    return replace(design, terms=terms)

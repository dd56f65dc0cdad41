"""Design: everything that a model needs from its data, as named columns and codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError, DesignError, OptionError, counted, suggest
from .columns import Column, stack
from .components import Components
from .groups import Grouping


def variables_of_fixed(info: Any) -> list[str]:
    """Return the columns of the data that the fixed part of a formula uses, in its order."""
    variables = getattr(info, "variables", None)
    if variables is not None:
        found = [c for v in variables for c in v.expression.columns]
    else:
        found = list(getattr(info, "plain", ()) or ())
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class RandomTerm:
    """A random-effects term ``(columns | group)``: coefficients with one covariance matrix.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    covariance : str or CovarianceStructure
        Their covariance structure, or its name.
    info : object
        The object that makes the columns from new data, or None.
    factor : int
        Position of the grouping factor in ``Design.groupings``.
    built : tuple of int or None
        The columns made by `info` that are kept; None for all.
    """

    names: tuple[str, ...]
    covariance: Any = "unstructured"
    info: Any = None
    factor: int = 0
    built: tuple[int, ...] | None = None

    def take(self, columns: np.ndarray) -> RandomTerm:
        """Return the term with some of its columns. New data can still be used."""
        whole = np.arange(len(self.names)) if self.built is None else np.array(self.built)
        names = tuple(self.names[j] for j in columns)
        return replace(self, names=names, built=tuple(whole[columns].tolist()))


@dataclass(frozen=True, eq=False)
class Design:
    """Columns, groups and names. Data are used in place where possible, and not copied.

    Attributes
    ----------
    endog : 1-d array (n,)
    endog_name : str
    fixed : tuple of columns
        Columns of X; None is a column of ones.
    fixed_names : tuple of str
    grouping : Grouping
        The first grouping factor, or the only one.
    terms : tuple of RandomTerm
    random : tuple of columns
        Columns of Z, those of the first term first.
    components : Components or None
        Variance components inside groups.
    weights : 1-d array (n,) or None
        Prior weights: Var(e_i) = σ²/w_i.
    row_labels : pandas.Index or None
        Labels of the rows, for results with one entry per row.
    endog_info : Variable, str or None
        What gives the response for new data: an expression, or the name of a column.
    fixed_info : object
        The object that makes X from new data (Terms or Encoding), or None.
    n_dropped : int
        Rows left out because of missing values.
    labeled : bool
        Whether the data came as pandas objects, so that results are labeled.
    others : tuple of Grouping
        The other grouping factors.
    offset : float64 array (n,) or None
        A known part of the response, which `endog` does not contain.
    component_info : tuple of ComponentFormula
        The formulas of the variance components.
    offset_info : tuple of Variable
        The objects that make the parts of the offset from new data.
    missing : mapping of str to int
        The variables with missing values, and the number of rows in which each is missing.
    rows : integer array (n,) or None
        Positions in the data of the rows used; None for all.
    table : pandas.DataFrame or None
        The table in which the formula was evaluated. `rows` are positions in the data
        before the subset was taken; `in_table` are positions in this table.
    in_table : integer array (n,) or None
    source : Design or None
        The design of the data, if the response is another one.
    variables : pandas.DataFrame or None
        The variables of the fixed part in the rows used, where `table` is not kept: in files.
    fixed_built : int array or None
        The columns that are in `fixed`, among those given to the
        model or made by `fixed_info`; None for all.
    fixed_given : int
        The number of these columns, if `fixed_built` is not None.
    scale : float or None
        σ², where it is held and not estimated.
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
    endog_info: Any = None
    fixed_info: Any = None
    n_dropped: int = 0
    labeled: bool = True
    others: tuple[Grouping, ...] = ()
    offset: np.ndarray | None = None
    offset_info: tuple[Any, ...] = ()
    component_info: tuple[Any, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)
    rows: np.ndarray | None = None
    table: pd.DataFrame | None = None
    in_table: np.ndarray | None = None
    source: Design | None = None
    variables: pd.DataFrame | None = None
    fixed_built: np.ndarray | None = None
    fixed_given: int = 0
    scale: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the table out of files but for the fixed part: it may have many more columns."""
        gone = {"table": None, "in_table": None, "source": None}
        return {**self.__dict__, **gone, "variables": self.fixed_table}

    @property
    def fixed_table(self) -> pd.DataFrame | None:
        """The variables of the fixed part in the rows used; None without a formula."""
        if self.variables is not None or self.fixed_info is None:
            return self.variables
        if self.source is not None:
            return self.source.fixed_table
        if self.table is None:
            return None
        names = variables_of_fixed(self.fixed_info)
        if not all(name in self.table.columns for name in names):
            return None
        found = self.table[names]
        return found if self.in_table is None else found.iloc[self.in_table]

    @property
    def n_rows(self) -> int:
        return len(self.endog)

    @property
    def groupings(self) -> tuple[Grouping, ...]:
        """All grouping factors."""
        return (self.grouping, *self.others)

    def columns_of(self, term: int) -> tuple[Column, ...]:
        """Return the columns of Z of one term."""
        start = sum(len(t.names) for t in self.terms[:term])
        return self.random[start : start + len(self.terms[term].names)]

    def take_fixed(self, columns: np.ndarray) -> Design:
        """Return the design with some columns of X. New data can still be used."""
        whole = np.arange(len(self.fixed)) if self.fixed_built is None else self.fixed_built
        return replace(
            self,
            fixed=tuple(self.fixed[j] for j in columns),
            fixed_names=tuple(self.fixed_names[j] for j in columns),
            fixed_built=whole[columns],
            fixed_given=len(whole) if self.fixed_built is None else self.fixed_given,
        )

    def exog(self) -> np.ndarray:
        """Return X as a float64 matrix (n, p)."""
        return stack(self.fixed, self.n_rows)

    def exog_re(self) -> np.ndarray:
        """Return Z, the columns of all random-effects terms, as a float64 matrix (n, k)."""
        return stack(self.random, self.n_rows)


def check(design: Design, random: bool = True) -> Design:
    """Check what can be checked without a pass over the rows; return the design.

    Parameters
    ----------
    random : bool
        Whether it should have random effects.

    Raises
    ------
    DataValueError
        Different lengths, no rows, or weights that are not positive.
    DesignError
        One group, a group for every row, no random effects.
    """
    n = design.n_rows
    given = [design.grouping.codes, design.weights, *design.fixed, *design.random]
    if any(values is not None and len(values) != n for values in given):
        raise _different_lengths(design)
    if n == 0:
        why = (
            f" after {design.n_dropped} with missing values were dropped"
            if design.n_dropped
            else ""
        )
        raise DataValueError(f"there are no rows{why}; expected at least one row per group")
    if random and not design.terms and design.components is None:
        raise DesignError(
            "the model has no random effects; add a term such as (1 | group), or fit a linear "
            "model by least squares"
        )
    for f, grouping in enumerate(design.groupings):
        own = [x for t in design.terms if t.factor == f for x in t.names]
        if len(set(own)) < len(own):
            twice = next(x for i, x in enumerate(own) if x in own[:i])
            raise DesignError(
                f"the random coefficient {twice!r} of {grouping.name} is given twice; expected each column "
                "only once for a grouping factor. Remove one of the terms"
            )
        if own:
            _check_factor(design, f, len(own))
    return design


def _different_lengths(design: Design) -> DataValueError:
    n = design.n_rows
    named: list[tuple[str, Column]] = [("groups", design.grouping.codes)]
    named += [(f"exog {name!r}", c) for name, c in zip(design.fixed_names, design.fixed)]
    random = [x for t in design.terms for x in t.names]
    named += [(f"exog_re {name!r}", c) for name, c in zip(random, design.random)]
    named.append(("weights", design.weights))
    wrong = [f"{what} has {len(c)}" for what, c in named if c is not None and len(c) != n]
    return DataValueError(
        f"endog {design.endog_name!r} has {counted(n, 'row')} but {', '.join(wrong)}; "
        "expected the same number of rows everywhere"
    )


def _check_factor(design: Design, f: int, k: int) -> None:
    """Refuse a grouping factor with k random coefficients whose variances the rows cannot tell."""
    grouping, n = design.groupings[f], design.n_rows
    q = grouping.n_levels
    if q == 1:
        raise DesignError(
            f"all rows ({n}) are in one group ({grouping.name} = {grouping.labels[0]}); "
            "expected at least two groups: the variance between groups cannot be estimated from "
            "one. Remove the term, or group by another variable"
        )
    apart = design.scale is not None or design.components is not None  # from the residual
    if q == n and not apart and not _slopes_only(design, f):
        raise DesignError(
            f"every row is its own group ({q} groups of {grouping.name} in {n} rows), so group "
            "effects and residuals cannot be told apart; expected groups with several rows. "
            "Group by a variable with repeated labels"
        )
    if k > 1 and design.components is None:
        largest = int(np.bincount(grouping.codes, minlength=q).max())
        if largest < k:
            raise DesignError(
                f"each group of {grouping.name} has {k} random coefficients "
                f"but no group has more than {counted(largest, 'row')}; expected groups with at least {k} "
                "rows. "
                "Remove random slopes"
            )


def _slopes_only(design: Design, f: int) -> bool:
    """Return whether a factor has no random intercept."""
    terms = (t for t, term in enumerate(design.terms) if term.factor == f)
    return all(column is not None for t in terms for column in design.columns_of(t))


def with_covariance(design: Design, covariance: Any) -> Design:
    """Return the design with the covariance structures of the argument `covariance`.

    Raises
    ------
    OptionError
        An unknown grouping factor, or a structure given twice.
    """
    if covariance is None:
        return design
    names = [g.name for g in design.groupings]
    if any(term.covariance != "unstructured" for term in design.terms):
        raise OptionError(
            "covariance= was given, and the formula also names a covariance structure; use only "
            "one of the two"
        )
    if not isinstance(covariance, Mapping):
        covariance = dict.fromkeys(names, covariance)
    unknown = [name for name in covariance if name not in names]
    if unknown:
        raise OptionError(
            f"covariance names {unknown[0]!r}, which is not a grouping factor"
            f"{suggest(str(unknown[0]), names)}; expected {{{names[0]!r}: structure}}"
        )
    terms = tuple(
        replace(term, covariance=covariance.get(names[term.factor], "unstructured"))
        for term in design.terms
    )
    return replace(design, terms=terms)

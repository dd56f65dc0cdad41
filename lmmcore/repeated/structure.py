"""The residual structure of a model: positions of its rows, correlation and variance function, bound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from ..design.design import Design
from ..design.groups import code_groups
from ..errors import DataValueError, DesignError, NameNotFoundError, suggest
from ..extension.residuals import Positions
from ..plugin_host.guarded_residual import GuardedResidual
from ..plugin_host.manager import look_up
from .known import KnownBlocks, positions_of_blocks
from .separable import bind_product
from .strata import Strata, strata_of
from .terms import FITTED, ResidualProduct, ResidualTerm, VarianceProduct, VarianceTerm
from .variances import BoundVariance, bind_variances

STEP = 1e-30  # of complex steps
FEW_GROUPS = 8  # groups of a pattern up to which it may be computed together with others


@dataclass(frozen=True, eq=False)
class Pattern:
    """Groups whose rows have the same coordinates, or groups of one size with coordinates of their own.

    Attributes
    ----------
    values : array (t, d), or (groups, t, d)
    rows : int array (groups, t)
        The rows of each group, in the order of `values`.
    stratum : int
    """

    values: np.ndarray
    rows: np.ndarray
    stratum: int = 0


@dataclass(frozen=True, eq=False)
class Structure:
    """Correlation and variances of the residuals of a model.

    Attributes
    ----------
    term : ResidualTerm, ResidualProduct, KnownBlocks or None
    variance_term : VarianceTerm, VarianceProduct or None
    title : str
    correlation : Strata or None
    variance : BoundVariance or None
    positions : Positions
    patterns : list of Pattern
        All rows, by groups of one shape.
    crosses : bool
        Whether groups of residuals have rows in several levels of a grouping factor.
    start : array or None
        The only parameters to start from, where they are known.
    """

    term: ResidualTerm | ResidualProduct | KnownBlocks | None
    variance_term: VarianceTerm | VarianceProduct | None
    title: str
    correlation: Strata | None
    variance: BoundVariance | None
    positions: Positions
    patterns: list[Pattern]
    crosses: bool = False
    start: np.ndarray | None = None

    @property
    def of_fitted(self) -> bool:
        """Whether variances are a function of the fitted values."""
        term = self.variance_term
        return term is not None and any(part.covariate == FITTED for part in term.parts)

    @property
    def n_correlation(self) -> int:
        """Parameters of the correlation; those of the variance function follow."""
        return 0 if self.correlation is None else self.correlation.n_parameters

    @property
    def n_parameters(self) -> int:
        return self.n_correlation + (0 if self.variance is None else self.variance.n_parameters)

    @property
    def starts(self) -> list[np.ndarray]:
        """Parameters to start from."""
        if self.start is not None:
            return [self.start]
        own = [np.zeros(0)] if self.correlation is None else self.correlation.starts
        more = np.zeros(0 if self.variance is None else self.variance.n_parameters)
        return [np.concatenate([s, more]) for s in own]

    @cached_property
    def batches(self) -> list[Pattern]:
        """The patterns, those of few groups together where the structure computes several at once."""
        if self.correlation is None or not self.correlation.vectorized:
            return self.patterns
        out, rare = list[Pattern](), dict[tuple[int, int], list[Pattern]]()
        for p in self.patterns:
            few = len(p.rows) <= FEW_GROUPS
            (rare.setdefault((p.stratum, len(p.values)), []) if few else out).append(p)
        for (stratum, _), found in rare.items():
            if len(found) < FEW_GROUPS:
                out += found
                continue
            values = np.concatenate(
                [np.broadcast_to(p.values, (len(p.rows), *p.values.shape)) for p in found]
            )
            out.append(Pattern(values, np.concatenate([p.rows for p in found]), stratum))
        return out

    def matrix(self, u: np.ndarray, pattern: Pattern) -> np.ndarray:
        """Return C (t, t) of a pattern, or (groups, t, t), without the variance function."""
        if self.correlation is None:
            return np.eye(len(pattern.values))
        return self.correlation.matrix(u[: self.n_correlation], pattern.values, pattern.stratum)

    def slopes(self, u: np.ndarray, pattern: Pattern) -> np.ndarray:
        """Return ∂C/∂u (n_correlation, …, t, t), exact to rounding (complex steps)."""
        values, m = pattern.values, self.n_correlation
        out = np.empty((m, *values.shape[:-1], values.shape[-2]))
        for a in range(m):
            moved = u[:m].astype(complex)
            moved[a] += 1j * STEP
            assert self.correlation is not None
            out[a] = self.correlation.matrix(moved, pattern.values, pattern.stratum).imag / STEP
        return out

    def log_sd(self, u: np.ndarray) -> np.ndarray | None:
        """Return the logarithms of the relative standard deviations (n,), None where all are equal."""
        return None if self.variance is None else self.variance.logarithm(u[self.n_correlation :])

    def log_sd_slopes(self, u: np.ndarray) -> np.ndarray:
        """Return their derivatives (m, n) in the parameters of the variance function."""
        assert self.variance is not None
        return self.variance.slopes(u[self.n_correlation :])

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters as people name them."""
        m, out = self.n_correlation, dict[str, float]()
        if self.correlation is not None:
            out.update(self.correlation.describe(u[:m]))
        if self.variance is not None:
            out.update(self.variance.describe(u[m:]))
        return out

    def natural(self, u: np.ndarray) -> list[float]:
        """Return variances relative to σ², correlations, ranges and powers."""
        m, out = self.n_correlation, list[float]()
        if self.correlation is not None:
            out += self.correlation.natural(u[:m])
        if self.variance is not None:
            own = self.variance.describe(u[m:])
            out += [v**2 if name.startswith("sd(") else v for name, v in own.items()]
        return out


def bind(
    design: Design, term: ResidualTerm | ResidualProduct | KnownBlocks | None,
    variance: VarianceTerm | VarianceProduct | None, fitted: np.ndarray | None = None,
) -> Structure:  # fmt: skip
    """Return the residual structure for the rows of a design.

    Parameters
    ----------
    fitted : array (n,), optional
        Fitted values, for a variance function of them.

    Raises
    ------
    NameNotFoundError
        A column that the data do not have.
    DataValueError
        A coordinate that is missing, or that the structure cannot use.
    DesignError
        Variance components, or no table.
    """
    if isinstance(term, KnownBlocks):
        return _of_known(design, term)
    table = _table(design)
    positions, levels = _positions(design, table, term)
    crosses = _crosses(design, positions, term)
    strata, of_row = None, np.zeros(design.n_rows, dtype=np.intp)
    if isinstance(term, ResidualProduct):
        strata = Strata(bind_product(term, positions, levels))
    elif term is not None:
        options = {k: v for k, v in term.options.items() if k != "by"}
        guarded = GuardedResidual(look_up("residual", term.name), positions, options)
        by, what = term.options.get("by"), f"residual={term!s}"
        column = None if by is None else _column(table, str(by), what)
        strata, of_row = strata_of(positions, column, guarded, what)
    function = None
    if variance is not None:
        function = bind_variances(variance.parts, partial(_of_variance, table, fitted))
    title = ", ".join(str(x) for x in (term, variance) if x is not None)
    patterns = _patterns(positions, of_row, strata is not None)
    return Structure(term, variance, title, strata, function, positions, patterns, crosses)


def _of_variance(table: pd.DataFrame, fitted: np.ndarray | None, part: VarianceTerm) -> pd.Series:
    """Return the covariate of a variance function."""
    if part.covariate != FITTED:
        return _column(table, part.covariate, f"variance={part!s}")
    return pd.Series(np.ones(len(table)) if fitted is None else fitted, table.index)


def _of_known(design: Design, term: KnownBlocks) -> Structure:
    n = len(term.variances)
    kept = np.arange(n) if design.rows is None else design.rows
    values, groups, bound = positions_of_blocks(term.blocks, kept, n)
    groups = _copies(design, groups, [])[0]
    labels = range(n) if design.row_labels is None else design.row_labels
    first = np.unique(groups, return_index=True)[1]
    of_groups = [f"of row {labels[i]}" for i in first.tolist()]
    positions = Positions(values, ("block", "place"), None, groups, of_groups, labels)
    patterns = _patterns(positions, np.zeros(len(kept), dtype=np.intp), True)
    crosses = _crosses(design, positions, term)
    return Structure(term, None, str(term), Strata(bound), None, positions, patterns, crosses)


def _table(design: Design) -> pd.DataFrame:
    if design.table is None:
        raise DesignError(
            "residual= and variance= need the columns of a table; expected a model from a formula and data"
        )
    return design.table if design.in_table is None else design.table.iloc[design.in_table]


def _column(table: pd.DataFrame, name: str, what: str) -> pd.Series:
    if name not in table.columns:
        raise NameNotFoundError(
            f"{what}: {name!r} is no column of the data{suggest(name, map(str, table.columns))}"
        )
    return table[name]


def _positions(
    design: Design, table: pd.DataFrame, term: ResidualTerm | ResidualProduct | None
) -> tuple[Positions, list[tuple[str, ...] | None]]:
    """Return the positions of the rows, and the levels of each coordinate."""
    n, what = design.n_rows, f"residual={term!s}"
    rows = list(table.index)
    if term is None:
        return Positions(np.zeros((n, 1)), ("order",), None, np.arange(n), range(n), rows), []
    if term.groups is not None:
        grouping = code_groups(_column(table, term.groups, what), term.groups)
        codes, labels = grouping.codes, list(grouping.factor.keys)
    elif design.terms and not design.others:
        codes, labels = design.grouping.codes, list(design.grouping.factor.keys)
    elif design.terms:
        raise DesignError(
            f"{what}: the model has several grouping factors; expected the groups of the residuals, as in "
            '"ar1(visit | subject)"'
        )
    else:
        codes, labels = np.zeros(n, dtype=np.int32), ["of all rows"]
    codes, labels = _copies(design, np.asarray(codes, dtype=np.intp), labels)
    if not term.coordinates:
        order = np.argsort(codes, kind="stable")
        first = np.searchsorted(codes[order], np.arange(codes.max() + 1))
        place = np.empty(n)
        place[order] = np.arange(n) - first[codes[order]]
        steps = tuple(str(i + 1) for i in range(int(place.max()) + 1))
        order_of = Positions(place[:, None], ("order",), steps, codes, labels, rows)
        return order_of, [steps]
    columns, levels = [], []
    for name in term.coordinates:
        values, own = _coordinate(_column(table, name, what), name, what, rows, labels, codes)
        columns.append(values)
        levels.append(own)
    values = np.column_stack(columns)
    if isinstance(term, ResidualProduct):
        return Positions(values, term.coordinates, None, codes, labels, rows), levels
    levels_of = next((own for own in levels if own is not None), None)
    if levels_of is not None and len(columns) > 1:
        raise DataValueError(
            f"{what}: {' and '.join(term.coordinates)} are not all numbers; expected one categorical "
            "variable, or numbers"
        )
    return Positions(values, term.coordinates, levels_of, codes, labels, rows), levels


def _copies(design: Design, codes: np.ndarray, labels: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return groups of residuals of which each copy of a resampled group is one, and their labels."""
    rows = design.rows if design.rows is not None else design.in_table
    if rows is None or len(np.unique(rows)) == len(rows):
        return codes, labels
    copy = pd.Series(rows).groupby(rows).cumcount().to_numpy()
    pairs, own = np.unique(codes * (int(copy.max()) + 1) + copy, return_inverse=True)
    found = [labels[c] for c in (pairs // (int(copy.max()) + 1)).tolist()] if labels else []
    return own.astype(np.intp), found


def _coordinate(
    column: pd.Series, name: str, what: str, rows: list[Any], labels: list[Any], codes: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return a coordinate as numbers (n,), and what they stand for if it is categorical."""
    if column.isna().any():
        at = int(np.flatnonzero(column.isna())[0])
        raise DataValueError(
            f"{what}: {name} is missing in row {rows[at]} (group {labels[int(codes[at])]}); "
            "leave out the row"
        )
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if not is_number or pd.api.types.is_bool_dtype(column.dtype):
        values = (
            column.cat.remove_unused_categories()
            if hasattr(column, "cat")
            else column.astype("category")
        )
        return values.cat.codes.to_numpy(dtype=float), tuple(str(x) for x in values.cat.categories)
    numbers = column.to_numpy(dtype=float)
    if not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise DataValueError(
            f"{what}: {name} is {numbers[at]} in row {rows[at]}; expected finite numbers"
        )
    return numbers, None


def _crosses(design: Design, positions: Positions, term: Any) -> bool:
    """Return whether groups of residuals have rows in several levels of a grouping factor."""
    if design.components is not None:
        raise DesignError(
            "residual= and variance= with variance components of vc_formula; expected components that are "
            "written as bars, such as (1 | g:a)"
        )
    if term is None or not design.terms:
        return False
    first = np.zeros(int(positions.groups.max()) + 1, dtype=np.intp)
    first[positions.groups[::-1]] = np.arange(len(positions.groups))[::-1]
    of_group = first[positions.groups]
    return any(bool(np.any(g.codes != g.codes[of_group])) for g in design.groupings)


def _patterns(positions: Positions, strata: np.ndarray, correlated: bool) -> list[Pattern]:
    """Return groups of one shape together; without a correlation, each row is a group."""
    if not correlated:
        return [Pattern(np.zeros((1, 1)), np.arange(len(positions.groups))[:, None])]
    keys = tuple(positions.values.T[::-1])
    order = np.lexsort((*keys, positions.groups))
    groups = positions.groups[order]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    out = []
    for size in np.unique(sizes).tolist():
        rows = order[starts[sizes == size][:, None] + np.arange(size)]
        code = strata[rows[:, 0]]
        for column in positions.values[rows].reshape(len(rows), -1).T:
            own, found = pd.factorize(column)
            code = pd.factorize(code * len(found) + own)[0]
        by_code = np.argsort(code, kind="stable")
        for same in np.split(by_code, np.flatnonzero(np.diff(code[by_code])) + 1):
            first = rows[same[0]]
            out.append(Pattern(positions.values[first], rows[same], int(strata[first[0]])))
    return out

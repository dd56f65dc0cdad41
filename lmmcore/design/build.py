"""From a formula and a data frame to a Design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from ..errors import (
    DataTypeError,
    DataValueError,
    FormulaError,
    NameNotFoundError,
    OptionError,
    refuse_sparse,
    suggest,
)
from .alignment import check_alignment, in_subset, is_labeled
from .columns import Column, as_column, table_column
from .component_formulas import check_formulas, components_of
from .design import Design, RandomTerm, check
from .encoding import Variable
from .evaluate import Evaluator
from .formula import Bar, MixedFormula, parse_formula, parse_terms
from .group_argument import GROUP, column_named, column_of
from .groups import Grouping, code_groups, interaction
from .missing import find_missing
from .names import factors_in, is_dot, names_in
from .terms import Terms
from .tokens import tokenize


def check_missing(missing: str) -> bool:
    """Return whether rows with missing values are to be dropped."""
    if missing not in ("none", "drop", "raise"):
        raise OptionError(
            f"missing={missing!r} is not known; expected 'drop' (rows with missing values are left out), "
            "'raise' (they are an error) or 'none' (a formula leaves them out, for arrays they are an error)"
        )
    return missing == "drop"


def check_formula_arguments(
    formula: Any, re_formula: Any, vc_formula: Any, groups: Any, missing: str
) -> None:
    """Refuse arguments of a formula that are no formulas, and others of the wrong kind."""
    parts = vc_formula.items() if isinstance(vc_formula, Mapping) else ()
    for argument, given in (
        ("re_formula", re_formula), *((f"vc_formula[{name!r}]", text) for name, text in parts)
    ):  # fmt: skip
        if given is not None and not isinstance(given, str):
            raise FormulaError(f"{argument}={given!r}; expected a formula, such as '1 + x'")
    if isinstance(groups, (bool, int, float)):
        raise DataTypeError(f"groups={groups!r}; expected the name of a column, or labels")
    if formula is None:
        raise FormulaError("no formula was given; expected text such as 'y ~ x + (1 | g)'")
    check_missing(missing)


def from_formula(
    formula: Any,
    data: Any,
    groups: Any = None,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    weights: Any = None,
    subset: Any = None,
    frame: FrameType | None = None,
    drop_missing: bool = True,
    random: bool = True,
    scale: float | None = None,
) -> Design:
    """Build the design of a formula, with bars or with groups, re_formula and vc_formula.

    Parameters
    ----------
    frame : frame of the caller, whose variables formulas may use beside the columns of data.
    drop_missing : bool
        Whether to find rows with missing values and leave them out. If false, missing values
        are an error, which may be raised only when the cross-products are formed.
    random : bool
        Whether the model has random effects. If false, `groups` are independent groups of rows; by default
        all rows are one group.
    scale : float, optional
        A held σ².

    Raises
    ------
    NotFiniteError
        A value is missing.
    """
    if not isinstance(formula, str):
        raise FormulaError(
            f"the formula is a {type(formula).__name__}; expected text such as 'y ~ x + (1 | g)'"
        )
    table = as_frame(data)
    rows = None
    if subset is not None:
        whole = table.index
        table, rows = _subset(table, subset)
        groups, weights = (in_subset(v, whole, rows) for v in (groups, weights))
    if not len(table):
        of = "data" if subset is None else "the subset of data"
        raise DataValueError(f"{of} has no rows; expected a row for each observation")
    if groups is None and not random:
        groups = np.zeros(len(table), dtype=np.int64)
    groups = column_of(groups, table)
    labeled = [("data", table)] if is_labeled(data) else []
    check_alignment([*labeled, ("groups", groups), ("weights", weights)])
    parsed, slopes, formulas = _parsed(
        formula, re_formula, vc_formula, groups, weights, table, frame
    )
    bars = _bars(parsed, groups, slopes, formulas) if random else _no_bars(parsed)
    given = _group_variables(parsed, bars, groups, table)
    w = _weights(weights, table)
    labels = [pair for factor in given for pair in factor]
    _check_lengths([*labels, ("weights", w)], table, subset is not None)
    missing = None
    if drop_missing:
        name = weights if isinstance(weights, str) else "weights"
        columns = labels if w is None else [*labels, (name, w)]
        missing = find_missing(parsed, bars, formulas, columns, Evaluator(frame, table))
    keep = None if missing is None or missing.keep.all() else missing.keep
    env = Evaluator(frame, table, keep)
    groupings = [
        _grouping([(x, _rows(v, keep)) for x, v in factor], variables)
        for factor, variables in zip(given, _variables(parsed, given, groups, table))
    ]
    y, endog_info, endog_name, fixed, fixed_names, info = env.fixed_part(parsed)
    terms, columns_of_z = _random_part(bars, groupings, env)
    components, component_info = components_of(formulas, groupings[0], env)
    offset, offset_info = _offset(parsed, env)
    if keep is not None:
        w = None if w is None else w[keep]
        rows = np.flatnonzero(keep) if rows is None else rows[keep]
    return check(
        Design(
            y if offset is None else y - offset,
            endog_name, fixed, fixed_names, groupings[0], terms, columns_of_z,
            endog_info=endog_info, components=components, component_info=component_info, weights=w,
            offset=offset, offset_info=offset_info, others=tuple(groupings[1:]), fixed_info=info,
            row_labels=table.index if keep is None else table.index[keep], rows=rows,
            table=table, in_table=None if keep is None else np.flatnonzero(keep),
            n_dropped=0 if keep is None else int((~keep).sum()),
            missing={} if missing is None else missing.counts, scale=scale,
        ),
        random,
    )  # fmt: skip


def _offset(parsed: MixedFormula, env: Evaluator) -> tuple[np.ndarray | None, tuple[Variable, ...]]:
    """Return the sum of the offsets, and what gives them for new rows."""
    if not parsed.offsets:
        return None, ()
    values, variables = zip(*(env.number(text, "offset") for text in parsed.offsets))
    return np.sum(values, axis=0), tuple(variables)


def _condition(subset: Any) -> Any:
    """Return conditions among objects or under a mask as pandas' booleans, where missing is false."""
    if isinstance(subset, np.ma.MaskedArray) and subset.dtype == bool:
        return subset.filled(False)
    if not isinstance(subset, (pd.Series, np.ndarray)) or subset.dtype.kind != "O":
        return subset
    if pd.api.types.infer_dtype(subset, skipna=True) != "boolean":
        return subset
    if isinstance(subset, pd.Series):
        return subset.astype("boolean")
    return pd.array(subset, dtype="boolean")


def _subset(table: pd.DataFrame, subset: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a subset, and their positions."""
    try:
        subset = _condition(subset(table) if callable(subset) else subset)
        found = pd.Series(np.arange(len(table)), table.index).loc[subset]
        some = table.loc[subset]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as exc:
        raise DataValueError(
            f"subset={subset!r} does not select rows of data ({type(exc).__name__}: {exc}); "
            f"expected labels of "
            f"its index, or True or False for each of its {len(table)} rows"
        ) from exc
    rows = np.atleast_1d(found.to_numpy())
    if len(rows) and np.bincount(rows).max() > 1:
        twice = table.index[int(np.bincount(rows).argmax())]
        raise DataValueError(
            f"subset names the row {twice!s} several times; expected each label of the index of data "
            f"once, or True or False (not 1 or 0, which are labels) for each of its {len(table)} rows"
        )
    return some, rows


def _random_part(
    bars: Sequence[Bar], groupings: Sequence[Grouping], env: Evaluator
) -> tuple[tuple[RandomTerm, ...], tuple[Column, ...]]:
    """Return the random-effects terms and their columns."""
    place = {bar.group: i for i, bar in enumerate({b.group: b for b in bars}.values())}
    random: list[Column] = []
    terms: list[RandomTerm] = []
    for bar in bars:
        columns, names, info = env.columns(bar.terms, "random effects")
        factor = groupings[place[bar.group]]
        if not columns:
            raise FormulaError(
                f"the random-effects term ({bar.terms.written} | {factor.name}) has no "
                "columns; write (1 | g) for a random intercept, or (0 + x | g) for a slope without intercept"
            )
        random.extend(columns)
        names = tuple(factor.name if x == "Intercept" else x for x in names)
        terms.append(RandomTerm(names, bar.covariance, info, place[bar.group]))
    return tuple(terms), tuple(random)


def as_frame(data: Any) -> pd.DataFrame:
    """Return data as a pandas frame. Accepts frames, mappings, and objects with ``to_pandas`` or ``df``."""
    if isinstance(data, pd.DataFrame):
        return data
    for method in ("to_pandas", "df"):
        if callable(getattr(data, method, None)):
            return getattr(data, method)()
    if isinstance(data, np.ma.MaskedArray) and data.dtype.names:
        data = {name: data[name] for name in data.dtype.names}
    if isinstance(data, Mapping) or (isinstance(data, np.ndarray) and data.dtype.names):
        try:
            return pd.DataFrame(data)
        except ValueError as exc:
            raise DataValueError(
                f"data is not a table: {exc}; expected columns of the same length"
            ) from exc
    refuse_sparse(data, "data")
    raise DataTypeError(
        f"data is a {type(data).__name__}; expected a data frame or a mapping of columns"
    )


def _parsed(
    formula: str,
    re_formula: str | None,
    vc_formula: Mapping[str, str] | None,
    groups: Any,
    weights: Any,
    table: pd.DataFrame,
    frame: FrameType | None,
) -> tuple[MixedFormula, Terms | None, dict[str, Terms]]:
    """Return the parsed formulas, with what the table says of their names."""
    vc_formula = check_formulas(vc_formula) if vc_formula else {}
    others = [*vc_formula.values(), *([] if re_formula is None else [re_formula])]
    besides: set[str] = set()
    if any(is_dot(token) for token in tokenize(formula)):
        besides = _named(groups, table) | _named(weights, table)
        besides = besides.union(*(factors_in(text, table) for text in vc_formula.values()))
    names = names_in((formula, *others), table, frame, besides)
    parsed = parse_formula(formula, names)
    if names.every is not None:  # random effects have no '.', and are kept apart from it
        names = replace(names, every=None)
    columns = None if re_formula is None else parse_terms(re_formula, names)
    return parsed, columns, {x: parse_terms(text, names) for x, text in vc_formula.items()}


def _named(given: Any, table: pd.DataFrame) -> set[str]:
    """Return the columns of a table that an argument names."""
    names: list[Any] = [given if isinstance(given, str) else getattr(given, "name", None)]
    if isinstance(given, pd.DataFrame):
        names = list(given.columns)
    elif isinstance(given, (list, tuple)):
        names = [x for x in given if isinstance(x, str)]
    return {x for x in names if x in table.columns}


def _bars(
    parsed: MixedFormula, groups: Any, columns: Terms | None, components: Mapping[str, Terms]
) -> tuple[Bar, ...]:
    """Return the random-effects terms of either spelling."""
    if parsed.bars:
        if groups is not None or columns is not None:
            raise FormulaError(
                "the formula has random-effects terms in bars and groups= or re_formula= was given too; "
                "use only one of the two"
            )
        return parsed.bars
    if groups is None:
        raise FormulaError(
            "no groups: add a random-effects term such as (1 | g) to the formula or give "
            "groups='g' (a column of data or an array)"
        )
    if columns is None:
        return () if components else (Bar(parse_terms("1"), ()),)
    return (Bar(columns, ()),)


def _no_bars(parsed: MixedFormula) -> tuple[Bar, ...]:
    if parsed.bars:
        raise FormulaError(
            "the formula has random-effects terms in bars; expected fixed effects alone. Use mixedlm with "
            "residual= for both"
        )
    return ()


def _group_variables(
    parsed: MixedFormula, bars: Sequence[Bar], groups: Any, table: pd.DataFrame
) -> list[list[tuple[str, Any]]]:
    """Return for each grouping factor the variables whose combinations are its levels."""
    if parsed.bars:
        return [
            [(x, _column(table, x, "the group")) for x in group]
            for group in dict.fromkeys(bar.group for bar in bars)
        ]
    if isinstance(groups, str):
        return [[(groups, _column(table, groups, "groups="))]]
    return [[(GROUP, groups)]]


def _variables(
    parsed: MixedFormula,
    given: Sequence[Sequence[tuple[str, Any]]],
    groups: Any,
    table: pd.DataFrame,
) -> list[tuple[str, ...]]:
    """Return for each factor the columns of a table that say the levels of new rows."""
    if parsed.bars:
        return [tuple(name for name, _ in factor) for factor in given]
    return [column_named(groups, table)]


def _grouping(given: Sequence[tuple[str, Any]], variables: tuple[str, ...]) -> Grouping:
    if len(given) == 1:
        name, values = given[0]
        return code_groups(values, name, variables)
    return interaction([code_groups(x, name) for name, x in given], variables)


def _check_lengths(given: Sequence[tuple[str, Any]], table: pd.DataFrame, subset: bool) -> None:
    for name, values in given:
        if values is not None and len(values) != len(table):
            of = "the subset of data" if subset else "data"
            raise DataValueError(
                f"{name!r} has {len(values)} entries but {of} has {len(table)} rows; expected one "
                "label or weight for each row"
            )


def _column(table: pd.DataFrame, name: str, what: str) -> Any:
    try:
        return table_column(table, name)
    except KeyError:
        raise NameNotFoundError(
            f"{what} {name!r} is not a column of data" + suggest(name, map(str, table.columns))
        ) from None


def _weights(weights: Any, table: pd.DataFrame) -> np.ndarray | None:
    if weights is None:
        return None
    if isinstance(weights, str):
        return as_column(_column(table, weights, "weights="), weights, "weights")
    return as_column(weights, "weights", "weights")


def _rows(values: Any, keep: np.ndarray | None) -> Any:
    if keep is None:
        return values
    return values[keep] if hasattr(values, "dtype") else np.asarray(values, dtype=object)[keep]

"""From a formula and a data frame to a Design."""

from __future__ import annotations

import re
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
    suggest,
)
from .alignment import check_alignment, in_subset, is_labelled
from .columns import Column, as_column
from .components import Components, VCSpec, from_spec, indicator, join, one_column
from .design import Design, RandomTerm, check
from .evaluate import Evaluator
from .formula import Bar, MixedFormula, parse_formula, parse_terms
from .group_argument import GROUP, column_of, name_of
from .groups import Grouping, code_groups, interaction, missing_labels

_FACTOR = re.compile(r"^~?\s*0\s*\+\s*C\(\s*([^\W\d]\w*)\s*\)\s*(?::\s*([^\W\d]\w*)\s*)?$")
_WORD = re.compile(r"[^\W\d]\w*|Q\(\s*(?:\"[^\"]+\"|'[^']+')\s*\)")


def check_missing(missing: str) -> bool:
    """Return whether rows with missing values are to be dropped."""
    if missing not in ("none", "drop", "raise"):
        raise OptionError(
            f"missing={missing!r} is not known; expected 'none' or 'raise' (missing values are an "
            "error) or 'drop' (their rows are left out)"
        )
    return missing == "drop"


def from_formula(
    formula: str,
    data: Any,
    groups: Any = None,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    weights: Any = None,
    missing: str = "none",
    subset: Any = None,
    frame: FrameType | None = None,
) -> Design:
    """Build the design of a formula, with bars or with groups, re_formula and vc_formula.

    Parameters
    ----------
    frame : frame of the caller, whose variables formulas may use beside the columns of data.
    """
    drop = check_missing(missing)
    if not isinstance(formula, str):
        raise FormulaError(
            f"the formula is a {type(formula).__name__}; expected text such as 'y ~ x + (1 | g)'"
        )
    parsed = parse_formula(formula)
    table = as_frame(data)
    if subset is not None:
        whole = table.index
        try:
            subset = subset(table) if callable(subset) else subset
            positions = pd.Series(np.arange(len(whole)), whole).loc[subset].to_numpy()
            table = table.loc[subset]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as exc:
            raise DataValueError(
                f"subset={subset!r} picks no rows of data ({type(exc).__name__}: {exc}); expected labels of "
                f"its index, or True or False for each of its {len(table)} rows"
            ) from exc
        groups, weights = (in_subset(v, whole, positions) for v in (groups, weights))
    groups = column_of(groups, table)
    rows = [("data", table)] if is_labelled(data) else []
    check_alignment([*rows, ("groups", groups), ("weights", weights)])
    bars = _bars(parsed, groups, re_formula, vc_formula)
    given = _group_variables(parsed, bars, groups, table)
    w = _weights(weights, table)
    labels = [pair for factor in given for pair in factor]
    _check_lengths([*labels, ("weights", w)], table, subset is not None)
    n_rows = len(table)
    if drop:
        keep = _complete_frame(parsed, bars, vc_formula, table, labels, w)
        if keep is not None:
            table = table.loc[keep]
            given = [[(name, _rows(v, keep)) for name, v in factor] for factor in given]
            w = None if w is None else w[keep]
    groupings = [
        replace(_grouping(factor), variables=variables)
        for factor, variables in zip(given, _variables(parsed, given, groups))
    ]
    grouping = groupings[0]
    place = {bar.group: i for i, bar in enumerate({b.group: b for b in bars}.values())}
    env = Evaluator(frame, table)
    y, endog_name, fixed, fixed_names, info = env.fixed_part(parsed)
    random: list[Column] = []
    terms: list[RandomTerm] = []
    for bar in bars:
        columns, names, rebuilds = env.columns(bar.terms, "random effects")
        if not columns:
            raise FormulaError(
                f"the random term ({bar.terms.text} | {groupings[place[bar.group]].name}) has no "
                "columns; write (1 | g) for a random intercept, (0 + x | g) for a slope alone"
            )
        random.extend(columns)
        factor = groupings[place[bar.group]]
        names = tuple(factor.name if x == "Intercept" else x for x in names)
        terms.append(RandomTerm(names, bar.covariance, rebuilds, place[bar.group]))
    components = components_of(vc_formula, table, grouping, env) if vc_formula else None
    offset, offset_info = None, ()
    if parsed.offsets:
        found = [env.number(f"I({text})", "the offset") for text in parsed.offsets]
        offset = np.sum([values for values, _ in found], axis=0)
        offset_info = tuple(info for _, info in found)
        y = y - offset
    return check(
        Design(
            y,
            endog_name,
            fixed,
            fixed_names,
            grouping,
            tuple(terms),
            tuple(random),
            components=components,
            weights=w,
            row_labels=table.index,
            table=table,
            fixed_info=info,
            n_dropped=n_rows - len(table),
            others=tuple(groupings[1:]),
            offset=offset,
            offset_info=offset_info,
            component_info=dict(vc_formula) if vc_formula else None,
        )
    )


def as_frame(data: Any) -> pd.DataFrame:
    """Return data as a pandas frame: frames, mappings, and what has ``to_pandas`` or ``df``."""
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
                f"data is not a table: {exc}; expected columns of one length"
            ) from exc
    raise DataTypeError(
        f"data is a {type(data).__name__}; expected a data frame or a mapping of columns"
    )


def _bars(
    parsed: MixedFormula,
    groups: Any,
    re_formula: str | None,
    vc_formula: Mapping[str, str] | None,
) -> tuple[Bar, ...]:
    """Return the random terms of either spelling."""
    if parsed.bars:
        if groups is not None or re_formula is not None:
            raise FormulaError(
                "the formula has random terms in bars and groups= or re_formula= was given too; "
                "use one of the two spellings"
            )
        return parsed.bars
    if groups is None:
        raise FormulaError(
            "no groups: write a random term such as (1 | g) into the formula or give "
            "groups='g' (a column of data or an array)"
        )
    if re_formula is None:
        return () if vc_formula else (Bar(parse_terms("1"), ()),)
    return (Bar(parse_terms(re_formula), ()),)


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
    parsed: MixedFormula, given: Sequence[Sequence[tuple[str, Any]]], groups: Any
) -> list[tuple[str, ...]]:
    """Return for each factor the columns of a table that say the levels of new rows."""
    if parsed.bars:
        return [tuple(name for name, _ in factor) for factor in given]
    name = name_of(groups)
    return [() if name is None else (name,)]


def _grouping(variables: Sequence[tuple[str, Any]]) -> Grouping:
    factors = [code_groups(values, name) for name, values in variables]
    return factors[0] if len(factors) == 1 else interaction(factors)


def _check_lengths(given: Sequence[tuple[str, Any]], table: pd.DataFrame, subset: bool) -> None:
    for name, values in given:
        if values is not None and len(values) != len(table):
            of = "the subset of data" if subset else "data"
            raise DataValueError(
                f"{name!r} has {len(values)} entries but {of} has {len(table)} rows; expected one "
                "label or weight for each row"
            )


def _column(table: pd.DataFrame, name: str, what: str) -> pd.Series:
    if name not in table.columns:
        raise NameNotFoundError(
            f"{what} {name!r} is no column of data" + suggest(name, map(str, table.columns))
        )
    return table[name]


def _weights(weights: Any, table: pd.DataFrame) -> np.ndarray | None:
    if weights is None:
        return None
    if isinstance(weights, str):
        return as_column(_column(table, weights, "weights="), weights, "weights")
    return as_column(weights, "weights", "weights")


def components_of(
    vc_formula: Mapping[str, str], table: pd.DataFrame, grouping: Grouping, env: Evaluator
) -> Components:
    """Return the variance components of a table by their formulas, each evaluated group by group."""
    if not isinstance(vc_formula, Mapping):
        raise DataTypeError(
            f"vc_formula is a {type(vc_formula).__name__}; expected {{name: formula}}, such as "
            "{'cask': '0 + C(cask)'}"
        )
    parts = []
    for j, name in enumerate(sorted(vc_formula)):
        text = vc_formula[name]
        simple = _simple_component(j, text, table, env)
        if simple is not None:
            parts.append(_renamed(simple, name))
            continue
        order = np.argsort(grouping.codes, kind="stable")
        ends = np.cumsum(np.bincount(grouping.codes, minlength=grouping.n_levels))
        rows = np.split(order, ends[:-1])
        built = [env.by_group(text, table.iloc[r], name) for r in rows]
        spec = VCSpec([name], [[names for _, names in built]], [[m for m, _ in built]])
        part = from_spec(spec, grouping)
        assert part is not None
        labels = tuple((j, label) for _, label in part.labels)
        parts.append(Components(part.names, part.indptr, part.columns, part.values, labels))
    return join(parts)


def _simple_component(j: int, text: str, table: pd.DataFrame, env: Evaluator) -> Components | None:
    """Return an indicator per level or one numeric column; None when patsy has to look at it."""
    factor = _FACTOR.match(text)
    if factor:
        name = factor[1]
    else:
        terms = parse_terms(text)
        if terms.plain is None or terms.intercept or len(terms.plain) != 1:
            return None
        (name,) = terms.plain
    if name not in table.columns or missing_labels(table[name]).any():
        return None
    if factor and factor[2] is not None:  # C(f):x
        slope = env.plain(factor[2])
        if slope is None:
            return None
        part = indicator(j, f"C({name})", code_groups(table[name], name))
        labels = tuple((j, f"{label}:{factor[2]}") for _, label in part.labels)
        return replace(part, values=np.asarray(slope, dtype=np.float64), labels=labels)
    values = None if factor else env.plain(name)
    if values is not None:
        return one_column(j, name, values)
    prefix = f"C({name})" if factor else name
    return indicator(j, prefix, code_groups(table[name], name))


def _renamed(part: Components, name: str) -> Components:
    return Components((name,), part.indptr, part.columns, part.values, part.labels)


def _complete_frame(
    parsed: MixedFormula,
    bars: Sequence[Bar],
    vc_formula: Mapping[str, str] | None,
    table: pd.DataFrame,
    labels: Sequence[tuple[str, Any]],
    weights: np.ndarray | None,
) -> np.ndarray | None:
    """Return a mask of the rows where no variable of the model is missing, None if all are."""
    texts = [parsed.response, parsed.fixed.text, *(b.terms.text for b in bars), *parsed.offsets]
    texts += list((vc_formula or {}).values())
    known = set(map(str, table.columns))
    used = {word[3:-1].strip()[:-1] if word.startswith("Q(") else word
            for text in texts for word in _WORD.findall(text)}  # fmt: skip
    used = {word.lstrip("\"'") for word in used} & known
    values: list[Any] = [table[name] for name in used]
    masks = [missing_labels(v) for _, v in labels]
    return _complete_rows([*values, weights], np.logical_or.reduce(masks), len(table))


def _complete_rows(columns: Sequence[Any], missing: np.ndarray, n: int) -> np.ndarray | None:
    bad = missing.copy()
    for column in columns:
        if column is not None and len(column) == len(bad):
            bad |= missing_labels(column)
    return None if not bad.any() else ~bad


def _rows(values: Any, keep: np.ndarray | None) -> Any:
    if keep is None:
        return values
    return values[keep] if hasattr(values, "dtype") else np.asarray(values, dtype=object)[keep]

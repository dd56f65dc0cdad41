"""Variance components by formulas: ``vc_formula={name: formula}``, evaluated inside groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataTypeError, NameNotFoundError, suggest
from .columns import stack
from .components import Components, VCSpec, from_spec, indicator, join, one_column
from .encoding import Encoding
from .evaluate import Evaluator
from .groups import Grouping, code_groups
from .terms import Terms


@dataclass(frozen=True, eq=False)
class ComponentFormula:
    """The formula of one component, and what new rows need.

    Attributes
    ----------
    name : str
    terms : Terms
    encodings : mapping or None
        Label of a group → its encoding, because each group has its own columns; None
        if the component is a single column or an indicator of levels.
    """

    name: str
    terms: Terms
    encodings: Mapping[Any, Encoding] | None = None


def check_formulas(vc_formula: Any) -> Mapping[str, str]:
    """Return the formulas in the order of the components' names."""
    if not isinstance(vc_formula, Mapping):
        raise DataTypeError(
            f"vc_formula is a {type(vc_formula).__name__}; expected {{name: formula}}, such as "
            "{'cask': '0 + C(cask)'}"
        )
    return {name: vc_formula[name] for name in sorted(vc_formula)}


def components_of(
    formulas: Mapping[str, Terms], grouping: Grouping, env: Evaluator
) -> tuple[Components | None, tuple[ComponentFormula, ...]]:
    """Return the components of the rows used, None without formulas, and what new rows need."""
    if not formulas:
        return None, ()
    parts, kept = [], []
    table: pd.DataFrame | None = None
    for j, (name, terms) in enumerate(formulas.items()):
        simple = _simple(terms, env)
        if simple is not None:
            parts.append(_simple_part(j, name, simple, env))
            kept.append(ComponentFormula(name, terms))
            continue
        table = _rows_used(env) if table is None else table
        encodings, mats, names = {}, [], []
        for label, rows in _rows_of_groups(grouping):
            inside = Evaluator(env.frame, table.iloc[rows], all_levels=True)
            columns, found, encoding = inside.encoded(terms, f"variance component {name!r}:")
            encodings[label] = encoding
            mats.append(stack(columns, len(rows)))
            names.append(list(found))
        parts.append(_joined(j, name, mats, names, grouping))
        kept.append(ComponentFormula(name, terms, encodings))
    return join(parts), tuple(kept)


def components_of_new_rows(
    formulas: tuple[ComponentFormula, ...], table: pd.DataFrame, grouping: Grouping,
    known: Mapping[Any, Any], unknown: str,
) -> Components:  # fmt: skip
    """Return the components of new rows.

    Parameters
    ----------
    grouping : Grouping
        Of the new rows.
    known : mapping
        Label of the new rows → label of the model, for the groups that the model knows.
    unknown : {"error", "zero"}
        What to do with a level that the group does not have in the model.
    """
    parts = []
    env = Evaluator(None, table)
    for j, formula in enumerate(formulas):
        if formula.encodings is None:
            simple = _simple(formula.terms, env)
            if simple is None:
                names = [n for n in _names(formula.terms) if n not in table.columns]
                raise NameNotFoundError(
                    f"the new rows have no column {names[0]!r}, which the variance component "
                    f"{formula.name!r} needs" + suggest(names[0], map(str, table.columns))
                )
            parts.append(_simple_part(j, formula.name, simple, env))
            continue
        mats: list[np.ndarray] = []
        columns: list[list[str]] = []
        for label, rows in _rows_of_groups(grouping):
            encoding = formula.encodings.get(known.get(label))
            if encoding is None:
                mats.append(np.zeros((len(rows), 0)))
                columns.append([])
                continue
            mats.append(stack(encoding.apply(table.iloc[rows], unknown), len(rows)))
            columns.append(list(encoding.names))
        parts.append(_joined(j, formula.name, mats, columns, grouping))
    return join(parts)


def variables_of(
    formulas: Mapping[str, Terms], env: Evaluator
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, Any]]]:
    """Return what can be missing: code and component by the variables' names, and columns."""
    expressions: dict[str, tuple[str, str]] = {}
    columns: list[tuple[str, Any]] = []
    for name, terms in formulas.items():
        simple = _simple(terms, env)
        if simple is None:
            codes = env.codes(terms, f"variance component {name!r}:")
            what = f"the variance component {name!r}: {terms.written!r}"
            expressions |= {x: (code, what) for x, code in codes.items()}
        else:
            columns += [(x, env.table[x]) for x in simple[:2] if x is not None]
    return expressions, columns


def _names(terms: Terms) -> list[str]:
    names = terms.plain or () if terms.indicator is None else terms.indicator[1:]
    return [name for name in names if name]


def _simple(terms: Terms, env: Evaluator) -> tuple[str, str | None, str] | None:
    """Return variable, slope and prefix of an indicator or of one column; None for any other formula."""
    slope = None
    if terms.indicator is not None:
        function, name, slope_name = terms.indicator
        slope, prefix = slope_name or None, f"{function}({name})"
    elif terms.plain is None or terms.intercept or len(terms.plain) != 1:
        return None
    else:
        (name,) = terms.plain
        prefix = name
    if name not in env.table.columns or (slope is not None and env.plain(slope) is None):
        return None
    return name, slope, prefix


def _simple_part(
    j: int, component: str, simple: tuple[str, str | None, str], env: Evaluator
) -> Components:
    name, slope, prefix = simple
    values = env.plain(name) if prefix == name else None
    if values is not None:
        part = one_column(j, name, values)
    else:
        column = env.table[name]
        column = column if env.keep is None else column[env.keep]
        part = indicator(j, prefix, code_groups(column, name))
    if slope is not None:  # C(f):x
        labels = tuple((j, f"{label}:{slope}") for _, label in part.labels)
        part = replace(part, values=np.asarray(env.plain(slope), np.float64), labels=labels)
    return replace(part, names=(component,))


def _joined(
    j: int, name: str, mats: list[np.ndarray], names: list[list[str]], grouping: Grouping
) -> Components:
    part = from_spec(VCSpec([name], [names], [mats]), grouping)
    assert part is not None
    return replace(part, labels=tuple((j, label) for _, label in part.labels))


def _rows_of_groups(grouping: Grouping) -> Iterator[tuple[Any, np.ndarray]]:
    """Return the label and the rows of each group."""
    order = np.argsort(grouping.codes, kind="stable")
    ends = np.cumsum(np.bincount(grouping.codes, minlength=grouping.n_levels))
    return zip(grouping.factor.keys, np.split(order, ends[:-1]))


def _rows_used(env: Evaluator) -> pd.DataFrame:
    """Return the rows that a model uses, without categories that have none of them."""
    table = env.table if env.keep is None else env.table[env.keep]
    unused = {}
    for name in table.columns:
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            unused[name] = table[name].cat.remove_unused_categories()
    return table.assign(**unused) if unused else table

"""Rows with missing values: which they are, and which variables are at fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError
from .component_formulas import variables_of
from .evaluate import Evaluator
from .formula import Bar, MixedFormula
from .groups import missing_labels
from .terms import Terms
from .variables import Categories


@dataclass(frozen=True, eq=False)
class Missing:
    """What is missing in a table.

    Attributes
    ----------
    keep : bool array (n,)
        The rows where nothing is missing.
    counts : mapping of str to int
        The variables at fault, and in how many rows each is missing.
    """

    keep: np.ndarray
    counts: Mapping[str, int]


def find_missing(
    parsed: MixedFormula, bars: Sequence[Bar], formulas: Mapping[str, Terms],
    columns: Sequence[tuple[str, Any]], env: Evaluator,
) -> Missing:  # fmt: skip
    """Look for missing values in all that a model takes from a table.

    Raises
    ------
    DataValueError
        There is no row without.
    """
    columns = list(columns)
    expressions: dict[str, tuple[str, str]] = {}
    for terms, what in (
        (parsed.fixed, "fixed effects"),
        *((b.terms, "random effects") for b in bars),
    ):
        plain = [] if terms.plain is None else [(x, env.plain(x)) for x in terms.plain]
        if terms.plain is not None and all(v is not None for _, v in plain):
            columns += plain
        else:
            for x, code in env.codes(terms, what).items():
                expressions[x] = code, f"the {what} {terms.written!r}"
    name = parsed.response_name
    if name is not None and name in env.table.columns:
        columns.append((name, env.table[name]))
    else:
        text = parsed.response.written
        expressions[text] = parsed.response.text, f"the response {text!r}"
    expressions |= {x.written: (x.text, f"the offset {x.written!r}") for x in parsed.offsets}
    more, found = variables_of(formulas, env)
    missing = _look(env, expressions | more, [*columns, *found])
    if len(missing.keep) and not missing.keep.any():
        at_fault = ", ".join(f"{name} in {n}" for name, n in missing.counts.items())
        raise DataValueError(
            f"there are no rows after {len(missing.keep)} with missing values were dropped (missing: "
            f"{at_fault}); expected some rows without missing values in any variable of the model"
        )
    return missing


def _look(
    env: Evaluator, expressions: Mapping[str, tuple[str, str]], columns: Iterable[tuple[str, Any]]
) -> Missing:
    """Look for missing values in expressions, as they are once evaluated, and in columns.

    Parameters
    ----------
    env : Evaluator
        Of all rows.
    expressions : mapping of str to (str, str)
        Name of a variable → its code, and the part of the formula that it belongs to.
    columns : iterable of (name, values)
    """
    n = len(env.table)
    masks: dict[str, np.ndarray] = {}

    def note(name: str, mask: np.ndarray) -> None:
        if mask.any():
            masks[name] = mask | masks[name] if name in masks else mask

    for name, values in columns:
        if len(values) == n:
            note(name, missing_labels(values))
    for variable, (code, what) in expressions.items():
        values, expression = env.all_rows(code, what, variable)
        if isinstance(values, Categories):
            mask = values.codes < 0
        elif values.dtype.kind == "f":
            mask = np.isnan(values).reshape(n, -1).any(axis=1)
        else:
            continue
        rest = mask.copy()
        for name in expression.columns if mask.any() else ():
            if name in env.table.columns:
                at_fault = mask & np.asarray(pd.isna(env.table[name]))
                note(name, at_fault)
                rest &= ~at_fault
        note(variable, rest)
    keep = ~np.logical_or.reduce(list(masks.values())) if masks else np.ones(n, dtype=bool)
    return Missing(keep, {name: int(mask.sum()) for name, mask in masks.items()})

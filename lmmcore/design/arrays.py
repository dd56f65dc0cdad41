"""From arrays, Series and frames to a Design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataTypeError, DataValueError
from .alignment import check_alignment
from .build import check_missing
from .columns import Column, as_column, matrix_columns
from .components import VCSpec, from_spec
from .design import Design, RandomTerm, check
from .group_argument import GROUP, column_named, name_of
from .groups import code_groups, missing_labels, one_label_per_row


def from_arrays(
    endog: Any,
    exog: Any,
    groups: Any,
    exog_re: Any = None,
    exog_vc: VCSpec | Mapping[str, Any] | None = None,
    weights: Any = None,
    missing: str = "none",
    scale: float | None = None,
) -> Design:
    """Build the design of ``MixedLM(endog, exog, groups, exog_re, exog_vc)``; `scale` is a held σ².

    Raises
    ------
    DataValueError
        Series and frames with different indexes, different numbers of rows, missing values.
    """
    drop = check_missing(missing)
    given = {"endog": endog, "exog": exog, "groups": groups, "exog_re": exog_re, "weights": weights}
    check_alignment(given.items())
    if groups is None:
        raise DataTypeError("groups is None; expected a label for each row")
    endog_name = name_of(endog) or "y"
    y = as_column(endog, endog_name, "endog")
    fixed: tuple[Column, ...] = ()
    fixed_names: tuple[str, ...] = ()
    if exog is not None:
        fixed, fixed_names = matrix_columns(exog, None, "x", "exog")
        if not isinstance(exog, (pd.DataFrame, pd.Series)):
            fixed_names = _name_constant(fixed, fixed_names)
    group_name, column = name_of(groups), column_named(groups, exog)
    random, terms = _random(exog_re, exog_vc, group_name or GROUP)
    w = None
    if weights is not None:
        w = as_column(weights, name_of(weights) or "weights", "weights")
    groups = one_label_per_row(groups, group_name or GROUP)
    _check_length(y, endog_name, groups)
    kept = _complete_rows([y, *fixed, *random, w], groups) if drop else None
    groups = groups if kept is None else groups[kept]
    grouping = code_groups(groups, group_name or GROUP, column)
    index = _index_of(endog, exog)
    design = Design(
        y, endog_name, fixed, fixed_names, grouping, terms, random,
        weights=w, row_labels=index, labeled=index is not None, scale=scale,
    )  # fmt: skip
    if kept is not None:
        design = _take(design, kept)
    if not _is_empty(exog_vc):
        assert exog_vc is not None
        labels = _index_of(*given.values())
        components = None if kept is not None else from_spec(exog_vc, grouping, labels)
        if kept is not None or (drop and components and np.isnan(components.values).any()):
            raise DataValueError(
                "missing='drop' cannot drop rows of exog_vc; leave out the rows with missing values "
                "before building exog_vc, or use vc_formula"
            )
        design = replace(design, components=components)
    return check(design)


def _index_of(*given: Any) -> pd.Index | None:
    """Return the index of the first argument that has one."""
    return next((a.index for a in given if isinstance(a, (pd.Series, pd.DataFrame))), None)


def _is_empty(exog_vc: Any) -> bool:
    if exog_vc is None:
        return True
    return not (len(exog_vc) if isinstance(exog_vc, Mapping) else getattr(exog_vc, "names", True))


def _random(
    exog_re: Any, exog_vc: Any, group_name: str
) -> tuple[tuple[Column, ...], tuple[RandomTerm, ...]]:
    """Return the columns of Z and their term: by default a random intercept."""
    if exog_re is not None:
        random, names = matrix_columns(exog_re, None, "x_re", "exog_re")
        return random, (RandomTerm(names),) if random else ()
    if _is_empty(exog_vc):
        return (None,), (RandomTerm((group_name,)),)
    return (), ()


def _check_length(y: np.ndarray, name: str, groups: Any) -> None:
    """Refuse groups of another length before rows are counted; the design checks all else."""
    if len(groups) != len(y):
        raise DataValueError(
            f"endog {name!r} has {len(y)} rows but groups has {len(groups)}; expected the same number of "
            "rows everywhere"
        )


def _complete_rows(columns: Sequence[Column], groups: Any) -> np.ndarray | None:
    """Return a mask of the rows where nothing is missing, None if all are complete."""
    bad = missing_labels(groups)
    for column in columns:
        if column is not None and len(column) == len(bad):
            bad = bad | missing_labels(column)
    return ~bad if bad.any() else None


def _take(design: Design, keep: np.ndarray) -> Design:
    def rows(columns: Sequence[Column]) -> tuple[Column, ...]:
        return tuple(None if c is None else c[keep] for c in columns)

    return replace(
        design,
        endog=design.endog[keep],
        fixed=rows(design.fixed),
        random=rows(design.random),
        weights=None if design.weights is None else design.weights[keep],
        row_labels=None if design.row_labels is None else design.row_labels[keep],
        n_dropped=int((~keep).sum()),
        rows=np.flatnonzero(keep),
    )


def _name_constant(columns: Sequence[Column], names: tuple[str, ...]) -> tuple[str, ...]:
    """Name an array's first column "const" when it is constant, as statsmodels does."""
    first = columns[0] if columns else None
    if first is None or len(first) == 0 or first[0] == 0 or not bool(np.all(first == first[0])):
        return names
    return ("const", *(f"x{j + 1}" for j in range(len(columns) - 1)))

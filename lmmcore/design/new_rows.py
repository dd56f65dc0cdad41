"""The columns of new rows, made by a spec as those of the model were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError, NameNotFoundError, OptionError, suggest
from .build import as_frame
from .columns import matrix_columns, stack
from .evaluate import rebuild
from .groups import GroupingFactor, one_label_per_row
from .spec import ModelSpec


def fixed_columns(spec: ModelSpec, exog: Any) -> np.ndarray:
    """Return the kept columns of X (m, k_fe): a frame through the formula, an array as it is."""
    info = spec.fixed_info
    if info is not None and not isinstance(exog, np.ndarray):
        return rebuild(info, as_frame(exog))[:, spec.built]
    if isinstance(exog, pd.DataFrame):
        names = [str(name) for name in exog.columns]
        if set(spec.exog_names) <= set(names):
            exog = exog.iloc[:, [names.index(name) for name in spec.exog_names]]
    columns, _ = matrix_columns(exog, None, "x", "exog")
    if len(columns) != spec.k_fe and len(columns) == spec.n_given:
        # those of columns left out are among them
        columns = tuple(columns[j] for j in spec.built)
    if len(columns) != spec.k_fe:
        all_of = f", or all {spec.n_given} that were given" if spec.n_given > spec.k_fe else ""
        raise DataValueError(
            f"exog has {len(columns)} columns; expected {spec.k_fe}: "
            f"{', '.join(spec.exog_names)}{all_of}"
        )
    return stack(columns, len(columns[0]))


def offset_of(spec: ModelSpec, exog: Any) -> np.ndarray | float:
    """Return the offset (m,), zero for a model without one."""
    if not spec.offset_info:
        return 0.0
    table = as_frame(exog)
    parts = [variable.values(table, "error") for variable in spec.offset_info]
    total: np.ndarray = np.sum(parts, axis=0)
    return total


def random_columns(
    spec: ModelSpec, frame: pd.DataFrame | None, exog_re: Any, n: int, terms: frozenset[int]
) -> dict[int, np.ndarray]:
    """Return the columns of Z (m, k) of each chosen bar."""
    chosen = {t: spec.terms[t] for t in sorted(terms) if t < len(spec.terms)}
    if not chosen:
        return {}
    if exog_re is not None:
        columns, _ = matrix_columns(exog_re, None, "x_re", "exog_re")
        if len(columns) != spec.layout.k_re or len(columns[0]) != n:
            raise DataValueError(
                f"exog_re has {len(columns)} columns; expected {spec.layout.k_re} "
                f"({', '.join(spec.layout.coefficient_names)}) for {n} rows"
            )
        starts = np.cumsum([0, *(len(term.names) for term in spec.terms)])
        z = stack(columns, n)
        return {t: z[:, starts[t] : starts[t + 1]] for t in chosen}
    if frame is not None and all(term.info is not None for term in chosen.values()):
        built = {t: rebuild(term.info, frame) for t, term in chosen.items()}
        return {
            t: z if chosen[t].built is None else z[:, chosen[t].built] for t, z in built.items()
        }
    if all(spec.constant[t] for t in chosen):
        return {t: np.ones((n, len(term.names))) for t, term in chosen.items()}
    raise OptionError(
        "the columns of the random effects of the new rows are not given; give exog_re=, an array with the "
        f"columns {', '.join(spec.layout.coefficient_names)}"
    )


def labels_of_rows(
    spec: ModelSpec, f: int, frame: pd.DataFrame | None, groups: Any, n: int
) -> list[tuple[str, Any]]:
    """Return the variables whose combinations are the levels of one factor."""
    known = spec.factors[f]
    given = _given(groups, spec, known)
    if given is not None:
        if isinstance(given, str) and frame is not None and given in frame.columns:
            given = frame[given]
        labels = one_label_per_row(given, known.name)
        if len(labels) != n:
            raise DataValueError(
                f"groups has {len(labels)} labels for {n} rows; expected one for each row"
            )
        return [(known.name, labels)]
    if frame is None or not known.variables:
        why = "" if frame is None else f" (the model's groups were an array, {known.name!r})"
        raise OptionError(
            f"the groups of the new rows are not given{why}; expected groups=, a label for each row"
        )
    for name in known.variables:
        if name not in frame.columns:
            raise NameNotFoundError(
                f"exog has no column {name!r}, the grouping factor of the model, and groups= was not given"
                + suggest(name, map(str, frame.columns))
            )
    return [(name, one_label_per_row(frame[name], name)) for name in known.variables]


def _given(groups: Any, spec: ModelSpec, known: GroupingFactor) -> Any:
    """Return what the argument `groups` says of one factor."""
    names = [g.name for g in spec.factors]
    if isinstance(groups, Mapping):
        unknown = [name for name in groups if name not in names]
        if unknown:
            raise OptionError(
                f"groups names {unknown[0]!r}, which is not a grouping factor of the model"
                f"{suggest(unknown[0], names)}"
            )
        return groups.get(known.name)
    if groups is not None and len(names) > 1:
        raise OptionError(
            f"the model has the grouping factors {', '.join(names)}; expected groups={{name: labels}}"
        )
    return groups

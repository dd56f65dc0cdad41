"""Prediction for new rows: X β̂, and with the random effects of known groups X β̂ + Z b̂."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .design.build import as_frame, components_of
from .design.columns import matrix_columns, stack
from .design.design import Design
from .design.evaluate import Evaluator, rebuild
from .design.groups import Grouping, code_groups, interaction
from .errors import DataValueError, NameNotFoundError, OptionError, counted, suggest

if TYPE_CHECKING:
    from .results import MixedLMResults


def offset_part(design: Design, exog: Any) -> np.ndarray | float:
    """Return the offset (m,) of new rows, zero for a model without one."""
    if not design.offset_info:
        return 0.0
    table = as_frame(exog)
    parts = [rebuild(info, table)[:, 0] for info in design.offset_info]
    total: np.ndarray = np.sum(parts, axis=0)
    return total


def random_part(
    results: MixedLMResults, exog: Any, groups: Any, exog_re: Any, new_groups: str
) -> np.ndarray:
    """Return Z b̂ (m,) for new rows; see ``MixedLMResults.predict``."""
    model, design = results.model, results.model.design
    if new_groups not in ("error", "zero"):
        raise OptionError(
            f"new_groups={new_groups!r}; expected 'error', or 'zero' (the prediction by the fixed effects "
            "for groups that the model does not know)"
        )
    frame = None if isinstance(exog, np.ndarray) else as_frame(exog)
    z = _columns(results, frame, exog_re, len(exog))
    out = np.zeros(len(z))
    for f, known in enumerate(design.groupings):  # one of them where there are components
        columns = [j for j, own in enumerate(model._factor_of_column) if own == f]
        given = _given(groups, design, known)
        grouping = _grouping_of_rows(known, frame, given)
        if len(grouping.codes) != len(z):
            raise DataValueError(
                f"groups has {len(grouping.codes)} labels for {len(z)} rows; expected one for each row"
            )
        at = _known_levels(known, grouping, new_groups)
        if design.components is not None:
            out += _component_part(results, frame, grouping, at, new_groups)
        if not columns:
            continue
        if results._crossed is None:
            means = results.random_effects_frame.to_numpy()
        else:
            means = results._crossed.factors[f].means
        effects = np.vstack([means, np.zeros(len(columns))])
        out += np.sum(z[:, columns] * effects[at][grouping.codes], axis=1)
    return out


def _component_part(
    results: MixedLMResults, frame: pd.DataFrame | None, grouping: Grouping, at: np.ndarray,
    new_groups: str,
) -> np.ndarray:  # fmt: skip
    """Return the variance components' part of Z b̂ (m,): effects are found by group and by name."""
    design = results.model.design
    if frame is None or design.component_info is None:
        raise OptionError(
            "random_effects=True needs the columns of the variance components of the new rows, which "
            "come from a frame through vc_formula; this model was given exog_vc, or exog is an array"
        )
    found = components_of(design.component_info, frame, grouping, Evaluator(None, frame))
    lengths = np.diff(found.indptr)
    rows = np.repeat(np.arange(len(grouping.codes)), lengths)
    names = [f"{found.names[t]}[{label}]" for t, label in found.labels]
    labels = [design.grouping.labels[level] if level >= 0 else None for level in at.tolist()]
    effects = results.random_effects
    out = np.zeros(len(grouping.codes))
    for row, column, value in zip(rows.tolist(), found.columns.tolist(), found.values.tolist()):
        label = labels[grouping.codes[row]]
        if value == 0.0 or label is None:
            continue
        effect = effects[_plain(label)].get(names[column])
        if effect is None and new_groups == "error":
            raise DataValueError(
                f"row {row} has the random effect {names[column]!r} of {design.grouping.name} = {label}, "
                "which the model does not know; expected one that was fitted. Use new_groups='zero' to "
                "predict without it"
            )
        out[row] += value * float(effect or 0.0)
    return out


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _given(groups: Any, design: Design, known: Grouping) -> Any:
    """Return what the argument `groups` says of one factor."""
    names = [g.name for g in design.groupings]
    if isinstance(groups, Mapping):
        unknown = [name for name in groups if name not in names]
        if unknown:
            raise OptionError(
                f"groups names {unknown[0]!r}, which is no grouping factor{suggest(unknown[0], names)}"
            )
        return groups.get(known.name)
    if groups is not None and len(names) > 1:
        raise OptionError(
            f"the model has the grouping factors {', '.join(names)}; expected groups={{name: labels}}"
        )
    return groups


def _grouping_of_rows(known: Grouping, frame: pd.DataFrame | None, given: Any) -> Grouping:
    """Return the levels of new rows."""
    if given is not None:
        if isinstance(given, str) and frame is not None and given in frame.columns:
            given = frame[given]
        return code_groups(given, known.name)
    if frame is None or not known.variables:
        why = "" if frame is None else f" (the model's groups were an array, {known.name!r})"
        raise OptionError(
            f"the groups of the new rows are not given: give groups=, a label for each row{why}"
        )
    for name in known.variables:
        if name not in frame.columns:
            raise NameNotFoundError(
                f"exog has no column {name!r}, the group of the model"
                + suggest(name, map(str, frame.columns))
            )
    factors = [code_groups(frame[name], name) for name in known.variables]
    return factors[0] if len(factors) == 1 else interaction(factors)


def _known_levels(known: Grouping, grouping: Grouping, new_groups: str) -> np.ndarray:
    """Return the level of the model for each level of the new rows, -1 where there is none."""
    at = pd.Index(known.labels).get_indexer(pd.Index(grouping.labels))
    if (at < 0).any() and new_groups == "error":
        number = int((at < 0).sum())
        unknown = [str(x) for x in np.asarray(grouping.labels)[at < 0][:3]]
        raise DataValueError(
            f"{counted(number, 'group')} of {known.name!r} {'is' if number == 1 else 'are'} not in the "
            f"model, such as {', '.join(unknown)}; expected groups that were fitted. Use "
            "new_groups='zero' to predict these by the fixed effects"
        )
    return at


def _columns(
    results: MixedLMResults, frame: pd.DataFrame | None, exog_re: Any, n: int
) -> np.ndarray:
    """Return Z (m, k_re) of new rows."""
    model, terms = results.model, results.model.design.terms
    if not terms:
        return np.zeros((n, 0))
    if exog_re is not None:
        columns, _ = matrix_columns(exog_re, None, "x_re", "exog_re")
        if len(columns) != model.k_re or len(columns[0]) != n:
            raise DataValueError(
                f"exog_re has {len(columns)} columns; expected {model.k_re} "
                f"({', '.join(model.exog_re_names)}) for {n} rows"
            )
        return stack(columns, n)
    if frame is not None and all(term.info is not None for term in terms):
        return np.column_stack([rebuild(term.info, frame) for term in terms])
    if all(column is None for column in model.design.random):
        return np.ones((n, model.k_re))
    raise OptionError(
        "the random effects' columns of the new rows are not given: give exog_re=, an array with the "
        f"columns {', '.join(model.exog_re_names)}"
    )

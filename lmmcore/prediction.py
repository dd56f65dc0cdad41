"""Prediction for new rows: X β̂, and with the random effects of known groups X β̂ + Z b̂."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .design.alignment import check_alignment
from .design.build import as_frame
from .design.columns import matrix_columns, stack
from .design.component_formulas import components_of_new_rows
from .design.design import Design
from .design.evaluate import rebuild
from .design.groups import (
    Grouping,
    code_groups,
    interaction,
    missing_labels,
    one_label_per_row,
)
from .design.levels import Levels, levels_of
from .errors import DataValueError, NameNotFoundError, OptionError, counted, suggest
from .random_effects import component_effects

if TYPE_CHECKING:
    from .results import MixedLMResults


def offset_part(design: Design, exog: Any) -> np.ndarray | float:
    """Return the offset (m,) of new rows, zero for a model without one."""
    if not design.offset_info:
        return 0.0
    table = as_frame(exog)
    parts = [variable.values(table, "error") for variable in design.offset_info]
    total: np.ndarray = np.sum(parts, axis=0)
    return total


def random_part(
    results: MixedLMResults, exog: Any, groups: Any, exog_re: Any, new_groups: str,
    terms: frozenset[int],
) -> np.ndarray:  # fmt: skip
    """Return Z b̂ (m,) of some terms for new rows; see ``MixedLMResults.predict``."""
    design = results.model.design
    if new_groups not in ("error", "zero"):
        raise OptionError(
            f"new_groups={new_groups!r}; expected 'error', or 'zero' (the prediction by the fixed effects "
            "for groups that the model does not know)"
        )
    by_name = groups.items() if isinstance(groups, Mapping) else [("", groups)]
    labels = [(f"groups[{name!r}]" if name else "groups", given) for name, given in by_name]
    check_alignment([("exog", exog), *labels, ("exog_re", exog_re)])
    frame = None if isinstance(exog, np.ndarray) else as_frame(exog)
    n = len(exog) if frame is None else len(frame)
    z = _columns(results, frame, exog_re, n, terms)
    components = terms - set(range(len(design.terms)))
    used = {design.terms[t].factor for t in terms - components} | ({0} if components else set())
    by_factor = {f: _labels_of_rows(design, f, frame, groups, n) for f in sorted(used)}
    keep = ~np.any([missing_labels(v) for pairs in by_factor.values() for _, v in pairs], axis=0)
    if not keep.all():
        out = np.full(n, np.nan)
        if keep.any():
            x, labels, re = (_rows(given, keep) for given in (exog, groups, exog_re))
            out[keep] = random_part(results, x, labels, re, new_groups, terms)
        return out
    out = np.zeros(n)
    for f, pairs in by_factor.items():
        known = design.groupings[f]
        mine = [t for t in z if design.terms[t].factor == f]
        factors = [code_groups(values, name) for name, values in pairs]
        grouping = factors[0] if len(factors) == 1 else interaction(factors)
        at = _known_levels(known, grouping, new_groups)
        if components:
            out += _component_part(results, frame, grouping, at, new_groups, components)
        if mine:
            effects = np.vstack([_means(results, f), np.zeros(_width(design, f))])
            columns = np.concatenate([_columns_within(design, t) for t in mine])
            values = np.column_stack([z[t] for t in mine])
            out += np.sum(values * effects[at][:, columns][grouping.codes], axis=1)
    return out


def _means(results: MixedLMResults, f: int) -> np.ndarray:
    """Return the BLUPs (q, k) of one factor's coefficients."""
    if results._crossed is not None:
        return results._crossed.factors[f].means
    return results._conditional.means(results.model.n_groups, results.k_re)


def _width(design: Design, f: int) -> int:
    return sum(len(term.names) for term in design.terms if term.factor == f)


def _columns_within(design: Design, t: int) -> np.ndarray:
    """Return where the columns of a term are among those of its factor."""
    before = [term for term in design.terms[:t] if term.factor == design.terms[t].factor]
    return sum(len(term.names) for term in before) + np.arange(len(design.terms[t].names))


def _component_part(
    results: MixedLMResults, frame: pd.DataFrame | None, grouping: Grouping, at: np.ndarray,
    new_groups: str, terms: frozenset[int],
) -> np.ndarray:  # fmt: skip
    """Return the variance components' part of Z b̂ (m,): effects are found by group and by name."""
    design = results.model.design
    if frame is None or not design.component_info:
        raise OptionError(
            "random_effects=True needs the columns of the variance components of the new rows, which "
            "come from a frame through vc_formula; this model was given exog_vc, or exog is an array"
        )
    own = design.grouping.keys
    known = {label: own[level] for label, level in zip(grouping.keys, at.tolist()) if level >= 0}
    left = () if design.components is None else design.components.names
    formulas = tuple(c for c in design.component_info if c.name in left)
    found = components_of_new_rows(formulas, frame, grouping, known, new_groups)
    rows = np.repeat(np.arange(len(grouping.codes)), np.diff(found.indptr))
    names = [_as_integer(f"{found.names[t]}[{label}]") for t, label in found.labels]
    chosen = [t + len(design.terms) in terms for t, _ in found.labels]
    effects = component_effects(results, _as_integer)
    out = np.zeros(len(grouping.codes))
    for row, column, value in zip(rows.tolist(), found.columns.tolist(), found.values.tolist()):
        level = int(at[grouping.codes[row]])
        if value == 0.0 or level < 0 or not chosen[column]:
            continue
        effect = effects.get((level, names[column]))
        if effect is None and new_groups == "error":
            raise DataValueError(
                f"row {row} has the random effect {names[column]!r} of {design.grouping.name} = "
                f"{design.grouping.labels[level]}, which the model does not know; expected one that was "
                "fitted. Use new_groups='zero' to predict without it"
            )
        out[row] += value * float(effect or 0.0)
    return out


def _as_integer(name: str) -> str:
    """Return the name of a column with levels such as 3.0 as 3: one column with a gap makes floats."""
    return re.sub(r"\[(T\.)?([-+]?\d+)\.0\]", r"[\1\2]", name)


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


def _rows(given: Any, keep: np.ndarray) -> Any:
    """Return some rows of an argument; of a mapping, of each of its columns."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (pd.Series, pd.DataFrame, np.ndarray, pd.api.extensions.ExtensionArray)):
        return given[keep]
    if isinstance(given, Mapping):
        return {name: _rows(values, keep) for name, values in given.items()}
    return as_frame(given)[keep] if hasattr(given, "columns") else np.asarray(given)[keep]


def _labels_of_rows(
    design: Design, f: int, frame: pd.DataFrame | None, groups: Any, n: int
) -> list[tuple[str, Any]]:
    """Return the variables whose combinations are the levels of new rows of one factor."""
    known = design.groupings[f]
    given = _given(groups, design, known)
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
            f"the groups of the new rows are not given: give groups=, a label for each row{why}"
        )
    for name in known.variables:
        if name not in frame.columns:
            raise NameNotFoundError(
                f"exog has no column {name!r}, the group of the model, and groups= was not given"
                + suggest(name, map(str, frame.columns))
            )
    return [(name, one_label_per_row(frame[name], name)) for name in known.variables]


def _known_levels(known: Grouping, grouping: Grouping, new_groups: str) -> np.ndarray:
    """Return the level of the model for each level of the new rows, -1 where there is none."""
    at = levels_of(known, grouping)
    if (at < 0).any() and new_groups == "error":
        number = int((at < 0).sum())
        labels = np.asarray(grouping.labels)[at < 0]
        unknown = [str(x) for x in labels[:3]]
        types = Levels(known.labels, known.name).types(labels)
        raise DataValueError(
            f"{counted(number, 'group')} of {known.name!r} {'is' if number == 1 else 'are'} not in the "
            f"model, such as {', '.join(unknown)}{types}; expected groups that were fitted. Use "
            "new_groups='zero' to predict these by the fixed effects"
        )
    return at


def _columns(
    results: MixedLMResults, frame: pd.DataFrame | None, exog_re: Any, n: int, terms: frozenset[int]
) -> dict[int, np.ndarray]:
    """Return the columns of Z (m, k) of each chosen term of new rows."""
    model, design = results.model, results.model.design
    chosen = {t: design.terms[t] for t in sorted(terms) if t < len(design.terms)}
    if not chosen:
        return {}
    if exog_re is not None:
        columns, _ = matrix_columns(exog_re, None, "x_re", "exog_re")
        if len(columns) != model.k_re or len(columns[0]) != n:
            raise DataValueError(
                f"exog_re has {len(columns)} columns; expected {model.k_re} "
                f"({', '.join(model.exog_re_names)}) for {n} rows"
            )
        starts = np.cumsum([0, *(len(term.names) for term in design.terms)])
        z = stack(columns, n)
        return {t: z[:, starts[t] : starts[t + 1]] for t in chosen}
    if frame is not None and all(term.info is not None for term in chosen.values()):
        built = {t: rebuild(term.info, frame) for t, term in chosen.items()}
        return {
            t: z if chosen[t].built is None else z[:, chosen[t].built] for t, z in built.items()
        }
    if all(column is None for t in chosen for column in design.columns_of(t)):
        return {t: np.ones((n, len(term.names))) for t, term in chosen.items()}
    raise OptionError(
        "the random effects' columns of the new rows are not given: give exog_re=, an array with the "
        f"columns {', '.join(model.exog_re_names)}"
    )

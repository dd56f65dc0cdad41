"""Prediction for new rows: X β̂, or X β̂ + Z b̂ with the random effects of known groups."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .arguments import generator, numbers
from .design.alignment import check_alignment
from .design.build import as_frame
from .design.columns import stack
from .design.component_formulas import components_of_new_rows
from .design.groups import Grouping, GroupingFactor, code_groups, interaction, missing_labels
from .design.levels import Levels, levels_of
from .design.new_rows import fixed_columns, labels_of_rows, offset_of, random_columns
from .design.spec import ModelSpec
from .errors import DataValueError, OptionError, counted
from .inference.choice import Choice, choice_of
from .linalg.matrices import semidefinite_cholesky
from .params import has_parameters
from .prediction_errors import Located, covariance_of_factor, interval_frame
from .random_effects import (
    component_effects,
    crossed_effects_of,
    independent_effects,
    random_effects_of,
)
from .random_effects_by_name import chosen_terms

Series = pd.Series | np.ndarray


def linear_predictor(model: Any, params: Any, exog: Any = None) -> np.ndarray:
    """Return X β (m,) for the rows of the model, or for new rows.

    Parameters
    ----------
    params : MixedLMParams or array_like
        The first k_fe entries of an array are β.
    exog : DataFrame or array_like (m, k_fe), optional
        New rows: a frame with the variables of the formula, or an array with the columns
        of exog (those with a coefficient, or all that the model was given).
    """
    given = params.fe_params if has_parameters(params) else params
    beta = numbers(given, "params", "MixedLMParams, or a vector that begins with β")
    if beta.ndim != 1 or len(beta) < model.k_fe or not np.isfinite(beta[: model.k_fe]).all():
        raise DataValueError(
            f"params is {beta.tolist()!r}; expected {model.k_fe} finite fixed effects first: "
            f"{', '.join(model.exog_names)}"
        )
    x = model.exog if exog is None else fixed_columns(model.spec, exog)
    return x @ beta[: model.k_fe]


def random_part(
    results: Any, exog: Any, groups: Any, exog_re: Any, new_groups: str,
    terms: frozenset[int], rng: Any = None,
) -> tuple[np.ndarray, list[Located]]:  # fmt: skip
    """Return Z b̂ (m,) of some terms for new rows, and its levels; see ``MixedLMResults.predict``."""
    spec = results.model.spec
    if new_groups not in ("error", "zero", "draw"):
        raise OptionError(
            f"new_groups={new_groups!r}; expected 'error', 'zero' (random effects of zero for groups that "
            "the model does not know) or 'draw' (drawn ones)"
        )
    by_name = groups.items() if isinstance(groups, Mapping) else [("", groups)]
    labels = [(f"groups[{name!r}]" if name else "groups", given) for name, given in by_name]
    check_alignment([("exog", exog), *labels, ("exog_re", exog_re)])
    frame = None if isinstance(exog, np.ndarray) else as_frame(exog)
    n = len(exog) if frame is None else len(frame)
    z = random_columns(spec, frame, exog_re, n, terms)
    components = terms - set(range(len(spec.terms)))
    if components and new_groups == "draw":
        raise OptionError(
            "new_groups='draw' with variance components; expected 'zero', or a model whose components are "
            "written as bars, such as (1 | g:a)"
        )
    used = {spec.terms[t].factor for t in terms - components} | ({0} if components else set())
    by_factor = {f: labels_of_rows(spec, f, frame, groups, n) for f in sorted(used)}
    keep = ~np.any([missing_labels(v) for pairs in by_factor.values() for _, v in pairs], axis=0)
    if not keep.all():
        return _without_missing(
            results, (exog, groups, exog_re), new_groups, terms, rng, n, np.asarray(keep)
        )
    out, located = np.zeros(n), []
    for f, pairs in by_factor.items():
        known = spec.factors[f]
        mine = [t for t in z if spec.terms[t].factor == f]
        factors = [code_groups(values, name) for name, values in pairs]
        grouping = factors[0] if len(factors) == 1 else interaction(factors)
        at = _known_levels(known, grouping.factor, new_groups)
        if components:
            out += _component_part(results, frame, grouping, at, new_groups, components)
        if mine:
            fresh = np.zeros((1, _width(spec, f)))
            if new_groups == "draw" and (at < 0).any():
                fresh = _drawn(results.fit, f, int((at < 0).sum()), rng)
                at = np.where(at < 0, known.n_levels + np.cumsum(at < 0) - 1, at)
            effects = np.vstack([_means(results, f), fresh])
            columns = np.concatenate([_columns_within(spec, t) for t in mine])
            values = np.column_stack([z[t] for t in mine])
            out += np.sum(values * effects[at][:, columns][grouping.codes], axis=1)
            levels = np.where((at < 0) | (at >= known.n_levels), -1, at)[grouping.codes]
            located.append(Located(f, levels, columns, values))
    return out, located


def _without_missing(
    results: Any, given: tuple[Any, Any, Any], new_groups: str, terms: frozenset[int], rng: Any,
    n: int, keep: np.ndarray,
) -> tuple[np.ndarray, list[Located]]:  # fmt: skip
    """Return the random part where some labels are missing: NaN in these rows."""
    out = np.full(n, np.nan)
    if not keep.any():
        return out, []
    exog, groups, exog_re = (_rows(part, keep) for part in given)
    out[keep], parts = random_part(results, exog, groups, exog_re, new_groups, terms, rng)
    located = []
    for part in parts:
        levels, values = np.full(n, -1), np.zeros((n, part.values.shape[1]))
        levels[keep], values[keep] = part.levels, part.values
        located.append(Located(part.factor, levels, part.columns, values))
    return out, located


def drawn_random_part(results: Any, frame: pd.DataFrame, rng: Any) -> np.ndarray:
    """Return Z b (m,) of new rows, with b drawn for every group; NaN where a label is missing."""
    spec, n = results.model.spec, len(frame)
    z = random_columns(spec, frame, None, n, frozenset(range(len(spec.terms))))
    out = np.zeros(n)
    for f in range(len(spec.factors)):
        mine = [t for t in z if spec.terms[t].factor == f]
        if not mine:
            continue
        pairs = labels_of_rows(spec, f, frame, None, n)
        lost = np.any([missing_labels(values) for _, values in pairs], axis=0)
        factors = [code_groups(_rows(values, ~lost), name) for name, values in pairs]
        grouping = factors[0] if len(factors) == 1 else interaction(factors)
        effects = _drawn(results.fit, f, grouping.factor.n_levels, rng)
        columns = np.concatenate([_columns_within(spec, t) for t in mine])
        values = np.column_stack([z[t] for t in mine])[~lost]
        out[lost] = np.nan
        out[~lost] += np.sum(values * effects[:, columns][grouping.codes], axis=1)
    return out


def _drawn(fit: Any, f: int, number: int, rng: Any) -> np.ndarray:
    """Return random effects (number, k) of new levels, drawn from N(0, σ² G)."""
    root = semidefinite_cholesky(fit.scale * covariance_of_factor(fit, f))
    drawn: np.ndarray = generator(rng).standard_normal((number, len(root))) @ root.T
    return drawn


def _means(results: Any, f: int) -> np.ndarray:
    """Return the BLUPs (q, k) of one factor's coefficients."""
    fit = results.fit
    if fit.is_crossed:
        return crossed_effects_of(fit).factors[f].means
    return independent_effects(fit).means(fit.spec.factors[0].n_levels, fit.layout.k_re)


def _width(spec: ModelSpec, f: int) -> int:
    return sum(len(term.names) for term in spec.terms if term.factor == f)


def _columns_within(spec: ModelSpec, t: int) -> np.ndarray:
    """Return where the columns of a term are among those of its factor."""
    before = [term for term in spec.terms[:t] if term.factor == spec.terms[t].factor]
    return sum(len(term.names) for term in before) + np.arange(len(spec.terms[t].names))


def _component_part(
    results: Any, frame: pd.DataFrame | None, grouping: Grouping, at: np.ndarray,
    new_groups: str, terms: frozenset[int],
) -> np.ndarray:  # fmt: skip
    """Return the variance components' part of Z b̂ (m,): effects are found by group and by name."""
    spec = results.model.spec
    if frame is None or not spec.component_info:
        raise OptionError(
            "random_effects=True needs the columns of the variance components of the new rows. They "
            "come from a frame through vc_formula, but this model was given exog_vc, or exog is an array"
        )
    own = spec.factors[0].keys
    known = {
        label: own[level] for label, level in zip(grouping.factor.keys, at.tolist()) if level >= 0
    }
    left = spec.layout.component_names
    formulas = tuple(c for c in spec.component_info if c.name in left)
    found = components_of_new_rows(formulas, frame, grouping, known, new_groups)
    rows = np.repeat(np.arange(len(grouping.codes)), np.diff(found.indptr))
    names = [_as_integer(f"{found.names[t]}[{label}]") for t, label in found.labels]
    chosen = [t + len(spec.terms) in terms for t, _ in found.labels]
    effects = component_effects(results, _as_integer)
    out = np.zeros(len(grouping.codes))
    for row, column, value in zip(rows.tolist(), found.columns.tolist(), found.values.tolist()):
        level = int(at[grouping.codes[row]])
        if value == 0.0 or level < 0 or not chosen[column]:
            continue
        effect = effects.get((level, names[column]))
        if effect is None and new_groups == "error":
            raise DataValueError(
                f"row {row} has the random effect {names[column]!r} of {spec.group_name} = "
                f"{spec.factors[0].labels[level]}, which the model does not know; expected one that was "
                "fitted. Use new_groups='zero' to predict without it"
            )
        out[row] += value * float(effect or 0.0)
    return out


def _as_integer(name: str) -> str:
    """Return the name of a column with levels such as 3.0 as 3: one column with a gap makes floats."""
    return re.sub(r"\[(T\.)?([-+]?\d+)\.0\]", r"[\1\2]", name)


def _rows(given: Any, keep: np.ndarray) -> Any:
    """Return some rows of an argument; of a mapping, of each of its columns."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (pd.Series, pd.DataFrame, np.ndarray, pd.api.extensions.ExtensionArray)):
        return given[keep]
    if isinstance(given, Mapping):
        return {name: _rows(values, keep) for name, values in given.items()}
    return as_frame(given)[keep] if hasattr(given, "columns") else np.asarray(given)[keep]


def _known_levels(known: GroupingFactor, grouping: GroupingFactor, new_groups: str) -> np.ndarray:
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


def fitted(results: Any, terms: frozenset[int] | None) -> Series:
    """Return X β̂ + Z b̂ of the model's rows, with the random effects of some terms or of all."""
    design, fit = results.model.design, results.fit
    columns = stack((design.fixed[j] for j in fit.spec.kept), design.n_rows)
    values = columns @ fit.beta + random_effects_of(fit).row_effects(design, terms)
    if design.offset is not None:
        values = values + design.offset
    return fit.spec.series(values, design.row_labels)


def fittedvalues(results: Any) -> Series:
    """Fitted values with the random effects, X β̂ + Z b̂ (n,)."""
    return fitted(results, None)


def resid(results: Any) -> Series:
    """Residuals y − X β̂ − Z b̂ (n,)."""
    values = results.model.endog - np.asarray(results.fittedvalues)
    return results.fit.spec.series(values, results.model.design.row_labels)


def predict(
    results: Any,
    exog: Any = None,
    transform: bool = True,
    *,
    random_effects: bool | str | Collection[str] = False,
    groups: Any = None,
    exog_re: Any = None,
    new_groups: str = "error",
    interval: str | None = None,
    level: float = 0.95,
    weights: Any = None,
    rng: Any = None,
    ddf: Any = None,
    vcov: Any = None,
) -> Any:
    """Return predictions: X β̂ (m,) by the fixed effects, or X β̂ + Z b̂ with random effects.

    Parameters
    ----------
    exog : DataFrame or array_like, optional
        New rows: a frame with the variables of the formula, or an array with the columns of exog. By
        default, the rows of the model. An offset of the formula is added, except to arrays, which have none.
    transform : bool
        Whether to evaluate the formula in the frame. If false, `exog` has the columns of the model's exog.
    random_effects : bool, {"all", "none"}, str or list of str
        Which BLUPs to add: all, none, or those of some grouping factors ("plate"),
        random-effects terms ("(1 + x | g)") and variance components, by name.
    groups : array_like (m,), str or mapping, optional
        Groups of the new rows. By default, they come from the columns of the frame that have the names of
        the grouping factors. With several grouping factors, give a mapping ``{name: labels}``.
    exog_re : array_like (m, k_re), optional
        Columns of the random coefficients. By default, the formula computes them from the frame.
    new_groups : {"error", "zero", "draw"}
        What to do with groups that are not in the model: raise an error, set their random effects to zero,
        or draw them.
    interval : {"confidence", "prediction"}, optional
        Return a frame with columns fit, se, lower and upper. "confidence" is for x'β + z'b: the uncertainty
        of β̂ and b̂ together (`lmmcore.prediction_errors` has the formula), and that of new groups.
        "prediction" is for a new observation: it adds σ²/weight.
    level : float
        Of the interval.
    weights : array_like (m,), optional
        Prior weights of new observations; by default 1.
    rng : Generator, RandomState or int, optional
        For ``new_groups="draw"``.
    ddf, vcov : optional
        As for `t_test`, for intervals without random effects. With random effects, normal quantiles are used.

    Returns
    -------
    Series, array or DataFrame
        A DataFrame with `interval`.
    """
    fit = results.fit
    terms = chosen_terms(results.model, random_effects)
    if not transform and exog is not None:
        exog = numbers(exog, "exog", "the columns of exog, as transform=False")
    if interval is not None:
        choice = choice_of(fit, ddf, vcov) if fit.is_plain else None
        asked = (groups, exog_re, new_groups, interval, level, weights)
        return _with_interval(results, exog, terms, choice, *asked)
    if exog is None:
        if terms:
            every = len(fit.layout.terms)
            return results.fittedvalues.copy() if len(terms) == every else fitted(results, terms)
        values, offset = results.model.predict(fit.beta), results.model.design.offset
        values = values if offset is None else values + offset
        return fit.spec.series(values, results.model.design.row_labels)
    values = results.model.predict(fit.beta, exog)
    if not isinstance(exog, np.ndarray):
        values = values + offset_of(fit.spec, exog)
    if terms:
        values = values + random_part(results, exog, groups, exog_re, new_groups, terms, rng)[0]
    return pd.Series(values, exog.index) if hasattr(exog, "index") else values


def _with_interval(
    results: Any, exog: Any, terms: frozenset[int], choice: Choice | None, groups: Any, exog_re: Any,
    new_groups: str, interval: str, level: float, weights: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return predictions with standard errors and limits."""
    fit, model = results.fit, results.model
    if choice is None:
        raise OptionError(
            f"interval={interval!r} of a penalized fit: its coefficients are biased, and have no such "
            "intervals. Use bootstrap"
        )
    if new_groups == "draw":
        raise OptionError(
            f"interval={interval!r} with new_groups='draw'; expected new_groups='zero', whose interval has "
            "the variance of new groups"
        )
    if any(t >= len(fit.spec.terms) for t in terms):
        raise OptionError(
            f"interval={interval!r} with random effects of variance components; expected "
            "random_effects='none', or a model whose components are written as bars, such as (1 | g:a)"
        )
    if exog is None:
        x, index = np.asarray(model.exog), model.design.row_labels
        values, located = np.asarray(predict(results, random_effects=False)), []
        if terms:
            values, located = np.asarray(fitted(results, terms)), _own_rows(results, terms)
        weights = model.design.weights if weights is None else weights
    else:
        x = fixed_columns(fit.spec, exog)
        index = exog.index if hasattr(exog, "index") else None
        values, located = np.asarray(predict(results, exog)), []
        if terms:
            part, located = random_part(results, exog, groups, exog_re, new_groups, terms)
            values = values + part
    return interval_frame(fit, choice, values, x, located, interval, level, weights, index)


def _own_rows(results: Any, terms: frozenset[int]) -> list[Located]:
    """Return where the levels of the model's own rows are."""
    spec, design = results.fit.spec, results.model.design
    out = []
    for f, grouping in enumerate(design.groupings):
        mine = [t for t in sorted(terms) if spec.terms[t].factor == f]
        if mine:
            columns = np.concatenate([_columns_within(spec, t) for t in mine])
            values = stack((c for t in mine for c in design.columns_of(t)), design.n_rows)
            out.append(Located(f, grouping.codes, columns, values))
    return out

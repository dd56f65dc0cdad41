"""Which fixed effects are penalized, and with which penalty weights, groups and scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..design.columns import Column
from ..errors import DataValueError, OptionError, suggest
from ..linalg.matrices import symmetric
from ..penalties.problem import PenaltyTerms
from ..penalties.quadratic import ALIVE, Whitened


def alpha_of_each(alpha: Any, p: int, names: Sequence[str]) -> np.ndarray:
    """Return `alpha` as p numbers of zero or more."""
    return _numbers(alpha, p, names, "alpha")


def penalized_terms(
    model: Any, weights: Any, unpenalized: Any, groups: Any, standardize: Any
) -> PenaltyTerms:
    """Return how a penalty applies to the fixed effects of a model.

    Parameters
    ----------
    weights : number or array (k_fe,), optional
        Penalty weights. They multiply the strength; 0 means no penalty.
    unpenalized : str or sequence of str
        Names of columns or, in a model from a formula, of its terms; "constant" means constant columns.
    groups : None, mapping or sequence (k_fe,)
        ``{name of a group: names of columns}`` or a label for each column. By default, the columns of one
        term of the formula form a group.
    standardize : bool, "information" or array (k_fe,)
        Which scales to use: the standard deviations of the columns, 1, or the given positive numbers. The
        penalty is one of β_j · scale_j. For "information", the scales are 1 here;
        `with_information_scales` sets them once V is known.

    Raises
    ------
    DataValueError
        Wrong lengths.
    OptionError
        Negative weights, unknown names.
    """
    names = model.exog_names
    p = len(names)
    given = np.ones(p) if weights is None else _numbers(weights, p, names, "penalty_weights").copy()
    columns = [model.design.fixed[j] for j in model.spec.kept]
    listed = [unpenalized] if isinstance(unpenalized, str) else list(unpenalized or ())
    for name in listed:
        given[_columns_named(model, str(name), columns)] = 0.0
    if isinstance(standardize, str):
        if standardize != "information":
            raise OptionError(
                f"standardize={standardize!r}; expected True, False, 'information', or positive scales"
            )
        scales = np.ones(p)
    elif isinstance(standardize, (bool, np.bool_)):
        scales = column_sds(model) if standardize else np.ones(p)
    else:
        scales = _numbers(standardize, p, names, "standardize")
        if not (scales > 0).all():
            raise OptionError(
                f"standardize={standardize!r}; expected True, False, or positive scales"
            )
    return PenaltyTerms(tuple(names), given, _groups(model, groups), scales)


def mean_weight(model: Any) -> float:
    """Return the mean of the prior weights: σ² divided by it is the variance of an average row.

    Scales refer to an average row, so that weights in another unit give the same fit.
    """
    weights = model.design.weights
    return 1.0 if weights is None else float(np.mean(weights))


def with_information_scales(
    terms: PenaltyTerms, rows: Whitened, scale: float, model: Any
) -> PenaltyTerms:
    """Return the terms with the scales √(x'V⁻¹x / n), where V is relative to the σ² of an average row.

    Unpenalized columns are projected out first. If V is the identity, this is the standard deviation of
    a column. A column that varies only between groups carries less information than its standard
    deviation suggests. If its coefficient is zero, the slope of the log-likelihood has a standard
    deviation proportional to this scale.
    """
    penalized = terms.weights > 0
    reduced, _ = rows.without(np.flatnonzero(~penalized))
    before = rows.diagonal[penalized]
    size = np.where(reduced.diagonal > ALIVE * before, reduced.diagonal, 0.0)
    scales = np.ones(len(terms.names))
    scale = scale / mean_weight(model)
    scales[penalized] = np.where(size > 0, np.sqrt(size * scale / model.nobs), 1.0)
    return replace(terms, scales=scales)


def _columns_named(model: Any, name: str, columns: Sequence[Column]) -> list[int]:
    if name in model.exog_names:
        return [model.exog_names.index(name)]
    if name == "constant":
        return [j for j, column in enumerate(columns) if _is_constant(column)]
    terms = _formula_terms(model)
    if name in terms:
        return terms[name]
    known = [*model.exog_names, *terms, "constant"]
    raise OptionError(
        f"unpenalized has {name!r}, which is not a column of the fixed effects{suggest(name, known)}"
    )


def _is_constant(column: Column) -> bool:
    if column is None:
        return True
    return column[0] == column[-1] and column[0] != 0 and bool(np.all(column == column[0]))


def _formula_terms(model: Any) -> dict[str, list[int]]:
    """Return the columns of each fixed-effects term; empty for a model without a formula."""
    slices = getattr(model.design.fixed_info, "term_name_slices", None)
    if slices is None:
        return {}
    position = {int(c): j for j, c in enumerate(model.spec.built)}
    return {
        name: [position[c] for c in range(s.start, s.stop) if c in position]
        for name, s in slices.items()
    }


def _groups(model: Any, groups: Any) -> np.ndarray:
    names = model.exog_names
    p = len(names)
    out = np.arange(p)
    if groups is None:
        for columns in _formula_terms(model).values():
            out[columns] = columns[0] if columns else 0
        return out
    if isinstance(groups, Mapping):
        for name, members in groups.items():
            unknown = [m for m in members if m not in names]
            if unknown:
                raise OptionError(
                    f"groups[{name!r}] has {unknown[0]!r}, which is not a column of the fixed effects"
                    f"{suggest(str(unknown[0]), names)}"
                )
            at = [names.index(m) for m in members]
            out[at] = at[0]
        return out
    labels = np.asarray(groups)
    if labels.shape != (p,):
        raise DataValueError(
            f"groups has shape {labels.shape}; expected a label for each of the {p} columns, or "
            "{name: columns}"
        )
    return np.unique(labels, return_inverse=True)[1]


def column_sds(model: Any) -> np.ndarray:
    """Return the standard deviation of each column (k_fe,), weighted by prior weights.

    If no column is constant, they are root mean squares. A column without variation has 1.
    """
    columns = [model.design.fixed[j] for j in model.spec.kept]
    if "crossproducts" in model.__dict__:
        sd = _sds_of_products(model)
    else:
        weights = model.design.weights
        center = any(_is_constant(c) for c in columns)
        sd = np.array([_sd(c, weights, center) for c in columns])
    return np.where(sd > 0, sd, 1.0)


def _sd(column: Column, weights: np.ndarray | None, center: bool) -> float:
    if column is None:
        return 0.0
    w = np.ones(len(column)) if weights is None else weights
    x = column.astype(float)
    if center:
        x = x - float(w @ x) / float(w.sum())
        if np.abs(x).max() <= 1e-12 * np.abs(column).max():
            return 0.0
    return float(np.sqrt(np.average(x**2, weights=w)))


def _sds_of_products(model: Any) -> np.ndarray:
    cp, packed = model.crossproducts, model.equations.packed
    kept = cp.basis.kept
    total = symmetric(cp.total)[np.ix_(kept, kept)]
    raw = (
        np.linalg.inv(packed.coordinates.matrix) / packed.coordinates.y_scale
    )  # columns in the basis
    columns = [model.design.fixed[j] for j in model.spec.kept]
    constant = [j for j, c in enumerate(columns) if _is_constant(c)]
    if constant:  # the other directions of the basis are orthogonal to it
        first = int(np.argmax(np.abs(raw[:, constant[0]])))
        raw, total = np.delete(raw, first, 0), np.delete(np.delete(total, first, 0), first, 1)
    return np.sqrt(
        np.maximum(np.einsum("ij,ik,kj->j", raw, total, raw), 0.0) / (cp.n * mean_weight(model))
    )


def _numbers(given: Any, p: int, names: Sequence[str], argument: str) -> np.ndarray:
    try:
        out = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        out = np.array(np.nan)
    if out.ndim == 0:
        out = np.full(p, float(out))
    if out.shape != (p,):
        raise DataValueError(
            f"{argument} has shape {out.shape}; expected a number, or {p} numbers, for {', '.join(names)}"
        )
    if not (np.isfinite(out) & (out >= 0)).all():
        raise OptionError(f"{argument}={given!r}; expected finite numbers, zero or more")
    return out

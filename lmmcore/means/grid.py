"""The reference grid: all combinations of levels, and covariates at their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..design.columns import stack
from ..design.design import variables_of_fixed
from ..design.encoding import Encoding
from ..design.new_rows import fixed_columns
from ..design.spec import ModelSpec
from ..errors import DataTypeError, DesignError, OptionError, suggest

TOLERANCE = 1e-8  # of a combination that the rows of X do not span, relative
LARGEST = 100_000  # rows of a grid


@dataclass(frozen=True, eq=False)
class Grid:
    """Rows at which a model is evaluated.

    Attributes
    ----------
    spec : ModelSpec
    frame : DataFrame
        A row for each combination of levels; covariates at their means or at the values asked for.
    factors : dict of str to list
        The variables with levels, and the levels.
    covariates : tuple of str
    counts : array (rows,)
        How many rows of the data have these levels.
    null : array (p_all, r)
        Combinations of all columns of X that are zero in every row of the data.
    """

    spec: ModelSpec
    frame: pd.DataFrame
    factors: dict[str, list[Any]]
    covariates: tuple[str, ...]
    counts: np.ndarray
    null: np.ndarray

    def matrix(self, frame: pd.DataFrame | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of X (m, p) with a coefficient, and which rows can be estimated (m,)."""
        frame = self.frame if frame is None else frame
        kept = fixed_columns(self.spec, frame)
        if not self.null.shape[1]:
            return kept, np.ones(len(frame), dtype=bool)
        whole = _all_columns(self.spec, frame)
        size = np.abs(whole).max() * np.abs(self.null).max()
        lost = np.abs(whole @ self.null).max(axis=1) > TOLERANCE * max(size, 1.0)
        return kept, ~lost


def reference_grid(results: Any, at: Mapping[str, Any] | None = None) -> Grid:
    """Return the reference grid of a fit from a formula.

    Parameters
    ----------
    at : mapping of str to values, optional
        Values of covariates, or some of the levels of a factor.

    Raises
    ------
    DesignError
        The model does not come from a formula.
    OptionError
        `at` names no variable of the fixed part, or a level that the data do not have.
    """
    spec, design = results.fit.spec, results.model.design
    table: pd.DataFrame | None = design.fixed_table
    if table is None or spec.fixed_info is None:
        raise DesignError(
            "means need the variables of a formula, and this model was given arrays; build it with "
            "mixedlm(formula, data), or use t_test with a matrix"
        )
    names = variables_of_fixed(spec.fixed_info)
    categorical = _categorical(spec, table, names)
    given = dict(at or {})
    for name in given:
        if name not in names:
            raise OptionError(
                f"at has {name!r}, which is no variable of the fixed effects{suggest(str(name), names)}; "
                f"expected some of {', '.join(names)}"
            )
    factors: dict[str, list[Any]] = {}
    values: dict[str, list[Any]] = {}
    for name in names:
        if name in categorical:
            levels = _levels(table[name])
            values[name] = _chosen(name, given.get(name), levels)
            factors[name] = values[name]
        elif name in given:
            values[name] = list(np.atleast_1d(given[name]))
        else:
            values[name] = [_mean(table[name], name)]
    rows = int(np.prod([len(v) for v in values.values()], dtype=float)) if values else 1
    if rows > LARGEST:
        raise OptionError(
            f"the reference grid would have {rows:,} rows; expected {LARGEST:,} at most. Choose levels "
            "with at="
        )
    frame = pd.DataFrame(list(product(*values.values())), columns=list(values))
    if not values:
        frame = pd.DataFrame(index=[0])
    for name in categorical:
        if isinstance(table[name].dtype, pd.CategoricalDtype):
            frame[name] = pd.Categorical(
                frame[name], categories=table[name].cat.categories, ordered=table[name].cat.ordered
            )
    covariates = tuple(name for name in names if name not in categorical)
    return Grid(
        spec, frame, factors, covariates, _counts(table, frame, list(factors)), _null(results)
    )


def _categorical(spec: ModelSpec, table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return which variables have levels: by what they are, or by C(x) in the formula."""
    info = spec.fixed_info
    coded: set[str] = set()
    if isinstance(info, Encoding):
        coded = {c for v in info.variables if v.levels is not None for c in v.expression.columns}
    return [
        n for n in names if n in coded or not pd.api.types.is_numeric_dtype(table[n].dtype)
        or pd.api.types.is_bool_dtype(table[n].dtype)
    ]  # fmt: skip


def _levels(column: pd.Series) -> list[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = set(column.dropna().unique())
        return [level for level in column.cat.categories if level in used]
    return sorted(column.dropna().unique().tolist())


def _chosen(name: str, given: Any, levels: list[Any]) -> list[Any]:
    if given is None:
        return levels
    chosen = [given] if isinstance(given, str) or not np.iterable(given) else list(given)
    unknown = [x for x in chosen if x not in levels]
    if unknown or not chosen:
        raise OptionError(
            f"at has the level {unknown[:1]} of {name!r}; expected some of {', '.join(map(str, levels))}"
        )
    return chosen


def _mean(column: pd.Series, name: str) -> Any:
    try:
        return float(column.mean())
    except TypeError as exc:
        raise DataTypeError(
            f"{name!r} has neither levels nor a mean; expected numbers. Choose its values with at="
        ) from exc


def _counts(table: pd.DataFrame, frame: pd.DataFrame, factors: list[str]) -> np.ndarray:
    if not factors:
        return np.full(len(frame), float(len(table)))
    found = table[factors].astype(object).value_counts()
    keys = frame[factors].astype(object).itertuples(index=False, name=None)
    return np.array([float(found.get(key, 0)) for key in keys])


def _all_columns(spec: ModelSpec, frame: pd.DataFrame) -> np.ndarray:
    made = spec.fixed_info.apply(frame)
    return stack(made, len(frame))


def _null(results: Any) -> np.ndarray:
    """Return a basis (p_all, r) of the combinations of columns that are zero in the rows of the model."""
    spec = results.fit.spec
    if not spec.dropped or not isinstance(spec.fixed_info, Encoding):
        return np.zeros((0, 0))
    design = results.model.design
    kept = np.asarray(spec.kept)
    lost = np.setdiff1d(np.arange(len(spec.fixed_names)), kept)
    x = stack((design.fixed[j] for j in kept), design.n_rows)
    y = stack((design.fixed[j] for j in lost), design.n_rows)
    size = np.linalg.norm(x, axis=0)
    share = np.linalg.lstsq(x / size, y, rcond=None)[0] / size[:, None]
    out = np.zeros((spec.n_given, len(lost)))
    out[spec.built] = -share
    whole = lost if design.fixed_built is None else design.fixed_built[lost]
    out[whole, np.arange(len(lost))] = 1.0
    return out

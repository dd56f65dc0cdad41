"""Prediction of residuals at new positions of known groups from those that were observed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..design.build import as_frame
from ..errors import DataValueError, NameNotFoundError, OptionError, suggest
from .structure import Pattern, Structure
from .terms import ResidualTerm


def predicted_residuals(results: Any, exog: Any) -> np.ndarray:
    """Return the best linear prediction of the residuals of new rows (m,); zero for new groups.

    With ẽ = y − Xβ̂ − Zb̂ of the rows of a group and R between positions, it is ``R_new,old R_old,old⁻¹ ẽ``
    (Goldberger 1962, JASA 57, 369–375).

    Raises
    ------
    OptionError
        The structure has no coordinates, or there is a variance function.
    DataValueError, NameNotFoundError
        A coordinate or a group of the new rows that is missing or unknown.
    """
    structure: Structure = results.fit.residual.structure
    term = structure.term
    if not isinstance(term, ResidualTerm) or not term.coordinates or structure.variance is not None:
        raise OptionError(
            f"correlated=True with {structure.title}: expected a residual structure with coordinates, such "
            'as "ar1(visit | subject)", and no variance function'
        )
    frame = as_frame(exog)
    values = np.column_stack([_coordinate(structure, frame, name) for name in term.coordinates])
    groups = _groups(results, structure, frame)
    observed = np.asarray(results.resid, dtype=float)
    weights = results.model.design.weights
    observed = observed if weights is None else observed * np.sqrt(np.asarray(weights))
    of_group = structure.positions.groups
    out = np.zeros(len(frame))
    where = {int(of_group[rows[0]]): (p, rows) for p in structure.patterns for rows in p.rows}
    for group in np.unique(groups[groups >= 0]).tolist():
        pattern, rows = where[group]
        new = np.flatnonzero(groups == group)
        both = Pattern(np.vstack([pattern.values, values[new]]), np.zeros((0, 0)), pattern.stratum)
        r, t = structure.matrix(results.fit.residual.u, both), len(rows)
        out[new] = r[t:, :t] @ np.linalg.solve(r[:t, :t], observed[rows])
    return out


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        raise NameNotFoundError(
            f"correlated=True needs the column {name!r} of the new rows"
            + suggest(name, map(str, frame.columns))
        )
    if frame[name].isna().any():
        row = frame.index[int(np.flatnonzero(frame[name].isna())[0])]
        raise DataValueError(f"correlated=True: {name} is missing in row {row}; leave out the row")
    return frame[name]


def _coordinate(structure: Structure, frame: pd.DataFrame, name: str) -> np.ndarray:
    column, levels = _column(frame, name), structure.positions.levels
    if levels is None:
        return np.asarray(column, dtype=float)
    codes = {level: i for i, level in enumerate(levels)}
    unknown = [str(x) for x in column if str(x) not in codes]
    if unknown:
        raise DataValueError(
            f"correlated=True: {name} has the level {unknown[0]!r}, which the model does not know; expected "
            f"some of {', '.join(levels)}"
        )
    return np.array([codes[str(x)] for x in column], dtype=float)


def _groups(results: Any, structure: Structure, frame: pd.DataFrame) -> np.ndarray:
    """Return the group of each new row, −1 for one that the model does not know."""
    labels = list(structure.positions.group_labels)
    assert isinstance(structure.term, ResidualTerm)
    name = structure.term.groups
    if name is None and not results.fit.layout.terms:
        return np.zeros(len(frame), dtype=np.intp)
    column = _column(frame, name or results.model.group_name)
    known = {label: i for i, label in enumerate(labels)}
    return np.array([known.get(x, -1) for x in column.tolist()], dtype=np.intp)

"""The same model with other columns, row for row: what code that rebuilds models asks for.

statsmodels' mediation analysis, for one, takes a model apart and builds it again, with a variable
set to a constant, from ``model.__class__``, ``model._get_init_kwds()`` and ``model.data.frame``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from .design.alignment import check_alignment
from .design.build import as_frame
from .design.columns import as_column, matrix_columns
from .design.design import Design, check
from .design.group_argument import name_of
from .design.new_rows import fixed_columns
from .errors import DataTypeError, DataValueError, OptionError


def check_like(like: Any, others: dict[str, Any]) -> None:
    """Refuse what is no model, and arguments beside it that it has already."""
    if not hasattr(like, "design"):
        raise DataTypeError(f"like is a {type(like).__name__}; expected a MixedLM")
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise OptionError(
            f"like= and {given[0]}= were given; expected one of the two, as `like` has groups, random "
            "effects, weights and structures of its own"
        )


def with_columns(like: Any, endog: Any, exog: Any) -> Design:
    """Return the design of a model with another response and other columns of the fixed effects.

    Raises
    ------
    DataValueError
        Another number of rows, or rows in another order than that of the groups.
    """
    design = like.design
    check_alignment([("endog", endog), ("exog", exog)])
    index = next((a.index for a in (endog, exog) if isinstance(a, (pd.Series, pd.DataFrame))), None)
    y = as_column(endog, name_of(endog) or like.endog_names, "endog")
    fixed, names = matrix_columns(exog, None, "x", "exog")
    if isinstance(exog, np.ndarray) and len(fixed) == like.k_fe:
        names = tuple(like.exog_names)
    if len(y) != like.nobs:
        raise DataValueError(
            f"endog has {len(y)} rows; expected {like.nobs}, those of the model given as like="
        )
    _refuse_other_rows(like, y, fixed)
    return check(
        replace(
            design,
            endog=y if design.offset is None else y - design.offset,
            endog_name=name_of(endog) or like.endog_names,
            fixed=fixed,
            fixed_names=names,
            fixed_info=None,
            row_labels=index,
            labeled=index is not None,
            table=None,
        )
    )


def _refuse_other_rows(like: Any, y: np.ndarray, fixed: Any) -> None:
    """Refuse the rows of the model in another order, or drawn again: its groups would not follow."""
    if len(fixed) != like.k_fe or any(column.shape != y.shape for column in fixed):
        return
    rows = np.column_stack([y, *fixed]).astype(np.float64)
    own = np.column_stack([like.endog, like.exog])
    if np.array_equal(rows[:, 1:], own[:, 1:]):
        return
    kind = np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    new, old = (np.ascontiguousarray(x).view(kind).ravel() for x in (rows, own))
    if np.isin(new, old).all():
        raise DataValueError(
            "the rows are those of the model given as like= in another order or drawn again, and its "
            "groups do not follow them; expected the same rows. Draw whole groups (results.bootstrap), "
            "or in a mediation analysis use method='parametric'"
        )


def with_data(like: Any, data: Any) -> Design:
    """Return the design of a model with the fixed effects' columns of other data, row for row."""
    columns = fixed_columns(like.spec, as_frame(data))
    if len(columns) != like.nobs:
        raise DataValueError(
            f"data has {len(columns)} rows; expected {like.nobs}, those of the model given as like="
        )
    fixed = tuple(np.ascontiguousarray(column) for column in columns.T)
    return replace(like.design, fixed=fixed, fixed_names=tuple(like.exog_names), table=None)


class FixedEffects:
    """The part of results that multiple imputation pools: the fixed effects as arrays.

    ``statsmodels.imputation.mice.MICE`` names what it pools by ``model.exog_names``.
    """

    def __init__(self, params: Any, cov: Any) -> None:
        self.params = np.asarray(params)
        self._cov = np.asarray(cov)

    def cov_params(self) -> np.ndarray:
        """Return the covariance matrix of the fixed effects (k_fe, k_fe)."""
        return self._cov

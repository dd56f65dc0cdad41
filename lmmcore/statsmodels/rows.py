"""Names, columns and groups of a model in the shapes in which statsmodels has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..design.components import VCSpec, vc_spec
from ..errors import DataValueError, OptionError
from ..likelihood.crossed.engine import CrossedEngine
from ..likelihood.crossed.structure import Structure
from .data import ModelData


def endog(model: Any) -> np.ndarray:
    """The response (n,), float64; an offset is part of it."""
    endog = np.asarray(model.design.endog, dtype=np.float64)
    return endog if model.design.offset is None else endog + model.design.offset


def exog(model: Any) -> np.ndarray:
    """The fixed effects' columns that were kept (n, k_fe), float64."""
    return model.design.exog()[:, model.spec.kept]


def exog_re(model: Any) -> np.ndarray:
    """The random coefficients' columns (n, k_re), float64."""
    return model.design.exog_re()


def exog_re_names(model: Any) -> list[str]:
    """Names of the random coefficients; an intercept has the name of its groups.

    A slope of two grouping factors is named with its factor, ``"x | item"``.
    """
    return list(model.spec.layout.coefficient_names)


def n_levels(model: Any) -> dict[str, int]:
    """Number of levels of each grouping factor, by name."""
    return {g.name: g.n_levels for g in model.spec.factors}


def structure(model: Any) -> Structure:
    """The elimination plan of a model with several grouping factors: order, storage, bytes, cost.

    Raises
    ------
    OptionError
        The model has one grouping factor: its groups are independent small problems.
    """
    if not isinstance(model.equations.engine, CrossedEngine):
        raise OptionError(
            f"the model has one grouping factor, {model.group_name}: its {model.n_groups:,} groups are "
            "independent and there is no structure to show; expected a model with several"
        )
    return model.equations.engine.structure


def vcomp_names(model: Any) -> list[str]:
    """Names of the variance components."""
    return list(model.spec.layout.component_names)


def param_names(model: Any) -> list[str]:
    """Names of ``results.params``: fixed effects, "… Var" and "a x b Cov", "… Var"."""
    return list(model.spec.param_names)


def data(model: Any) -> ModelData:
    """Names, columns and labels under the names that other code reads from ``model.data``."""
    return ModelData(model)


def rows_used(model: Any) -> np.ndarray:
    """Positions in the data of the rows used (n,): all but those left out by `subset` or `missing`."""
    rows = model.design.rows
    return np.arange(model.nobs) if rows is None else np.array(rows)


def k_constant(model: Any) -> int:
    """1 if a column, or a combination of columns, of the fixed effects is constant; otherwise 0."""
    return model.data.k_constant


def group_labels(model: Any) -> list[Any]:
    """Sorted labels of the groups."""
    return model.spec.factors[0].keys


def group_name(model: Any) -> str:
    """Name of the grouping factor."""
    return model.spec.group_name


def group_sizes(model: Any) -> np.ndarray:
    """Rows of each group (n_groups,), in the order of ``group_labels``."""
    return np.bincount(model.design.grouping.codes, minlength=model.n_groups)


def row_indices(model: Any) -> dict[Any, list[int]]:
    """Positions of the rows of each group, by label."""
    order = np.argsort(model.design.grouping.codes, kind="stable")
    ends = np.cumsum(np.bincount(model.design.grouping.codes, minlength=model.n_groups))
    parts = np.split(order, ends[:-1])
    return {label: rows.tolist() for label, rows in zip(model.group_labels, parts)}


def group_list(model: Any, array: Any) -> list[np.ndarray] | None:
    """Split an array by group: a list of arrays in the order of ``group_labels``."""
    if array is None:
        return None
    values = np.asarray(array)
    rows = len(values) if values.ndim else 0
    if rows != model.nobs:
        raise DataValueError(
            f"array has {rows} rows; expected {model.nobs}, one for each observation"
        )
    return [values[rows] for rows in model.row_indices.values()]


def endog_li(model: Any) -> list[np.ndarray]:
    """The response of each group."""
    return group_list(model, model.endog) or []


def exog_li(model: Any) -> list[np.ndarray]:
    """The fixed effects' columns of each group."""
    return group_list(model, model.exog) or []


def exog_re_li(model: Any) -> list[np.ndarray]:
    """The random coefficients' columns of each group."""
    return group_list(model, model.exog_re) or []


def exog_re2_li(model: Any) -> list[np.ndarray] | None:
    """Z_g'Z_g of each group (k_re, k_re); None without random coefficients."""
    return [z.T @ z for z in model.exog_re_li] if model.k_re else None


def groups(model: Any) -> np.ndarray:
    """The label of each row's group (n,)."""
    return np.asarray(model.design.grouping.labels)[model.design.grouping.codes]


def exog_vc(model: Any) -> VCSpec:
    """The variance components inside groups, in the form that statsmodels uses."""
    return vc_spec(model.design.components, model.row_indices)

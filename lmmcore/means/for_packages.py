"""What packages of tables, plots and effects read from results, beside coefficients and tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..design.encoding import Encoding
from ..design.new_rows import fixed_columns
from ..inference.terms import columns_of_terms
from .grid import reference_grid as grid_of


def design_matrix(results: Any, data: Any = None) -> pd.DataFrame:
    """Return the columns of X that have a coefficient, for new rows or those of the model.

    Parameters
    ----------
    data : DataFrame or array_like, optional
        As for `predict`.

    Returns
    -------
    DataFrame (m, k_fe)
        Its columns are the names of `fe_params`; ``design_matrix(data) @ fe_params`` is ``predict(data)`` in
        a model without an offset.
    """
    spec = results.fit.spec
    if data is None:
        index = results.model.design.row_labels
        return pd.DataFrame(np.asarray(results.model.exog), index=index, columns=spec.exog_names)
    index = data.index if hasattr(data, "index") else None
    return pd.DataFrame(fixed_columns(spec, data), index=index, columns=spec.exog_names)


def term_map(results: Any) -> pd.DataFrame:
    """Return which term and which variables each fixed effect belongs to.

    Returns
    -------
    DataFrame (k_fe rows)
        Columns term and variables (a tuple of columns of the data), by the names of `fe_params`.
    """
    spec = results.fit.spec
    info = spec.fixed_info
    variables: dict[str, tuple[str, ...]] = {}
    if isinstance(info, Encoding):
        for term in info.terms:
            used = [info.variables[v] for p in term.products for v in p.variables]
            names = [c for variable in used for c in variable.expression.columns]
            variables[term.name] = tuple(dict.fromkeys(names))
    rows: list[tuple[str, tuple[str, ...]]] = [("", ())] * spec.k_fe
    for name, where in columns_of_terms(spec).items():
        own = variables.get(name, () if name == "Intercept" else tuple(name.split(":")))
        for j in where.tolist():
            rows[j] = (name, own)
    return pd.DataFrame(rows, index=spec.exog_names, columns=["term", "variables"])


def reference_grid(results: Any, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return all combinations of levels, with covariates at their means.

    Parameters
    ----------
    at : mapping of str to values, optional
        As for `means`.

    Returns
    -------
    DataFrame
        A row for each combination, to give to `predict` or `design_matrix`.

    Raises
    ------
    DesignError
        The model does not come from a formula.
    OptionError
        `at` names another variable or level.
    """
    return grid_of(results, at).frame.copy()

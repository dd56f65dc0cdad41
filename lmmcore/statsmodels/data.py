"""What other code reads from ``model.data``, under the names that statsmodels uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


class ModelData:
    """A model's names, its columns and their labels; nothing is stored here.

    Parameters
    ----------
    model : MixedLM
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def xnames(self) -> list[str]:
        """Names of the fixed effects."""
        return self._model.exog_names

    @property
    def ynames(self) -> str:
        """Name of the response."""
        return self._model.endog_names

    @property
    def param_names(self) -> list[str]:
        """Names of ``results.params``."""
        return self._model.param_names

    @property
    def cov_names(self) -> list[str]:
        """Names of the rows of ``results.cov_params()``."""
        return self._model.param_names

    @property
    def exog_re_names(self) -> list[str]:
        """Names of the random coefficients."""
        return self._model.exog_re_names

    @property
    def exog_re_names_full(self) -> list[str]:
        """Names of the lower triangle of ``cov_re``."""
        k_fe = self._model.k_fe
        return self._model.param_names[k_fe : k_fe + self._model.k_re2]

    @property
    def vcomp_names(self) -> list[str]:
        """Names of the variance components."""
        return self._model.vcomp_names

    @property
    def endog(self) -> np.ndarray:
        """The response (n,)."""
        return self._model.endog

    @property
    def exog(self) -> np.ndarray:
        """The fixed effects' columns (n, k_fe)."""
        return self._model.exog

    @property
    def exog_re(self) -> np.ndarray:
        """The random coefficients' columns (n, k_re)."""
        return self._model.exog_re

    @property
    def row_labels(self) -> pd.Index | None:
        """Labels of the rows; None for a model of arrays."""
        return self._model.design.row_labels if self._model.spec.labeled else None

    @property
    def orig_endog(self) -> Any:
        """The response with its labels: a frame for a formula, a Series, or an array for arrays."""
        model = self._model
        if not model.spec.labeled:
            return model.endog
        labeled = pd.Series(model.endog, self.row_labels, name=self.ynames)
        return labeled if model.spec.fixed_info is None else labeled.to_frame()

    @property
    def orig_exog(self) -> Any:
        """The fixed effects' columns with their labels; an array for a model of arrays."""
        model = self._model
        if not model.spec.labeled:
            return model.exog
        return pd.DataFrame(model.exog, self.row_labels, self.xnames)

    @property
    def formula(self) -> str | None:
        """The formula as it was given."""
        return getattr(self._model, "formula", None)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the table that a formula was evaluated in."""
        design = self._model.rows
        if design is None or design.table is None:
            raise AttributeError(
                "a model of arrays, or one that was read from a file, has no frame"
            )
        table, rows = design.table, design.in_table
        return table if rows is None else table.iloc[rows]

    @property
    def const_idx(self) -> int | None:
        """Position of the constant column; None without one."""
        exog = self._model.exog
        constant = np.flatnonzero((exog == exog[0]).all(axis=0) & (exog[0] != 0.0))
        return int(constant[0]) if len(constant) else None

    @property
    def k_constant(self) -> int:
        """1 if the columns have a constant, as a column or as a combination of several; else 0."""
        if self.const_idx is not None:
            return 1
        exog, ones = self._model.exog, np.ones(self._model.nobs)
        if not exog.shape[1]:
            return 0
        exog = exog / np.abs(exog).max(axis=0)  # so that units do not decide about the rank
        rest = ones - exog @ np.linalg.lstsq(exog, ones)[0]
        return int(np.abs(rest).max() < 1e-8)

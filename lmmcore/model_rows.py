"""Names, columns and groups of a model in the shapes in which statsmodels has them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .design.components import VCSpec, vc_spec
from .design.design import Design
from .errors import DataValueError, OptionError
from .likelihood.crossed.engine import CrossedEngine
from .likelihood.crossed.structure import Structure
from .likelihood.profiled import Engine
from .model_data import ModelData

if TYPE_CHECKING:
    from .model import MixedLM


class ModelRows:
    """What can be read from a model before a fit; a base of `MixedLM`."""

    design: Design
    exog_names: list[str]
    nobs: int
    k_re: int
    n_groups: int
    _kept_columns: np.ndarray

    if TYPE_CHECKING:  # what the likelihood's base has

        @cached_property
        def _engine(self) -> Engine: ...
        @cached_property
        def _term_groups(self) -> list[str]: ...

    @cached_property
    def endog(self) -> np.ndarray:
        """The response (n,), float64; an offset is part of it."""
        endog = np.asarray(self.design.endog, dtype=np.float64)
        return endog if self.design.offset is None else endog + self.design.offset

    @cached_property
    def exog(self) -> np.ndarray:
        """The fixed effects' columns that were kept (n, k_fe), float64."""
        return self.design.exog()[:, self._kept_columns]

    @property
    def _built_columns(self) -> np.ndarray:
        """Positions of the kept columns among those that the formula builds, or that were given."""
        built = self.design.fixed_built
        return self._kept_columns if built is None else built[self._kept_columns]

    @cached_property
    def exog_re(self) -> np.ndarray:
        """The random coefficients' columns (n, k_re), float64."""
        return self.design.exog_re()

    @property
    def exog_re_names(self) -> list[str]:
        """Names of the random coefficients; an intercept has the name of its groups.

        A slope of two grouping factors is named with its factor, ``"x | item"``.
        """
        pairs = [(x, g) for t, g in zip(self.design.terms, self._term_groups) for x in t.names]
        names = [name for name, _ in pairs]
        return [name if names.count(name) == 1 else f"{name} | {group}" for name, group in pairs]

    @property
    def _factor_of_column(self) -> list[int]:
        """The grouping factor of each random coefficient."""
        return [term.factor for term in self.design.terms for _ in term.names]

    @property
    def n_levels(self) -> dict[str, int]:
        """Number of levels of each grouping factor, by name."""
        return {g.name: g.n_levels for g in self.design.groupings}

    @property
    def structure(self) -> Structure:
        """How a model with several grouping factors is factored: order, storage, bytes, cost.

        Raises
        ------
        OptionError
            The model has one grouping factor: its groups are independent small problems.
        """
        if not isinstance(self._engine, CrossedEngine):
            raise OptionError(
                f"the model has one grouping factor, {self.group_name}: its {self.n_groups:,} groups are "
                "independent and there is no structure to show; expected a model with several"
            )
        return self._engine.structure

    @property
    def vcomp_names(self) -> list[str]:
        """Names of the variance components."""
        return [] if self.design.components is None else list(self.design.components.names)

    @property
    def param_names(self) -> list[str]:
        """Names of ``results.params``: fixed effects, "… Var" and "a x b Cov", "… Var"."""
        names = list(self.exog_names)
        for i, name in enumerate(self.exog_re_names):
            names += [f"{other} x {name} Cov" for other in self.exog_re_names[:i]]
            names.append(f"{name} Var")
        return names + [f"{name} Var" for name in self.vcomp_names]

    @property
    def data(self) -> ModelData:
        """Names, columns and labels under the names that other code reads from ``model.data``."""
        return ModelData(cast("MixedLM", self))

    @property
    def rows_used(self) -> np.ndarray:
        """Positions in the data of the rows used (n,): all but those left out by `subset` or `missing`."""
        rows = self.design.rows
        return np.arange(self.nobs) if rows is None else np.array(rows)

    @property
    def k_constant(self) -> int:
        """1 if the fixed effects have a constant, also as a combination of columns; else 0."""
        return self.data.k_constant

    @property
    def group_labels(self) -> list[Any]:
        """Sorted labels of the groups."""
        return self.design.grouping.keys

    @property
    def group_name(self) -> str:
        """Name of the grouping factor."""
        return self.design.grouping.name

    @cached_property
    def group_sizes(self) -> np.ndarray:
        """Rows of each group (n_groups,), in the order of ``group_labels``."""
        return np.bincount(self.design.grouping.codes, minlength=self.n_groups)

    @cached_property
    def row_indices(self) -> dict[Any, list[int]]:
        """Rows of each group, by label."""
        order = np.argsort(self.design.grouping.codes, kind="stable")
        ends = np.cumsum(np.bincount(self.design.grouping.codes, minlength=self.n_groups))
        parts = np.split(order, ends[:-1])
        return {label: rows.tolist() for label, rows in zip(self.group_labels, parts)}

    def group_list(self, array: Any) -> list[np.ndarray] | None:
        """Split an array by group: a list of arrays in the order of ``group_labels``."""
        if array is None:
            return None
        values = np.asarray(array)
        rows = len(values) if values.ndim else 0
        if rows != self.nobs:
            raise DataValueError(
                f"array has {rows} rows; expected {self.nobs}, one for each observation"
            )
        return [values[rows] for rows in self.row_indices.values()]

    @cached_property
    def endog_li(self) -> list[np.ndarray]:
        """The response of each group."""
        return self.group_list(self.endog) or []

    @cached_property
    def exog_li(self) -> list[np.ndarray]:
        """The fixed effects' columns of each group."""
        return self.group_list(self.exog) or []

    @cached_property
    def exog_re_li(self) -> list[np.ndarray]:
        """The random coefficients' columns of each group."""
        return self.group_list(self.exog_re) or []

    @cached_property
    def exog_re2_li(self) -> list[np.ndarray] | None:
        """Z_g'Z_g of each group (k_re, k_re); None without random coefficients."""
        return [z.T @ z for z in self.exog_re_li] if self.k_re else None

    @cached_property
    def groups(self) -> np.ndarray:
        """The label of each row's group (n,)."""
        return np.asarray(self.design.grouping.labels)[self.design.grouping.codes]

    @cached_property
    def exog_vc(self) -> VCSpec:
        """The variance components inside groups, in the form in which statsmodels has them."""
        return vc_spec(self.design.components, self.row_indices)

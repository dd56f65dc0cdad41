"""ModelSpec: what a model is, without a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .design import Design, RandomTerm
from .formula import has_bars
from .groups import GroupingFactor
from .layout import Layout


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """Names, encodings and layout of a model: all that is needed to make its columns from new data.

    Attributes
    ----------
    endog_name : str
    fixed_names : tuple of str
        Names of the columns of X as they were given.
    kept : int array (p,)
        Which of them the model has; the others are determined by these.
    built : int array (p,)
        Where these are among the columns that `fixed_info` builds, or that were given; `n_given` is their
        number.
    layout : Layout
    factors : tuple of GroupingFactor
    nobs : int
    labeled : bool
        Whether the data came as pandas objects, so that results are labeled.
    formula : str or None
    use_sqrt : bool
        How the model packs parameters.
    n_dropped : int
        Rows left out because of missing values.
    missing : mapping of str to int
        The variables with missing values, and the number of rows in which each is missing.
    terms : tuple of RandomTerm
        The bars, with what builds their columns for new data.
    constant : tuple of bool
        Of each bar, whether its columns are ones.
    endog_info, fixed_info, offset_info, component_info : object
        What builds the response, the columns of X, of the offset and of the components for new data.
    has_offset : bool
    """

    endog_name: str
    fixed_names: tuple[str, ...]
    kept: np.ndarray
    built: np.ndarray
    n_given: int
    layout: Layout
    factors: tuple[GroupingFactor, ...]
    nobs: int
    labeled: bool
    formula: str | None
    use_sqrt: bool
    n_dropped: int
    missing: Mapping[str, int]
    endog_info: Any
    fixed_info: Any
    terms: tuple[RandomTerm, ...]
    constant: tuple[bool, ...]
    offset_info: tuple[Any, ...]
    component_info: tuple[Any, ...]
    has_offset: bool

    @classmethod
    def of(cls, design: Design, kept: np.ndarray, formula: str | None, use_sqrt: bool) -> ModelSpec:
        """Return the spec of a design of which some columns of X are kept."""
        components = () if design.components is None else design.components.names
        factors = tuple(g.factor for g in design.groupings)
        layout = Layout.of(
            [(t.names, t.factor) for t in design.terms], components, [g.name for g in factors]
        )
        built = kept if design.fixed_built is None else design.fixed_built[kept]
        return cls(
            design.endog_name, design.fixed_names, kept, built,
            len(design.fixed) if design.fixed_built is None else design.fixed_given,
            layout, factors, design.n_rows, design.labeled, formula, use_sqrt, design.n_dropped,
            design.missing, design.endog_info, design.fixed_info,
            design.terms,
            tuple(all(c is None for c in design.columns_of(t)) for t in range(len(design.terms))),
            design.offset_info, design.component_info, design.offset is not None,
        )  # fmt: skip

    @cached_property
    def exog_names(self) -> list[str]:
        """Names of the fixed effects."""
        return [self.fixed_names[j] for j in self.kept]

    @cached_property
    def dropped(self) -> tuple[str, ...]:
        """Columns of X left out because others determine them."""
        kept = set(self.kept.tolist())
        return tuple(name for j, name in enumerate(self.fixed_names) if j not in kept)

    @cached_property
    def has_bars(self) -> bool:
        """Whether the formula has random-effects terms in bars, such as (1 | g)."""
        return self.formula is not None and has_bars(self.formula)

    @property
    def k_fe(self) -> int:
        """Number of fixed effects."""
        return len(self.kept)

    @cached_property
    def param_names(self) -> list[str]:
        """Names of all parameters, as packed."""
        return [*self.exog_names, *self.layout.parameter_names]

    @property
    def group_name(self) -> str:
        """Name of the first grouping factor."""
        return self.factors[0].name

    @property
    def has_components(self) -> bool:
        """Whether there are variance components."""
        return bool(self.layout.components)

    @property
    def is_several(self) -> bool:
        """Whether the model has several grouping factors."""
        return len(self.factors) > 1

    def series(self, values: np.ndarray, index: Any) -> pd.Series | np.ndarray:
        """Return a Series where the model was given pandas objects, as statsmodels does."""
        return pd.Series(values, index=index) if self.labeled else values

    def frame(self, values: np.ndarray, names: list[str]) -> pd.DataFrame | np.ndarray:
        """Return a square frame where the model was given pandas objects."""
        return pd.DataFrame(values, index=names, columns=names) if self.labeled else values

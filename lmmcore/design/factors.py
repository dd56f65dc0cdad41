"""The grouping factors of a design as the crossed engine sees them.

Bars with several grouping factors say it themselves. statsmodels says it by one group for all rows
and a variance component per factor: a component with one entry in every row is a factor too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .columns import Column
from .components import Components
from .design import Design
from .groups import Grouping, GroupingFactor


@dataclass(frozen=True, eq=False)
class Factor:
    """A grouping factor with the random coefficients that vary with it.

    Attributes
    ----------
    grouping : Grouping
    columns : tuple of columns
        Those of all its terms.
    terms : tuple of int
        Numbers of its terms; the variance components of a design follow its bars.
    sizes : tuple of int
        Columns of each term.
    centered : bool
        Whether the columns may be shifted along a constant first one when rows are read.
    """

    grouping: Grouping
    columns: tuple[Column, ...]
    terms: tuple[int, ...]
    sizes: tuple[int, ...]
    centered: bool


def crossed_factors(design: Design) -> list[Factor] | None:
    """Return the factors of a design with several of them, None when its groups are independent."""
    if design.others:
        return factors_of_terms(design)
    if design.components is None or design.grouping.n_levels > 1:
        return None
    return _of_components(design)


def factors_of_terms(design: Design) -> list[Factor]:
    """Return one factor for each grouping, with its terms."""
    out = []
    for f, grouping in enumerate(design.groupings):
        terms = tuple(t for t, term in enumerate(design.terms) if term.factor == f)
        columns = tuple(c for t in terms for c in design.columns_of(t))
        sizes = tuple(len(design.terms[t].names) for t in terms)
        out.append(Factor(grouping, columns, terms, sizes, len(terms) == 1))
    return out


def _of_components(design: Design) -> list[Factor] | None:
    """Return a factor for each variance component; None when a row has several entries of one."""
    components = design.components
    assert components is not None
    n = design.n_rows
    of_label = np.array([t for t, _ in components.labels], dtype=np.int64)
    rows = np.repeat(np.arange(n), np.diff(components.indptr))
    component = np.where(components.values != 0.0, of_label[components.columns], -1)
    out = []
    for t, name in enumerate(components.names):
        mine = component == t
        at = rows[mine]
        if len(at) > 1 and not np.all(at[1:] > at[:-1]):
            return None
        out.append(_of_component(components, t, name, at, mine, of_label, n, len(design.terms)))
    return out


def _of_component(
    components: Components, t: int, name: str, rows: np.ndarray, mine: np.ndarray,
    of_label: np.ndarray, n: int, n_terms: int,
) -> Factor:  # fmt: skip
    labels = np.flatnonzero(of_label == t)
    rank = np.zeros(len(of_label), dtype=np.int32)
    rank[labels] = np.arange(len(labels), dtype=np.int32)
    codes = np.zeros(n, dtype=np.int32)
    codes[rows] = rank[components.columns[mine]]
    values = components.values[mine]
    column: Column = None
    if len(rows) < n or not np.all(values == 1.0):
        column = np.zeros(n)  # a row without an entry counts for nothing
        column[rows] = values
    texts = np.array([components.labels[j][1] for j in labels], dtype=object)
    in_order = bool(np.all(codes[1:] >= codes[:-1]))
    grouping = Grouping(GroupingFactor(name, texts), codes, in_order)
    return Factor(grouping, (column,), (n_terms + t,), (1,), False)

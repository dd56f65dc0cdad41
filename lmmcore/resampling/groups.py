"""Designs of groups that were drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..design.columns import Column
from ..design.design import Design
from ..design.groups import Grouping, GroupingFactor
from ..errors import OptionError

Generator = np.random.Generator | np.random.RandomState


def drawing_groups(design: Design, level: str | None) -> Callable[[Generator], Design]:
    """Return a function that draws as many levels of a grouping factor as there are, with replacement.

    A level that is drawn twice becomes two levels, and so do those of the factors nested in it. Levels of
    crossed factors stay what they are.

    Raises
    ------
    OptionError
        No such factor; several, and none named; one that has a single level.
    """
    f = factor_of(design, level)
    grouping = design.groupings[f]
    q = grouping.n_levels
    if q < 2:
        raise OptionError(
            f"kind='groups' draws levels of {grouping.name!r}, which has only one; expected two or more. Use "
            "kind='parametric', which draws responses from the fitted model"
        )
    order = np.argsort(grouping.codes, kind="stable")
    sizes = np.bincount(grouping.codes, minlength=q)
    first = np.concatenate([[0], np.cumsum(sizes)])
    nested = [h != f and is_nested(g, grouping) for h, g in enumerate(design.groupings)]

    def draw(rng: Generator) -> Design:
        chosen = (
            rng.integers(q, size=q)
            if isinstance(rng, np.random.Generator)
            else rng.randint(q, size=q)
        )
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        rows = order[np.repeat(first[chosen] - ends + lengths, lengths) + np.arange(int(ends[-1]))]
        copies = np.repeat(np.arange(q, dtype=np.int32), lengths)
        groupings = []
        for h, other in enumerate(design.groupings):
            if h != f and not nested[h]:
                groupings.append(other.take(rows))
                continue
            count, codes = q, copies
            if h != f:
                pairs = copies.astype(np.int64) * other.n_levels + other.codes[rows]
                found, back = np.unique(pairs, return_inverse=True)
                count, codes = len(found), back.ravel().astype(np.int32)
            drawn = GroupingFactor(other.name, np.arange(count), other.factor.variables)
            in_order = bool(np.all(codes[1:] >= codes[:-1]))
            groupings.append(Grouping(drawn, codes, in_order))
        return of_rows(design, rows, groupings)

    return draw


def factor_of(design: Design, level: str | None) -> int:
    """Return the number of a grouping factor by its name; None is the only one.

    Raises
    ------
    OptionError
    """
    names = [g.name for g in design.groupings]
    if level is None:
        if len(names) > 1:
            raise OptionError(
                f"the model has several grouping factors ({', '.join(names)}), whose levels share rows; "
                f"expected level={names[0]!r} or another one, whose levels are drawn. kind='parametric' "
                "draws responses from the fitted model"
            )
        return 0
    if level not in names:
        raise OptionError(f"level={level!r}; expected one of {', '.join(map(repr, names))}")
    return names.index(level)


def is_nested(inner: Grouping, outer: Grouping) -> bool:
    """Return whether each level of a factor has rows in one level of another one only."""
    pairs = inner.codes.astype(np.int64) * outer.n_levels + outer.codes
    return len(np.unique(pairs)) == inner.n_levels


def of_rows(design: Design, rows: np.ndarray, groupings: list[Grouping]) -> Design:
    """Return the design of some rows, which may occur several times, with other grouping factors."""

    def take(columns: tuple[Column, ...]) -> tuple[Column, ...]:
        return tuple(None if c is None else c[rows] for c in columns)

    variables = design.fixed_table if design.table is None else None
    return replace(
        design,
        source=None,
        variables=None if variables is None else variables.iloc[rows],
        endog=design.endog[rows],
        fixed=take(design.fixed),
        random=take(design.random),
        grouping=groupings[0],
        others=tuple(groupings[1:]),
        components=None if design.components is None else design.components.take(rows),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        rows=rows if design.rows is None else design.rows[rows],
        in_table=rows if design.in_table is None else design.in_table[rows],
        row_labels=None,
    )


def without_level(design: Design, f: int, level: int) -> Design:
    """Return the design without the rows of one level of a grouping factor."""
    rows = np.flatnonzero(design.groupings[f].codes != level)
    return of_rows(design, rows, [g.take(rows) for g in design.groupings])

"""The argument `groups`: a column's name, a Series or frame with a name of its own, or bare labels."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..errors import FormulaError, NameNotFoundError, suggest
from .factorize import factorize
from .groups import advice_for_two
from .variables import as_text

GROUP = "Group"  # the name of groups that have none, as in statsmodels


def name_of(values: Any) -> str | None:
    """Return the name of a column: text itself, the name of a Series, the column of a frame."""
    if isinstance(values, str):
        return values
    name = getattr(values, "name", None)
    if isinstance(values, pd.DataFrame) and values.shape[1] == 1:
        name = values.columns[0]
    return None if name is None else str(name)


def column_named(groups: Any, table: Any) -> tuple[str, ...]:
    """Return the column of new rows that says their group: that with the name of `groups`, if there is one.

    A column of that name in `table`, the rows of the model, has to hold the same labels. If not, as with
    ``groups=data["Subject"] // 2``, there is none.
    """
    name = name_of(groups)
    if name is None:
        return ()
    if isinstance(groups, str) or not isinstance(table, pd.DataFrame) or name not in table.columns:
        return (name,)
    own = groups.iloc[:, 0] if isinstance(groups, pd.DataFrame) else groups
    column = table[name]
    if (
        not isinstance(own, pd.Series)
        or not isinstance(column, pd.Series)
        or len(own) != len(column)
    ):
        return ()
    return (name,) if own.equals(column) or _same_labels(own, column) else ()


def _same_labels(one: pd.Series, other: pd.Series) -> bool:
    """Whether labels are the same where neither is missing, be they text or numbers."""
    both = one.notna().to_numpy() & other.notna().to_numpy()
    (codes, labels), (other_codes, others) = (factorize(s[both]) for s in (one, other))
    return (codes == other_codes).all() and [*map(as_text, labels)] == [*map(as_text, others)]


def column_of(groups: Any, table: pd.DataFrame) -> Any:
    """Return `groups` with a list of one column's name, or a frame of one column, as that column.

    Raises
    ------
    FormulaError
        Several columns: the grouping factors of a model are said by bars.
    NameNotFoundError
        A list of names that are no columns.
    """
    if isinstance(groups, pd.DataFrame):
        if groups.shape[1] == 1:
            return groups.iloc[:, 0]
        raise _several(list(groups.columns))
    names = _names(groups)
    if not names or (len(names) == len(table) and not set(names) <= set(table.columns)):
        return groups
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise NameNotFoundError(
            f"groups={names[:5]!r} names {unknown[0]!r}, which is not a column of data"
            + suggest(unknown[0], map(str, table.columns))
        )
    if len(names) > 1:
        raise _several(names)
    return names[0]


def _names(groups: Any) -> list[str]:
    """Return a short list of text, which may be names of columns; of anything else nothing."""
    short = isinstance(groups, (list, tuple, pd.Index)) and len(groups) < 20
    return list(groups) if short and all(isinstance(x, str) for x in groups) else []


def _several(names: list[Any]) -> FormulaError:
    advice = advice_for_two(*map(str, names[:2])) if len(names) > 1 else advice_for_two()
    return FormulaError(
        f"groups has the columns {', '.join(map(repr, names[:5]))}; expected one grouping factor. "
        + advice
    )

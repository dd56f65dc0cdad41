"""What the names of a formula mean in a table: columns with dots, powers, ``.``.

Text alone cannot tell ``Sepal.Length`` (a column) from ``np.log`` (Python), or the power ``x^2`` from
the crossing ``g^2`` of a factor. What a formula needs to know of its table is in a `Names`, which is
small and compared by value, so that parsed formulas can be kept.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..errors import FormulaError, NameNotFoundError, suggest
from .functions import FUNCTIONS
from .tokens import (
    Token,
    closing,
    inside,
    is_attribute,
    is_called,
    is_keyword,
    prefixes,
    source,
    tokenize,
    variable,
    variables,
)


@dataclass(frozen=True)
class Names:
    """What a formula has to know of its table.

    Attributes
    ----------
    columns : frozenset of str
        Names with dots that are columns.
    categories, booleans : frozenset of str
        Columns beside a ``^`` that are no numbers; those of them that are true or false.
    every : tuple of str or None
        What ``.`` may stand for; None without a table.
    """

    columns: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    booleans: frozenset[str] = frozenset()
    every: tuple[str, ...] | None = None


NO_NAMES = Names()
COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!=", "&", "|", "not", "and", "or"})


class _Mentions(NamedTuple):
    dotted: tuple[str, ...]
    powered: tuple[str, ...]
    dot: bool
    taken: tuple[str, ...]


@lru_cache(maxsize=512)
def _mentions(text: str) -> _Mentions | None:
    """Return the names of a formula that a table has to explain, None if there are none."""
    tokens = tokenize(text)
    dotted, powered, dot = set(), set(), False
    for i, token in enumerate(tokens):
        if is_attribute(tokens, i) or is_keyword(tokens, i):
            continue
        dot |= is_dot(token)
        if token.kind == "name" and "." in token.text:
            dotted.add(token.text)
        if token.text == "^" and token.kind == "operator":
            powered |= {name for name in map(variable, _beside(tokens, i)) if name is not None}
    if not (dotted or powered or dot):
        return None
    taken = [tokens[i + 1].text for i in range(len(tokens)) if dot and _takes_away(tokens, i)]
    return _Mentions(tuple(dotted), tuple(powered), dot, tuple(taken))


def _takes_away(tokens: Sequence[Token], i: int) -> bool:
    """Whether an operator is the ``-`` of ``. - x``."""
    if tokens[i].text != "-" or tokens[i].depth > 0 or i + 1 == len(tokens):
        return False
    named = tokens[i + 1].kind in ("name", "quoted") and not is_called(tokens, i + 1)
    after = tokens[i + 2].text if i + 2 < len(tokens) else "+"
    return named and after in "+-" and any(t.text == "~" for t in tokens[:i])


def is_dot(token: Token) -> bool:
    """Whether a token is the ``.`` that stands for all columns."""
    return token.kind == "operator" and token.text == "."


def _beside(tokens: Sequence[Token], at: int) -> list[Sequence[Token]]:
    """Return the operands on both sides of an operator, without brackets around the whole of one."""
    found = []
    if at > 0:
        first = at - 1
        if tokens[first].kind == "close":
            depth = tokens[first].depth
            first = next(
                i for i in range(first - 1, -1, -1)
                if tokens[i].kind == "open" and tokens[i].depth == depth
            )  # fmt: skip
            first -= first > 0 and is_called(tokens, first - 1) and tokens[first - 1].kind == "name"
        found.append(tokens[first:at])
    last = at + 1
    while last < len(tokens) and tokens[last].text in "+-":
        last += 1
    if last < len(tokens):
        start = last
        last += is_called(tokens, last)
        last = closing(tokens, last) if tokens[last].kind == "open" else last
        found.append(tokens[start : last + 1])
    return [inside(operand) for operand in found]


def names_in(
    texts: Sequence[str], table: pd.DataFrame, frame: FrameType | None, besides: Iterable[str] = ()
) -> Names:
    """Return what the table and the caller say of the names of formulas.

    Parameters
    ----------
    texts : sequence of str
    table : DataFrame
    frame : frame of the caller, or None
    besides : iterable of str
        Columns that ``.`` does not stand for; those of the response, the groups and the offsets are known
        from the formula.

    Raises
    ------
    NameNotFoundError
        A name with dots is no column, and what stands before the dot is not known either.
    """
    found = [m for m in map(_mentions, texts) if m is not None]
    if not found:
        return NO_NAMES
    columns = table.columns
    known = {c for m in found for name in m.dotted for c in prefixes(name) if c in columns}
    for text, m in zip(texts, map(_mentions, texts)):
        for name in m.dotted if m is not None else ():
            if not known & set(prefixes(name)) and name not in FUNCTIONS:
                _check_root(name, text, columns, frame)
        for name in m.taken if m is not None else ():
            if name not in columns:
                raise NameNotFoundError(
                    f"in {text!r}, {name!r} is removed, but it is not a column of data"
                    + suggest(name, map(str, columns))
                )
    powered = [name for m in found for name in m.powered if name in columns]
    categories = frozenset(name for name in powered if not _is_numeric(table[name]))
    booleans = frozenset(n for n in categories if pd.api.types.is_bool_dtype(table[n].dtype))
    every = None
    if any(m.dot for m in found):
        every = tuple(_text(c) for c in columns if c not in set(besides))
    return Names(
        frozenset(name for name in known if "." in name),
        categories,
        booleans,
        every,
    )


def _check_root(name: str, text: str, columns: pd.Index, frame: FrameType | None) -> None:
    root = name.split(".")[0]
    spaces = [vars(builtins), FUNCTIONS]
    spaces += [] if frame is None else [frame.f_locals, frame.f_globals]
    if root not in columns and not any(root in space for space in spaces):
        raise NameNotFoundError(
            f"the formula {text!r} uses {name!r}, which is not a column of data"
            + suggest(name, map(str, columns))
        )


def _text(column: Any) -> str:
    if not isinstance(column, str):
        raise FormulaError(
            f"'.' stands for all columns, and data has the column {column!r}, whose name is not "
            f"text; expected "
            "text. Rename it, or write the terms instead of '.'"
        )
    return column


def _is_numeric(values: pd.Series) -> bool:
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        numbers = ("integer", "floating", "mixed-integer-float", "decimal")
        return pd.api.types.infer_dtype(values, skipna=True) in numbers
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def factors_in(text: str, table: pd.DataFrame) -> set[str]:
    """Return the columns that a formula takes as categories: in ``C(…)``, or as they hold no numbers."""
    tokens = tokenize(text)
    inside = {
        name
        for i, token in enumerate(tokens)
        if token.text in ("C", "factor", "as.factor", "as_factor") and is_called(tokens, i)
        for name in variables(source(text, tokens[i + 2 : i + 3]) or "1")
    }
    found = {name for name in variables(text) if name in table.columns}
    return {name for name in found if name in inside or not _is_numeric(table[name])}


def quote(name: str) -> str:
    """Return Python for the column of that name."""
    if name.isidentifier() and not iskeyword(name):
        return name
    text = f'"{name}"' if not set(name) & {'"', "\\"} else repr(name)
    return f"Q({text})"


def python(text: str, tokens: Sequence[Token], names: Names) -> str:
    """Return Python for an expression: the text of the tokens, where names and ``^`` are translated."""
    out, at = [], tokens[0].start
    for i, token in enumerate(tokens):
        out.append(text[at : token.start])
        out.append(_python(text, tokens, i, names))
        at = token.end
    return "".join(out)


def _python(text: str, tokens: Sequence[Token], i: int, names: Names) -> str:
    token = tokens[i]
    if token.kind == "quoted":
        return quote(token.text)
    if is_dot(token):
        raise FormulaError(
            f"in {text!r}, '.' is inside an expression; it stands for all columns, as terms, such as in "
            "'y ~ . + (1 | g)'. Write the names"
        )
    if token.kind == "operator" and token.text == "^":
        _refuse_booleans(text, tokens, i, names)
        return "**"
    if token.kind == "name" and is_keyword(tokens, i):
        return token.text.replace(".", "_").lower() if "." in token.text else token.text
    if token.kind != "name" or is_attribute(tokens, i):
        return text[token.start : token.end]
    for prefix in prefixes(token.text) if "." in token.text else ():
        if prefix in names.columns:
            return quote(prefix) + token.text[len(prefix) :]
    if is_called(tokens, i):
        return token.text.replace(".", "_") if token.text in FUNCTIONS else token.text
    return token.text


def _refuse_booleans(text: str, tokens: Sequence[Token], i: int, names: Names) -> None:
    """Python's ``^`` of truth values is no power."""
    for operand in _beside(tokens, i):
        name = variable(operand)
        if name in names.booleans:
            what = f"{name!r}, which is true or false"
        elif any(t.text in COMPARISONS and t.depth == operand[0].depth for t in operand):
            what = f"the comparison {source(text, operand)!r}"
        else:
            continue
        raise FormulaError(
            f"in {text!r}, '^' is a power, but it is used with {what}; expected numbers. Use "
            "np.logical_xor(a, b) for the exclusive or"
        )

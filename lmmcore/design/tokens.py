"""The text of formulas as tokens.

Formulas are Python's expressions with a few words of R between them: names with dots
(``Sepal.Length``), names in backticks, ``^``, ``||`` and a ``.`` alone. Everything that reads the text
of a formula reads these tokens.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import FormulaError

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:0[xXbBoO][\da-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
  | (?P<name>(?:[^\W\d]|\.[^\W\d])[\w.]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | `(?P<quoted>[^`]+)`
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<operator>\*\*|//|\|\||==|!=|<=|>=|<<|>>|:=|->|%in%|[^\s\w"'`])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WRONG = {
    '"': "a quote is not closed",
    "'": "a quote is not closed",
    "`": "a backtick is not closed",
}
_PAIRS = {")": "(", "]": "[", "}": "{"}


class Token(NamedTuple):
    """A piece of a formula.

    Attributes
    ----------
    kind : {"name", "quoted", "number", "string", "open", "close", "access", "operator"}
        "quoted" is a name in backticks, "access" the dot in ``f(x).mean``; dots inside of a name are part
        of it.
    text : str
        What was written; for a name in backticks the name.
    start, end : int
        Where it stands in the formula.
    depth : int
        Number of brackets around it; those of a bracket itself are not counted.
    """

    kind: str
    text: str
    start: int
    end: int
    depth: int


@lru_cache(maxsize=512)
def tokenize(text: str) -> tuple[Token, ...]:
    """Return the tokens of a formula.

    Raises
    ------
    FormulaError
        A quote, a backtick or a bracket that is not closed, or a bracket that was not opened.
    """
    out: list[Token] = []
    opened: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            wrong = _WRONG.get(text[at:].lstrip()[0], "a character is not understood")
            raise FormulaError(f"in {text!r}, {wrong}")
        kind = str(found.lastgroup)
        word, start, at = found[kind], found.start(kind), found.end()
        if kind == "name" and word[0] == "." and out and _ends_value(out[-1], start):
            kind, word, at = "access", ".", start + 1  # f(x).mean
        if kind == "close" and (not opened or opened.pop() != _PAIRS[word]):
            raise FormulaError(
                f"in {text!r}, a parenthesis or bracket is closed but was not opened"
            )
        if kind == "quoted":
            start -= 1
        out.append(Token(kind, word, start, at, len(opened)))
        if kind == "open":
            opened.append(word)
    if opened:
        raise FormulaError(f"in {text!r}, a parenthesis or bracket is not closed")
    return tuple(out)


def _ends_value(last: Token, start: int) -> bool:
    return last.end == start and last.kind in ("close", "string", "quoted")


def source(text: str, tokens: Sequence[Token]) -> str:
    """Return the part of the text where the tokens stand."""
    return text[tokens[0].start : tokens[-1].end] if tokens else ""


def split(tokens: Sequence[Token], at: str) -> list[Sequence[Token]]:
    """Cut at an operator outside of all brackets."""
    parts, start = [], 0
    for i, token in enumerate(tokens):
        if token.text == at and token.kind == "operator" and token.depth == tokens[0].depth:
            parts.append(tokens[start:i])
            start = i + 1
    return [*parts, tokens[start:]]


def closing(tokens: Sequence[Token], at: int) -> int:
    """Return the position of the bracket that closes the one at position `at`."""
    return next(
        i
        for i in range(at + 1, len(tokens))
        if tokens[i].kind == "close" and tokens[i].depth == tokens[at].depth
    )


def inside(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the tokens without the brackets around all of them."""
    while len(tokens) > 2 and tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def call_of(tokens: Sequence[Token]) -> tuple[str, Sequence[Token]] | None:
    """Return the function's name and the tokens inside, if the tokens are one call ``f(…)``."""
    if len(tokens) < 3 or tokens[0].kind != "name" or tokens[1].text != "(":
        return None
    if tokens[1].kind != "open" or closing(tokens, 1) != len(tokens) - 1:
        return None
    return tokens[0].text, tokens[2:-1]


def variable(tokens: Sequence[Token]) -> str | None:
    """Return the name if the tokens are one: ``x``, ``a.b``, a name in backticks or ``Q("…")``."""
    if len(tokens) == 1 and tokens[0].kind in ("name", "quoted"):
        return tokens[0].text
    call = call_of(tokens)
    if call is None or call[0] != "Q" or len(call[1]) != 1 or call[1][0].kind != "string":
        return None
    return string(call[1][0])


def string(token: Token) -> str:
    """Return the value of a token that is a string."""
    return str(ast.literal_eval(token.text))


def is_keyword(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name is that of an argument: ``df`` in ``bs(x, df=4)``."""
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    return (
        following is not None
        and following.text == "="
        and at > 0
        and tokens[at - 1].text in ("(", ",")
    )


def is_called(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name is that of a function: ``f`` in ``f(x)``."""
    return at + 1 < len(tokens) and tokens[at + 1].text == "(" and tokens[at + 1].kind == "open"


def is_attribute(tokens: Sequence[Token], at: int) -> bool:
    """Whether a name follows a dot: ``mean`` in ``f(x).mean``."""
    return at > 0 and tokens[at - 1].kind == "access"


@lru_cache(maxsize=512)
def variables(text: str) -> frozenset[str]:
    """Return the names that may be variables in the text of a formula or of Python.

    Names of functions, of their arguments and of attributes are left out; of a name with dots both the
    whole and the part before the first dot may be one.
    """
    return frozenset(variables_of(tokenize(text)))


def variables_of(tokens: Sequence[Token]) -> set[str]:
    """Return the names that may be variables; see `variables`."""
    found = set()
    for i, token in enumerate(tokens):
        if token.kind == "quoted":
            found.add(token.text)
        elif token.kind == "string" and i > 1 and [t.text for t in tokens[i - 2 : i]] == ["Q", "("]:
            found.add(string(token))
        elif token.kind == "name" and not is_attribute(tokens, i) and not is_keyword(tokens, i):
            if "." in token.text:
                found.update(prefixes(token.text))
            elif not is_called(tokens, i):
                found.add(token.text)
    return found


def prefixes(name: str) -> list[str]:
    """Return a name with dots and what stands before each dot, the longest first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts), 0, -1) if parts[i - 1]]

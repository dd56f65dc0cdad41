"""Formulas: text → response, fixed part and random-effects terms.

``"y ~ x + (1 + x | g)"`` is cut into the fixed part, which patsy understands, and its bars.
Nothing here looks at data: what a formula needs to know of its table comes as `Names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from ..errors import FormulaError
from .names import NO_NAMES, Names, is_dot
from .terms import Expression, Terms, expression, signed_terms, translate, without_intercept
from .tokens import Token, call_of, closing, source, split, tokenize, variable, variables_of

Tokens: TypeAlias = Sequence[Token]


@dataclass(frozen=True)
class Bar:
    """One random-effects term ``(terms | group)``.

    Attributes
    ----------
    terms : Terms
    group : tuple of str
        The names whose interaction is the grouping factor: ``a:b`` has two. ``(x | a/b)`` is two
        bars, for ``a`` and ``a:b``.
    covariance : str
        Name of the covariance structure: ``cs(1 + x | g)``.
    """

    terms: Terms
    group: tuple[str, ...]
    covariance: str = "unstructured"


@dataclass(frozen=True)
class MixedFormula:
    """A parsed formula: response (and its name, if it is one variable), fixed part, bars, offsets."""

    response: Expression
    response_name: str | None
    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[Expression, ...] = ()


@lru_cache(maxsize=512)
def parse_formula(formula: str, names: Names = NO_NAMES) -> MixedFormula:
    """Parse ``"response ~ fixed + (random | group) + …"``.

    Raises
    ------
    FormulaError
        Says which part does not parse.
    """
    tokens = tokenize(formula)
    sides = split(tokens, "~") if tokens else []
    if len(sides) != 2 or not sides[0] or not sides[1]:
        raise FormulaError(
            f"the formula {formula!r} has {max(len(sides) - 1, 0)} '~' with something on both sides; "
            "expected 'response ~ terms', such as 'y ~ x + (1 | g)'"
        )
    fixed: list[tuple[str, Tokens]] = []
    bars: list[Bar] = []
    offsets: list[Expression] = []
    used = variables_of(sides[0])
    for sign, term in signed_terms(formula, sides[1]):
        call = call_of(term)
        if call is not None and call[0] == "offset" and call[1]:
            offset = expression(formula, call[1], names)
            used |= variables_of(call[1])
            offsets.append(offset if sign == "+" else _negative(offset))
            continue
        structure, inner = _structure(term)
        if inner is None:
            inner = _bar(formula, term)
        if inner is None:
            fixed.append((sign, term))
        elif sign == "-":
            raise FormulaError(
                f"in {formula!r}, the random-effects term {source(formula, term)} is subtracted; remove it"
            )
        else:
            bars.extend(_parse_bar(formula, inner, structure, names))
    used |= {name for bar in bars for name in bar.group}
    if names.every is not None:
        names = replace(names, every=tuple(x for x in names.every if x not in used))
    return MixedFormula(
        expression(formula, sides[0], names),
        variable(sides[0]),
        translate(formula, fixed, names),
        tuple(bars),
        tuple(offsets),
    )


def has_bars(formula: str) -> bool:
    """Return whether a formula that can be parsed has random-effects terms in bars."""
    terms = signed_terms(formula, split(tokenize(formula), "~")[-1])
    return any(_structure(term)[1] or _bar_positions(term) for _, term in terms)


def _negative(offset: Expression) -> Expression:
    return Expression(f"-({offset.written})", f"-({offset.text})")


@lru_cache(maxsize=512)
def parse_terms(text: str, names: Names = NO_NAMES) -> Terms:
    """Parse a right-hand side without bars, with or without a leading ``~``."""
    tokens = tokenize(text)
    if tokens and tokens[0].text == "~":
        tokens = tokens[1:]
    if not tokens:
        raise FormulaError(f"the formula {text!r} is empty; expected terms, such as '1 + x'")
    if _bar_positions(tokens):
        raise FormulaError(
            f"{text!r} has a '|' outside a random-effects term; write these terms in parentheses, "
            "such as (1 + x | g)"
        )
    _refuse_dot(text, tokens)
    return translate(text, signed_terms(text, tokens), names)


def _refuse_dot(text: str, tokens: Tokens) -> None:
    """In the columns of random effects ``.`` would mean a covariance matrix of all columns."""
    if any(is_dot(token) for token in tokens):
        raise FormulaError(
            f"in {text!r}, '.' is in a random-effects term or a variance component; it can stand "
            f"for all columns "
            "only in the fixed part. Write the names of the columns"
        )


def _parse_bar(formula: str, inner: Tokens, structure: str | None, names: Names) -> list[Bar]:
    text = source(formula, inner)
    double = any(t.text == "||" for t in inner)
    if double and structure is not None:
        raise FormulaError(
            f"in {formula!r}, {structure}({text}) has '||', which makes the coefficients independent; "
            "write one bar with the structure, or two bars without it"
        )
    parts = split(inner, "||" if double else "|")
    if len(parts) != 2 or not parts[0] or not parts[1]:
        raise FormulaError(
            f"in {formula!r}, the random-effects term ({text}) is not of the form (terms | group)"
        )
    _refuse_dot(formula, parts[0])
    nested = [tuple(variable(x) if x else None for x in split(p, ":")) if p else (None,)
              for p in split(parts[1], "/")]  # fmt: skip
    # a/b is a + a:b.
    groups = [tuple(x or "" for part in nested[: i + 1] for x in part) for i in range(len(nested))]
    if any("" in group for group in groups):
        raise FormulaError(
            f"in {formula!r}, the group {source(formula, parts[1])!r} is not made of names joined by ':' "
            "(interaction) or '/' (nesting); compute the grouping variable first and name it"
        )
    terms = signed_terms(formula, parts[0])
    if not double:
        columns = translate(formula, terms, names)
        return [Bar(columns, group, structure or "unstructured") for group in groups]
    return [Bar(piece, group) for group in groups for piece in _pieces(formula, terms, names)]


def _pieces(formula: str, terms: Sequence[tuple[str, Tokens]], names: Names) -> list[Terms]:
    """Return the terms of ``(1 + x || g)``, which is (1 | g) + (0 + x | g): one for each summand."""
    intercept, parts = without_intercept(terms)
    for sign, tokens in parts:
        if sign == "-":
            raise FormulaError(
                f"in {formula!r}, '- {source(formula, tokens)}' stands before '||'; write only "
                "the coefficients that you want, such as (1 + x || g)"
            )
    pieces = [translate(formula, [("+", tokens)], names, slopes=True) for _, tokens in parts]
    return [parse_terms("1"), *pieces] if intercept else pieces


def _bar_positions(tokens: Tokens) -> list[int]:
    """Return where ``|`` stands in no function's brackets."""
    found, calls = list[int](), list[bool]()
    for i, token in enumerate(tokens):
        if token.kind == "open":
            before = tokens[i - 1] if i else None
            called = before is not None and before.kind in ("name", "close", "quoted", "string")
            calls.append(called or token.text != "(")
        elif token.kind == "close":
            calls.pop()
        elif token.text in ("|", "||") and token.kind == "operator" and not any(calls):
            found.append(i)
    return found


def _structure(term: Tokens) -> tuple[str | None, Tokens | None]:
    """Return the name and the inside of a term such as ``cs(1 + x | g)``.

    ``I(a | b)`` is Python's, and so is what has no plain grouping factor on the right.
    """
    call = call_of(term)
    if call is None or call[0] in ("I", "Q", "C") or not call[1]:
        return None, None
    name, inner = call
    parts = split(inner, "||") if any(t.text == "||" for t in inner) else split(inner, "|")
    if len(parts) != 2 or not parts[1]:
        return None, None
    group = [x for part in split(parts[1], "/") if part for x in split(part, ":")]
    if all(x and variable(x) for x in group):
        return name, inner
    return None, None


def _bar(formula: str, term: Tokens) -> Tokens | None:
    """Return what is inside the parentheses when term is a random-effects term."""
    if not _bar_positions(term):
        return None
    while term[0].text == "(" and closing(term, 0) == len(term) - 1:
        term = term[1:-1]
        if any(t.text in ("|", "||") and t.depth == term[0].depth for t in term):
            return term
    raise FormulaError(
        f"{source(formula, term)!r} has a '|' outside parentheses; write random-effects terms as (1 + x | g)"
    )

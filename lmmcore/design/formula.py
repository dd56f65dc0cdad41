"""Formulas: text → response, fixed part and random terms.

``"y ~ x + (1 + x | g)"`` is cut into the fixed part, which patsy understands, and its bars.
Nothing here looks at data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ..errors import FormulaError

_NAME = r"[^\W\d]\w*"
_ATOM = re.compile(
    rf"""\s*(?:(?P<name>{_NAME})|`(?P<tick>[^`]+)`|Q\(\s*(?P<q>"[^"]+"|'[^']+')\s*\)|(?P<num>[01]))\s*$"""
)


@dataclass(frozen=True)
class Terms:
    """The right-hand side of a formula without bars.

    Attributes
    ----------
    text : str
        What patsy is given.
    plain : tuple of str or None
        The names of the columns when the formula is a sum of plain names, else None.
    intercept : bool
        Whether a sum of plain names has an intercept.
    """

    text: str
    plain: tuple[str, ...] | None
    intercept: bool


@dataclass(frozen=True)
class Bar:
    """One random term ``(terms | group)``.

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
    """A parsed formula: response (text and, if plain, name), fixed part, bars, offsets (text)."""

    response: str
    response_name: str | None
    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def parse_formula(formula: str) -> MixedFormula:
    """Parse ``"response ~ fixed + (random | group) + …"``.

    Raises
    ------
    FormulaError
        Says which part does not parse.
    """
    text = _translate_backticks(formula, formula)
    sides = _split_top(text, "~", formula)
    if len(sides) != 2 or not sides[0].strip() or not sides[1].strip():
        raise FormulaError(
            f"the formula {formula!r} has {len(sides) - 1} '~' with something on both sides; "
            "expected 'response ~ terms', such as 'y ~ x + (1 | g)'"
        )
    response = sides[0].strip()
    fixed, bars, offsets = [], [], []
    for sign, term in _signed_terms(sides[1], formula):
        offset = _offset(term)
        if offset is not None:
            offsets.append(offset if sign == "+" else f"-({offset})")
            continue
        structure, inner = _structure(term)
        if inner is None:
            inner = _bar(term)
        if inner is None:
            fixed.append((sign, term))
        elif sign == "-":
            raise FormulaError(
                f"in {formula!r}, the random term {term} is subtracted; write it once"
            )
        else:
            bars.extend(_parse_bar(inner, formula, structure))
    fixed_text = " ".join(f"{s} {t}" for s, t in fixed) or "+ 1"
    fixed_text = fixed_text[2:] if fixed_text.startswith("+ ") else fixed_text
    return MixedFormula(
        response, _plain_name(response), parse_terms(fixed_text), tuple(bars), tuple(offsets)
    )


@lru_cache(maxsize=512)
def parse_terms(text: str) -> Terms:
    """Parse a right-hand side without bars, with or without a leading ``~``."""
    original = text
    text = _translate_backticks(text, text).strip()
    if text.startswith("~"):
        text = text[1:].strip()
    if not text:
        raise FormulaError(f"the formula {original!r} is empty; expected terms, such as '1 + x'")
    if "|" in _without_quotes(text) and not re.search(r"\w\(.*\|", text):
        raise FormulaError(
            f"{original!r} has a '|' outside of a random term; write random terms in parentheses, "
            "such as (1 + x | g)"
        )
    intercept, names = True, list[str]()
    for sign, term in _signed_terms(text, original):
        atom = _ATOM.match(term)
        if atom is None:
            return Terms(text, None, True)
        if atom["num"]:
            intercept = (atom["num"] == "1") == (sign == "+")
        elif sign == "-":
            return Terms(text, None, True)
        elif (name := _atom_name(atom)) not in names:
            names.append(name)
    return Terms(text, tuple(names), intercept)


def _parse_bar(inner: str, formula: str, structure: str | None) -> list[Bar]:
    double = "||" in inner
    if double and structure is not None:
        raise FormulaError(
            f"in {formula!r}, {structure}({inner}) has '||', which makes the coefficients independent; "
            "write one bar with a structure, or no structure"
        )
    parts = inner.split("||" if double else "|")
    if len(parts) != 2 or not parts[0].strip() or not parts[1].strip():
        raise FormulaError(
            f"in {formula!r}, the random term ({inner}) is not of the form (terms | group)"
        )
    lhs, group_text = parts[0].strip(), parts[1].strip()
    nested = [
        tuple(_plain_name(x) or "" for x in part.split(":")) for part in group_text.split("/")
    ]
    # a/b is a + a:b.
    groups = [tuple(x for part in nested[: i + 1] for x in part) for i in range(len(nested))]
    if any("" in group for group in groups):
        raise FormulaError(
            f"in {formula!r}, the group {group_text!r} is not made of names joined by ':' (interaction) "
            "or '/' (nesting); compute the grouping variable first and name it"
        )
    if not double:
        return [Bar(parse_terms(lhs), group, structure or "unstructured") for group in groups]
    # (1 + x || g) is (1 | g) + (0 + x | g): one term of its own per summand.
    terms = parse_terms(lhs)
    if terms.plain is not None:
        pieces = ["0 + " + _quote(name) for name in terms.plain]
    else:
        pieces = ["0 + " + t for s, t in _signed_terms(terms.text, formula) if t not in "01"]
    if (terms.plain is not None and terms.intercept) or (
        terms.plain is None and not re.match(r"^\s*0\s*(\+|$)|-\s*1\b", terms.text)
    ):
        pieces.insert(0, "1")
    return [Bar(parse_terms(piece), group) for group in groups for piece in pieces]


def _structure(term: str) -> tuple[str | None, str | None]:
    """Return the name and the inside of a term such as ``cs(1 + x | g)``.

    ``I(a | b)`` is Python's, and so is what has no plain grouping factor on the right.
    """
    found = re.fullmatch(rf"({_NAME})\((.*)\)", term.strip(), re.DOTALL)
    if found is None or found[1] in ("I", "Q", "C"):
        return None, None
    try:
        parts = _split_top(found[2].replace("||", "|"), "|", term)
    except FormulaError:  # the brackets are not one pair: f(x) + g(y)
        return None, None
    if len(parts) == 2 and all(_plain_name(part) for part in re.split("[:/]", parts[1])):
        return found[1], found[2].strip()
    return None, None


def _offset(term: str) -> str | None:
    """Return what is inside ``offset(…)``."""
    found = re.fullmatch(r"offset\((.*)\)", term.strip(), re.DOTALL)
    return None if found is None else found[1].strip()


def _bar(term: str) -> str | None:
    """Return what is inside the parentheses when term is a random term."""
    term = term.strip()
    if term.startswith("(") and term.endswith(")") and "|" in _without_quotes(term):
        return term[1:-1].strip()
    if "|" in _without_quotes(term) and not re.search(r"\w\(", term):
        raise FormulaError(
            f"{term!r} has a '|' outside of parentheses; write random terms as (1 + x | g)"
        )
    return None


def _signed_terms(text: str, formula: str) -> list[tuple[str, str]]:
    """Split at the top level into ``("+" or "-", term)``."""
    out: list[tuple[str, str]] = []
    sign, start = "+", 0
    for at, char in [*_top_level(text, formula), (len(text), "+")]:
        if char not in "+-":
            continue
        term = text[start:at].strip()
        if term:
            out.append((sign, term))
        elif at == len(text) or start > 0:
            raise FormulaError(f"in {formula!r}, a '{sign}' has no term after it")
        sign, start = char, at + 1
    return out


def _split_top(text: str, at: str, formula: str) -> list[str]:
    cuts = [i for i, char in _top_level(text, formula) if char == at]
    edges = [-1, *cuts, len(text)]
    return [text[a + 1 : b] for a, b in pairwise(edges)]


def _top_level(text: str, formula: str) -> list[tuple[int, str]]:
    """Positions and characters outside of all brackets and quotes."""
    out, depth, quote = [], 0, ""
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                raise FormulaError(f"in {formula!r}, a bracket closes that was never opened")
        elif depth == 0:
            out.append((i, char))
    if depth or quote:
        what = "a quote" if quote else "a bracket"
        raise FormulaError(f"in {formula!r}, {what} is not closed")
    return out


def _without_quotes(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", text)


def _translate_backticks(text: str, formula: str) -> str:
    if text.count("`") % 2:
        raise FormulaError(f"in {formula!r}, a backtick is not closed")
    return re.sub(r"`([^`]+)`", lambda m: _quote(m[1]), text)


def _quote(name: str) -> str:
    if re.fullmatch(_NAME, name):
        return name
    return f"Q('{name}')" if '"' in name else f'Q("{name}")'


def _atom_name(atom: re.Match[str]) -> str:
    return atom["name"] or atom["tick"] or atom["q"][1:-1]


def _plain_name(text: str) -> str | None:
    atom = _ATOM.match(text)
    return None if atom is None or atom["num"] else _atom_name(atom)

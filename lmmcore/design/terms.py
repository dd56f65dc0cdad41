"""Right-hand sides without bars: what the user wrote, what patsy is given, and the labels between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias

import patsy

from ..errors import FormulaError
from .functions import MULTIPLE
from .names import Names, is_dot, python, quote
from .tokens import Token, call_of, closing, inside, is_called, source, split, variable

Tokens: TypeAlias = Sequence[Token]
Labels: TypeAlias = tuple[tuple[str, str], ...]
OPERATORS = frozenset({"+", "-", "*", "/", ":", "**", "^"})


@dataclass(frozen=True)
class Expression:
    """A Python expression of a formula, such as its response.

    Attributes
    ----------
    written : str
        What the user wrote.
    text : str
        What is evaluated.
    """

    written: str
    text: str

    def described(self) -> patsy.ModelDesc:
        """Return what patsy builds one column from."""
        factor = LabeledFactor(self.text, self.written)
        return patsy.ModelDesc([], [patsy.Term([factor])])


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
    written : str
        What the user wrote.
    labels : tuple of (str, str)
        Python of a factor and its name, where that is not the same.
    indicator : tuple of str or None
        Function, factor and slope if the formula is ``0 + C(factor)`` or ``0 + C(factor):slope``; the slope
        may be empty.
    """

    text: str
    plain: tuple[str, ...] | None
    intercept: bool
    written: str
    labels: Labels = ()
    indicator: tuple[str, str, str] | None = None

    def described(self) -> patsy.ModelDesc:
        """Return the terms as patsy has them, with the names that the user gave them."""
        return _described(self.text, self.labels)


class LabeledFactor(patsy.EvalFactor):
    """A factor of patsy whose name is what the user wrote, not the Python that is evaluated."""

    def __init__(self, code: str, label: str) -> None:
        super().__init__(code)
        self.label = label

    def name(self) -> str:
        return self.label


@lru_cache(maxsize=512)
def _described(text: str, labels: Labels) -> patsy.ModelDesc:
    found = patsy.ModelDesc.from_formula(text)
    if not labels:
        return found
    names = {patsy.EvalFactor(code).code: label for code, label in labels}

    def labeled(factor: patsy.EvalFactor) -> patsy.EvalFactor:
        label = names.get(factor.code)
        return factor if label is None else LabeledFactor(factor.code, label)

    return patsy.ModelDesc(
        [], [patsy.Term([labeled(f) for f in term.factors]) for term in found.rhs_termlist]
    )


def expression(text: str, tokens: Tokens, names: Names) -> Expression:
    """Return the Python of a response or an offset."""
    return Expression(source(text, tokens), python(text, tokens, names))


def signed_terms(text: str, tokens: Tokens) -> list[tuple[str, Tokens]]:
    """Split at the top level into ``("+" or "-", tokens)``."""
    out: list[tuple[str, Tokens]] = []
    cuts = [
        i for i, t in enumerate(tokens)
        if t.kind == "operator" and t.text in "+-" and t.depth == tokens[0].depth
    ]  # fmt: skip
    for a, b in pairwise([-1, *cuts, len(tokens)]):
        sign = "+" if a < 0 else tokens[a].text
        if b > a + 1:
            out.append((sign, tokens[a + 1 : b]))
        elif a >= 0:
            raise FormulaError(f"in {text!r}, a '{sign}' has no term after it")
    return out


def translate(
    text: str, terms: Sequence[tuple[str, Tokens]], names: Names, slopes: bool = False
) -> Terms:
    """Return a right-hand side from its signed terms.

    Parameters
    ----------
    text : str
        The formula.
    terms : sequence of (str, tokens)
    names : Names
    slopes : bool
        Whether the intercept is left out that these terms have as a sum.

    Raises
    ------
    FormulaError
        A ``^`` that is neither power nor crossing, or a ``.`` where no columns are known.
    """
    labels: dict[str, str] = {}
    code, written = [], []
    for sign, tokens in terms:
        code += [sign, "".join(_formula(text, tokens, names, labels))]
        written += [sign, source(text, tokens)]
    plain, intercept = _plain(terms, names)
    return Terms(
        "0 + " * slopes + _joined(code), plain, intercept and not slopes, _joined(written),
        tuple(labels.items()), _indicator(terms, names),
    )  # fmt: skip


def _joined(parts: Sequence[str]) -> str:
    joined = " ".join(parts) or "+ 1"
    return joined[2:] if joined.startswith("+ ") else joined


def without_intercept(
    terms: Sequence[tuple[str, Tokens]],
) -> tuple[bool, list[tuple[str, Tokens]]]:
    """Return whether there is an intercept, and the terms without ``0``, ``1`` and ``- 1``."""
    intercept, rest = True, []
    for sign, tokens in terms:
        if len(tokens) == 1 and tokens[0].text in ("0", "1"):
            intercept = (tokens[0].text == "1") == (sign == "+")
        else:
            rest.append((sign, tokens))
    return intercept, rest


def _plain(
    terms: Sequence[tuple[str, Tokens]], names: Names
) -> tuple[tuple[str, ...] | None, bool]:
    """Return the names of a sum of columns and whether there is an intercept; None for other sums."""
    intercept, rest = without_intercept(terms)
    found: list[str] = []
    for sign, tokens in rest:
        new = _columns(tokens, names)
        if new is None:
            return None, True
        if sign == "-":
            found = [x for x in found if x not in new]
        else:
            found += [x for x in new if x not in found]
    return tuple(found), intercept


def _columns(tokens: Tokens, names: Names) -> tuple[str, ...] | None:
    """Return the names of the columns that a term may be, None if it is something else."""
    if len(tokens) == 1 and is_dot(tokens[0]):
        return names.every
    name = variable(tokens)
    bare = len(tokens) == 1 and tokens[0].kind == "name"
    if name is None or (bare and "." in name and name not in names.columns):
        return None
    return (name,)


def _indicator(terms: Sequence[tuple[str, Tokens]], names: Names) -> tuple[str, str, str] | None:
    intercept, rest = without_intercept(terms)
    if intercept or len(rest) != 1 or rest[0][0] != "+":
        return None
    first, *slopes = split(rest[0][1], ":")
    call = call_of(first) if first else None
    if call is None or call[0] != "C" or len(slopes) > 1:
        return None
    found = [_columns(part, names) if part else None for part in (call[1], *slopes)]
    if not all(found):
        return None
    factor, *slope = [columns[0] for columns in found if columns]
    return call[0], factor, slope[0] if slope else ""


def _formula(text: str, tokens: Tokens, names: Names, labels: dict[str, str]) -> Iterator[str]:
    """Yield the pieces of text that patsy is given for a term."""
    at, end = 0, tokens[0].start
    while at < len(tokens):
        token = tokens[at]
        yield text[end : token.start]
        stop = _operand(tokens, at)
        if stop == at:  # an operator
            if token.text == "^":
                raise FormulaError(
                    f"in {text!r}, '^' is where neither a power nor crossing is possible; expected 'x^2' or "
                    "'(a + b)^2'. Write I(…) around arithmetic"
                )
            yield token.text
            at, end = at + 1, token.end
            continue
        power = _power(text, tokens, stop)
        if power > stop and _is_power(text, tokens[at:stop], names):
            code = f"I({python(text, tokens[at:power], names)})"
            _label(code, source(text, tokens[at:power]), labels)
            yield code
            stop = power
        else:
            yield from _piece(text, tokens[at:stop], names, labels)
        if power > stop:
            yield "**"
            stop += 1
        at, end = stop, tokens[stop - 1].end


def _operand(tokens: Tokens, at: int) -> int:
    """Return where the operand ends that begins at `at`: brackets, or what Python evaluates."""
    depth = tokens[0].depth
    if tokens[at].kind == "open":
        return closing(tokens, at) + 1
    i = at
    while i < len(tokens) and not (
        tokens[i].kind == "operator" and tokens[i].text in OPERATORS and tokens[i].depth == depth
    ):
        i += 1
    return i


def _power(text: str, tokens: Tokens, stop: int) -> int:
    """Return where the exponents end that follow an operand; `stop` if there are none."""
    while stop < len(tokens) and tokens[stop].text == "^" and tokens[stop].kind == "operator":
        following = _operand(tokens, stop + 1) if stop + 1 < len(tokens) else stop + 1
        if following <= stop + 1:
            raise FormulaError(
                f"in {text!r}, no exponent follows '^'; expected a number. Write I(x^-1) for a negative one"
            )
        stop = following
    return stop


def _is_power(text: str, operand: Tokens, names: Names) -> bool:
    """Whether ``operand^2`` is a power, as of a variable or a call, or a crossing, as of a sum."""
    given, operand = operand, inside(operand)
    name, call = variable(operand), call_of(operand)
    if name is not None:
        return name not in names.categories
    if call is not None:
        return call[0] not in MULTIPLE
    if given[0].kind == "open" or is_dot(operand[0]):
        return False
    if is_called(operand, 0) and not any(
        t.kind == "operator" and t.depth == operand[0].depth for t in operand
    ):
        return True
    raise FormulaError(
        f"in {text!r}, '^' follows {source(text, given)!r}; expected a variable, a function or a "
        f"sum in parentheses"
        ". Write I(…) around arithmetic"
    )


def _piece(text: str, operand: Tokens, names: Names, labels: dict[str, str]) -> Iterator[str]:
    """Yield what patsy is given for an operand."""
    if operand[0].text == "(" and operand[0].kind == "open":
        inner = operand[1:-1]
        yield "("
        if inner:
            yield text[operand[0].end : inner[0].start]
            yield from _formula(text, inner, names, labels)
        yield ")"
    elif is_dot(operand[0]) and len(operand) == 1:
        if not names.every:
            raise FormulaError(
                f"in {text!r}, '.' stands for all other columns of data, and there "
                + ("are none" if names.every is not None else "it cannot be used")
                + "; write the names of the columns"
            )
        for column in names.every:
            _label(quote(column), column, labels)
        yield _sum([quote(column) for column in names.every])
    else:
        written = source(text, operand)
        name = variable(operand)
        if name is not None and (operand[0].kind == "quoted" or len(operand) > 1):
            code, label = quote(name), name  # one factor in every spelling
        else:
            code, label = python(text, operand, names), " ".join(written.split())
        if name is not None or code != written:  # others are named by patsy
            _label(code, label, labels)
        yield code


def _sum(parts: Sequence[str]) -> str:
    """Return a sum in brackets, in halves: patsy goes as deep as brackets are."""
    if len(parts) <= 8:
        return f"({' + '.join(parts)})"
    half = len(parts) // 2
    return f"({_sum(parts[:half])} + {_sum(parts[half:])})"


def _label(code: str, label: str, labels: dict[str, str]) -> None:
    if code != label:
        labels.setdefault(code, label)

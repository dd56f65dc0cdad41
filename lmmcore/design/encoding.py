"""Encodings: how the expressions of a formula become columns, for the rows of a model and for others.

patsy reads a formula and decides how each term is coded; what it decides is kept here as names,
levels and matrices, without rows, so that it can be saved and applied again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import patsy
import patsy.builtins

from ..errors import DataTypeError, DataValueError, FormulaError, NameNotFoundError, suggest
from .columns import Column
from .expression import Expression
from .functions import FUNCTIONS
from .terms import Terms
from .variables import Categories, matched, read

Values = np.ndarray | Categories


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of a formula: an expression, and the levels of a categorical one.

    Attributes
    ----------
    expression : Expression
    levels : tuple or None
        The levels in use; None for numbers.
    width : int
        Columns of numbers.
    """

    expression: Expression
    levels: tuple[Any, ...] | None
    width: int = 1

    def values(self, table: pd.DataFrame, unknown: str) -> np.ndarray:
        """Return numbers, or codes of levels (-1 missing, -2 not known), in new rows."""
        code = self.expression.code
        value = evaluated(self.expression, table)
        found = read(value, code, len(table), categorical=self.levels is not None)
        if self.levels is not None:
            assert isinstance(found, Categories)
            codes, strange = matched(found, self.levels)
            if strange and unknown == "error":
                raise _unknown_level(code, strange[0], self.levels)
            return codes
        if isinstance(found, Categories):
            if found.levels != (False, True):
                raise DataTypeError(
                    f"{code!r} has the category {found.levels[:1]} in the new rows; expected numbers, as "
                    "in the rows of the model"
                )
            return np.append([0.0, 1.0], np.nan)[found.codes]
        width = 1 if found.ndim == 1 else found.shape[1]
        if width != self.width:
            raise DataValueError(
                f"{code!r} has {width} columns in the new rows; expected {self.width}"
            )
        return found


@dataclass(frozen=True, eq=False)
class Product:
    """Columns that are products of variables; a categorical one has a column for each contrast.

    Attributes
    ----------
    variables : tuple of int
    contrasts : tuple of (array (levels, columns) or None)
    """

    variables: tuple[int, ...]
    contrasts: tuple[np.ndarray | None, ...]

    def columns(self, values: Sequence[np.ndarray]) -> list[Column]:
        """Return the columns; those of the first variable vary fastest."""
        parts: list[list[Any]] = []
        for v, contrast in zip(self.variables, self.contrasts):
            x = values[v]
            if contrast is None:
                parts.append([x] if x.ndim == 1 else list(x.T))
            else:  # codes from the end: -1 is missing, -2 a level that is not known
                parts.append([np.append(column, [0.0, np.nan])[x] for column in contrast.T])
        out: list[Column] = []
        for factors in product(*reversed(parts)):
            column: Column = None
            for factor in reversed(factors):
                column = factor if column is None else column * np.asarray(factor, np.float64)
            out.append(column)
        return out


@dataclass(frozen=True, eq=False)
class Term:
    """A term of a formula: its name, its products, and where its columns are."""

    name: str
    products: tuple[Product, ...]
    columns: slice


@dataclass(frozen=True, eq=False)
class Encoding:
    """What makes the columns of one part of a formula from any table.

    Attributes
    ----------
    text : str
    variables : tuple of Variable
    terms : tuple of Term
    names : tuple of str
        Names of the columns.
    """

    text: str
    variables: tuple[Variable, ...]
    terms: tuple[Term, ...]
    names: tuple[str, ...]

    @property
    def term_name_slices(self) -> dict[str, slice]:
        """Where the columns of each term are."""
        return {term.name: term.columns for term in self.terms}

    @property
    def factors(self) -> dict[str, tuple[np.ndarray, tuple[Any, ...]]]:
        """The coding (levels, columns) and the levels of each term that is one categorical variable."""
        out = {}
        for term in self.terms:
            if len(term.products) == 1 and len(term.products[0].variables) == 1:
                (matrix,), (v,) = term.products[0].contrasts, term.products[0].variables
                if matrix is not None:
                    out[term.name] = matrix, self.variables[v].levels or ()
        return out

    def columns(self, values: Sequence[np.ndarray]) -> tuple[Column, ...]:
        """Return the columns from the values of the variables."""
        return tuple(c for term in self.terms for p in term.products for c in p.columns(values))

    def apply(self, table: pd.DataFrame, unknown: str = "error") -> tuple[Column, ...]:
        """Return the columns of new rows; NaN where a variable is missing.

        Parameters
        ----------
        unknown : {"error", "zero"}
            What a level is that the model does not know.

        Raises
        ------
        NameNotFoundError
            A variable that the table does not have.
        DataValueError
            A level that the model does not know.
        """
        return self.columns([v.values(table, unknown) for v in self.variables])


def evaluated(expression: Expression, table: pd.DataFrame) -> Any:
    """Return an expression's value in new rows; errors name what the table lacks."""
    try:
        return expression.evaluate(table)
    except Exception as exc:
        raise failure(exc, f"in the new rows, {expression.code!r}", table) from exc


def failure(exc: Exception, what: str, table: pd.DataFrame) -> Exception:
    """Return the error that says why an expression cannot be evaluated."""
    if isinstance(exc, (FormulaError, DataValueError, DataTypeError)):
        return exc
    if isinstance(exc, (NameError, KeyError)):
        name = getattr(exc, "name", None) or (exc.args[0] if exc.args else "")
        quoted = str(name).split("'")
        name = quoted[1] if len(quoted) == 3 else str(name)
        if name.endswith("()"):
            return NameNotFoundError(
                f"{what}: {name} is no function of yours, nor one that formulas know"
                + suggest(name[:-2], FUNCTIONS)
            )
        return NameNotFoundError(
            f"{what}: {name!r} is no column of data" + suggest(name, map(str, table.columns))
        )
    return FormulaError(f"{what} cannot be evaluated: {type(exc).__name__}: {exc}")


class _Factor(patsy.LookupFactor):
    """A factor that patsy finds by its code and names by its label."""

    def __init__(self, code: str, label: str) -> None:
        super().__init__(code)
        self.label = label

    def name(self) -> str:
        return self.label


def encode(
    terms: Terms, variables: Mapping[str, Variable], contrasts: Mapping[str, Any]
) -> Encoding:
    """Let patsy decide how the terms of a text are coded.

    Parameters
    ----------
    terms : Terms
        The right-hand side of a formula.
    variables : mapping
        The variables by their code, all that `codes_of_terms` names.
    contrasts : mapping
        What ``C(variable, contrast)`` was given, by code.
    """
    if any(contrast is not None for contrast in contrasts.values()):
        coded, names = _coding(terms, variables, contrasts)
    else:
        keys = []
        for code, v in variables.items():  # 1, 1.0 and True are equal, but not as labels
            types = None if v.levels is None else tuple(map(type, v.levels))
            keys.append((code, v.levels, v.width, types))
        coded, names = _usual_coding(terms, tuple(keys))
    return Encoding(terms.written, tuple(variables.values()), coded, names)


@lru_cache(maxsize=512)
def _usual_coding(
    terms: Terms, keys: tuple[tuple[str, tuple[Any, ...] | None, int, Any], ...]
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    nothing: Any = None
    variables = {code: Variable(nothing, levels, width) for code, levels, width, _ in keys}
    return _coding(terms, variables, {})


def _coding(
    terms: Terms, variables: Mapping[str, Variable], contrasts: Mapping[str, Any]
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Return the terms of a formula, whose products refer to variables by number, and the columns' names."""
    examples = {}
    for code, variable in variables.items():
        if variable.levels is None:
            examples[code] = np.zeros((1, variable.width))
        else:
            levels = list(variable.levels)
            examples[code] = patsy.builtins.C(levels, contrasts.get(code), levels)
    labels = labels_of(terms)
    factors = {code: _Factor(code, labels[code]) for code in variables}
    coded_terms = [patsy.Term([factors[code] for code in term]) for term in codes_of_terms(terms)]
    (info,) = patsy.design_matrix_builders([coded_terms], lambda: iter([examples]), 0)
    number = {factor: i for i, factor in enumerate(factors.values())}
    out = []
    for (name, where), subterms in zip(info.term_name_slices.items(), info.term_codings.values()):
        products = []
        for part in subterms:
            matrices = [part.contrast_matrices.get(f) for f in part.factors]
            coded = (None if m is None else np.asarray(m.matrix, dtype=float) for m in matrices)
            products.append(Product(tuple(number[f] for f in part.factors), tuple(coded)))
        out.append(Term(name, tuple(products), where))
    return tuple(out), tuple(info.column_names)


@lru_cache(maxsize=512)
def codes_of_terms(terms: Terms) -> list[tuple[str, ...]]:
    """Return the terms of a right-hand side, each as the code of its variables.

    Raises
    ------
    patsy.PatsyError
        The text is no formula.
    """
    return [tuple(f.code for f in term.factors) for term in terms.described().rhs_termlist]


@lru_cache(maxsize=512)
def labels_of(terms: Terms) -> dict[str, str]:
    """Return the name of each variable of a right-hand side by its code."""
    return {f.code: f.name() for term in terms.described().rhs_termlist for f in term.factors}


def _unknown_level(code: str, level: Any, levels: tuple[Any, ...]) -> DataValueError:
    known = ", ".join(map(repr, levels[:10])) + (", …" if len(levels) > 10 else "")
    return DataValueError(
        f"{code!r} has the level {level!r} in the new rows, which did not occur in the rows of the model; "
        f"known: {known}. Give it one of these, or leave the rows out"
    )

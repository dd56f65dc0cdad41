"""Encodings: how the expressions of a formula become columns, for the rows of the model and for new rows.

patsy reads a formula and decides how to code each term. An encoding keeps this decision as names,
levels and matrices, without rows. So it can be saved, and applied to other rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import patsy
import patsy.builtins

from ..errors import (
    DataTypeError,
    DataValueError,
    FormulaError,
    LmmcoreError,
    NameNotFoundError,
    suggest,
)
from .columns import Column
from .expression import KNOWN, Expression
from .variables import Categories, matched, read, with_missing

Labels: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of a formula: an expression, and the levels of a categorical one.

    Attributes
    ----------
    name : str
        The name in the names of columns.
    expression : Expression
    levels : tuple or None
        The levels in use; None for numbers.
    width : int
        Columns of numbers.
    """

    name: str
    expression: Expression
    levels: tuple[Any, ...] | None
    width: int = 1

    def values(self, table: pd.DataFrame, unknown: str) -> np.ndarray:
        """Return numbers, or codes of levels (-1 missing, -2 unknown), for new rows."""
        name = self.name
        value, missing = self._value(table)
        found = read(value, name, len(table), categorical=self.levels is not None)
        found = with_missing(found, missing)
        if self.levels is not None:
            assert isinstance(found, Categories)
            codes, strange = matched(found, self.levels)
            if strange and unknown == "error":
                raise _unknown_level(name, strange[0], self.levels)
            return codes
        if isinstance(found, Categories):
            if not all(isinstance(level, bool) for level in found.levels):
                raise DataTypeError(
                    f"{name!r} has the category {found.levels[:1]} in the new rows; expected numbers, as "
                    "in the rows of the model"
                )
            return np.append(np.array(found.levels, dtype=float), np.nan)[found.codes]
        width = 1 if found.ndim == 1 else found.shape[1]
        if width != self.width:
            raise DataValueError(
                f"{name!r} has {width} columns in the new rows; expected {self.width}"
            )
        return found

    def _value(self, table: pd.DataFrame) -> tuple[Any, np.ndarray]:
        try:
            return self.expression.evaluate(table)
        except LmmcoreError:
            raise
        except Exception as exc:
            raise failure(exc, f"in the new rows, {self.name!r}", table) from exc


@dataclass(frozen=True, eq=False)
class Product:
    """Columns that are products of variables. A categorical variable contributes a column for each contrast.

    Attributes
    ----------
    variables : tuple of int
    contrasts : tuple of (array (levels, columns) or None)
    """

    variables: tuple[int, ...]
    contrasts: tuple[np.ndarray | None, ...]

    def columns(self, values: Sequence[np.ndarray]) -> list[Column]:
        """Return the columns. The index of the first variable varies fastest."""
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
    """A term of a formula: its name, its products, and the positions of its columns."""

    name: str
    products: tuple[Product, ...]
    columns: slice


@dataclass(frozen=True, eq=False)
class Encoding:
    """Makes the columns of one part of a formula from any table.

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
            What to do with a level that the model does not have.

        Raises
        ------
        NameNotFoundError
            The table does not have a variable.
        DataValueError
            The model does not have a level.
        """
        return self.columns([v.values(table, unknown) for v in self.variables])


def failure(exc: Exception, what: str, table: pd.DataFrame) -> Exception:
    """Return an error that explains why an expression cannot be evaluated."""
    if isinstance(exc, (NameError, KeyError)):
        name = getattr(exc, "name", None) or (exc.args[0] if exc.args else "")
        quoted = str(name).split("'")
        name = quoted[1] if len(quoted) == 3 else str(name)
        if name.endswith("()"):
            return NameNotFoundError(
                f"{what}: {name} is neither defined nor one of the functions that formulas know"
                + suggest(name[:-2], KNOWN)
            )
        return NameNotFoundError(
            f"{what}: {name!r} is not a column of data" + suggest(name, map(str, table.columns))
        )
    return FormulaError(f"{what} cannot be evaluated: {type(exc).__name__}: {exc}")


def encode(
    text: str, labels: Labels, variables: Sequence[Variable], contrasts: Mapping[str, Any]
) -> Encoding:
    """Let patsy decide how the terms of a text are coded.

    Parameters
    ----------
    text : str
        The right-hand side of a formula.
    labels : tuple of (code, name)
        Names of variables that differ from their code.
    variables : sequence of Variable
        All that `variables_of_terms` names.
    contrasts : mapping
        The contrasts of ``C(variable, contrast)``, by the names of variables.
    """
    if contrasts:
        terms, names = _coding(text, labels, variables, contrasts)
    else:
        keys = []
        for v in variables:  # 1, 1.0 and True are equal, but not as labels
            types = None if v.levels is None else tuple(map(type, v.levels))
            keys.append((v.name, v.levels, v.width, types))
        terms, names = _usual_coding(text, labels, tuple(keys))
    return Encoding(text, tuple(variables), terms, names)


@lru_cache(maxsize=512)
def _usual_coding(
    text: str, labels: Labels, keys: tuple[tuple[str, tuple[Any, ...] | None, int, Any], ...]
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    nothing: Any = None
    variables = [Variable(name, nothing, levels, width) for name, levels, width, _ in keys]
    return _coding(text, labels, variables, {})


def _coding(
    text: str, labels: Labels, variables: Sequence[Variable], contrasts: Mapping[str, Any]
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Return the terms of a text, whose products refer to variables by number, and the columns' names."""
    examples = {}
    for variable in variables:
        if variable.levels is None:
            examples[variable.name] = np.zeros((1, variable.width))
        else:
            levels = list(variable.levels)
            examples[variable.name] = patsy.builtins.C(levels, contrasts.get(variable.name), levels)
    factors = {name: patsy.LookupFactor(name) for name in examples}
    terms = [
        patsy.Term([factors[name] for name, _ in term]) for term in variables_of_terms(text, labels)
    ]
    (info,) = patsy.design_matrix_builders([terms], lambda: iter([examples]), 0)
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
def variables_of_terms(text: str, labels: Labels = ()) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the terms of a right-hand side, each as the names and the code of its variables.

    Raises
    ------
    patsy.PatsyError
        The text is not a formula.
    """
    names = {patsy.EvalFactor(code).code: name for code, name in labels}
    return tuple(
        tuple((names.get(factor.code, factor.code), factor.code) for factor in term.factors)
        for term in patsy.ModelDesc.from_formula(text).rhs_termlist
    )


def _unknown_level(name: str, level: Any, levels: tuple[Any, ...]) -> DataValueError:
    known = ", ".join(map(repr, levels[:10])) + (", …" if len(levels) > 10 else "")
    return DataValueError(
        f"{name!r} has the level {level!r} in the new rows, which did not occur in the rows of the model; "
        f"known: {known}. Use one of these, or leave out the rows"
    )

"""Evaluation of parsed terms in the rows of a model: plain columns directly, the rest through encodings."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import patsy

from ..errors import (
    DataValueError,
    FormulaError,
    LmmcoreError,
    NameNotFoundError,
    NotFiniteError,
    RankDeficientWarning,
    suggest,
)
from .columns import Column, as_column, is_date, stack, table_column
from .encoding import Encoding, Variable, encode, failure, variables_of_terms
from .expression import Expression, first_evaluation
from .formula import MixedFormula
from .terms import Expression as Written
from .terms import Terms
from .variables import Categories, kind_of, read, with_missing


class Evaluator:
    """Evaluates the parts of a formula in a table.

    Parameters
    ----------
    frame : frame of the caller, whose variables expressions may use, or None
    table : DataFrame
    keep : bool array, optional
        The rows that the model uses, if it does not use all.
    all_levels : bool
        Whether categories without rows get columns, too.
    """

    def __init__(
        self,
        frame: FrameType | None,
        table: pd.DataFrame,
        keep: np.ndarray | None = None,
        all_levels: bool = False,
    ) -> None:
        self.frame = frame
        self.table = table
        self.keep = keep
        self.all_levels = all_levels
        self._plain_columns: dict[str, np.ndarray | None] = {}
        self._variables: dict[str, tuple[np.ndarray | Categories, Variable]] = {}

    def plain(self, name: str) -> np.ndarray | None:
        """Return a numeric column of the table; None if it is not a plain numeric column."""
        if name not in self._plain_columns:
            self._plain_columns[name] = self._plain(name)
        return self._plain_columns[name]

    def _plain(self, name: str) -> np.ndarray | None:
        try:
            values = table_column(self.table, name)
        except KeyError:
            return None
        if values.dtype.kind not in "fiu":
            kind = kind_of(values)
            if kind == "date":
                raise is_date(name)
            if kind != "number":
                return None
        if not isinstance(values, np.ndarray):
            values = pd.Series(values)
        return self._used(as_column(values, name, "variable"))

    def columns(self, terms: Terms, what: str) -> tuple[tuple[Column, ...], tuple[str, ...], Any]:
        """Return the columns of a right-hand side, their names, and what makes them from new data."""
        direct = self._direct(terms)
        if direct is not None:
            return (*direct, terms)
        return self.encoded(terms, what)

    def encoded(
        self, terms: Terms, what: str
    ) -> tuple[tuple[Column, ...], tuple[str, ...], Encoding]:
        """Return the columns of a right-hand side that is not a sum of numeric columns."""
        codes = self.codes(terms, what)
        what = f"the {what} {terms.written!r}"
        found = [self.variable(code, what, name) for name, code in codes.items()]
        given = {
            v.name: x.contrast
            for x, v in found
            if isinstance(x, Categories) and x.contrast is not None
        }
        try:
            encoding = encode(terms.text, terms.labels, [v for _, v in found], given)
        except patsy.PatsyError as exc:
            raise FormulaError(f"{what} cannot be evaluated: {str(exc).splitlines()[0]}") from exc
        for term in () if self.all_levels else encoding.terms:
            if term.products and term.columns.start == term.columns.stop:
                warnings.warn(
                    f"{term.name!r} has only one level in the rows used, so it has no column; remove it from "
                    f"{what} to silence this warning",
                    RankDeficientWarning,
                    stacklevel=6,
                )
        values = [x.codes if isinstance(x, Categories) else x for x, _ in found]
        return encoding.columns(values), encoding.names, encoding

    def codes(self, terms: Terms, what: str) -> dict[str, str]:
        """Return the code of each variable of a right-hand side, by its name."""
        try:
            found = variables_of_terms(terms.text, terms.labels)
            return dict(pair for term in found for pair in term)
        except (patsy.PatsyError, RecursionError) as exc:
            raise FormulaError(
                f"the {what} {terms.written!r} cannot be evaluated: {str(exc).splitlines()[0]}"
            ) from exc

    def fixed_part(
        self, parsed: MixedFormula
    ) -> tuple[np.ndarray, Variable | str, str, tuple[Column, ...], tuple[str, ...], Any]:
        """Return response, what gives it for new rows, its name, columns of X, names, what rebuilds them.

        A response that is a column of the table is given by its name.
        """
        name = parsed.response_name
        y = None if name is None else self.plain(name)
        if y is None and name is not None and name in self.table:
            y = self._used(as_column(self.table[name], name, "the response"))
        info: Variable | str = name or ""
        if y is None:
            y, info = self.number(parsed.response, "response")
        written = name or parsed.response.written
        return (y, info, written, *self.columns(parsed.fixed, "fixed effects"))

    def number(self, expression: Written, what: str) -> tuple[np.ndarray, Variable]:
        """Return the values (n,) of an expression, and the variable that evaluates it for new rows."""
        text = expression.written
        values, variable = self.variable(expression.text, f"the {what} {text!r}", text)
        if isinstance(values, Categories) and all(isinstance(x, bool) for x in values.levels):
            values = np.array(values.levels, dtype=float)[values.codes]
            variable = replace(variable, levels=None)
        if isinstance(values, Categories):
            raise FormulaError(f"the {what} {text!r} gives categories; expected one number per row")
        if values.ndim != 1:
            raise DataValueError(
                f"the {what} {text!r} gives {variable.width} columns; expected one number per row"
            )
        return np.ascontiguousarray(values, dtype=np.float64), variable

    def variable(
        self, code: str, what: str, name: str | None = None
    ) -> tuple[np.ndarray | Categories, Variable]:
        """Return the values of an expression in the rows used, and the variable for new rows.

        Parameters
        ----------
        name : str, optional
            The name of the variable; its code by default.

        Raises
        ------
        NotFiniteError
            A category is missing.
        """
        name = name or code
        if code in self._variables:
            values, variable = self._variables[code]
            return values, replace(variable, name=name)
        values, expression = self.all_rows(code, what, name)
        if isinstance(values, Categories):
            values = values if self.all_levels else values.in_use(self.keep)
            bad = values.codes < 0
            if bad.any():
                raise NotFiniteError(
                    f"{name!r} is missing in {int(bad.sum())} of {len(bad)} rows (first: row "
                    f"{int(np.argmax(bad))}); expected a category in every row. Use missing='drop' to "
                    "leave these rows out, or give them a category"
                )
            variable = Variable(name, expression, values.levels)
        else:
            values = self._used(values)
            width = 1 if values.ndim == 1 else values.shape[1]
            variable = Variable(name, expression, None, width)
        self._variables[code] = values, variable
        return values, variable

    def all_rows(
        self, code: str, what: str, name: str
    ) -> tuple[np.ndarray | Categories, Expression]:
        """Return the values of an expression in all rows of the table, and the expression."""
        try:
            value, missing, expression = first_evaluation(code, self.table, self.frame, self.keep)
            return with_missing(read(value, name, len(self.table)), missing), expression
        except LmmcoreError:
            raise
        except Exception as exc:
            raise failure(exc, what, self.table) from exc

    def _direct(self, terms: Terms) -> tuple[tuple[Column, ...], tuple[str, ...]] | None:
        if terms.plain is None:
            return None
        columns = [self.plain(name) for name in terms.plain]
        if any(c is None for c in columns):
            return None
        if terms.intercept:
            return (None, *columns), ("Intercept", *terms.plain)
        return tuple(columns), terms.plain

    def _used(self, values: np.ndarray) -> np.ndarray:
        return values if self.keep is None else values[self.keep]


def rebuild(info: Terms | Encoding, table: pd.DataFrame) -> np.ndarray:
    """Return the matrix (m, p) of a part of a formula for new rows, NaN where a variable is missing."""
    if isinstance(info, Encoding):
        return stack(info.apply(table), len(table))
    columns: list[Column] = [None] if info.intercept else []
    for name in info.plain or ():
        if name not in table.columns:
            raise NameNotFoundError(
                f"the new rows have no column {name!r}, which the formula {info.written!r} needs"
                + suggest(name, map(str, table.columns))
            )
        columns.append(as_column(table[name], name, "the new rows' variable"))
    return stack(columns, len(table))

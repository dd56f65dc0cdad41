"""Evaluation of parsed terms in a table: plain columns directly, all else by patsy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import patsy

from ..errors import DataValueError, FormulaError, NameNotFoundError, suggest
from .columns import Column, as_column, stack, table_column
from .formula import MixedFormula, Terms

WORD = re.compile(r"[^\W\d]\w*")


class Evaluator:
    """Evaluates parsed terms in a frame: plain columns directly, all else by patsy."""

    def __init__(self, frame: FrameType | None, table: pd.DataFrame) -> None:
        self.frame = frame
        self.table = table
        self._known: dict[str, np.ndarray | None] = {}

    def plain(self, name: str) -> np.ndarray | None:
        """Return a numeric column of the frame, or None when patsy has to look at it."""
        if name not in self._known:
            self._known[name] = self._plain(name)
        return self._known[name]

    def _plain(self, name: str) -> np.ndarray | None:
        try:
            values = table_column(self.table, name)
        except KeyError:
            return None
        kind = values.dtype.kind
        if kind == "O" and values.dtype == object:
            # Numbers among objects are numbers; patsy would take them for categories.
            found = pd.api.types.infer_dtype(values, skipna=True)
            numbers = ("integer", "floating", "mixed-integer-float", "decimal")
            kind = "f" if found in numbers else kind
        if not isinstance(values, np.ndarray):
            values = pd.Series(values)
        return as_column(values, name, "variable") if kind in "fiu" else None

    def columns(self, terms: Terms, what: str) -> tuple[tuple[Column, ...], tuple[str, ...], Any]:
        """Return the columns of a right-hand side, their names and what rebuilds them."""
        direct = self._direct(terms)
        if direct is not None:
            return (*direct, terms)
        matrix = self._patsy(terms.text, what)
        names = tuple(matrix.design_info.column_names)
        return _split(np.asarray(matrix), names), names, matrix.design_info

    def fixed_part(
        self, parsed: MixedFormula
    ) -> tuple[np.ndarray, str, tuple[Column, ...], tuple[str, ...], Any]:
        """Return response, its name, columns of X, their names and what rebuilds them."""
        direct = self._direct(parsed.fixed)
        y = None if parsed.response_name is None else self.plain(parsed.response_name)
        if y is None and parsed.response_name is not None and parsed.response_name in self.table:
            y = as_column(self.table[parsed.response_name], parsed.response_name, "the response")
        if y is None:
            y, _ = self.number(parsed.response, "the response")
        name = parsed.response_name or parsed.response
        if direct is not None:
            return (y, name, *direct, parsed.fixed)
        matrix = self._patsy(parsed.fixed.text, "fixed effects")
        names = tuple(matrix.design_info.column_names)
        return y, name, _split(np.asarray(matrix), names), names, matrix.design_info

    def number(self, text: str, what: str) -> tuple[np.ndarray, Any]:
        """Return the values (n,) of an expression, and what gives them for new rows."""
        matrix = self._patsy(f"0 + {text}", what)
        if matrix.shape[1] != 1:
            raise DataValueError(
                f"{what} {text!r} gives {matrix.shape[1]} columns; expected one number per row"
            )
        if any(f.type != "numerical" for f in matrix.design_info.factor_infos.values()):
            raise FormulaError(f"{what} {text!r} gives categories; expected one number per row")
        return np.ascontiguousarray(np.asarray(matrix)[:, 0]), matrix.design_info

    def _direct(self, terms: Terms) -> tuple[tuple[Column, ...], tuple[str, ...]] | None:
        if terms.plain is None:
            return None
        columns = [self.plain(name) for name in terms.plain]
        if any(c is None for c in columns):
            return None
        if terms.intercept:
            return (None, *columns), ("Intercept", *terms.plain)
        return tuple(columns), terms.plain

    def _patsy(self, text: str, what: str, table: pd.DataFrame | None = None) -> Any:
        table = _for_patsy(self.table if table is None else table, text)
        _refuse_missing_categories(table, text)
        spaces = [] if self.frame is None else [self.frame.f_locals, self.frame.f_globals]
        try:
            return patsy.dmatrix(
                text,
                table,
                patsy.EvalEnvironment(spaces),
                NA_action=patsy.NAAction(NA_types=[]),
            )
        except patsy.PatsyError as exc:
            reason = str(exc).split("\n")[0]
            name = re.search(r"name '([^']+)' is not defined|no data named '([^']+)'", reason)
            if name:
                missing = name[1] or name[2]
                raise NameNotFoundError(
                    f"the {what} {text!r} use {missing!r}, which is no column of data"
                    + suggest(missing, map(str, table.columns))
                ) from exc
            if "mismatched" not in reason and "missing" in reason.lower():
                raise DataValueError(
                    f"the {what} {text!r}: {reason}; use missing='drop' or complete the data"
                ) from exc
            raise FormulaError(f"the {what} {text!r} cannot be evaluated: {reason}") from exc
        except (NameError, KeyError) as exc:
            missing = getattr(exc, "name", None) or str(exc.args[0])
            raise NameNotFoundError(
                f"the {what} {text!r} use {missing!r}, which is no column of data"
                + suggest(missing, map(str, table.columns))
            ) from exc
        except (TypeError, ValueError, AttributeError, SyntaxError) as exc:
            raise FormulaError(
                f"the {what} {text!r} cannot be evaluated: {type(exc).__name__}: {exc}"
            ) from exc

    def by_group(self, text: str, rows: pd.DataFrame, name: str) -> tuple[np.ndarray, list[str]]:
        """Return the matrix of a component's formula in one group and its column names."""
        matrix = self._patsy(text.lstrip("~ "), f"variance component {name!r}:", rows)
        return np.asarray(matrix), list(matrix.design_info.column_names)


def _for_patsy(table: pd.DataFrame, text: str) -> pd.DataFrame:
    """Replace pandas' own types, which patsy does not know, in the columns that are used."""
    types = pd.api.types
    used = [
        name
        for name in table.columns
        if str(name) in text
        and isinstance(table[name].dtype, pd.api.extensions.ExtensionDtype)
        and any(
            is_kind(table[name].dtype)
            for is_kind in (types.is_numeric_dtype, types.is_bool_dtype, types.is_string_dtype)
        )
        and not isinstance(table[name].dtype, pd.CategoricalDtype)
    ]
    if not used:
        return table
    new: dict[Any, Any] = {}
    for name in used:
        if types.is_string_dtype(table[name].dtype):
            new[name] = table[name].to_numpy(dtype=object)
        elif types.is_bool_dtype(table[name].dtype) and not table[name].isna().any():
            new[name] = table[name].to_numpy(dtype=bool)
        else:
            new[name] = table[name].to_numpy(dtype=float, na_value=np.nan)
    return table.assign(**new)


def _split(matrix: np.ndarray, names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(None if x == "Intercept" else matrix[:, j] for j, x in enumerate(names))


def _refuse_missing_categories(table: pd.DataFrame, text: str) -> None:
    """Missing numbers stay NaN and are found later; a missing category would become one."""
    words = set(WORD.findall(text))
    for name in table.columns:
        if str(name) not in words and f"'{name}'" not in text and f'"{name}"' not in text:
            continue
        values = table[name]
        kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else "O"
        if kind == "O" and values.isna().any():
            row = int(np.argmax(values.isna().to_numpy()))
            raise DataValueError(
                f"{name!r} is missing in {int(values.isna().sum())} of {len(values)} rows (first: row "
                f"{row}); expected a category in every row. Use missing='drop' to leave these rows out, "
                "or give them a category"
            )


def rebuild(info: Any, table: pd.DataFrame) -> np.ndarray:
    """Return the matrix (m, p) of a fixed part for new rows.

    Parameters
    ----------
    info : Terms or patsy.DesignInfo
        As kept by the design.
    """
    if isinstance(info, Terms):
        columns, _, _ = Evaluator(None, table).columns(info, "fixed effects")
        return stack(columns, len(table))
    try:
        built = patsy.build_design_matrices(
            [info], _for_patsy(table, info.describe()), NA_action=patsy.NAAction(NA_types=[])
        )
    except (patsy.PatsyError, NameError, KeyError) as exc:
        raise NameNotFoundError(
            f"exog does not have what the formula {info.describe()!r} needs: "
            f"{str(exc).splitlines()[0]}; expected its variables, with known levels"
        ) from exc
    return np.asarray(built[0])

"""Expressions of a formula: Python code over the columns of a table, evaluated for any rows.

An expression is first evaluated in the rows of the model. It keeps what it
learned from them (such as the mean that ``center(x)`` subtracts) and the caller's
variables that it used. New rows are evaluated in the same way.
"""

from __future__ import annotations

import ast
import builtins
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pandas as pd
import patsy.builtins

from ..errors import DataValueError
from .alignment import check_alignment
from .columns import unmasked
from .functions import FUNCTIONS
from .kept import Kept

KNOWN: Mapping[str, Any] = ChainMap(
    FUNCTIONS, {name: getattr(patsy.builtins, name) for name in patsy.builtins.__all__}
)
"""What names mean where neither the columns of data nor the caller's variables have them."""


POWER = "the power"  # the name that compiled expressions have for `_power`


@dataclass(frozen=True, eq=False)
class Transform:
    """A stateful transform after the rows of the model: its class and its attributes."""

    kind: Kept
    state: Kept

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        kind = self.kind.value
        made = kind.__new__(kind)
        made.__dict__.update(self.state.value)
        return _by_complete_rows(made.transform, args, keywords)


@dataclass(frozen=True, eq=False)
class Expression:
    """An expression, with everything that new rows need.

    Attributes
    ----------
    code : str
    columns : tuple of str
        The columns of data that it reads.
    kept : mapping of str to Kept
        The variables of the caller that it used.
    transforms : mapping of int to Transform
        By the number of their call in the code.
    """

    code: str
    columns: tuple[str, ...]
    kept: Mapping[str, Kept]
    transforms: Mapping[int, Transform]

    def evaluate(self, table: pd.DataFrame) -> tuple[Any, np.ndarray]:
        """Return the value in a table of new rows, and in which of them it is missing.

        Errors of Python are left as they are.
        """
        rows: dict[str, Any] = {}

        def read(name: str) -> Any:
            if name in self.kept:
                return self.kept[name].value
            if name in table.columns:
                rows[name] = series(table, name)
                return rows[name]
            return KNOWN[name]

        def call(name: str) -> Any:
            return self.kept[name].value if name in self.kept else _function(name)

        value = _evaluate(self.code, self.transforms, read, call)
        return value, _missing(self.code, rows, len(table))


def first_evaluation(
    code: str, table: pd.DataFrame, frame: FrameType | None, keep: np.ndarray | None
) -> tuple[Any, np.ndarray, Expression]:
    """Evaluate code in all rows of a table.

    Names are looked up in the columns of data, then in the caller's variables, then among those in `KNOWN`.

    Parameters
    ----------
    frame : frame of the caller, or None
    keep : bool array or None
        The rows that stateful transforms learn from; all by default.

    Returns
    -------
    value : object
    missing : bool array (n,)
        Rows in which the value is missing, even if it does not look missing.
    expression : Expression
        What other rows need.
    """
    scope = _Scope(table, frame)
    learning = {i: _Learning(kind, keep) for i, kind in _stateful(code, scope).items()}
    value = _evaluate(code, learning, scope.read, scope.call)
    transforms = {i: t.result for i, t in learning.items() if t.result is not None}
    expression = Expression(code, tuple(scope.rows), scope.kept, transforms)
    return value, _missing(code, scope.rows, len(table)), expression


def series(table: pd.DataFrame, name: Any) -> pd.Series:
    """Return a column for Python code: numbers become numbers that NumPy knows, of 64 bits."""
    values = table[name]
    if isinstance(values, pd.DataFrame):
        raise DataValueError(f"data has several columns named {name!r}; expected one")
    return _in_64_bits(plain_dtype(values))


def plain_dtype(values: pd.Series) -> pd.Series:
    """Replace pandas' nullable booleans and numbers by NumPy's."""
    dtype = values.dtype
    if isinstance(dtype, (np.dtype, pd.CategoricalDtype)):
        return values
    if pd.api.types.is_bool_dtype(dtype):
        some = values.isna().any()
        new = values.to_numpy(dtype=object if some else bool)
        return pd.Series(new, values.index, name=values.name)
    if pd.api.types.is_numeric_dtype(dtype):
        new = values.to_numpy(dtype=float, na_value=np.nan)
        return pd.Series(new, values.index, name=values.name)
    return values


def _in_64_bits(values: Any) -> Any:
    """Return an array or Series of numbers in 64 bits, so that ``x * x`` of small types does not overflow.

    Numbers without a sign get one, so that a difference can be negative.
    """
    dtype = getattr(values, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iuf":
        return values
    if dtype.kind == "f":
        return values.astype(np.float64) if dtype.itemsize < 8 else values
    if dtype == np.uint64 and len(values) and values.max() > np.iinfo(np.int64).max:
        return values.astype(np.float64)
    return values if dtype == np.int64 else values.astype(np.int64)


def _power(base: Any, exponent: Any) -> Any:
    """Return base ** exponent, where whole numbers of rows become real numbers.

    NumPy's whole numbers have no negative powers, and large powers overflow.
    """
    if any(getattr(getattr(x, "dtype", None), "kind", "") in ("i", "u") for x in (base, exponent)):
        base = base.astype(np.float64) if hasattr(base, "astype") else float(base)
    return base**exponent


# Expressions with one of these names say themselves what becomes of missing values.
_OF_MISSING = frozenset(
    {
        "isna", "isnull", "notna", "notnull", "isnan", "isfinite", "fillna", "nan_to_num", "ffill", "bfill",
        "interpolate", "combine_first", "shift", "diff", "rolling",
    }
)  # fmt: skip


def _missing(code: str, rows: Mapping[str, Any], n: int) -> np.ndarray:
    """Return the rows where a variable of an expression is missing.

    The value need not show it: ``x > 2`` is false where x is missing.
    """
    out = np.zeros(n, dtype=bool)
    if code in rows or _says_what_is_missing(code):
        return out
    for values in rows.values():
        kind = getattr(getattr(values, "dtype", None), "kind", "O")
        if kind in "iub" or not _is_rows(values, n):
            continue
        missing = np.asarray(pd.isna(values))
        out |= missing.any(axis=1) if missing.ndim == 2 else missing
    return out


@lru_cache(maxsize=512)
def _says_what_is_missing(code: str) -> bool:
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(_parsed(code))}
    return not names.isdisjoint(_OF_MISSING)


class _Scope:
    """Names of the first evaluation; it remembers where they were found."""

    def __init__(self, table: pd.DataFrame, frame: FrameType | None) -> None:
        self.table = table
        self.frame = frame
        self.rows: dict[str, Any] = {}
        self.kept: dict[str, Kept] = {}

    def read(self, name: str) -> Any:
        if name in self.table.columns:
            self.rows[name] = series(self.table, name)
            return self.rows[name]
        for value in self._of_caller(name):
            if _is_rows(value, len(self.table)):  # as good as a column; new rows have their own
                check_alignment([("data", self.table), (name, value)])
                value = _in_64_bits(unmasked(value))
                self.rows[name] = value
            else:
                self.kept[name] = Kept(name, value)
            return value
        return KNOWN[name]

    def call(self, name: str) -> Any:
        for value in self._of_caller(name):
            if callable(value):
                self.kept[name] = Kept(name, value)
                return value
        return _function(name)

    def _of_caller(self, name: str) -> Iterator[Any]:
        if self.frame is not None:
            for space in (self.frame.f_locals, self.frame.f_globals):
                if name in space:
                    yield space[name]


class _Learning:
    """A stateful transform that learns from the rows of the model when it is first called."""

    def __init__(self, kind: Any, keep: np.ndarray | None) -> None:
        self.kind = kind
        self.keep = keep
        self.result: Transform | None = None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return _by_complete_rows(self._learn, args, keywords, self.keep)

    def _learn(self, *args: Any, **keywords: Any) -> Any:
        made = self.kind()
        made.memorize_chunk(*args, **keywords)
        made.memorize_finish()
        name = self.kind.__name__
        self.result = Transform(Kept(name, self.kind), Kept(f"{name}(…)", dict(vars(made))))
        return made.transform(*args, **keywords)


def _by_complete_rows(
    function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any],
    keep: np.ndarray | None = None,
) -> Any:  # fmt: skip
    """Call a function of rows with those that are complete; the others become NaN."""
    first: Any = args[0] if args else keywords.get("x")
    n = len(first) if np.ndim(first) else 0
    use = np.ones(n, dtype=bool) if keep is None or len(keep) != n else keep.copy()
    for values in (*args, *keywords.values()):
        if _is_rows(values, n):
            missing = np.asarray(pd.isna(values))
            use &= ~(missing.any(axis=1) if missing.ndim == 2 else missing)
    if use.all():
        return function(*args, **keywords)
    if not use.any():
        return np.full(n, np.nan)

    def part(values: Any) -> Any:
        return values[use] if _is_rows(values, n) else values

    found = function(*map(part, args), **{name: part(v) for name, v in keywords.items()})
    array = np.asarray(found, dtype=float)
    out = np.full((n, *array.shape[1:]), np.nan)
    out[use] = array
    index = first.index if isinstance(first, (pd.Series, pd.DataFrame)) else None
    return pd.Series(out, index) if isinstance(found, pd.Series) else out


def _is_rows(value: Any, n: int) -> bool:
    """Return whether a value has an entry for each of n rows."""
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, (list, tuple)):
        return len(value) == n
    return isinstance(shape, tuple) and len(shape) > 0 and shape[0] == n


def _function(name: str) -> Any:
    return KNOWN[name] if callable(KNOWN.get(name)) else getattr(builtins, name)


def _stateful(code: str, scope: _Scope) -> dict[int, Any]:
    """Return the classes of the stateful transforms that code calls, by the number of the call."""
    out = {}
    for i, call in enumerate(_calls(_parsed(code))):
        path, root = [], call.func
        while isinstance(root, ast.Attribute):
            path.append(root.attr)
            root = root.value
        if not isinstance(root, ast.Name) or (path and root.id in scope.table.columns):
            continue
        try:
            found = scope.read(root.id) if path else scope.call(root.id)
        except (KeyError, AttributeError):  # no such name; the evaluation says so
            continue
        for name in reversed(path):
            found = getattr(found, name, None)
        kind = getattr(found, "__patsy_stateful_transform__", None)
        if kind is not None:
            out[i] = kind
    return out


class _Names(dict[str, Any]):
    """The names that code sees, each looked up when it is used."""

    def __init__(
        self, fixed: dict[str, Any], read: Callable[[str], Any], call: Callable[[str], Any]
    ) -> None:
        super().__init__(fixed)
        self._read = read
        self._call = call

    def __missing__(self, name: str) -> Any:
        return self._call(name[:-2]) if name.endswith("()") else self._read(name)


def _evaluate(
    code: str,
    transforms: Mapping[int, Any],
    read: Callable[[str], Any],
    call: Callable[[str], Any],
) -> Any:
    def function(name: str) -> Any:
        try:
            return call(name)
        except AttributeError:
            raise NameError(f"name {name!r} is not defined", name=f"{name}()") from None

    fixed = {f"{i} of the transforms": transform for i, transform in transforms.items()}
    fixed[POWER] = _power
    return eval(_compiled(code, tuple(transforms)), {}, _Names(fixed, read, function))


@lru_cache(maxsize=512)
def _compiled(code: str, stateful: tuple[int, ...]) -> CodeType:
    """Compile code whose calls look for functions, and which calls transforms by their numbers.

    A function is looked up under its name and "()", so that a column of that name does not hide it.
    """
    tree = _parsed(code)
    for i, call in enumerate(_calls(tree)):
        if i in stateful:
            call.func = ast.copy_location(ast.Name(f"{i} of the transforms", ast.Load()), call.func)
        elif isinstance(call.func, ast.Name):
            call.func.id += "()"
    tree = ast.fix_missing_locations(_Powers().visit(tree))
    return compile(tree, "<formula>", "eval")


class _Powers(ast.NodeTransformer):
    """Replace ``a ** b`` by a call of `_power`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        call = ast.Call(ast.Name(POWER, ast.Load()), [node.left, node.right], [])
        return ast.copy_location(call, node)


def _parsed(code: str) -> ast.Expression:
    return ast.parse(code.strip(), "<formula>", "eval")


def _calls(tree: ast.Expression) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]

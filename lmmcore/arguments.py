"""Arguments that hold numbers, parameters or variance components: refused with their name.

NumPy's own errors name neither the argument nor what was expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from .design.columns import unmasked
from .errors import DataTypeError, DataValueError, OptionError, refuse_sparse

F = TypeVar("F", bound=Callable[..., Any])


def numbers(given: Any, name: str, expected: str) -> np.ndarray:
    """Return `given` as an array of floats.

    Parameters
    ----------
    given : array_like
    name : str
        Name of the argument.
    expected : str
        What it should hold, in words.

    Raises
    ------
    DataTypeError
        Text, complex numbers or objects.
    DataValueError
        Rows of different lengths.
    """
    given = unmasked(given)
    if isinstance(given, np.ndarray) and given.dtype.kind == "f":
        return given.astype(np.float64, copy=False)
    try:
        array = np.asarray(given)
    except ValueError as exc:
        raise DataValueError(f"{name} is not an array ({exc}); expected {expected}") from exc
    if array.dtype.kind == "O":
        # An array of objects may hold numbers, as a column of a frame does.
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            pass
    elif array.dtype.kind in "biuf":
        return array.astype(np.float64)
    refuse_sparse(given, name)
    what = {"U": "text", "S": "text", "c": "complex numbers"}.get(array.dtype.kind)
    if what is None or isinstance(given, str):
        what = _kind(given)
    raise DataTypeError(f"{name} is {what}; expected {expected}")


def generator(rng: Any) -> np.random.Generator | np.random.RandomState:
    """Return a generator of random numbers: the given one, or one from a seed.

    Raises
    ------
    OptionError
        Something else.
    """
    if isinstance(rng, (np.random.Generator, np.random.RandomState)):
        return rng
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as exc:
        raise OptionError(
            f"rng={rng!r}; expected None, a seed (a whole number, 0 or more) or a NumPy Generator"
        ) from exc


def number(given: Any, name: str, expected: str) -> float:
    """Return `given` as a float; see `numbers`."""
    value = numbers(given, name, expected)
    if value.ndim:
        raise DataValueError(f"{name} has shape {value.shape}; expected {expected}")
    return float(value)


def whole_number(given: Any, name: str, least: int) -> int:
    """Return `given` as an int of `least` or more.

    Raises
    ------
    OptionError
    """
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, (int, np.integer)):
        whole = isinstance(given, (float, np.floating)) and float(given).is_integer()
        given = int(given) if whole else given
        if not whole:
            raise OptionError(f"{name}={given!r}; expected a whole number, {least} or more")
    if given < least:
        raise OptionError(f"{name}={given!r}; expected {least} or more")
    return int(given)


def check_components(exog_vc: Any) -> None:
    """Refuse variance components whose parts do not fit each other.

    Whether they fit the groups is for the design to say.

    Parameters
    ----------
    exog_vc : VCSpec or mapping

    Raises
    ------
    DataTypeError, DataValueError
    """
    if exog_vc is None:
        return
    if isinstance(exog_vc, Mapping):
        for name, by_group in exog_vc.items():
            if not isinstance(by_group, Mapping):
                raise DataTypeError(
                    f"exog_vc: component {name!r} is {_kind(by_group)}; expected "
                    "{group label: matrix}"
                )
            for label, matrix in by_group.items():
                _check_matrix(matrix, name, label)
        return
    if not hasattr(exog_vc, "names") or not hasattr(exog_vc, "mats"):
        return
    names, mats = exog_vc.names, exog_vc.mats
    if isinstance(names, str):
        raise DataTypeError(
            f"exog_vc has names={names!r}; expected a list of names, one for each component"
        )
    if len(set(names)) < len(names):
        raise DataValueError(f"exog_vc has names={list(names)}; expected different names")
    for part in ("mats", "colnames"):
        given: Any = getattr(exog_vc, part, None)
        if part == "colnames" and not given:
            continue  # the columns are numbered
        if len(given) != len(names):
            raise DataValueError(
                f"exog_vc has {part} of length {len(given)}; expected {len(names)}, one list for each "
                f"of {', '.join(map(repr, names))}"
            )
    for j, name in enumerate(names):
        columns = exog_vc.colnames[j] if getattr(exog_vc, "colnames", None) else None
        if columns is not None and len(columns) != len(mats[j]):
            raise DataValueError(
                f"exog_vc has {len(columns)} lists of column names for component {name!r}; expected "
                f"{len(mats[j])}, one for each matrix"
            )
        for g, matrix in enumerate(mats[j]):
            _check_matrix(matrix, name, g)
            shape = np.shape(matrix)
            if columns is not None and len(shape) == 2 and len(columns[g]) != shape[1]:
                raise DataValueError(
                    f"exog_vc has {len(columns[g])} column names for component {name!r} in the group "
                    f"at position {g}; expected {shape[1]}, one for each column of the matrix"
                )


def _check_matrix(matrix: Any, name: Any, group: Any) -> None:
    if not hasattr(matrix, "toarray"):
        numbers(matrix, f"exog_vc: the matrix of component {name!r} in group {group!r}", "numbers")


def _kind(given: Any) -> str:
    """Return what `given` is, in words."""
    if isinstance(given, str):
        return f"the text {given!r}"
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def shown_without(*hidden: str) -> Callable[[F], F]:
    """Return a decorator that leaves parameters out of what ``help`` shows of a function.

    They are those that collect misspelled names for a better error, or say where a formula is evaluated.
    """

    def decorated(function: F) -> F:
        signature = inspect.signature(function)
        kept = [p for p in signature.parameters.values() if p.name not in hidden]
        function.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return function

    return decorated

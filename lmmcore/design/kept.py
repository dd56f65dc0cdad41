"""Values that a formula took from its caller, kept so that a model can be pickled."""

from __future__ import annotations

import importlib
import pickle
import sys
from types import ModuleType
from typing import Any

from ..errors import FormulaError


class Kept:
    """A value that the formula needs for new rows; it pickles even where the value does not.

    Modules, functions and classes are pickled by their names, all else by value. What can be pickled
    neither way, such as a lambda, is missed only when it is used after loading. Nothing is looked up
    before it is used, so that loading never fails because of it.

    Parameters
    ----------
    name : str
        The name in the formula.
    value : object
    """

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self._value = value

    @property
    def value(self) -> Any:
        """The value.

        Raises
        ------
        FormulaError
            The value could not be pickled, or this process does not have it.
        """
        if "_value" not in self.__dict__:
            self._value = self._unpacked()
        return self._value

    def _unpacked(self) -> Any:
        kind, what = self._packed
        if kind == "lost":
            raise FormulaError(
                f"new rows need {self.name!r}, {what}, which could not be saved with the model: a lambda, or "
                "a function inside another one, has no name by which it can be imported. Define "
                "it at the top level of "
                "a module and fit again, or compute the variable beforehand"
            )
        try:
            if kind == "bytes":
                return pickle.loads(what)
            module, path = what
            found: Any = importlib.import_module(module)
            for part in path:
                found = getattr(found, part)
        except Exception as exc:  # whatever an import or a user's class may raise
            raise FormulaError(
                f"new rows need {self.name!r}, which was saved by its name and is not found here "
                f"({type(exc).__name__}: {exc}); import or define it as in the program that fitted the model"
            ) from exc
        return found

    def __getstate__(self) -> dict[str, Any]:
        if "_packed" not in self.__dict__:
            self._packed = _pack(self._value)
        return {"name": self.name, "_packed": self._packed}

    def __copy__(self) -> Kept:
        return self

    def __deepcopy__(self, memo: Any) -> Kept:
        return self


def _pack(value: Any) -> tuple[str, Any]:
    """Return how a value is pickled: by name, by value, or not at all."""
    if isinstance(value, ModuleType):
        return "name", (value.__name__, ())
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if isinstance(module, str) and isinstance(path, str):
        found: Any = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is value:
            return "name", (module, tuple(path.split(".")))
    try:
        return "bytes", pickle.dumps(value)
    except Exception:  # objects refuse in many ways
        return "lost", f"a {type(value).__name__}"

"""One registered plugin: what it is, what it is called and which distribution brought it."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..errors import PluginError


@dataclass(frozen=True, eq=False)
class Plugin:
    """A registered plugin.

    Attributes
    ----------
    kind : {"optimizer", "covariance", "penalty", "ddf"}
    name : str
    target : object or str
        The implementation, or where it is ("package.module:attribute").
    distribution, version : str
        What brought it.
    summary : str
        One line given at registration.
    """

    kind: str
    name: str
    target: Any
    distribution: str
    version: str
    summary: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} ({self.source})"

    @property
    def source(self) -> str:
        """The distribution and its version, as in "lmmcore-spatial 0.1.0"."""
        return f"{self.distribution} {self.version}".strip()

    @cached_property
    def implementation(self) -> Any:
        """The optimizer, structure or penalty itself; imported now if it was named by its place.

        Raises
        ------
        PluginError
            The place cannot be imported.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as exc:
            raise PluginError(
                f"{self} cannot be imported from {self.target!r}: {type(exc).__name__}: {exc}; "
                f"reinstall or uninstall {self.distribution}"
            ) from exc

    @property
    def help(self) -> str:
        """One line: what was given at registration, or the first line of the docstring."""
        if self.summary:
            return self.summary
        try:
            implementation = self.implementation
        except PluginError as exc:  # a listing is where one looks for what is wrong
            return str(exc)
        return (inspect.getdoc(implementation) or "").strip().split("\n")[0]

    def numbered(self, number: int) -> Plugin:
        """Return the member of a family, such as "fa3" of "fa{n}".

        Raises
        ------
        PluginError
            The family cannot make it.
        """
        name = self.name.replace("{n}", str(number))
        made = self.implementation(number)
        return Plugin(self.kind, name, made, self.distribution, self.version, self.summary)


def shown(found: object) -> str:
    """Return an object for an error message: one line, not too long."""
    text = " ".join(repr(found).split())
    return text if len(text) <= 200 else text[:200] + " …"

"""Finding plugins by kind and name; built-ins come through the same door as anybody's."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import pluggy

from ..errors import OptionError, PluginError, suggest
from . import hookspecs

KINDS = ("optimizer", "covariance", "penalty")
_HOOKS = {
    "optimizer": "lmmcore_optimizers",
    "covariance": "lmmcore_covariances",
    "penalty": "lmmcore_penalties",
}
# Modules of this package that implement hooks; the manager knows where they are, not what they are.
_BUILT_IN = ("lmmcore.optimizers.plugin", "lmmcore.covariance.plugin", "lmmcore.penalties.plugin")


@dataclass(frozen=True)
class Plugin:
    """A registered plugin: what it is, what it is called and which distribution brought it."""

    kind: str
    name: str
    implementation: Any
    distribution: str
    version: str

    @property
    def help(self) -> str:
        """The first line of the implementation's docstring."""
        return (self.implementation.__doc__ or "").strip().split("\n")[0]


@cache
def manager() -> pluggy.PluginManager:
    """Return the plugin manager with the built-ins and everything installed."""
    found = pluggy.PluginManager(hookspecs.GROUP)
    found.add_hookspecs(hookspecs)
    for module in _BUILT_IN:
        found.register(importlib.import_module(module), name=module)
    found.load_setuptools_entrypoints(hookspecs.GROUP)
    return found


def register(plugin: Any, name: str | None = None) -> None:
    """Register an object that implements hooks, for this process."""
    manager().register(plugin, name=name)
    _table.cache_clear()


def unregister(plugin: Any) -> None:
    """Take back what `register` did."""
    manager().unregister(plugin)
    _table.cache_clear()


@cache
def _table(kind: str) -> dict[str, list[Plugin]]:
    from .. import __version__

    pm = manager()
    origin = dict(pm.list_plugin_distinfo())
    table: dict[str, list[Plugin]] = {}
    for impl in getattr(pm.hook, _HOOKS[kind]).get_hookimpls():
        dist = origin.get(impl.plugin)
        if dist is not None:
            source, version = dist.project_name, dist.version
        elif impl.plugin_name in _BUILT_IN:
            source, version = "lmmcore", __version__
        else:
            source, version = impl.plugin_name, "registered in this process"

        def add(name: str, what: Any, source: str = source, version: str = version) -> None:
            table.setdefault(name, []).append(Plugin(kind, name, what, source, version))

        try:
            impl.function(register=add)
        except Exception as exc:
            raise PluginError(
                f"{source} ({version}) failed while registering its plugins of kind {kind}: "
                f"{type(exc).__name__}: {exc}; update or uninstall it"
            ) from exc
    return table


def find(kind: str, name: str) -> Any:
    """Return the plugin of a kind and name.

    Raises
    ------
    OptionError
        No plugin has that name.
    PluginError
        Two distributions registered that name.
    """
    table = _table(kind)
    entries = table.get(name)
    if not entries:
        raise OptionError(
            f"{kind} {name!r} is not known{suggest(name, table)}; "
            "`lmmcore plugins` lists what is installed"
        )
    if len(entries) > 1:
        both = " and ".join(f"{e.distribution} ({e.version})" for e in entries)
        raise PluginError(
            f"{kind} {name!r} is registered by {both}; uninstall one of them or rename its plugin"
        )
    return entries[0].implementation


def plugins() -> list[Plugin]:
    """Return every plugin, built-in and installed, sorted by kind and name."""
    return sorted(
        (p for kind in KINDS for entries in _table(kind).values() for p in entries),
        key=lambda p: (p.kind, p.name),
    )

"""Finding plugins by kind and name; built-ins come through the same door as anybody's."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any

import pluggy

from ..errors import LmmcoreError, OptionError, PluginError, suggest
from ..version import __version__
from . import hookspecs
from .plugin import Plugin

_HOOKS = {
    "optimizer": "lmmcore_optimizers",
    "covariance": "lmmcore_covariances",
    "penalty": "lmmcore_penalties",
    "ddf": "lmmcore_ddf",
    "residual": "lmmcore_residuals",
}
KINDS = tuple(_HOOKS)
# Modules of this package that implement hooks; the manager knows where they are, not what they are.
_BUILT_IN = tuple(
    f"lmmcore.{room}.plugin"
    for room in ("optimizers", "covariance", "penalties", "inference", "residual")
)
# Distribution and version by the name under which pluggy knows what an entry point brought.
_sources: dict[str, tuple[str, str]] = {}


@cache
def manager() -> pluggy.PluginManager:
    """Return the plugin manager with the built-ins and everything installed.

    Raises
    ------
    PluginError
        An installed plugin cannot be imported.
    """
    found = pluggy.PluginManager(hookspecs.GROUP)
    found.add_hookspecs(hookspecs)
    for module in _BUILT_IN:
        found.register(importlib.import_module(module), name=module)
    # pluggy's own loader drops the second of two entry points of one name without a word.
    for entry in entry_points(group=hookspecs.GROUP):
        source = (entry.dist.name, entry.dist.version) if entry.dist else (entry.value, "")
        try:
            plugin = entry.load()
        except Exception as exc:
            raise PluginError(
                f"{' '.join(source)}, a plugin of lmmcore, cannot be imported: {type(exc).__name__}: "
                f"{exc}; update or uninstall it"
            ) from exc
        if not found.is_registered(plugin):
            name = f"{' '.join(source)}: {entry.name}"
            _sources[name] = source
            found.register(plugin, name=name)
    return found


def register(plugin: Any, name: str | None = None) -> None:
    """Register an object that implements hooks, for this process."""
    manager().register(plugin, name=name)
    forget()


def unregister(plugin: Any) -> None:
    """Take back what `register` did."""
    manager().unregister(plugin)
    forget()


def forget() -> None:
    """Forget what the plugins registered, so that they are asked again."""
    _table.cache_clear()
    look_up.cache_clear()


def _source(plugin_name: str) -> tuple[str, str]:
    """Return distribution and version from the name under which a plugin was registered."""
    if plugin_name in _BUILT_IN:
        return "lmmcore", __version__
    return _sources.get(plugin_name, (plugin_name, "registered in this process"))


@cache
def _table(kind: str) -> dict[str, list[Plugin]]:
    table: dict[str, list[Plugin]] = {}
    for impl in getattr(manager().hook, _HOOKS[kind]).get_hookimpls():
        source, version = _source(impl.plugin_name)

        def add(
            name: str, implementation: Any, help: str = "", source: str = source, version: str = version
        ) -> None:  # fmt: skip
            if not isinstance(name, str) or name != name.lower() or not name.strip():
                raise OptionError(f"the name is {name!r}; expected text in lower case")
            plugin = Plugin(kind, name, implementation, source, version, help)
            table.setdefault(name, []).append(plugin)

        try:
            impl.function(register=add)
        except Exception as exc:
            raise PluginError(
                f"{source} ({version}) failed while registering its plugins of kind {kind}: "
                f"{type(exc).__name__}: {exc}; update or uninstall it"
            ) from exc
    return table


@cache
def look_up(kind: str, name: str) -> Plugin:
    """Return the plugin of a kind and name, with where it comes from.

    Raises
    ------
    OptionError
        No plugin has that name.
    PluginError
        Two distributions registered that name.
    """
    table = _table(kind)
    entries = list(table.get(name, ()))
    family = re.fullmatch(r"(.*\D)(0|[1-9]\d*)", name) if name[-1:].isdigit() else None
    if family and f"{family[1]}{{n}}" in table:
        entries += [_member(p, int(family[2])) for p in table[f"{family[1]}{{n}}"]]
    if not entries:
        raise OptionError(_unknown(kind, name, table))
    if len(entries) > 1:
        both = " and ".join(f"{e.distribution} ({e.version})" for e in entries)
        raise PluginError(
            f"{kind} {name!r} is registered by {both}; uninstall one of them or rename its plugin"
        )
    return entries[0]


def _member(family: Plugin, number: int) -> Plugin:
    try:
        return family.numbered(number)
    except LmmcoreError:
        raise
    except Exception as exc:
        raise PluginError(
            f"{family} failed to make member {number}: {type(exc).__name__}: {exc}. Choose another "
            f"{family.kind}, or report this to the authors of {family.distribution}"
        ) from exc


@cache
def _elsewhere() -> dict[str, dict[str, str]]:
    """Return names that distributions outside of this one are known to bring, by kind.

    For error messages alone, as a shell's "command not found" names a package.
    """
    text = files(__package__).joinpath("known_distributions.json").read_text(encoding="utf-8")
    return {
        kind: {name: dist for dist, names in by_distribution.items() for name in names}
        for kind, by_distribution in json.loads(text).items()
    }


def _unknown(kind: str, name: str, table: dict[str, list[Plugin]]) -> str:
    distribution = _elsewhere().get(kind, {}).get(name)
    if distribution is not None:
        return (
            f"{kind} {name!r} is not installed; it is part of the distribution {distribution}. In a clone of "
            "lmmcore, or its unpacked source distribution, install it with: "
            f"pip install ./plugins/{distribution}"
        )
    return (
        f"{kind} {name!r} is not known{suggest(name, table)}; "
        "`lmmcore plugins` lists what is installed"
    )


def find(kind: str, name: str) -> Any:
    """Return the implementation of a kind and name; see `look_up`."""
    return look_up(kind, name).implementation


def names(kind: str) -> list[str]:
    """Return one name of every implementation of a kind, in the order of registration.

    Further names of the same object are left out, and so are families.
    """
    first: dict[Any, str] = {}
    for name, entries in _table(kind).items():
        target = entries[0].target
        if "{n}" not in name:
            first.setdefault(target if isinstance(target, str) else id(target), name)
    return list(first.values())


def plugins() -> list[Plugin]:
    """Return every plugin, built-in and installed, sorted by kind and name."""
    return sorted(
        (p for kind in KINDS for entries in _table(kind).values() for p in entries),
        key=lambda p: (p.kind, p.name),
    )

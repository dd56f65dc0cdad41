"""From a name or an object to the covariance structure of a random-effects term."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..errors import DesignError, LmmcoreError, OptionError
from ..extension.protocols import CovarianceStructure
from ..plugin_host.guarded_structure import GuardedStructure
from ..plugin_host.manager import look_up
from ..plugin_host.plugin import Plugin

_METHODS = (
    "n_parameters", "parameters", "factor", "factor_derivative", "factor_second_derivative", "describe"
)  # fmt: skip


def bound_structure(given: Any, names: Sequence[str], group: str) -> CovarianceStructure:
    """Return the structure for columns with these names.

    Raises
    ------
    OptionError
        No structure has this name, or the object is not a structure.
    DesignError
        The structure needs other columns.
    PluginError
        The structure breaks its protocol.
    """
    label: Plugin | str
    if isinstance(given, str):
        label = plugin = look_up("covariance", given.lower())
        found = _by_name(plugin, len(names))
        if found is not None:
            return found
        structure = plugin.implementation
    else:
        label = f"covariance structure {type(given).__qualname__} of {type(given).__module__}"
        structure = given
    _refuse_incomplete(given, structure)
    if hasattr(structure, "bind"):
        try:
            structure = structure.bind(tuple(names))
        except LmmcoreError:
            raise
        except Exception as exc:
            raise DesignError(
                f"{label} does not fit the columns {', '.join(names)} of {group}: "
                f"{type(exc).__name__}: {exc}"
            ) from exc
    return GuardedStructure(structure, label, len(names))


@lru_cache(maxsize=256)
def _by_name(plugin: Plugin, k: int) -> GuardedStructure | None:
    """Return a structure that needs no names, the same object in every model; None if it needs them."""
    structure = plugin.implementation
    if hasattr(structure, "bind"):
        return None
    _refuse_incomplete(plugin.name, structure)
    return GuardedStructure(structure, plugin, k)


def _refuse_incomplete(given: Any, structure: Any) -> None:
    missing = [m for m in _METHODS if not callable(getattr(structure, m, None))]
    if missing:
        raise OptionError(
            f"covariance={given!r} has no {', '.join(missing)}; expected the name of a structure "
            "(`lmmcore plugins` lists them) or a CovarianceStructure"
        )

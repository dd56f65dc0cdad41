"""From a name, or an object, to the structure of a term's covariance matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..errors import DesignError, LmmcoreError, OptionError
from ..extension import CovarianceStructure, Plugin
from ..extension.guarded_structure import GuardedStructure
from ..extension.manager import look_up

_METHODS = (
    "n_parameters", "parameters", "factor", "factor_derivative", "factor_second_derivative", "describe"
)  # fmt: skip


def bound_structure(given: Any, names: Sequence[str], group: str) -> CovarianceStructure:
    """Return the structure for columns with these names.

    Raises
    ------
    OptionError
        No structure has that name, or an object is no structure.
    DesignError
        A structure that needs other columns.
    PluginError
        A structure that breaks its contract.
    """
    label: Plugin | str
    if isinstance(given, str):
        label = plugin = look_up("covariance", given.lower())
        structure = plugin.implementation
        if not hasattr(structure, "bind"):
            return _by_name(plugin, structure, len(names))
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
def _by_name(plugin: Plugin, structure: Any, k: int) -> GuardedStructure:
    """Return a structure that needs no names: the same object for every model of k columns."""
    _refuse_incomplete(plugin.name, structure)
    return GuardedStructure(structure, plugin, k)


def _refuse_incomplete(given: Any, structure: Any) -> None:
    missing = [m for m in _METHODS if not callable(getattr(structure, m, None))]
    if missing:
        raise OptionError(
            f"covariance={given!r} has no {', '.join(missing)}; expected the name of a structure "
            "(`lmmcore plugins` lists them) or a CovarianceStructure"
        )

"""From a name, or an object, to the structure of a term's covariance matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DesignError, LmmcoreError, OptionError, PluginError
from ..extension import CovarianceStructure, find

_METHODS = ("n_parameters", "parameters", "factor", "factor_derivative", "describe")


def bound_structure(given: Any, names: Sequence[str], group: str) -> CovarianceStructure:
    """Return the structure for columns with these names.

    Raises
    ------
    OptionError
        No structure has that name, or an object is no structure.
    DesignError
        A structure that needs other columns.
    """
    structure = find("covariance", given.lower()) if isinstance(given, str) else given
    missing = [m for m in _METHODS if not callable(getattr(structure, m, None))]
    if missing:
        raise OptionError(
            f"covariance={given!r} has no {', '.join(missing)}; expected the name of a structure "
            "(`lmmcore plugins` lists them) or a CovarianceStructure"
        )
    if hasattr(structure, "bind"):
        try:
            structure = structure.bind(tuple(names))
        except LmmcoreError:
            raise
        except Exception as exc:
            raise DesignError(
                f"the covariance structure {given!r} does not fit the columns {', '.join(names)} of "
                f"{group}: {type(exc).__name__}: {exc}"
            ) from exc
    m = structure.n_parameters(len(names))
    if not isinstance(m, (int, np.integer)) or m < 0:
        raise PluginError(
            f"the covariance structure {given!r} has {m!r} parameters; expected a whole number"
        )
    return structure

"""Which residual structures are special cases of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataValueError
from .known import KnownBlocks
from .terms import ResidualTerm

LARGER = {
    "diag": {"csh", "ar1h", "toeph", "anteh", "un"},
    "cs": {"csh", "toep", "toeph", "un"},
    "ar1": {"ar1h", "toep", "toeph", "ante", "anteh", "arma", "un"},
    "toep": {"toeph", "un"},
    "ante": {"anteh", "un"},
    "ar1h": {"toeph", "anteh", "un"},
    "csh": {"toeph", "un"},
    "toeph": {"un"},
    "anteh": {"un"},
}


def refuse_not_nested(small: Any, large: Any) -> None:
    """Raise an error unless one residual structure is known to be a special case of another.

    Parameters
    ----------
    small, large : FittedResidual or None

    Raises
    ------
    DataValueError
    """
    if small is None:
        return
    a, b = small.structure, None if large is None else large.structure
    if (
        b is not None
        and _correlation(a.term, b.term)
        and _variance(a.variance_term, b.variance_term)
    ):
        return
    other = "independent residuals of equal variances" if b is None else b.title
    raise DataValueError(
        f"the residual structure {a.title} is not known to be a special case of {other}; expected nested "
        "models. Compare them by aic"
    )


def _correlation(a: Any, b: Any) -> bool:
    if a is None:
        return True
    if isinstance(a, KnownBlocks) or isinstance(b, KnownBlocks):
        return isinstance(a, KnownBlocks) and a.equals(b)
    if str(a) == str(b):
        return True
    if not isinstance(a, ResidualTerm) or not isinstance(b, ResidualTerm):
        return False
    if (a.coordinates, a.groups) != (b.coordinates, b.groups) or "by" in {**a.options, **b.options}:
        return False
    if "bands" in b.options:
        return a.name == b.name and a.options.get("bands", np.inf) <= b.options["bands"]
    return a.name == b.name or b.name in LARGER.get(a.name, set())


def _variance(a: Any, b: Any) -> bool:
    if a is None or str(a) == str(b):
        return True
    return b is not None and {str(x) for x in a.parts} <= {str(x) for x in b.parts}

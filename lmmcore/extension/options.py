"""Options of optimizers: known names with defaults. Any other name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OptionError
from ..spellings import FIT, FIT_ARGUMENTS, meant

# Options of fits in statsmodels. A method that does not use one of them ignores it.
COMMON = frozenset(
    {
        "gtol", "maxiter", "eps", "maxcor", "ftol", "tol", "disp", "maxls", "xtol", "avextol", "pgtol",
        "factr", "m", "maxfun", "epsilon", "norm",
    }
)  # fmt: skip


def take_options(method: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options `known`: the given values, and defaults for the rest."""
    for name in given:
        if name not in known and name not in COMMON:
            raise OptionError(
                f"optimizer {method!r} got the option {name!r}"
                f"{meant(name, FIT, list(dict.fromkeys([*known, *FIT_ARGUMENTS])))}"
            )
    return {**known, **{name: value for name, value in given.items() if name in known}}

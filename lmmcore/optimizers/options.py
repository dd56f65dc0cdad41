"""Options of optimizers: known names with defaults, anything else is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..extension import OptionError, suggest


def take_options(method: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults `known`, replaced by what was given."""
    for name in given:
        if name not in known:
            raise OptionError(f"optimizer {method!r} got the option {name!r}{suggest(name, known)}")
    return {**known, **given}

"""Names that formulas know where neither the data nor the caller define them."""

from __future__ import annotations

from typing import Any

import patsy.builtins

FUNCTIONS: dict[str, Any] = {name: getattr(patsy.builtins, name) for name in patsy.builtins.__all__}

"""Names that formulas know where neither the data nor the caller define them."""

from __future__ import annotations

from typing import Any

FUNCTIONS: dict[str, Any] = {}

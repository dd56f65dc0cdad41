"""The built-in covariance structures, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extension import hookimpl
from .diagonal import Diagonal
from .unstructured import Unstructured


@hookimpl
def lmmcore_covariances(register: Callable[[str, Any], None]) -> None:
    register("unstructured", Unstructured())
    register("diagonal", Diagonal())

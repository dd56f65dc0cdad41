"""The hooks that an extension implements: one per kind, each handed a `register` callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pluggy

GROUP = "lmmcore"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def lmmcore_optimizers(register: Callable[[str, Any], None]) -> None:
    """Call ``register(name, optimizer)`` for every `Optimizer`."""


@hookspec
def lmmcore_covariances(register: Callable[[str, Any], None]) -> None:
    """Call ``register(name, structure)`` for every `CovarianceStructure`."""


@hookspec
def lmmcore_penalties(register: Callable[[str, Any], None]) -> None:
    """Call ``register(name, penalty)`` for every `Penalty` of ``fit_regularized``."""

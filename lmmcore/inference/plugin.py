"""The built-in methods for degrees of freedom and covariances of β̂, registered as any plugin is."""

from __future__ import annotations

from ..extension import Register, hookimpl

PLACE = "lmmcore.inference."


@hookimpl
def lmmcore_ddf(register: Register) -> None:
    """Register the built-in methods."""
    register("z", PLACE + "model_based:NORMAL")
    register("satterthwaite", PLACE + "satterthwaite:SATTERTHWAITE")
    register("residual", PLACE + "model_based:RESIDUAL")

"""The built-in methods for degrees of freedom and covariances of β̂, registered as any plugin is."""

from __future__ import annotations

from ..extension import Register, hookimpl

PLACE = "lmmcore.inference."


@hookimpl
def lmmcore_ddf(register: Register) -> None:
    """Register the built-in methods."""
    register("z", PLACE + "model_based:NORMAL")
    register("satterthwaite", PLACE + "satterthwaite:SATTERTHWAITE")
    for name, attribute in (
        ("kenward-roger", "KENWARD_ROGER"),
        ("kenward-roger-second", "KENWARD_ROGER_BENT"),
        ("kenward-roger-sas", "KENWARD_ROGER_SAS"),
        ("kenward-roger-sas-linear", "KENWARD_ROGER_SAS_LINEAR"),
    ):
        register(name, f"{PLACE}kenward_roger:{attribute}")
    register("between-within", PLACE + "design_df:BETWEEN_WITHIN")
    register("containment", PLACE + "design_df:CONTAINMENT")
    for name in ("cr0", "cr1", "cr1s", "cr2", "cr3"):
        register(name, f"{PLACE}robust:{name.upper()}", help="Cluster-robust covariance matrix.")
    register("residual", PLACE + "model_based:RESIDUAL")

"""The built-in methods for degrees of freedom and covariances of β̂, registered as any plugin is."""

from __future__ import annotations

from ..extension import Register, hookimpl

PLACE = "lmmcore.inference."


@hookimpl
def lmmcore_ddf(register: Register) -> None:
    """Register the built-in methods."""
    register("z", PLACE + "model_based:NORMAL")
    register("satterthwaite", PLACE + "satterthwaite:SATTERTHWAITE")
    for name, attribute, words in (
        ("kenward-roger", "KENWARD_ROGER", "as pbkrtest."),
        ("kenward-roger-linear", "KENWARD_ROGER", "the same."),
        ("kenward-roger-second", "KENWARD_ROGER_BENT", "with second derivatives."),
        ("kenward-roger-sas", "KENWARD_ROGER_SAS", "as SAS' DDFM=KR and JMP."),
        ("kenward-roger-sas-linear", "KENWARD_ROGER_SAS_LINEAR", "as SAS' DDFM=KR(LINEAR)."),
    ):
        register(name, f"{PLACE}kenward_roger:{attribute}", help=f"Kenward and Roger, {words}")
    register("between-within", PLACE + "design_df:BETWEEN_WITHIN")
    register("containment", PLACE + "design_df:CONTAINMENT")
    for name in ("cr0", "cr1", "cr1s", "cr2", "cr3"):
        register(
            name,
            f"{PLACE}robust:{name.upper()}",
            help=f"Cluster-robust covariance, {name.upper()}.",
        )
    register("residual", PLACE + "model_based:RESIDUAL")

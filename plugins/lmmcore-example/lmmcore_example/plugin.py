"""What lmmcore finds by the entry point: names, and where the plugins are."""

from lmmcore.extension import Register, hookimpl


@hookimpl
def lmmcore_optimizers(register: Register) -> None:
    register("compass", "lmmcore_example.compass:COMPASS", "Compass search: no derivatives.")


@hookimpl
def lmmcore_covariances(register: Register) -> None:
    register("walk", "lmmcore_example.walk:WALK", "A random walk along the columns: one sd.")


@hookimpl
def lmmcore_penalties(register: Register) -> None:
    register(
        "nonnegative",
        "lmmcore_example.nonnegative:NONNEGATIVE",
        "A price on negative coefficients.",
    )


@hookimpl
def lmmcore_ddf(register: Register) -> None:
    register("groups", "lmmcore_example.groups:GROUPS", "Groups minus fixed effects.")


@hookimpl
def lmmcore_residuals(register: Register) -> None:
    register(
        "fading", "lmmcore_example.fading:FADING", "Correlation that fades as one over distance."
    )

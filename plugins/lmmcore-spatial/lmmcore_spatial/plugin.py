"""What lmmcore finds by the entry point: names, and where the structures are."""

from __future__ import annotations

from lmmcore.extension import Register, hookimpl

NAMES = {
    "exp": ("EXP", "Exponential in the distance of positions: one sd, a range."),
    "gau": ("GAU", "Gaussian in the distance of positions: one sd, a range."),
    "sph": ("SPH", "Spherical in the distance of positions: one sd, a range."),
    "mat12": ("MAT12", "Matérn with smoothness 1/2, which is exponential: one sd, a range."),
    "mat32": ("MAT32", "Matérn with smoothness 3/2: one sd, a range."),
    "mat52": ("MAT52", "Matérn with smoothness 5/2: one sd, a range."),
}


@hookimpl
def lmmcore_covariances(register: Register) -> None:
    for name, (attribute, line) in NAMES.items():
        register(name, f"lmmcore_spatial.structures:{attribute}", line)

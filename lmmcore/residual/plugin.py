"""The built-in residual structures, registered as any plugin is."""

from __future__ import annotations

from ..extension import Register, hookimpl

PLACE = "lmmcore.residual."


@hookimpl
def lmmcore_residuals(register: Register) -> None:
    """Register the built-in residual structures."""
    for name, where, words in (
        ("ar1", "visits:AR1", "Autoregressive of order 1 over visits."),
        ("ar1h", "visits:AR1H", "The same, with a variance for each visit."),
        ("cs", "visits:CS", "Compound symmetry: one correlation."),
        ("csh", "visits:CSH", "The same, with a variance for each visit."),
        ("toep", "visits:TOEP", "Toeplitz: a correlation for each distance of visits."),
        ("toeph", "visits:TOEPH", "The same, with a variance for each visit."),
        ("ante", "visits:ANTE", "Antedependence of order 1."),
        ("anteh", "visits:ANTEH", "The same, with a variance for each visit."),
        ("diag", "visits:DIAG", "Independent, with a variance for each visit."),
        ("un", "visits:UN", "Unstructured: any covariance matrix over visits."),
        ("car1", "distances:CAR1", "Autoregressive at any times."),
        ("arma", "arma:ARMA_PQ", "ARMA(p, q) in whole steps."),
        ("exp", "distances:EXP", "Exponential in the distance of coordinates."),
        ("gau", "distances:GAU", "Gaussian in the distance of coordinates."),
        ("ratio", "distances:RATIO", "Rational quadratic in the distance of coordinates."),
        ("sph", "distances:SPH", "Spherical in the distance of coordinates."),
        (
            "matern",
            "distances:MATERN",
            "Matérn in the distance of coordinates, nu = 0.5, 1.5 or 2.5.",
        ),
    ):
        register(name, PLACE + where, help=words)

"""The built-in optimizers, registered as any plugin is."""

from __future__ import annotations

from ..extension import Register, hookimpl
from .em import EM
from .newton import TrustRegionNewton
from .scipy_methods import SciPyByName, SciPyGlobal, SciPyMinimize

# SciPy's name of a method, and the names under which it is found here.
_NAMES = {
    "BFGS": ("bfgs",),
    "L-BFGS-B": ("lbfgs",),
    "CG": ("cg",),
    "SLSQP": ("slsqp",),
    "TNC": ("tnc",),
    "Newton-CG": ("newton-cg", "ncg"),
    "trust-exact": ("trust-exact",),
    "trust-ncg": ("trust-ncg",),
    "trust-krylov": ("trust-krylov",),
    "Powell": ("powell",),
    "Nelder-Mead": ("nelder-mead", "nm"),
    "COBYLA": ("cobyla",),
    "COBYQA": ("cobyqa",),
}


@hookimpl
def lmmcore_optimizers(register: Register) -> None:
    register("newton", TrustRegionNewton())
    register("em", EM())
    for method, names in _NAMES.items():
        optimizer = SciPyMinimize(method)
        for name in names:
            register(name, optimizer)
    register("minimize", SciPyByName())
    register("basinhopping", SciPyGlobal("basinhopping"))
    register("differential-evolution", SciPyGlobal("differential-evolution"))

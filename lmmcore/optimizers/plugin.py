"""The built-in optimizers, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..extension import hookimpl
from .em import EM
from .newton import TrustRegionNewton
from .scipy_methods import SciPyByName, SciPyGlobal, SciPyMinimize

_NAMES = {
    "bfgs": "BFGS",
    "lbfgs": "L-BFGS-B",
    "cg": "CG",
    "slsqp": "SLSQP",
    "tnc": "TNC",
    "newton-cg": "Newton-CG",
    "ncg": "Newton-CG",
    "trust-exact": "trust-exact",
    "trust-ncg": "trust-ncg",
    "trust-krylov": "trust-krylov",
    "powell": "Powell",
    "nelder-mead": "Nelder-Mead",
    "nm": "Nelder-Mead",
    "cobyla": "COBYLA",
    "cobyqa": "COBYQA",
}


@hookimpl
def lmmcore_optimizers(register: Callable[[str, Any], None]) -> None:
    register("newton", TrustRegionNewton())
    register("em", EM())
    for name, method in _NAMES.items():
        register(name, SciPyMinimize(method))
    register("minimize", SciPyByName())
    register("basinhopping", SciPyGlobal("basinhopping"))
    register("differential-evolution", SciPyGlobal("differential-evolution"))

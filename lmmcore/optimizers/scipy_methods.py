"""SciPy's optimizers, under the names that statsmodels and SciPy use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..extension import Objective, OptimizeOutcome, OptionError, suggest, take_options

# What a method is given (derivatives) and its options with defaults as tight as it stands.
_GRADIENT: dict[str, dict[str, Any]] = {
    "BFGS": {"maxiter": 500, "gtol": 1e-6, "disp": False},
    "L-BFGS-B": {"maxiter": 500, "gtol": 1e-7, "ftol": 1e-15, "maxcor": 20, "maxls": 30},
    "CG": {"maxiter": 2000, "gtol": 1e-6, "disp": False},
    "SLSQP": {"maxiter": 500, "ftol": 1e-12, "disp": False},
    "TNC": {"maxfun": 2000, "gtol": 1e-7, "ftol": 1e-14, "disp": False},
}
_HESSIAN: dict[str, dict[str, Any]] = {
    "Newton-CG": {"maxiter": 200, "xtol": 1e-9, "disp": False},
    "trust-exact": {"maxiter": 200, "gtol": 1e-7, "disp": False},
    "trust-ncg": {"maxiter": 200, "gtol": 1e-7, "disp": False},
    "trust-krylov": {"maxiter": 200, "gtol": 1e-7, "disp": False},
}
_VALUE: dict[str, dict[str, Any]] = {
    "Powell": {"maxiter": 5000, "xtol": 1e-9, "ftol": 1e-12, "disp": False},
    "Nelder-Mead": {
        "maxiter": 20000, "maxfev": 40000, "xatol": 1e-8, "fatol": 1e-10, "adaptive": True,
        "disp": False,
    },
    "COBYLA": {"maxiter": 20000, "tol": 1e-9, "rhobeg": 0.5, "disp": False},
    "COBYQA": {"maxiter": 5000, "final_tr_radius": 1e-8, "disp": False},
}  # fmt: skip
# Where the uniform option tol goes, and maxiter where a method calls it by another name.
_TOL: dict[str, tuple[str, ...]] = {
    "BFGS": ("gtol",), "L-BFGS-B": ("gtol", "ftol"), "CG": ("gtol",), "SLSQP": ("ftol",),
    "TNC": ("gtol", "ftol"), "Newton-CG": ("xtol",), "trust-exact": ("gtol",), "trust-ncg": ("gtol",),
    "trust-krylov": ("gtol",), "Powell": ("xtol", "ftol"), "Nelder-Mead": ("xatol", "fatol"),
    "COBYQA": ("final_tr_radius",), "basinhopping": ("local_tol",),
}  # fmt: skip
_MAXITER = {"TNC": "maxfun", "basinhopping": "niter"}


def _uniform(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with tol and maxiter under the names that a method has for them."""
    given = dict(options)
    names = {"maxiter": (_MAXITER.get(method, "maxiter"),), "tol": _TOL.get(method, ("tol",))}
    for uniform, own in names.items():
        if uniform in given and own != (uniform,):
            value = given.pop(uniform)
            for name in own:
                given.setdefault(name, value)
    return given


def _nowhere(start: np.ndarray) -> OptimizeOutcome:
    return OptimizeOutcome(start, False, "the criterion is not finite at the start", 0)


class _Record:
    """The path of a method, told to the user's callback."""

    def __init__(self, objective: Objective, callback: Callable[[int, float], None] | None) -> None:
        self.objective, self.callback = objective, callback
        self.path: list[tuple[int, float]] = []

    def begin(self, start: np.ndarray) -> bool:
        """Add the start if the criterion is finite there, and return whether it is."""
        value = self.objective.value(start)
        if np.isfinite(value):
            self._tell(value)
        return bool(np.isfinite(value))

    def add(self, theta: np.ndarray, *_: Any) -> None:
        """Add the point after an iteration. Some methods pass more than the point."""
        self._tell(self.objective.value(np.asarray(theta)))

    def _tell(self, value: float) -> None:
        self.path.append((len(self.path), value))
        if self.callback is not None:
            self.callback(*self.path[-1])


class SciPyMinimize:
    """One of the methods of ``scipy.optimize.minimize``."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.__doc__ = f"SciPy's {method}. Options: those of scipy.optimize.minimize."

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        known = {**_GRADIENT, **_HESSIAN, **_VALUE}[self.method]
        chosen = take_options(self.method, _uniform(self.method, options), known)
        record = _Record(objective, callback)
        if not record.begin(start):
            return _nowhere(start)  # which SciPy's methods would call a success
        keywords: dict[str, Any] = {}
        if self.method in _GRADIENT or self.method in _HESSIAN:
            keywords["jac"] = lambda theta: objective.value_and_gradient(theta)[1]
        if self.method in _HESSIAN:
            keywords["hess"] = lambda theta: objective.value_gradient_hessian(theta)[2]
        from scipy import optimize  # imported with the first fit that needs it

        found = optimize.minimize(
            objective.value, start, method=self.method, options=chosen,
            callback=record.add, **keywords,
        )  # fmt: skip
        return OptimizeOutcome(
            np.asarray(found.x, dtype=float), bool(found.success), str(found.message),
            int(getattr(found, "nit", len(record.path) - 1)), record.path,
        )  # fmt: skip


class SciPyByName:
    """SciPy's minimize. Option min_method chooses the method (default: BFGS); it takes its own options."""

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        methods = {name.lower(): name for name in {**_GRADIENT, **_HESSIAN, **_VALUE}}
        given = dict(options)
        name = str(given.pop("min_method", "BFGS"))
        if name.lower() not in methods:
            raise OptionError(
                f"min_method={name!r}{suggest(name, methods.values())}; expected one of "
                f"{', '.join(methods.values())}"
            )
        method = SciPyMinimize(methods[name.lower()])
        return method.minimize(objective, start, options=given, callback=callback)


class SciPyGlobal:
    """A global search of ``scipy.optimize``, polished by L-BFGS."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.__doc__ = f"SciPy's {method}, a global search. Options: those of scipy.optimize."

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        record = _Record(objective, callback)
        if not record.begin(start):
            return _nowhere(start)
        from scipy import optimize

        if self.method == "basinhopping":
            known = {"niter": 10, "T": 1.0, "stepsize": 0.5, "seed": 1, "local_tol": 1e-7}
            chosen = take_options(self.method, _uniform(self.method, options), known)
            chosen["rng"] = np.random.default_rng(chosen.pop("seed"))
            local = {
                "method": "L-BFGS-B", "jac": lambda t: objective.value_and_gradient(t)[1],
                "options": {"gtol": chosen.pop("local_tol"), "ftol": 1e-15},
            }  # fmt: skip
            found = optimize.basinhopping(
                objective.value, start, minimizer_kwargs=local, callback=record.add, **chosen
            )
        else:
            known = {"maxiter": 300, "tol": 1e-10, "popsize": 15, "seed": 1, "polish": True}
            chosen = take_options(self.method, options, known)
            chosen["rng"] = np.random.default_rng(chosen.pop("seed"))
            reach = 4.0 * max(1.0, float(np.max(np.abs(start))))
            found = optimize.differential_evolution(
                objective.value, [(-reach, reach)] * len(start), x0=start, callback=record.add,
                **chosen,
            )  # fmt: skip
        message = found.message if isinstance(found.message, str) else "; ".join(found.message)
        local_success = getattr(found, "lowest_optimization_result", found).success
        return OptimizeOutcome(
            np.asarray(found.x, dtype=float),
            bool(local_success),
            message,
            int(found.nit),
            record.path,
        )

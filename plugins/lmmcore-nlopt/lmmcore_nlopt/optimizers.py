"""NLopt's algorithms as optimizers of lmmcore."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import nlopt
import numpy as np

from lmmcore.extension import Objective, OptimizeOutcome, take_options

OPTIONS = {"maxiter": 20_000, "tol": 1e-13, "xtol": 1e-9, "step": 0.5}
MESSAGES = {
    nlopt.SUCCESS: "success",
    nlopt.STOPVAL_REACHED: "the value to stop at was reached",
    nlopt.FTOL_REACHED: "a step decreases the criterion by less than tol",
    nlopt.XTOL_REACHED: "a step changes theta by less than xtol",
}


class NLopt:
    """One of NLopt's local algorithms.

    NLopt does not report iterations, so that `callback` hears of the start and of every evaluation with
    a lower value.

    Parameters
    ----------
    algorithm : str
        NLopt's name, such as "LN_BOBYQA".
    """

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.__doc__ = f"NLopt's {algorithm}. Options: {', '.join(OPTIONS)}."

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        """Return the outcome; see `lmmcore.extension.Optimizer`."""
        chosen = take_options(self.algorithm, options, OPTIONS)
        value = objective.value(start)
        if not math.isfinite(value):
            return OptimizeOutcome(start, False, "the criterion is not finite at the start", 0)
        if callback is not None:
            callback(0, value)
        run = _Run(objective, len(start), callback)
        # BOBYQA and NEWUOA need two parameters: a second one adds its own square.
        at = start if len(start) > 1 else np.append(start, 0.0)
        opt = nlopt.opt(getattr(nlopt, self.algorithm), len(at))
        opt.set_min_objective(run)
        opt.set_maxeval(int(chosen["maxiter"]))
        opt.set_ftol_abs(float(chosen["tol"]))
        opt.set_xtol_abs(float(chosen["xtol"]))
        opt.set_initial_step(float(chosen["step"]))
        try:
            opt.optimize(at)
            code = opt.last_optimize_result()
            converged, message = code in MESSAGES, MESSAGES.get(code, f"stopped after {run.calls}")
            if code == nlopt.MAXEVAL_REACHED:
                message = f"stopped after maxiter={chosen['maxiter']} evaluations"
        except nlopt.RoundoffLimited:
            converged, message = True, "no step changes the criterion beyond rounding"
        except Exception as exc:  # NLopt's errors have no common base
            if run.error is not None:  # of the criterion or the callback: not NLopt's
                raise run.error from None
            converged, message = False, f"NLopt failed: {type(exc).__name__} {exc}".strip()
        best = start if run.best is None else run.best[: len(start)]
        return OptimizeOutcome(best, converged, message, run.calls, run.path)


class _Run:
    """The function that NLopt calls."""

    def __init__(
        self, objective: Objective, size: int, callback: Callable[[int, float], None] | None
    ) -> None:
        self.objective, self.size, self.callback = objective, size, callback
        self.calls, self.lowest, self.highest = 0, math.inf, 0.0
        self.best: np.ndarray | None = None
        self.path: list[tuple[int, float]] = []
        self.error: BaseException | None = None

    def __call__(self, theta: np.ndarray, gradient: np.ndarray) -> float:
        try:
            return self._evaluate(theta, gradient)
        except BaseException as exc:
            if self.error is None:  # some algorithms ask once more
                self.error = exc
            raise nlopt.ForcedStop from exc

    def _evaluate(self, theta: np.ndarray, gradient: np.ndarray) -> float:
        rest = theta[self.size :]
        if gradient.size:
            value, slope = self.objective.value_and_gradient(theta[: self.size])
            gradient[: self.size], gradient[self.size :] = slope, 2.0 * rest
        else:
            value = self.objective.value(theta[: self.size])
        self.calls += 1
        if not math.isfinite(value):
            # A model of the criterion needs numbers: higher than all so far.
            return 10.0 * (1.0 + self.highest)
        self.highest = max(self.highest, abs(value))
        if value < self.lowest:
            self.lowest, self.best = value, theta.copy()
            self.path.append((self.calls, value))
            if self.callback is not None:
                self.callback(self.calls, value)
        return value + float(rest @ rest)


BOBYQA = NLopt("LN_BOBYQA")
NEWUOA = NLopt("LN_NEWUOA")
COBYLA = NLopt("LN_COBYLA")
NELDERMEAD = NLopt("LN_NELDERMEAD")
SBPLX = NLopt("LN_SBPLX")
SLSQP = NLopt("LD_SLSQP")
LBFGS = NLopt("LD_LBFGS")
MMA = NLopt("LD_MMA")
CCSAQ = NLopt("LD_CCSAQ")
VAR2 = NLopt("LD_VAR2")

"""The EM algorithm. It never increases the criterion, but is slow near the optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..extension import Objective, OptimizeOutcome, take_options


class EM:
    """EM in the covariance matrices, with β and σ² profiled out (ECME).

    Options: ``maxiter`` (5000), ``tol`` (1e-10: least decrease of the criterion).
    """

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        chosen = take_options("em", options, {"maxiter": 5000, "tol": 1e-10})
        theta = np.array(start, dtype=float)
        value = objective.value(theta)
        path = [(0, value)]
        if callback is not None:
            callback(0, value)
        for iteration in range(1, int(chosen["maxiter"]) + 1):
            theta_new = objective.em_step(theta)
            new = objective.value(theta_new)
            decrease = value - new
            if decrease > 0.0:
                theta, value = theta_new, new
            path.append((iteration, value))
            if callback is not None:
                callback(iteration, value)
            if decrease <= chosen["tol"]:
                return OptimizeOutcome(
                    theta, True, "a step decreases the criterion by less than tol", iteration, path
                )
        return OptimizeOutcome(
            theta, False, f"stopped after maxiter={chosen['maxiter']} steps", iteration, path
        )

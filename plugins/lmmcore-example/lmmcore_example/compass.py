"""An optimizer: compass search (Kolda, Lewis and Torczon 2003)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lmmcore.extension import Objective, OptimizeOutcome, take_options


class Compass:
    """Tries a step along each axis, goes to the best point, and halves the step where there is none.

    Options: ``maxiter`` (5000), ``tol`` (1e-7: the last step).
    """

    def minimize(
        self,
        objective: Objective,
        start: np.ndarray,
        *,
        options: Mapping[str, Any],
        callback: Callable[[int, float], None] | None = None,
    ) -> OptimizeOutcome:
        chosen = take_options("compass", options, {"maxiter": 5000, "tol": 1e-7})
        theta, value, step = start.copy(), objective.value(start), 0.5
        if not np.isfinite(value):
            return OptimizeOutcome(theta, False, "the criterion is not finite at the start", 0)
        directions = np.vstack([np.eye(len(theta)), -np.eye(len(theta))])
        path = [(0, value)]
        if callback is not None:
            callback(0, value)
        for iteration in range(1, int(chosen["maxiter"]) + 1):
            values = [objective.value(theta + step * d) for d in directions]
            best = int(np.argmin(values))
            if values[best] < value:
                theta, value = theta + step * directions[best], values[best]
            else:
                step /= 2.0
            path.append((iteration, value))
            if callback is not None:
                callback(iteration, value)
            if step < chosen["tol"]:
                return OptimizeOutcome(theta, True, "the step is below tol", iteration, path)
        message = f"stopped after maxiter={chosen['maxiter']} iterations"
        return OptimizeOutcome(theta, False, message, iteration, path)


COMPASS = Compass()

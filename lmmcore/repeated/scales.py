"""The scales on which intervals of covariance parameters are symmetric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit


@dataclass(frozen=True)
class Scale:
    """An unbounded scale of a parameter.

    Attributes
    ----------
    to, back : callable
    slope : callable
        Derivative of `to`.
    edges : (float, float)
        The range of the parameter.
    """

    to: Callable[[float], float]
    back: Callable[[float], float]
    slope: Callable[[float], float]
    edges: tuple[float, float]


LOG = Scale(np.log, np.exp, lambda v: float(np.divide(1.0, v)), (0.0, np.inf))
FISHER = Scale(np.arctanh, np.tanh, lambda v: float(np.divide(1.0, 1.0 - v * v)), (-1.0, 1.0))
LOGIT = Scale(logit, expit, lambda v: float(np.divide(1.0, v * (1.0 - v))), (0.0, 1.0))
PLAIN = Scale(float, float, lambda v: 1.0, (-np.inf, np.inf))

STARTS = (
    ("sd(", LOG), ("sigma", LOG), ("range", LOG), ("constant(", LOG), ("variance", LOG), ("corr", FISHER),
    ("rho", FISHER), ("nugget", LOGIT),
)  # fmt: skip


def scale_of(name: str) -> Scale:
    """Return the scale of a parameter: logarithms of SDs and ranges, Fisher's z of correlations."""
    short = name.rpartition(": ")[2]  # without the stratum
    return next((scale for start, scale in STARTS if short.startswith(start)), PLAIN)

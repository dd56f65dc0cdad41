"""The adaptive lasso: a lasso that penalizes coefficients with large first estimates less.

Source: Zou (2006), *JASA* 101; for more coefficients than rows Huang, Ma and Zhang (2008), *Statistica
Sinica* 18.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..extension import Coefficients, OptionError
from .elastic_net import Lasso

SMALLEST = 1e-4  # smaller first estimates count as this part of the largest one


class AdaptiveLasso(Lasso):
    """Adaptive lasso: Σ λ w_j |β_j| / |β⁰_j|^power, β⁰ a first estimate.

    The factors 1/|β⁰_j|^power are scaled so that the smallest is one, and bounded so that none is infinite.

    Parameters
    ----------
    power : float
        Above 0.
    """

    def __init__(self, power: float = 1.0) -> None:
        if not (np.isfinite(power) and power > 0):
            raise OptionError(f"power={power!r}; expected a positive number")
        super().__init__()
        self.power = float(power)

    def bind(self, coefficients: Coefficients) -> AdaptiveLasso:
        """Return the penalty of these coefficients."""
        pilot = np.abs(coefficients.pilot)
        largest = float(pilot.max(initial=0.0))
        share = pilot / largest if largest > 0 else np.ones_like(pilot)
        factor = np.maximum(share, SMALLEST) ** -self.power
        return super().bind(replace(coefficients, weights=coefficients.weights * factor))

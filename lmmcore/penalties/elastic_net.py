"""Lasso, ridge and their mixture.

Sources: Tibshirani (1996), *JRSS B* 58; Hoerl and Kennard (1970), *Technometrics* 12; Zou and Hastie
(2005), *JRSS B* 67.
"""

from __future__ import annotations

import numpy as np

from ..extension import Blockwise, OptionError
from .blocks import BlockwisePenalty, simple


class ElasticNet(BlockwisePenalty):
    """Elastic net: Σ λ w_j (mix |β_j| + ½ (1 − mix) β_j²).

    Parameters
    ----------
    mix : float
        1 is the lasso, 0 ridge.
    """

    def __init__(self, mix: float = 0.5) -> None:
        if not 0.0 <= mix <= 1.0:
            raise OptionError(f"mix={mix!r}; expected a number from 0 (ridge) to 1 (lasso)")
        self.mix = float(mix)

    def blockwise(self, strength: float) -> Blockwise:
        """Return the penalty at a strength as a sum over coefficients."""
        weights = strength * self.bound.weights
        return simple(self.bound, self.mix * weights, (1.0 - self.mix) * weights)

    def derivative(self, size: np.ndarray, strength: float) -> np.ndarray:
        """Return ∂P/∂|β_j| (p,)."""
        return strength * self.bound.weights * (self.mix + (1.0 - self.mix) * size)


class Lasso(ElasticNet):
    """Lasso: Σ λ w_j |β_j|."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Ridge(ElasticNet):
    """Ridge: ½ Σ λ w_j β_j²."""

    def __init__(self) -> None:
        super().__init__(0.0)

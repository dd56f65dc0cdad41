"""The model's covariance of β̂ with the normal distribution, or with n − p degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extension.inference import ReferenceDistribution
from .unidentified import cov_fe_of
from .wald import product


@dataclass(frozen=True)
class Normal:
    """z and χ² tests: the covariance parameters are taken as known, the sample as large."""

    title: str = "normal"
    of_design: bool = True
    is_normal: bool = True

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return L C L' with infinite degrees of freedom."""
        return ReferenceDistribution(product(L, cov_fe_of(fit), L), np.inf)


@dataclass(frozen=True)
class Residual:
    """n − p degrees of freedom, as in a regression without random effects (SAS: DDFM=RESIDUAL)."""

    title: str = "residual"
    of_design: bool = True

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return L C L' with n − p degrees of freedom."""
        return ReferenceDistribution(product(L, cov_fe_of(fit), L), float(fit.spec.nobs - fit.df))


NORMAL = Normal()
RESIDUAL = Residual()

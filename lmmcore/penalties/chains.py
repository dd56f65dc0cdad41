"""Penalties that tie coefficients together: SLOPE by their order of size, the fused lasso by their position.

Sources: Bogdan, van den Berg, Sabatti, Su and Candès (2015), *Annals of Applied Statistics* 9;
Tibshirani, Saunders, Rosset, Zhu and Knight (2005), *JRSS B* 67.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from scipy.special import ndtri

from ..extension import Coefficients, DataValueError, OptionError
from ._prox import fused, isotonic_decreasing


class _Bound:
    concavity = 0.0
    of: Coefficients | None = None

    def bind(self, coefficients: Coefficients) -> Self:
        """Return the penalty of these coefficients."""
        out = copy.copy(self)
        out.of = coefficients
        return out

    def _checked(self, beta: np.ndarray) -> Coefficients:
        if self.of is None or len(beta) != len(self.of):
            bound = "bind(Coefficients(names)) first" if self.of is None else str(len(self.of))
            raise DataValueError(
                f"{type(self).__name__} got {len(beta)} coefficients; expected {bound}"
            )
        return self.of


class Slope(_Bound):
    """SLOPE: λ Σ_i z_i |wβ|_(i), where |wβ|_(i) decrease in i, and z decreases as for a false discovery rate.

    z_i = Φ⁻¹(1 − i fdr / 2p), divided by z_1. Some coefficients may be estimated as equal, as the lasso
    estimates some as zero. The nonzero penalty weights must be equal.

    Parameters
    ----------
    fdr : float
        Between 0 and 1.
    """

    def __init__(self, fdr: float = 0.1) -> None:
        if not 0.0 < fdr < 1.0:
            raise OptionError(f"fdr={fdr!r}; expected a number between 0 and 1")
        self.fdr = float(fdr)

    def bind(self, coefficients: Coefficients) -> Self:
        """Return the penalty of these coefficients."""
        given = coefficients.weights[coefficients.weights > 0]
        if len(given) and not np.allclose(given, given[0], rtol=1e-12):
            raise DataValueError(
                f"SLOPE got the penalty weights {coefficients.weights.tolist()}; expected zeros and one "
                "other number. Rescale the coefficients (standardize=) instead"
            )
        return super().bind(coefficients)

    def _levels(self, strength: float) -> np.ndarray:
        of = self.of
        assert of is not None
        on = of.weights > 0
        m = int(on.sum())
        z = ndtri(1.0 - self.fdr * np.arange(1, m + 1) / (2.0 * max(m, 1)))
        return strength * of.weights[on][:1] * z / z[:1]

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        on = self._checked(beta).weights > 0
        return float(self._levels(strength) @ np.sort(np.abs(beta[on]))[::-1])

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + P(x; λ)."""
        on = self._checked(point).weights > 0
        size = np.abs(point[on])
        order = np.argsort(-size, kind="stable")
        sorted_ = np.ascontiguousarray(size[order] - step * self._levels(strength))
        pooled = np.empty_like(sorted_)
        isotonic_decreasing(sorted_, pooled)
        length = np.empty_like(pooled)
        length[order] = pooled
        out = np.array(point, dtype=float)
        out[on] = np.sign(point[on]) * length
        return out

    def degrees_of_freedom(self, beta: np.ndarray, h: np.ndarray, strength: float) -> float:
        """Return the number of different nonzero sizes."""
        return float(_different(np.sort(np.abs(beta[beta != 0.0]))))


class Fused(_Bound):
    """Fused lasso: λ (mix Σ w_j|β_j| + (1 − mix) Σ √(w_j w_{j+1}) |β_{j+1} − β_j|).

    Neighbors are neighbors in the order of the columns.

    Parameters
    ----------
    mix : float
        1 is the lasso; 0 penalizes only differences.
    """

    def __init__(self, mix: float = 0.5) -> None:
        if not 0.0 <= mix <= 1.0:
            raise OptionError(f"mix={mix!r}; expected a number from 0 (differences) to 1 (lasso)")
        self.mix = float(mix)

    def _weights(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        assert self.of is not None
        w = self.of.weights
        return strength * self.mix * w, strength * (1.0 - self.mix) * np.sqrt(w[:-1] * w[1:])

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        self._checked(beta)
        single, pairs = self._weights(strength)
        return float(single @ np.abs(beta) + pairs @ np.abs(np.diff(beta)))

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + P(x; λ)."""
        self._checked(point)
        if not np.isfinite(point).all():
            return np.full(len(point), np.nan)
        out = np.empty(len(point))
        fused(np.ascontiguousarray(point, dtype=float), float(step), *self._weights(strength), out)
        return out

    def degrees_of_freedom(self, beta: np.ndarray, h: np.ndarray, strength: float) -> float:
        """Return the number of runs of equal nonzero coefficients."""
        starts = np.concatenate(
            [[True], np.abs(np.diff(beta)) > 1e-9 * np.abs(beta).max(initial=0.0)]
        )
        return float(np.sum(starts & (beta != 0.0)))


def _different(values: np.ndarray) -> int:
    """Return how many values of a sorted array differ by more than rounding."""
    if not len(values):
        return 0
    return 1 + int(np.sum(np.diff(values) > 1e-9 * values[-1]))

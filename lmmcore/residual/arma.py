"""ARMA(p, q) residuals in the order of the rows, or at whole times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..extension import OptionError
from ..extension.residuals import BoundResidual, Positions
from .checks import refuse_options, refuse_single_rows, refuse_ties, whole_positions
from .visits import OfVisits


@dataclass(frozen=True)
class ARMA:
    """Autoregressive moving average of orders p and q, as nlme's corARMA.

    The coefficients are those of ``e_t = Σ φ_i e_{t−i} + a_t + Σ θ_j a_{t−j}``. They follow from partial
    autocorrelations tanh u, so that φ is stationary and θ invertible.
    """

    title: str = "ARMA"

    def bind(self, positions: Positions, **options: Any) -> BoundResidual:
        """Return the structure for the rows of a model."""
        refuse_options(options, self.title, ("p", "q"))
        refuse_single_rows(positions, self.title)
        p, q = options.get("p", 1), options.get("q", 1)
        for name, value in (("p", p), ("q", q)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise OptionError(f"arma has {name}={value!r}; expected a whole number, 0 or more")
        if not p + q:
            raise OptionError("arma has p=0 and q=0; expected one of them above 0")
        k = whole_positions(positions, self.title)
        refuse_ties(positions, self.title)
        first = 0.0 if positions.levels is not None else float(positions.values.min())
        starts = [np.full(p + q, x) for x in (0.3, -0.3)]
        starts.append(np.concatenate([np.full(p, 1.0), np.full(q, 0.3)]))
        return OfVisits(partial(_whole, p, k), partial(_words, p), first, starts)


def _whole(p: int, k: int, u: np.ndarray) -> np.ndarray:
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return autocorrelations(_from_partial(u[:p]), -_from_partial(u[p:]), k)[lag]


def _words(p: int, u: np.ndarray) -> dict[str, float]:
    phi, theta = _from_partial(u[:p]).real, -_from_partial(u[p:]).real
    out = {f"phi{i + 1}": float(x) for i, x in enumerate(phi)}
    out.update({f"theta{i + 1}": float(x) for i, x in enumerate(theta)})
    return out


def _from_partial(u: np.ndarray) -> np.ndarray:
    """Return the coefficients of a stationary recursion of partial autocorrelations tanh u."""
    a = np.zeros(0, dtype=u.dtype)
    for value in np.tanh(u):
        a = np.append(a - value * a[::-1], value)
    return a


def autocorrelations(phi: np.ndarray, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the autocorrelations at lags 0 … k − 1 of an ARMA process (Box, Jenkins and Reinsel, ch. 3)."""
    p, q = len(phi), len(theta)
    kind = np.result_type(phi, theta, float)
    full = np.concatenate([np.ones(1), theta]).astype(kind)
    psi = np.zeros(q + 1, dtype=kind)
    for j in range(q + 1):
        psi[j] = full[j] + sum(phi[i - 1] * psi[j - i] for i in range(1, min(j, p) + 1))
    n = max(p, q) + 1
    left, right = np.eye(n, dtype=kind), np.zeros(n, dtype=kind)
    for h in range(n):
        right[h] = sum(full[j] * psi[j - h] for j in range(h, q + 1))
        for i in range(1, p + 1):
            left[h, abs(h - i)] -= phi[i - 1]
    gamma = np.zeros(max(k, n), dtype=kind)
    try:
        gamma[:n] = np.linalg.solve(left, right)
    except np.linalg.LinAlgError:  # a unit root, to the last digit: there is no such process
        return np.full(k, np.nan, dtype=kind)
    for h in range(n, k):
        gamma[h] = sum(phi[i - 1] * gamma[h - i] for i in range(1, p + 1))
    out: np.ndarray = gamma[:k] / gamma[0]
    return out


ARMA_PQ = ARMA()

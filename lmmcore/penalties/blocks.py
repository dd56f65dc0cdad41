"""A base class for penalties that coordinate descent can solve. Subclasses define the shape."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np

from ..extension import Blockwise, Coefficients, DataValueError, OptionError


class BlockwisePenalty:
    """Implements the protocol of penalties for a penalty with a `Blockwise` form."""

    concavity = 0.0
    of: Coefficients | None = None

    def bind(self, coefficients: Coefficients) -> Self:
        """Return the penalty of these coefficients."""
        out = copy.copy(self)
        out.of = coefficients
        return out

    @property
    def bound(self) -> Coefficients:
        """The coefficients that the penalty was bound to.

        Raises
        ------
        OptionError
            The penalty was not bound.
        """
        if self.of is None:
            raise OptionError(
                f"{type(self).__name__} is not bound to coefficients yet; call "
                f"bind(Coefficients(names)) first"
            )
        return self.of

    def blockwise(self, strength: float) -> Blockwise:
        """Return the penalty at a strength as a sum over groups."""
        raise NotImplementedError

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        return self.blockwise(strength).value(self._checked(beta))

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + P(x; λ)."""
        return self.blockwise(strength).prox(self._checked(point), step)

    def _checked(self, beta: np.ndarray) -> np.ndarray:
        if len(beta) != len(self.bound):
            raise DataValueError(
                f"{type(self).__name__} got {len(beta)} coefficients; expected {len(self.bound)}"
            )
        return beta

    def degrees_of_freedom(self, beta: np.ndarray, h: np.ndarray, strength: float) -> float:
        """Return tr((H + K)⁻¹H) for the nonzero coefficients.

        K is the curvature of the convex part of the penalty. Source: Vaiter,
        Deledalle, Fadili, Peyré and Dossal (2017), *Annals of the Institute of Statistical Mathematics* 69.
        """
        on = np.flatnonzero(beta)
        form = self.blockwise(strength)
        if not form.l2.any() and len(form.norm) == len(beta):
            return float(len(on))
        curvature = form.curvature(beta)[np.ix_(on, on)]
        inner = h[np.ix_(on, on)]
        return float(np.trace(np.linalg.lstsq(inner + curvature, inner, rcond=None)[0]))


def simple(of: Coefficients, l1: np.ndarray, l2: np.ndarray | None = None) -> Blockwise:
    """Return Σ l1_j |β_j| + ½ Σ l2_j β_j²."""
    p = len(of)
    none, ever = np.zeros(p), np.full(p, np.inf)
    return Blockwise(np.arange(p), l1, none if l2 is None else l2, none, ever, ever)

"""A base for penalties that coordinate descent solves: all but the shape itself."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np

from ..extension import Blockwise, Coefficients, OptionError

Self = TypeVar("Self", bound="BlockwisePenalty")


class BlockwisePenalty:
    """Gives a penalty that says itself in a `Blockwise` form everything else of the protocol."""

    concavity = 0.0
    of: Coefficients | None = None

    def bind(self: Self, coefficients: Coefficients) -> Self:
        """Return the penalty of these coefficients."""
        out = copy.copy(self)
        out.of = coefficients
        return out

    @property
    def bound(self) -> Coefficients:
        """What the penalty was bound to.

        Raises
        ------
        OptionError
            It was bound to nothing.
        """
        if self.of is None:
            raise OptionError(
                f"{type(self).__name__} knows no coefficients yet; call bind(Coefficients(names)) first"
            )
        return self.of

    def blockwise(self, strength: float) -> Blockwise:
        """Return the penalty at a strength as a sum over groups."""
        raise NotImplementedError

    def value(self, beta: np.ndarray, strength: float) -> float:
        """Return P(β; λ)."""
        return self.blockwise(strength).value(beta)

    def prox(self, point: np.ndarray, step: float, strength: float) -> np.ndarray:
        """Return the x (p,) that minimises ½‖x − point‖²/step + P(x; λ)."""
        return self.blockwise(strength).prox(point, step)


def simple(of: Coefficients, l1: np.ndarray, l2: np.ndarray | None = None) -> Blockwise:
    """Return Σ l1_j |β_j| + ½ Σ l2_j β_j²."""
    p = len(of)
    none, ever = np.zeros(p), np.full(p, np.inf)
    return Blockwise(np.arange(p), l1, none if l2 is None else l2, none, ever, ever)

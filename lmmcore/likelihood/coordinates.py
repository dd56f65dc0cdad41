"""From fixed effects and σ² in the basis of the cross-products to those of the user."""

from __future__ import annotations

from functools import cached_property
from math import log

import numpy as np

from ..crossproducts.basis import Basis
from .state import State


class Coordinates:
    """β = matrix b − shift, for the coordinates b of the fixed effects in a basis.

    Parameters
    ----------
    basis : Basis

    Attributes
    ----------
    columns : int array (p,)
        The kept columns of X, in the order in which they were given.
    matrix : array (p, p)
    shift : array (p,)
    y_scale : float
        (Response in the basis) / (response): σ² in the basis is ``y_scale² σ²``.
    """

    def __init__(self, basis: Basis) -> None:
        columns, inner, last = basis.order, basis.map[:-1, :-1], basis.map[:-1, -1]
        if basis.dependent:
            kept = basis.kept
            columns, inner, last = columns[kept], inner[np.ix_(kept, kept)], last[kept]
        order = columns.argsort(kind="stable")
        self.columns: np.ndarray = columns[order]
        self.y_scale = float(basis.map[-1, -1])
        self._inner = inner
        self.matrix: np.ndarray = inner[order] / self.y_scale
        self.shift: np.ndarray = last[order] / self.y_scale

    @cached_property
    def log_y_scale(self) -> float:
        """The logarithm of `y_scale`."""
        return log(self.y_scale)

    @cached_property
    def log_det(self) -> float:
        """log|M'M| for the map M of the columns of X into the basis."""
        return 2.0 * float(np.log(np.abs(self._inner.diagonal())).sum())

    def beta(self, state: State) -> np.ndarray:
        """Return the GLS estimate of β (p,)."""
        return self.of_solution(state.solution)

    def at(self, b: np.ndarray) -> np.ndarray:
        """Return β (p,) for coordinates b (p,)."""
        beta: np.ndarray = self.matrix @ b - self.shift
        return beta

    def of_solution(self, solution: np.ndarray) -> np.ndarray:
        """Return β (p,) for ``[−b; 1]`` (p + 1,), for which [X y] times it is the residual."""
        return self.at(-solution[:-1])

    def solution(self, beta: np.ndarray) -> np.ndarray:
        """Return ``[−b; 1]`` (p + 1,) for β (p,)."""
        return np.append(-np.linalg.solve(self.matrix, beta + self.shift), 1.0)

    def covariance(self, state: State, sigma2: float) -> np.ndarray:
        """Return σ² (X'V⁻¹X)⁻¹ (p, p) for σ² of the user."""
        half = state.inverse[:-1, :-1] @ self.matrix.T * self.y_scale
        cov: np.ndarray = sigma2 * half.T @ half
        return cov

"""The quadratic ½β'Hβ − c'β that a penalized fit minimizes, stored, or computed from whitened rows.

At fixed variances, −2 log-likelihood is a quadratic in β, with H = X'V⁻¹X/σ² and c = X'V⁻¹y/σ². If H is
stored, the cost does not depend on the number of rows. With more columns than `STORED`, or more columns
than rows, the whitened rows V^{-1/2}X/σ are stored instead, and only the columns of H that a fit needs are
formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ..errors import DesignError

STORED = 2000  # columns up to which H is stored
ALIVE = (
    1e-14  # a column with less than this part of its square left is determined by unpenalized ones
)


class Quadratic(Protocol):
    """½β'Hβ − c'β + ½ yy, which is never negative.

    Attributes
    ----------
    c : array (p,)
    diagonal : array (p,)
        Of H.
    yy : float
        y'V⁻¹y/σ².
    """

    @property
    def c(self) -> np.ndarray: ...

    @property
    def yy(self) -> float: ...

    @property
    def diagonal(self) -> np.ndarray: ...

    def slope(self, beta: np.ndarray) -> np.ndarray:
        """Return c − Hβ (p,)."""
        ...

    def block(self, columns: np.ndarray) -> np.ndarray:
        """Return some rows and columns of H."""
        ...

    def of(self, columns: np.ndarray, scales: np.ndarray) -> Quadratic:
        """Return the quadratic in β_j · units_j of some columns only."""
        ...


@dataclass(frozen=True, eq=False)
class FreePart:
    """The unpenalized coefficients as a function of the others: start − map β."""

    start: np.ndarray
    map: np.ndarray

    def at(self, beta: np.ndarray) -> np.ndarray:
        """Return the unpenalized coefficients that go with the others."""
        return self.start - self.map @ beta


@dataclass(frozen=True, eq=False)
class Stored:
    """A quadratic with H (p, p) in memory."""

    h: np.ndarray
    c: np.ndarray
    yy: float

    @property
    def diagonal(self) -> np.ndarray:
        """The diagonal of H (p,)."""
        return np.diag(self.h)

    def slope(self, beta: np.ndarray) -> np.ndarray:
        """Return c − Hβ (p,)."""
        return self.c - self.h @ beta

    def block(self, columns: np.ndarray) -> np.ndarray:
        """Return some rows and columns of H."""
        return np.ascontiguousarray(self.h[np.ix_(columns, columns)])

    def of(self, columns: np.ndarray, scales: np.ndarray) -> Stored:
        """Return the quadratic in β_j · units_j of some columns only."""
        h = self.h[np.ix_(columns, columns)] / (scales[:, None] * scales)
        return Stored(np.ascontiguousarray(h), self.c[columns] / scales, self.yy)


@dataclass(frozen=True, eq=False)
class Whitened:
    """A quadratic of rows: H = X'X and c = X'y for x (m, p) and y (m,), which include V^{-1/2} and 1/σ.

    The rows may be those of the data, or any others with the same products, such as a triangular factor.
    `rest` is the part of y'y that is not in y.
    """

    x: np.ndarray
    y: np.ndarray
    rest: float = 0.0

    @cached_property
    def c(self) -> np.ndarray:
        """X'y (p,)."""
        return self.x.T @ self.y

    @cached_property
    def yy(self) -> float:
        """y'y."""
        return float(self.y @ self.y) + self.rest

    @cached_property
    def diagonal(self) -> np.ndarray:
        """The diagonal of H (p,)."""
        return np.einsum("ij,ij->j", self.x, self.x)

    def slope(self, beta: np.ndarray) -> np.ndarray:
        """Return c − Hβ (p,); the cost is m for each nonzero coefficient, plus m p."""
        on = np.flatnonzero(beta)
        fitted = self.x @ beta if 2 * len(on) > len(beta) else self.x[:, on] @ beta[on]
        return self.x.T @ (self.y - fitted)

    def block(self, columns: np.ndarray) -> np.ndarray:
        """Return some rows and columns of H."""
        part = self.x[:, columns]
        return np.ascontiguousarray(part.T @ part)

    def of(self, columns: np.ndarray, scales: np.ndarray) -> Whitened:
        """Return the quadratic in β_j · units_j of some columns only."""
        return Whitened(np.asfortranarray(self.x[:, columns] / scales), self.y, self.rest)

    def without(self, free: np.ndarray) -> tuple[Whitened, FreePart]:
        """Return the quadratic in the other coefficients, minimized over those in `free`."""
        rest = np.setdiff1d(np.arange(self.x.shape[1]), free)
        if not len(free):
            return self, FreePart(np.zeros(0), np.zeros((0, len(rest))))
        q, r = np.linalg.qr(self.x[:, free])
        size = np.sqrt(self.diagonal[free])
        if len(r) < len(free) or (np.abs(np.diag(r)) <= 1e-7 * size).any():
            raise DesignError(
                f"the {len(free)} unpenalized columns are linearly dependent in {len(self.y)} rows; "
                "expected independent columns. Penalize some of them, or remove columns"
            )
        other = self.x[:, rest]
        crossed, best = q.T @ other, q.T @ self.y
        reduced = Whitened(np.asfortranarray(other - q @ crossed), self.y - q @ best, self.rest)
        return reduced, FreePart(np.linalg.solve(r, best), np.linalg.solve(r, crossed))

    def stored(self) -> Stored:
        """Return the same quadratic with H in memory."""
        return Stored(np.ascontiguousarray(self.x.T @ self.x), self.c, self.yy)

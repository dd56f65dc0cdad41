"""Objectives with a known minimum, to check optimizers."""

from __future__ import annotations

import math
import time

import numpy as np


class TooMany(BaseException):
    """More evaluations than anybody needs; ``except Exception`` in a loop does not hold it."""


class TestObjective:
    """A smooth function with its minimum at `minimum`, where its value is `level`.

    The function is ½ x'Ax + level with x = θ − minimum. If `curved`, it is Σ log cosh of the entries of
    A^½ x, which grows linearly far away, like a criterion. It is not finite at distances above `radius`
    from the minimum.

    Parameters
    ----------
    minimum : array (m,)
    eigenvalues : array (m,)
        Of A.
    seed : int
        Of the directions of A's axes.
    curved : bool
    radius : float
    limit : int
        Evaluations after which it raises `TooMany`.
    pause : float
        Seconds to sleep at each of the first ten evaluations, so that threads overlap.
    level : float
        Value at the minimum.
    error : BaseException, optional
        Raised at the third evaluation.

    Attributes
    ----------
    evaluations : int
    values : list of float
        Found so far.
    points : list of array (m,)
        Where; the first thousand.
    """

    __test__ = False  # pytest: not a class of tests

    def __init__(
        self,
        minimum: np.ndarray,
        eigenvalues: np.ndarray,
        seed: int = 0,
        curved: bool = False,
        radius: float = math.inf,
        limit: int = 1_000_000,
        pause: float = 0.0,
        level: float = 0.0,
        error: BaseException | None = None,
    ) -> None:
        self.minimum = np.array(minimum, dtype=float)
        m = len(self.minimum)
        axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((m, m)))[0]
        self.root = np.sqrt(eigenvalues)[:, None] * axes.T
        self.largest = float(np.max(eigenvalues))
        self.curved, self.radius, self.limit, self.pause = curved, radius, limit, pause
        self.level, self.error, self.evaluations = level, error, 0
        self.values: list[float] = []
        self.points: list[np.ndarray] = []

    def _at(self, theta: np.ndarray) -> tuple[np.ndarray, bool]:
        self.evaluations += 1
        if self.evaluations > self.limit:
            raise TooMany
        if self.error is not None and self.evaluations == 3:
            raise self.error
        if self.pause and self.evaluations <= 10:
            time.sleep(self.pause)
        x = np.asarray(theta, dtype=float) - self.minimum
        return self.root @ x, bool(np.all(np.isfinite(x)) and np.sqrt(x @ x) <= self.radius)

    def value(self, theta: np.ndarray) -> float:
        """Return the function."""
        z, finite = self._at(theta)
        value = math.inf
        if finite:
            value = float(
                np.sum(np.logaddexp(z, -z) - math.log(2.0)) if self.curved else 0.5 * z @ z
            )
            value += self.level
        self.values.append(value)
        if len(self.points) < 1000:
            self.points.append(np.array(theta, dtype=float))
        return value

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the function and its gradient (m,)."""
        value, gradient, _ = self.value_gradient_hessian(theta)
        return value, gradient

    @property
    def hessian_is_cheap(self) -> bool:
        """True: these functions cost nothing."""
        return True

    def value_gradient_hessian(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the function, its gradient (m,) and its Hessian (m, m)."""
        value = self.value(theta)
        m = len(self.minimum)
        if not math.isfinite(value):
            return math.inf, np.zeros(m), np.eye(m)
        z = self.root @ (np.asarray(theta, dtype=float) - self.minimum)
        slope, bend = (np.tanh(z), 1.0 - np.tanh(z) ** 2) if self.curved else (z, np.ones(m))
        return value, self.root.T @ slope, (self.root.T * bend) @ self.root

    def em_step(self, theta: np.ndarray) -> np.ndarray:
        """Return θ after a step that minimizes a quadratic bound, which never goes up."""
        _, gradient = self.value_and_gradient(theta)
        return np.asarray(theta, dtype=float) - gradient / self.largest

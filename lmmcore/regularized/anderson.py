"""Anderson's acceleration of a fixed-point iteration x ← T(x).

Differences of earlier steps tell how T(x) − x changes with x in the directions in which it has moved;
the next x is where it vanishes by these. A map through few numbers, such as variances, has but few
directions, so that a short memory makes it a secant method. Source: Walker and Ni (2011), *SIAM Journal on
Numerical Analysis* 49.
"""

from __future__ import annotations

import numpy as np

MEMORY = 6
FAST = 0.1  # part that is left of the distance, below which plain steps are as good


class Anderson:
    """The memory of an iteration.

    Where the distance of T(x) to x grows, plain steps go on. A step of the acceleration after which it
    has grown is taken back, and twice as many plain steps as the time before come before the next one.
    """

    def __init__(self) -> None:
        self._patience = 1
        self._distance = np.inf
        self._image: np.ndarray | None = None  # of the last x, if that was left by acceleration
        self._forget()

    def _forget(self) -> None:
        self._wait = self._patience
        self._x: list[np.ndarray] = []
        self._step: list[np.ndarray] = []

    def next(self, x: np.ndarray, image: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """Return the next x.

        Parameters
        ----------
        x, image : arrays (p,)
            x and T(x).
        scales : array (p,)
            By which distances are measured.
        """
        step = image - x
        distance = float(np.linalg.norm(step * scales))
        before, self._distance = self._distance, distance
        back, self._image = self._image, None
        if distance > before:
            if back is not None:
                self._patience *= 2
                self._distance = before
            self._forget()
            return image if back is None else back
        self._x, self._step = [*self._x, x][-MEMORY:], [*self._step, step][-MEMORY:]
        self._wait -= 1
        if self._wait >= 0 or len(self._x) < 2 or distance < FAST * before:
            return image
        moved = np.diff(np.array(self._x), axis=0).T
        changed = np.diff(np.array(self._step), axis=0).T
        part = np.linalg.lstsq(changed * scales[:, None], step * scales, rcond=1e-8)[0]
        # What is zero by the penalty stays so.
        out = np.where(image == 0.0, 0.0, image - (moved + changed) @ part)
        if not np.isfinite(out).all():
            return image
        self._image = image
        return out

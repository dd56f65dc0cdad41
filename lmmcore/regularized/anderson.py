"""Anderson's acceleration of a fixed-point iteration x ← T(x).

Earlier steps show how T(x) − x changes along the directions in which x has moved. The next x is where
T(x) − x would be zero according to these changes. If T depends on x only through a few numbers, such as
variances, there are few directions, and a short memory gives a secant method. Source: Walker and Ni
(2011), *SIAM Journal on Numerical Analysis* 49.
"""

from __future__ import annotations

import numpy as np

MEMORY = 6
FAST = 0.1  # if a step reduces the distance below this part of it, plain steps are as good


class Anderson:
    """The memory of an iteration.

    If the distance from x to T(x) grows, plain steps follow. If it grows after an accelerated step, that
    step is taken back, and the next accelerated step comes after twice as many plain steps as before.
    """

    def __init__(self) -> None:
        self._patience = 1
        self._distance = np.inf
        self._image: np.ndarray | None = None  # T of the x before the last accelerated step
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
            Distances are measured in x · scales.
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
        # What the penalty sets to zero stays zero.
        out = np.where(image == 0.0, 0.0, image - (moved + changed) @ part)
        if not np.isfinite(out).all():
            return image
        self._image = image
        return out

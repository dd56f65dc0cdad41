"""What a penalty knows about its coefficients, and the form of penalty that coordinate descent solves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataValueError


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The p coefficients that a penalty is bound to.

    Parameters
    ----------
    names : tuple of str (p,)
    weights : array (p,), optional
        Numbers ≥ 0 that multiply the strength, one for each coefficient; 0 means no penalty. By default 1.
    groups : int array (p,), optional
        Coefficients with the same number form a group, such as the columns of a categorical variable. The
        numbers are 0, 1, …. By default, each coefficient is a group.
    curvature : array (p,), optional
        The diagonal of H. The products ``β_j √curvature_j`` are comparable between coefficients; concave
        penalties use them to measure size. By default 1.
    pilot : array (p,), optional
        A first estimate, for adaptive penalties: the unpenalized estimate, or if there is none, the
        estimate of each coefficient alone. By default 1.

    Raises
    ------
    DataValueError
        Different lengths, weights that are negative or not finite, or missing group numbers.
    """

    names: tuple[str, ...]
    weights: np.ndarray = None  # type: ignore[assignment]
    groups: np.ndarray = None  # type: ignore[assignment]
    curvature: np.ndarray = None  # type: ignore[assignment]
    pilot: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        p = len(self.names)
        for name, default in (
            ("weights", np.ones(p)), ("groups", np.arange(p)), ("curvature", np.ones(p)),
            ("pilot", np.ones(p)),
        ):  # fmt: skip
            given: Any = getattr(self, name)
            kind = np.intp if name == "groups" else np.float64
            array = default if given is None else np.array(given, dtype=kind)
            if array.shape != (p,):
                raise DataValueError(
                    f"{name} has shape {array.shape}; expected {p} numbers, for {_shown(self.names)}"
                )
            if name in ("weights", "curvature") and not (np.isfinite(array) & (array >= 0)).all():
                raise DataValueError(
                    f"{name} has {array.tolist()}; expected finite numbers, zero or more"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if p and set(self.groups.tolist()) != set(range(self.n_groups)):
            raise DataValueError(
                f"groups has the numbers {sorted(set(self.groups.tolist()))}; expected 0, 1, … without a "
                "gap"
            )

    @classmethod
    def plain(cls, p: int) -> Coefficients:
        """Return p coefficients with weight 1, each in a group of its own."""
        return cls(tuple(f"x{j + 1}" for j in range(p)))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_groups(self) -> int:
        return int(self.groups.max(initial=-1)) + 1

    def over_groups(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values (p,) over the groups (n_groups,)."""
        return np.bincount(self.groups, weights=values, minlength=self.n_groups)


@dataclass(frozen=True, eq=False)
class Blockwise:
    """A penalty that is a sum over groups g of coefficients::

        Σ_j (l1_j |β_j| + ½ l2_j β_j²) + Σ_g ρ_g(‖β_g‖),

    where the slope of ρ_g is `norm` up to `fall_from`, and then decreases linearly to zero at `fall_to`.

    If both are infinite, ρ is norm · ‖β_g‖ (group lasso). ``fall_from = 0`` is the minimax concave
    penalty (MCP),
    and ``fall_from > 0`` the smoothly clipped absolute deviation (SCAD). For single coefficients, l1 and
    norm add up.

    Attributes
    ----------
    groups : int array (p,)
        Numbers 0, 1, … of the groups.
    l1, l2 : arrays (p,)
    norm, fall_from, fall_to : arrays (n_groups,)
    """

    groups: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    norm: np.ndarray
    fall_from: np.ndarray
    fall_to: np.ndarray

    def value(self, beta: np.ndarray) -> float:
        """Return the penalty at β."""
        norms = np.sqrt(np.bincount(self.groups, beta**2, len(self.norm)))
        linear = np.minimum(norms, self.fall_from)
        total = self.norm * linear
        bent = np.isfinite(self.fall_to)
        if bent.any():
            width = self.fall_to[bent] - self.fall_from[bent]
            into = np.minimum(norms[bent], self.fall_to[bent]) - linear[bent]
            safe = np.where(width > 0, width, 1.0)
            total[bent] += self.norm[bent] * (into - 0.5 * into**2 / safe)
        return float(self.l1 @ np.abs(beta) + 0.5 * self.l2 @ beta**2 + total.sum())

    def slope_of_norm(self, norms: np.ndarray) -> np.ndarray:
        """Return ρ'_g at ‖β_g‖ (n_groups,), at zero from the right."""
        out = self.norm.copy()
        bent = np.isfinite(self.fall_to)
        width = self.fall_to[bent] - self.fall_from[bent]
        part = (self.fall_to[bent] - norms[bent]) / np.where(width > 0, width, 1.0)
        out[bent] *= np.clip(part, 0.0, 1.0)
        return out

    def curvature(self, beta: np.ndarray, concave: bool = False) -> np.ndarray:
        """Return the second derivatives (p, p) among coefficients that are not zero.

        Parameters
        ----------
        concave : bool
            Whether to include the (negative) part from a decreasing slope.
        """
        out = np.diag(self.l2.astype(float))
        norms = np.sqrt(np.bincount(self.groups, beta**2, len(self.norm)))
        slope = self.slope_of_norm(norms)
        counts = np.bincount(self.groups, minlength=len(self.norm))
        falling = (norms > self.fall_from) & np.isfinite(self.fall_to) & concave
        for g in np.flatnonzero((norms > 0) & (slope > 0) & (falling | (counts > 1))):
            falls = falling[g]
            index = np.flatnonzero(self.groups == g)
            u = beta[index] / norms[g]
            part = slope[g] / norms[g] * (np.eye(len(u)) - np.outer(u, u))
            if falls:
                part -= self.norm[g] / (self.fall_to[g] - self.fall_from[g]) * np.outer(u, u)
            out[np.ix_(index, index)] += part
        return out

    def prox(self, point: np.ndarray, step: float) -> np.ndarray:
        """Return the x (p,) that minimizes ½‖x − point‖²/step + penalty.

        Exact if l2 is equal within each group with a positive norm.
        """
        h = 1.0 / step + self.l2
        inner = np.sign(point) * np.maximum(np.abs(point) / step - self.l1, 0.0)
        first = np.zeros(len(self.norm))
        first[self.groups] = h
        size = np.sqrt(np.bincount(self.groups, inner**2, len(self.norm)))
        length = norm_of_minimum(size, first, self.norm, self.fall_from, self.fall_to)
        ratio = length / np.where(size > 0, size, 1.0)
        return np.where(self.norm[self.groups] > 0, inner * ratio[self.groups], inner / h)


def norm_of_minimum(
    size: np.ndarray, h: np.ndarray, norm: np.ndarray, fall_from: np.ndarray, fall_to: np.ndarray
) -> np.ndarray:
    """Return the r ≥ 0 that minimizes ½ h r² − size r + ρ(r), for the ρ of `Blockwise`; all arrays."""
    with np.errstate(invalid="ignore", divide="ignore"):
        straight = np.maximum(size - norm, 0.0) / h
        fall = np.where(np.isfinite(fall_to), norm / (fall_to - fall_from), 0.0)
        bent = (size - fall * np.where(np.isfinite(fall_to), fall_to, 0.0)) / (h - fall)
        out = np.where(straight <= fall_from, straight, bent)
    return np.where(size >= h * fall_to, size / h, out)


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")

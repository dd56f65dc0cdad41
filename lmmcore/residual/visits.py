"""Structures over visits: named levels, whole numbers, or the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..extension import OptionError
from ..extension.residuals import BoundResidual, Positions
from .checks import refuse_options, refuse_single_rows, refuse_ties, whole_positions

Correlation = Callable[[np.ndarray, int], np.ndarray]
Words = Callable[[np.ndarray, int], dict[str, float]]


@dataclass(frozen=True, eq=False)
class OfVisits:
    """A matrix over k visits, of which a group has some.

    Attributes
    ----------
    whole : callable
        u → R (k, k).
    words : callable
        u → parameters by name.
    first : float
        The position of the first visit.
    starts : list of arrays
    """

    whole: Callable[[np.ndarray], np.ndarray]
    words: Callable[[np.ndarray], dict[str, float]]
    first: float
    starts: list[np.ndarray]
    vectorized = True

    @property
    def n_parameters(self) -> int:
        return len(self.starts[0])

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return R of the visits of groups (…, t, t) for values (…, t, 1)."""
        at = np.asarray(values[..., 0] - self.first, dtype=np.intp)
        return self.whole(u)[at[..., :, None], at[..., None, :]]

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters by name."""
        return self.words(u)


@dataclass(frozen=True, eq=False)
class Visits:
    """A correlation structure over visits, with one variance or one for each visit.

    Attributes
    ----------
    title : str
    count : callable
        Number of parameters of the correlation for k visits.
    correlation : callable
        (u, k) → C (k, k).
    words : callable
        (u, k) → its parameters by name.
    guess : float
        Start of its parameters.
    own_variances : bool
    banded : bool
        Whether there is an option `bands`: how many diagonals are not zero, the main one among them.
    """

    title: str
    count: Callable[[int], int]
    correlation: Correlation
    words: Callable[[np.ndarray, int], dict[str, float]]
    guess: float = 0.4
    own_variances: bool = False
    banded: bool = False

    def bind(self, positions: Positions, **options: object) -> BoundResidual:
        """Return the structure for the visits of a model."""
        refuse_options(options, self.title, ("bands",) if self.banded else ())
        k = whole_positions(positions, self.title)
        correlation, words, m = self.correlation, self.words, self.count(k)
        bands = _bands(options.get("bands"), k, self.title)
        if bands < k:
            correlation, words, m = (
                partial(_few_lags, bands),
                partial(_first_lags, bands),
                bands - 1,
            )
        if self.count is not _none:
            refuse_single_rows(positions, self.title)
        refuse_ties(positions, self.title)
        if self.own_variances and positions.levels is None:
            raise OptionError(
                f"{self.title} has a standard deviation for each visit, and {positions.names[0]} is numeric; "
                "expected a categorical variable, such as C(visit)"
            )
        first = 0.0 if positions.levels is not None else float(positions.values.min())
        names = positions.levels or tuple(f"{first + i:g}" for i in range(k))
        more = np.zeros(k - 1 if self.own_variances else 0)
        starts = [
            np.concatenate([np.full(m, guess), more]) for guess in (self._guesses if m else (0.0,))
        ]
        return OfVisits(
            partial(self._whole, correlation, m, k), partial(self._words, words, m, k, names), first,
            starts,
        )  # fmt: skip

    @property
    def _guesses(self) -> tuple[float, ...]:
        """Parameters of the correlation to start from: moderate, negative, high."""
        if self.guess:
            return self.guess, -0.5 * self.guess, 3.0 * self.guess
        return 0.0, -4.0, 2.0

    def _whole(self, correlation: Correlation, m: int, k: int, u: np.ndarray) -> np.ndarray:
        found = correlation(u[:m], k)
        if not self.own_variances:
            return found
        sd = np.concatenate([np.ones(1, dtype=u.dtype), np.exp(u[m:])])
        out: np.ndarray = sd[:, None] * found * sd
        return out

    def _words(
        self, words: Words, m: int, k: int, names: Sequence[str], u: np.ndarray
    ) -> dict[str, float]:
        out = words(u[:m], k)
        if self.own_variances:
            ratios = np.exp(u[m:]).real
            out.update({f"sd({n}) / sd({names[0]})": float(r) for n, r in zip(names[1:], ratios)})
        return out


def _ar1(u: np.ndarray, k: int) -> np.ndarray:
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    powers = np.tanh(u[0]) ** np.arange(k) if k > 1 else np.ones(1, dtype=u.dtype)
    return powers[lag]


def _least(k: int) -> float:
    return -1.0 / (k - 1)


def _cs_rho(u: np.ndarray, k: int) -> Any:
    low = _least(k)
    return low + (1.0 - low) / (1.0 + np.exp(-u[0]))


def _cs(u: np.ndarray, k: int) -> np.ndarray:
    rho = _cs_rho(u, k)
    return rho * np.ones((k, k)) + (1.0 - rho) * np.eye(k)


def _toep(u: np.ndarray, k: int) -> np.ndarray:
    """Return the Toeplitz matrix of partial autocorrelations tanh u (Levinson's recursion)."""
    partial = np.tanh(u)
    r = np.ones(k, dtype=u.dtype)
    a, variance = np.zeros(0, dtype=u.dtype), 1.0
    for m in range(k - 1):
        r[m + 1] = partial[m] * variance + (a @ r[m:0:-1] if m else 0.0)
        a = np.append(a - partial[m] * a[::-1], partial[m])
        variance = variance * (1.0 - partial[m] ** 2)
    lag = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    return r[lag]


def _ante(u: np.ndarray, k: int) -> np.ndarray:
    """Return C_ij = Π ρ_l over the steps between i and j."""
    rho = np.tanh(u)
    out = np.ones((k, k), dtype=u.dtype)
    for j in range(1, k):
        out[:j, j] = out[j, :j] = out[:j, j - 1] * rho[j - 1]
    return out


def _lags(u: np.ndarray, k: int) -> dict[str, float]:
    return {f"corr(lag {lag})": float(_toep(u, k)[0, lag].real) for lag in range(1, k)}


def _of_ar1(u: np.ndarray, k: int) -> dict[str, float]:
    return {"rho": float(np.tanh(u[0]).real)} if k > 1 else {}


def _of_cs(u: np.ndarray, k: int) -> dict[str, float]:
    return {"rho": float(np.real(_cs_rho(u, k)))} if k > 1 else {}


def _steps(u: np.ndarray, k: int) -> dict[str, float]:
    return {f"corr({j}, {j + 1})": float(np.tanh(u[j - 1]).real) for j in range(1, k)}


def _bands(given: object, k: int, title: str) -> int:
    """Return how many diagonals are not zero."""
    if given is None:
        return k
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= k:
        raise OptionError(
            f"{title} has bands={given!r}; expected a whole number from 1 to {k}, the number of visits"
        )
    return given


def _few_lags(bands: int, u: np.ndarray, k: int) -> np.ndarray:
    """Return the Toeplitz matrix of correlations tanh u at the first lags, zero beyond."""
    r = np.zeros(k, dtype=u.dtype)
    r[0], r[1:bands] = 1.0, np.tanh(u)
    return r[np.abs(np.subtract.outer(np.arange(k), np.arange(k)))]


def _first_lags(bands: int, u: np.ndarray, k: int) -> dict[str, float]:
    return {f"corr(lag {lag})": float(np.tanh(u[lag - 1]).real) for lag in range(1, bands)}


def _none(k: int) -> int:
    return 0


def _identity(u: np.ndarray, k: int) -> np.ndarray:
    return np.eye(k, dtype=u.dtype)


def _nothing(u: np.ndarray, k: int) -> dict[str, float]:
    return {}


def _few(k: int) -> int:
    return int(k > 1)


def _many(k: int) -> int:
    return k - 1


AR1 = Visits("AR(1)", _few, _ar1, _of_ar1)
CS = Visits("compound symmetry", _few, _cs, _of_cs, 0.0)
TOEP = Visits("Toeplitz", _many, _toep, _lags, 0.1, banded=True)
ANTE = Visits("antedependence", _many, _ante, _steps)
AR1H = Visits("heterogeneous AR(1)", _few, _ar1, _of_ar1, 0.4, True)
CSH = Visits("heterogeneous compound symmetry", _few, _cs, _of_cs, 0.0, True)
TOEPH = Visits("heterogeneous Toeplitz", _many, _toep, _lags, 0.1, True, True)
DIAG = Visits("independent, a variance for each visit", _none, _identity, _nothing, 0.0, True)
ANTEH = Visits("heterogeneous antedependence", _many, _ante, _steps, 0.4, True)


@dataclass(frozen=True)
class Unstructured:
    """Any covariance matrix over the visits, by its Cholesky factor with L₁₁ = 1, diagonal as logarithms."""

    title: str = "unstructured"

    def bind(self, positions: Positions, **options: object) -> BoundResidual:
        """Return the structure for the visits of a model."""
        refuse_options(options, self.title, ("bands",))
        refuse_single_rows(positions, self.title)
        k = whole_positions(positions, self.title)
        if positions.levels is None:
            raise OptionError(
                f"unstructured: there is a variance for each visit, and {positions.names[0]} is numeric; "
                "expected a categorical variable, such as C(visit)"
            )
        refuse_ties(positions, self.title)
        rows, cols = np.tril_indices(k)
        rows, cols = rows[1:], cols[1:]
        bands = _bands(options.get("bands"), k, self.title)
        if bands < k:
            near = rows - cols < bands
            rows, cols, starts = rows[near], cols[near], np.zeros(int(near.sum()))
            return OfVisits(
                partial(_near, k, rows, cols),
                partial(_near_words, k, rows, cols, positions.levels), 0.0, [starts],
            )  # fmt: skip
        start = np.zeros(len(rows))
        start[rows != cols] = 0.3
        return OfVisits(
            partial(_product, k, rows, cols),
            partial(_sds_and_correlations, k, rows, cols, positions.levels),
            0.0, [start, np.zeros(len(rows))],
        )  # fmt: skip


def _product(k: int, rows: np.ndarray, cols: np.ndarray, u: np.ndarray) -> np.ndarray:
    root = np.zeros((k, k), dtype=u.dtype)
    root[0, 0] = 1.0
    root[rows, cols] = np.where(rows == cols, np.exp(u), u)
    return root @ root.T


def _sds_and_correlations(
    k: int, rows: np.ndarray, cols: np.ndarray, names: Sequence[str], u: np.ndarray
) -> dict[str, float]:
    return _sds_and_correlations_of(_product(k, rows, cols, u).real, names)


def _sds_and_correlations_of(r: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    k = len(r)
    sd = np.sqrt(np.diag(r))
    out = {f"sd({names[i]}) / sd({names[0]})": float(sd[i]) for i in range(1, k)}
    for i in range(k):
        out.update(
            {f"corr({names[j]}, {names[i]})": float(r[i, j] / sd[i] / sd[j]) for j in range(i)}
        )
    return out


def _near(k: int, rows: np.ndarray, cols: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return the matrix of logarithms of SDs and of correlations tanh u in some diagonals."""
    own, between = rows == cols, rows != cols
    sd = np.ones(k, dtype=u.dtype)
    sd[rows[own]] = np.exp(u[own])
    out = np.eye(k, dtype=u.dtype)
    out[rows[between], cols[between]] = out[cols[between], rows[between]] = np.tanh(u[between])
    found: np.ndarray = sd[:, None] * out * sd
    return found


def _near_words(
    k: int, rows: np.ndarray, cols: np.ndarray, names: Sequence[str], u: np.ndarray
) -> dict[str, float]:
    whole = _sds_and_correlations_of(_near(k, rows, cols, u).real, names)
    kept = {f"corr({names[j]}, {names[i]})" for i, j in zip(rows.tolist(), cols.tolist())}
    return {name: value for name, value in whole.items() if name[0] == "s" or name in kept}


UN = Unstructured()

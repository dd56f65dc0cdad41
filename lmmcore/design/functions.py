"""Functions that formulas know without an import, where neither data nor the caller define them.

Those that look at all rows first (`poly`, `ns`, `scale`, `center`) are stateful transforms of patsy: plain
classes, whose attributes are all that is needed to transform new rows in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import patsy
import patsy.builtins

from ..errors import DataValueError, OptionError


def log(x: Any, base: Any = None) -> Any:
    """Return the natural logarithm, or that to a base."""
    return np.log(x) if base is None else np.log(x) / np.log(base)


def factor(data: Any, contrast: Any = None, levels: Any = None) -> Any:
    """Take numbers or text as categories; the same as ``C``."""
    return patsy.builtins.C(data, contrast, levels)


class Standardize:
    """``scale(x)`` and ``center(x)``: less the mean, divided by the standard deviation.

    The standard deviation is the root of the sum of squares over n − 1, as in R.
    """

    name = "scale"
    divides = True

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, 0.0, 0.0

    def memorize_chunk(
        self, x: Any, center: bool = True, scale: bool = True, ddof: int = 1
    ) -> None:
        values = _finite(x, self.name)
        n, mean = len(values), float(values.mean()) if len(values) else 0.0
        if n == 0:
            return
        shift, total = mean - self.mean, self.n + n
        self.squares += float(np.sum((values - mean) ** 2)) + shift**2 * self.n * n / total
        self.mean += shift * n / total
        self.n = total

    def memorize_finish(self) -> None:
        pass

    def transform(self, x: Any, center: bool = True, scale: bool = True, ddof: int = 1) -> Any:
        values = _floats(x, self.name)
        if center:
            values = values - self.mean
        if not (scale and self.divides):
            return values
        # Without centering R divides by the root mean square.
        squares = self.squares if center else self.squares + self.n * self.mean**2
        if not squares > 0.0 or self.n <= ddof:
            raise DataValueError(
                "scale(x): all values are equal, so their standard deviation is zero; expected values "
                "that differ. Use center(x), or leave the variable out"
            )
        return values / np.sqrt(squares / (self.n - ddof))


class Center(Standardize):
    """``center(x)``: less the mean."""

    name = "center"
    divides = False


class Poly:
    """``poly(x, degree)``: orthogonal polynomials with R's signs and lengths, or raw powers.

    By the recurrence p_{k+1} = (x − a_k) p_k − (s_k / s_{k−1}) p_{k−1}, s_k = Σ p_k², a_k = Σ x p_k² / s_k.
    """

    def __init__(self) -> None:
        self.chunks: list[np.ndarray] = []
        self.degree = 0
        self.mean = 0.0
        self.centers: list[float] = []
        self.norms: list[float] = []

    def memorize_chunk(self, x: Any, degree: int = 1, raw: bool = False) -> None:
        self.degree = _whole("poly", "degree", degree)
        if not raw:
            self.chunks.append(_finite(x, "poly"))

    def memorize_finish(self) -> None:
        if not self.chunks:
            return
        x = np.concatenate(self.chunks)
        self.chunks = []
        different = len(np.unique(x))
        if self.degree >= different:
            raise DataValueError(
                f"poly(x, {self.degree}): x has {different} different values; expected more than the "
                "degree. Lower the degree"
            )
        self.mean = float(x.mean())
        x = x - self.mean
        before, now = np.zeros_like(x), np.ones_like(x)
        self.norms = [float(len(x))]
        for k in range(self.degree):
            self.centers.append(float(np.sum(x * now**2)) / self.norms[k])
            before, now = now, self._next(k, x, before, now)
            self.norms.append(float(np.sum(now**2)))

    def _next(self, k: int, x: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Return the polynomial of degree k + 1 from those of degree k − 1 and k."""
        ratio = self.norms[k] / self.norms[k - 1] if k else 0.0
        return (x - self.centers[k]) * now - ratio * before

    def transform(self, x: Any, degree: int = 1, raw: bool = False) -> np.ndarray:
        x = _floats(x, "poly")
        if raw:
            return np.column_stack([x**j for j in range(1, self.degree + 1)])
        x = x - self.mean
        out, before, now = [], np.zeros_like(x), np.ones_like(x)
        for k in range(self.degree):
            before, now = now, self._next(k, x, before, now)
            out.append(now / np.sqrt(self.norms[k + 1]))
        return np.column_stack(out)


class NaturalSpline:
    """``ns(x, df)``: the basis of natural cubic splines that R's ``ns`` has.

    Cubic B-splines at the quantiles of x, restricted to those whose second derivative is zero at the
    boundary knots, beyond which they go on as straight lines.
    """

    def __init__(self) -> None:
        self.chunks: list[np.ndarray] = []
        self.knots = np.zeros(0)
        self.null = np.zeros((0, 0))
        self.arguments: tuple[Any, ...] = ()

    def memorize_chunk(
        self, x: Any, df: int | None = None, knots: Any = None, intercept: bool = False,
        boundary_knots: Any = None,
    ) -> None:  # fmt: skip
        self.chunks.append(_finite(x, "ns"))
        self.arguments = (df, knots, intercept, boundary_knots)

    def memorize_finish(self) -> None:
        x = np.concatenate(self.chunks)
        self.chunks = []
        df, knots, intercept, boundary = self.arguments
        ends = _ends(x, boundary)
        if knots is None:
            n_knots = 0 if df is None else _whole("ns", "df", df) - 1 - bool(intercept)
            if n_knots < 0:
                raise OptionError(f"ns(df={df!r}); expected {1 + bool(intercept)} or more")
            inside = x[(x >= ends[0]) & (x <= ends[1])]
            knots = np.quantile(inside, np.linspace(0.0, 1.0, n_knots + 2)[1:-1])
        inner = np.sort(np.atleast_1d(np.asarray(knots, dtype=np.float64)))
        if len(inner) and not (ends[0] < inner[0] and inner[-1] < ends[1]):
            raise DataValueError(
                f"ns(x): the knots {inner.tolist()} are not all between the boundary knots "
                f"{ends.tolist()}; expected knots inside. Lower df, or give knots="
            )
        self.knots = np.concatenate([np.repeat(ends[0], 4), inner, np.repeat(ends[1], 4)])
        first = 0 if intercept else 1
        bent = self._splines(ends, 2)[:, first:]
        self.null = np.zeros((len(self.knots) - 4, bent.shape[1] - 2))
        self.null[first:] = np.linalg.qr(bent.T, mode="complete")[0][:, 2:]

    def _splines(self, x: np.ndarray, derivative: int) -> np.ndarray:
        """Return the cubic B-splines, or derivatives of them, at x."""
        from scipy.interpolate import BSpline  # takes long to import

        splines = BSpline(self.knots, np.eye(len(self.knots) - 4), 3)
        return np.asarray(splines(x, nu=derivative))

    def transform(
        self, x: Any, df: int | None = None, knots: Any = None, intercept: bool = False,
        boundary_knots: Any = None,
    ) -> np.ndarray:  # fmt: skip
        x = _floats(x, "ns")
        ends = self.knots[[0, -1]]
        inside = np.clip(x, *ends)
        out = self._splines(inside, 0)
        beyond = np.flatnonzero(x != inside)
        if len(beyond):
            beyond = beyond[np.isfinite(x[beyond])]
            slope = self._splines(inside[beyond], 1)
            out[beyond] += (x - inside)[beyond, None] * slope
        return out @ self.null


def _ends(x: np.ndarray, given: Any) -> np.ndarray:
    if given is None:
        if len(x) == 0 or not x.min() < x.max():
            raise DataValueError("ns(x): all values are equal; expected values that differ")
        return np.array([x.min(), x.max()])
    ends = np.sort(np.asarray(given, dtype=np.float64).ravel())
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise OptionError(f"ns(boundary_knots={given!r}); expected two different numbers")
    return ends


def _whole(function: str, name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
        raise OptionError(f"{function}({name}={given!r}); expected a whole number, 1 or more")
    return int(given)


def _floats(x: Any, function: str) -> np.ndarray:
    values = np.asarray(x)
    if values.dtype.kind not in "biuf":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as exc:
            raise DataValueError(
                f"{function}(x): the values are of type {values.dtype}; expected numbers"
            ) from exc
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataValueError(
            f"{function}(x): the values have shape {values.shape}; expected one number per row"
        )
    return values.astype(np.float64)


def _finite(x: Any, function: str) -> np.ndarray:
    """Return the values that are not missing: rows with missing values are found by the model."""
    values = _floats(x, function)
    return values[np.isfinite(values)]


scale = patsy.stateful_transform(Standardize)
center = patsy.stateful_transform(Center)
poly = patsy.stateful_transform(Poly)
ns = patsy.stateful_transform(NaturalSpline)

FUNCTIONS: dict[str, Any] = {
    "log": log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "log10": np.log10,
    "log2": np.log2,
    "log1p": np.log1p,
    "factor": factor,
    "as_factor": factor,
    "as.factor": factor,
    "poly": poly,
    "ns": ns,
    "bs": patsy.builtins.bs,
    "scale": scale,
    "center": center,
    "I": patsy.builtins.I,
    "TRUE": True,
    "FALSE": False,
}

MULTIPLE = frozenset(
    {"C", "factor", "as_factor", "as.factor", "poly", "ns", "bs", "cr", "cc", "te"}
)
"""Functions whose value is no column of numbers, so that ``f(x)^2`` is no power."""

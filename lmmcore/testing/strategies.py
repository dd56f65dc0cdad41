"""Hypothesis strategies that draw whole mixed models, and functions to minimize.

>>> from hypothesis import given
>>> from lmmcore.testing import strategies
>>> @given(strategies.grouped_models())
... def test_something(problem):
...     assert problem.y.shape == problem.groups.shape
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .dense import DenseModel
from .objectives import TestObjective


@dataclass(frozen=True, eq=False)
class GroupedProblem:
    """A drawn data set with one grouping factor and the truth it was drawn from.

    Attributes
    ----------
    y : array (n,)
    x : array (n, p)
    z : array (n, k)
    groups : int array (n,)
    weights : array (n,) or None
    covariance : array (k, k)
        True covariance relative to σ², possibly singular.
    scale : float
        Overall size of the response.
    """

    y: np.ndarray
    x: np.ndarray
    z: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    covariance: np.ndarray
    scale: float

    def dense(self, reml: bool) -> DenseModel:
        """Return the dense reference of the model."""
        return DenseModel.from_groups(self.y, self.x, self.groups, [self.z], self.weights, reml)


@st.composite
def covariances(draw: st.DrawFn, k: int, singular: bool | None = None) -> np.ndarray:
    """Draw a k × k positive semidefinite matrix, of any rank from 0 when `singular` is not False."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    low = 0 if singular else (k if singular is False else draw(st.sampled_from([0, k, k])))
    rank = draw(st.integers(min(low, k), k if not singular else max(0, k - 1)))
    root = rng.standard_normal((k, rank))
    size = 10.0 ** rng.uniform(-1.5, 1.5)
    return size * root @ root.T


@st.composite
def group_sizes(draw: st.DrawFn, max_groups: int = 9, max_size: int = 8) -> list[int]:
    """Draw the sizes of two or more groups, from balanced to one row here and many there."""
    n_groups = draw(st.integers(2, max_groups))
    if draw(st.booleans()):
        return [draw(st.integers(2, max_size))] * n_groups
    sizes = [draw(st.integers(1, max_size)) for _ in range(n_groups)]
    return [max(3, sizes[0]), *sizes[1:]]


@st.composite
def grouped_models(
    draw: st.DrawFn,
    max_k: int = 4,
    max_p: int = 4,
    max_groups: int = 9,
    max_size: int = 8,
    decades: float = 6.0,
    weighted: bool | None = None,
) -> GroupedProblem:
    """Draw a model with one grouping factor.

    Parameters
    ----------
    max_k, max_p : int
        Most random and fixed columns.
    max_groups, max_size : int
        Most groups, and most rows of a group.
    decades : float
        The response and the columns have sizes between 10**-decades and 10**decades.
    weighted : bool, optional
        Whether there are prior weights; None draws it.
    """
    sizes = draw(group_sizes(max_groups, max_size))
    n = sum(sizes)
    k = draw(st.integers(1, min(max_k, max(sizes))))
    p = draw(st.integers(1, min(max_p, n - 2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.floats(-decades, decades))
    x = rng.standard_normal((n, p))
    x[:, 0] = 1.0
    x[:, 1:] *= 10.0 ** rng.uniform(-decades, decades, p - 1)
    z = rng.standard_normal((n, k))
    if draw(st.booleans()):
        z[:, 0] = 1.0
    if draw(st.booleans()):  # the visits of a balanced study
        z[:, -1] = np.concatenate([np.arange(m, dtype=float) for m in sizes]) + (k == 1)
    units = 10.0 ** rng.uniform(-decades, decades, k) if draw(st.booleans()) else np.ones(k)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    covariance = draw(covariances(k))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    b = rng.standard_normal((len(sizes), k)) @ root.T
    has_weights = draw(st.booleans()) if weighted is None else weighted
    weights = rng.uniform(0.2, 5.0, n) if has_weights else None
    noise = rng.standard_normal(n) / (1.0 if weights is None else np.sqrt(weights))
    effects = rng.standard_normal(p) / np.maximum(np.abs(x).max(axis=0), 1e-300)
    y = scale * (x @ effects + np.sum(z * b[groups], axis=1) + noise)
    if draw(st.booleans()):
        order = rng.permutation(n)
        y, x, z, groups = y[order], x[order], z[order], groups[order]
        weights = None if weights is None else weights[order]
    return GroupedProblem(
        y, x, z * units, groups, weights, covariance / np.outer(units, units), scale
    )


@dataclass(frozen=True, eq=False)
class CrossedProblem:
    """A drawn data set with one to three grouping factors.

    Attributes
    ----------
    y : array (n,)
    x : array (n, p)
    factors : list of int arrays (n,)
        Levels: crossed, nested, partly nested, with empty cells; a factor may have one level.
    columns : list of arrays (n, k)
        Random coefficients' columns of each term.
    factor_of : list of int
        Factor of each term; a factor may have two terms.
    weights : array (n,) or None
    """

    y: np.ndarray
    x: np.ndarray
    factors: list[np.ndarray]
    columns: list[np.ndarray]
    factor_of: list[int]
    weights: np.ndarray | None

    def dense(self, reml: bool) -> DenseModel:
        """Return the dense reference of the model."""
        z = []
        for columns, f in zip(self.columns, self.factor_of):
            codes = self.factors[f]
            z.append(
                np.hstack([np.where((codes == c)[:, None], columns, 0.0) for c in np.unique(codes)])
            )
        return DenseModel(self.y, self.x, z, [c.shape[1] for c in self.columns], self.weights, reml)


@st.composite
def crossed_models(
    draw: st.DrawFn, max_factors: int = 3, max_k: int = 3, max_p: int = 3, max_rows: int = 60
) -> CrossedProblem:
    """Draw a model with several grouping factors.

    Parameters
    ----------
    max_factors, max_k, max_p : int
        Most factors, random columns of a factor, fixed columns.
    max_rows : int
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(25, max_rows))
    x = rng.standard_normal((n, draw(st.integers(1, max_p))))
    x[:, 0] = 1.0
    factors: list[np.ndarray] = []
    for f in range(draw(st.integers(1, max_factors))):
        if f and draw(st.integers(0, 2)) == 0:  # the one before is nested in this one
            outer = rng.integers(0, 3, int(factors[-1].max()) + 1)
            factors.append(outer[factors[-1]])
        else:
            factors.append(rng.integers(0, draw(st.integers(1, 11)), n))
    columns, factor_of = [], []
    for f in range(len(factors)):
        k = draw(st.integers(1, max_k))
        z = rng.standard_normal((n, k))
        if draw(st.integers(0, 3)):
            z[:, 0] = 1.0
        parts = [z[:, :1], z[:, 1:]] if k > 1 and draw(st.integers(0, 2)) == 0 else [z]
        columns += parts
        factor_of += [f] * len(parts)
    weights = rng.uniform(0.3, 3.0, n) if draw(st.integers(0, 2)) == 0 else None
    sizes = 10.0 ** rng.uniform(-1, 1, len(factors)) * draw(st.sampled_from([0.0, 1.0]))
    y = rng.standard_normal(n)
    for codes, size in zip(factors, sizes):
        y += size * rng.standard_normal(int(codes.max()) + 1)[codes]
    return CrossedProblem(y, x, factors, columns, factor_of, weights)


@st.composite
def factor_roots(draw: st.DrawFn, sizes: list[int]) -> list[np.ndarray]:
    """Draw Λ (k, k) for every term: regular, tiny, singular or zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = []
    for k in sizes:
        root = np.tril(rng.standard_normal((k, k))) * 10.0 ** rng.uniform(-1, 1)
        kind = draw(st.sampled_from(["regular", "regular", "regular", "zero", "column", "tiny"]))
        if kind == "zero":
            root[:] = 0.0
        elif kind == "column":
            root[:, rng.integers(k)] = 0.0
        elif kind == "tiny":
            root *= 1e-5
        out.append(root)
    return out


FAR = 6.0


@dataclass(frozen=True)
class Problem:
    """A function with a known minimum and a start."""

    minimum: tuple[float, ...]
    eigenvalues: tuple[float, ...]
    start: tuple[float, ...]
    curved: bool
    seed: int

    def objective(self, kind: type[TestObjective] = TestObjective, **changes: Any) -> TestObjective:
        """Return the function, afresh; changes are arguments of `TestObjective`."""
        arrays = np.array(self.minimum), np.array(self.eigenvalues)
        return kind(*arrays, self.seed, self.curved, **changes)


@st.composite
def problems(draw: st.DrawFn, max_m: int = 3) -> Problem:
    """Draw a convex function of one to `max_m` parameters, of condition up to 30, and a start near by."""
    m = draw(st.integers(1, max_m))
    numbers = st.floats(-2.0, 2.0).map(lambda x: round(x, 2))
    sizes = st.floats(1.0, 30.0).map(lambda x: round(x, 1))

    def vector(of: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(of, min_size=m, max_size=m)))

    minimum, eigenvalues, start = vector(numbers), vector(sizes), vector(numbers)
    # Farther away a curved one is straight to the last digit, where its Hessian says nothing.
    far = max(eigenvalues) ** 0.5 * float(np.linalg.norm(np.subtract(start, minimum)))
    curved = far <= FAR and draw(st.booleans())
    return Problem(minimum, eigenvalues, start, curved, draw(st.integers(0, 9)))

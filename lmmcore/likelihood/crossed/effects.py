"""Conditional means and covariances of the random effects of several grouping factors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...crossproducts.crossed import CrossedProducts
from ...design.columns import Column
from ...design.design import Design
from ...design.factors import Factor, crossed_factors, factors_of_terms
from ..profiled import Point, ProfiledLikelihood
from .engine import CrossedEngine


@dataclass(frozen=True, eq=False)
class FactorEffects:
    """Random effects of one factor.

    Attributes
    ----------
    name : str
    labels : array (q,)
    means : array (q, k)
        BLUPs, for the columns of Z as given.
    """

    name: str
    labels: np.ndarray
    means: np.ndarray

    def of_rows(
        self, codes: np.ndarray, columns: Sequence[Column], chosen: np.ndarray
    ) -> np.ndarray:
        """Return Z b̂ for rows with the given levels and columns; `chosen` (k,) says which count."""
        out = np.zeros(len(codes))
        for j, column in enumerate(columns):
            if not chosen[j]:
                continue
            effect = self.means[codes, j]
            out += effect if column is None else effect * column
        return out


class CrossedConditional:
    """Random effects of all factors, given data, β̂ and the variances.

    ``b̂ = K Z'(y − Xβ̂)``, ``Cov(b | y, β) = σ² K`` with ``K = Λ(Λ'Z'ZΛ + I)⁻¹Λ'``.
    """

    def __init__(
        self,
        cp: CrossedProducts,
        likelihood: ProfiledLikelihood,
        point: Point,
        solution: np.ndarray | None = None,
    ) -> None:
        engine = likelihood.engine
        assert isinstance(engine, CrossedEngine)
        assert point.state is not None
        self._engine, self._point = engine, point
        if solution is None:
            solution = point.state.solution
        b = engine.solution(point.factors) @ solution / likelihood.coordinates.y_scale
        self.factors: list[FactorEffects] = []
        self._bases = []
        for f, factor in enumerate(cp.factors):
            at = engine.system.plan.starts[f]
            basis = engine.system.basis(f)
            means = b[at[:, None] + np.arange(factor.k)] @ basis.T
            self.factors.append(FactorEffects(factor.name, factor.labels, means))
            self._bases.append(basis)

    @cached_property
    def covariances(self) -> list[np.ndarray]:
        """Conditional covariances of each level divided by σ² (q, k, k), factor by factor."""
        found = self._engine.conditional_covariances(self._point.factors)
        return [basis @ k @ basis.T for basis, k in zip(self._bases, found)]

    def joint_covariance(self) -> np.ndarray:
        """Return K of all random effects, in the order of factors, levels and columns."""
        engine = self._engine
        k = engine.joint(self._point.factors)
        order = np.concatenate(
            [
                (engine.system.plan.starts[f][:, None] + np.arange(factor.k)).ravel()
                for f, factor in enumerate(engine.system.factors)
            ]
        )
        k = k[np.ix_(order, order)]
        scale = np.concatenate([np.tile(np.diag(b), len(f.labels))
                                for b, f in zip(self._bases, self.factors)])  # fmt: skip
        if any(b.shape[0] > 1 and np.any(b - np.diag(np.diag(b))) for b in self._bases):
            raise AssertionError("joint covariances need uncentered columns")
        return k * np.outer(scale, scale)

    def row_effects(self, design: Design, terms: Collection[int] | None = None) -> np.ndarray:
        """Return Z b̂ of some terms, by default of all, for each row (n,)."""
        out = np.zeros(design.n_rows)
        factors: list[Factor] = crossed_factors(design) or factors_of_terms(design)
        for effects, factor in zip(self.factors, factors):
            used = [terms is None or t in terms for t in factor.terms]
            chosen = np.repeat(used, factor.sizes)
            out += effects.of_rows(factor.grouping.codes, factor.columns, chosen)
        return out

"""Conditional means and covariances of the random effects of independent groups."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ...crossproducts.crossproducts import ColumnLabel, CrossProducts
from ...design.design import Design
from ...linalg.matrices import symmetric
from ..profiled import Point, ProfiledLikelihood
from .engine import IndependentEngine


@dataclass(frozen=True, eq=False)
class ConditionalBlock:
    """Random effects of groups with the same shape.

    Attributes
    ----------
    groups : int array (G,)
    means : array (G, k)
        BLUPs, for the columns of Z as given.
    covariances : array (G, k, k)
        Conditional covariance divided by σ².
    columns : columns of each group, None when all groups have the same
    """

    groups: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    columns: tuple[tuple[ColumnLabel, ...], ...] | None


@dataclass(frozen=True, eq=False)
class Conditional:
    """Random effects of all groups, given data, β̂ and the variances."""

    blocks: tuple[ConditionalBlock, ...]
    n_terms: int

    def means(self, n_groups: int, k: int) -> np.ndarray:
        """Return the BLUPs of the first k columns, those of the random coefficients (n_groups, k)."""
        means = np.zeros((n_groups, k))
        for block in self.blocks:
            means[block.groups] = block.means[:, :k]
        return means

    def covariances(self, n_groups: int, k: int) -> np.ndarray:
        """Return their conditional covariances divided by σ² (n_groups, k, k)."""
        covariances = np.zeros((n_groups, k, k))
        for block in self.blocks:
            covariances[block.groups] = block.covariances[:, :k, :k]
        return covariances

    def row_effects(self, design: Design, terms: Collection[int] | None = None) -> np.ndarray:
        """Return Z b̂ of some terms, by default of all, for each row (n,)."""
        out = np.zeros(design.n_rows)
        codes = design.grouping.codes
        k = len(design.random)
        means = self.means(design.grouping.n_levels, k)
        own_term = np.repeat(np.arange(len(design.terms)), [len(t.names) for t in design.terms])
        for j, column in enumerate(design.random):
            if terms is not None and own_term[j] not in terms:
                continue
            effect = means[codes, j]
            out += effect if column is None else effect * column
        components = design.components
        if components is not None:
            own: dict[tuple[int, ColumnLabel], float] = {}
            for block in self.blocks:
                assert block.columns is not None
                for g, columns, values in zip(block.groups, block.columns, block.means):
                    own.update(
                        ((int(g), column), float(v)) for column, v in zip(columns[k:], values[k:])
                    )
            lengths = np.diff(components.indptr)
            rows = np.repeat(np.arange(design.n_rows), lengths)
            keys = codes[rows].astype(np.int64) * len(components.labels) + components.columns
            pairs, inverse = np.unique(keys, return_inverse=True)
            effects = np.array(
                [
                    own[(pair // len(components.labels), self._label(components.labels, pair))]
                    for pair in pairs.tolist()
                ]
            )
            values = components.values
            if terms is not None:
                chosen = [t + len(design.terms) in terms for t, _ in components.labels]
                values = values * np.array(chosen)[components.columns]
            out += np.bincount(rows, weights=effects[inverse] * values, minlength=design.n_rows)
        return out

    def _label(self, labels: tuple[tuple[int, str], ...], pair: int) -> ColumnLabel:
        term, name = labels[pair % len(labels)]
        return (self.n_terms + term, name)


def conditional(
    cp: CrossProducts,
    likelihood: ProfiledLikelihood,
    point: Point,
    solution: np.ndarray | None = None,
) -> Conditional:
    """Return E(b | y) and Cov(b | y, β) / σ² for every group.

    With G = ΛΛ' and Z the columns as given, ``b̂ = Λ (I + Λ'Z'ZΛ)⁻¹ Λ'Z'(y − Xβ̂)`` and
    ``Cov = σ² Λ (I + Λ'Z'ZΛ)⁻¹ Λ'``: G may be singular. `solution` (p + 1,) has the residual
    ``[X y] solution`` in the basis; by default that of the GLS estimate.
    """
    assert point.state is not None
    engine, state = likelihood.engine, point.state
    assert isinstance(engine, IndependentEngine)
    if solution is None:
        solution = state.solution
    index = np.append(cp.basis.kept, len(cp.basis.order))
    scale = likelihood.coordinates.y_scale
    blocks = []
    for block in cp.blocks:
        levels = tuple(width // t.k for width, t in zip(block.widths, engine.terms))
        lam = engine.basis(levels) @ engine.factor(levels, point.factors)
        s = symmetric(block.s)
        ze = block.w[:, :, index] @ solution / scale
        root = lam
        if cp.z_map is not None and block.columns is None:
            root = cp.z_map @ lam  # for the columns of Z as stored
        m = root.T @ s @ root + np.eye(root.shape[1])
        inverse = np.linalg.inv(m)
        covariances = lam @ inverse @ lam.T
        means = (lam @ inverse @ root.T @ ze[:, :, None])[:, :, 0]
        blocks.append(ConditionalBlock(block.groups, means, covariances, block.columns))
    n_terms = len(cp.term_columns)
    if cp.blocks and cp.blocks[0].columns is not None:
        own = {
            t
            for b in cp.blocks
            for c in (b.columns or ())
            for t, name in c
            if isinstance(name, str)
        }
        n_terms = min(own, default=n_terms)
    return Conditional(tuple(blocks), n_terms)

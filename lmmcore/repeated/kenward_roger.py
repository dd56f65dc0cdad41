"""Kenward and Roger's quantities of a model with a residual structure, group by group.

With V_r = ∂V/∂ψ_r for the parameters ψ of the random effects, of the residuals and log σ², each independent
group adds its part to X'V⁻¹V_rV⁻¹X, X'V⁻¹V_rV⁻¹V_sV⁻¹X, tr(V⁻¹V_rV⁻¹V_s) and X'V⁻¹(∂²V)V⁻¹X. The second
derivatives are those in the natural parameters N of the residuals (variances, correlations, ranges):

    ∂²V/∂N∂N in terms of ψ = ∂²V/∂ψ_a∂ψ_b − Σ_c ∂V/∂ψ_c Γ^c_ab,   Γ^c_ab = Σ_r (∂ψ_c/∂N_r) ∂²N_r/∂ψ_a∂ψ_b.

They vanish where σ²R moves in a linear space (compound symmetry, Toeplitz, unstructured).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import OptionError
from ..fitting.fit import Fit
from ..inference.natural_parameters import Natural
from ..inference.second_order import second_order
from .structure import Structure

STEP = 1e-4  # of second differences
LARGEST = 1500  # rows that may depend on each other
LINEAR = 1e-7  # singular value, relative to the largest, of a direction outside a linear space
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def sums_of_groups(fit: Fit, natural: Natural) -> Parts:
    """Return first (m, p, p), cross (m, m, p, p), traces (m, m) and bent (m, m, p, p) of `Pieces`.

    They are in the metric in which X'V⁻¹X is the identity, V relative to σ².

    Raises
    ------
    OptionError
        Variances that depend on the fitted values; crossed grouping factors with very many rows.
    """
    if fit.residual.structure.of_fitted:
        raise OptionError(
            "Kenward-Roger with variances that depend on the fitted values: R depends on the fixed effects, "
            "and the formulas do not hold. Use ddf='satterthwaite'"
        )
    p, m_phi = fit.spec.k_fe, natural.slopes.shape[1]
    m = m_phi + len(fit.residual.u) + 1
    first, cross = np.zeros((m, p, p)), np.zeros((m, m, p, p))
    traces, bent = np.zeros((m, m)), np.zeros((m, m, p, p))
    of_residual = np.arange(m_phi, m)
    straight = is_linear(fit.residual.structure, fit.residual.u)
    for x, v, slopes, second in _groups(fit, natural, straight):
        inverse = np.linalg.inv(v)
        half = inverse @ x
        moved = slopes @ half  # V_rV⁻¹X
        left = inverse @ slopes
        first += np.einsum("ia,rib->rab", half, moved)
        cross += np.einsum("ria,ij,sjb->rsab", moved, inverse, moved, optimize=True)
        traces += np.einsum("rij,sji->rs", left, left, optimize=True)
        if second is not None:
            own = np.einsum("ia,rsij,jb->rsab", half, second, half, optimize=True)
            bent[np.ix_(of_residual, of_residual)] += own
    if natural.curvature is not None:
        patterns = second_order(fit).patterns[: len(natural.slopes)]
        change = np.column_stack([np.eye(m_phi), natural.scaling])
        inner = np.tensordot(natural.curvature, patterns, 1)
        where = [*range(m_phi), m - 1]
        bent[np.ix_(where, where)] += np.einsum("ri,rsab,sj->ijab", change, inner, change)
    curved = natural.curvature is not None or not straight
    return first, cross, traces, bent if curved else None


def _groups(fit: Fit, natural: Natural, straight: bool) -> Iterator[Parts]:
    """Yield X in the metric, V, V_r (m, n, n) and the second derivatives of the residuals of each group."""
    residual = fit.residual
    engine: Any = fit.likelihood.engine
    structure, u, products = residual.structure, residual.u, residual.products
    whole, levels = products.rows()
    kept = fit.equations.crossproducts.basis.kept
    k = sum(products.widths)
    to_metric = fit.state.inverse[: len(kept), : len(kept)].T
    ends = np.cumsum(products.widths).tolist()
    factors = [slice(end - width, end) for end, width in zip(ends, products.widths)]
    cp: Any = fit.equations.crossproducts
    maps = (
        engine.system.column_maps
        if fit.is_crossed
        else [engine.unit(b) for b in cp.blocks[: len(levels)]]
    )
    for at, unit in zip(factors, maps):
        whole[:, at] = whole[:, at] @ unit
    terms = _terms(fit, factors)
    log_sd = structure.log_sd(u)
    deltas = np.zeros((0, len(whole))) if log_sd is None else structure.log_sd_slopes(u)
    natural_second = None if straight else _christoffel(structure, u)
    made = _Matrices(structure, u, None if straight else natural_second)
    for rows in _units([*levels, structure.positions.groups]):
        r, of_u, second = made.of(rows, log_sd, deltas)
        v, of_gamma = r.copy(), [np.zeros((0, len(rows), len(rows)))]
        for f, at, g in terms:
            same = levels[f][rows][:, None] == levels[f][rows]
            z = whole[rows, at]
            v += (z @ g @ z.T) * same
            of_gamma.append((z @ _patterns(len(g)) @ z.T) * same)
        of_phi = np.tensordot(natural.slopes.T, np.concatenate(of_gamma), 1)
        x = whole[np.ix_(rows, k + kept)] @ to_metric
        yield x, v, np.concatenate([of_phi, of_u, v[None]]), second


def _terms(fit: Fit, factors: list[slice]) -> list[tuple[int, slice, np.ndarray]]:
    """Return grouping factor, columns of Z and G of each term, in the engine's columns."""
    out, engine = [], fit.likelihood.engine
    place: Any = getattr(getattr(engine, "system", None), "place", None)
    first = 0
    for t, (term, root) in enumerate(zip(engine.terms, fit.point.factors)):
        f, at = place[t] if place is not None else (0, first)
        start = factors[f].start + at
        out.append((f, slice(start, start + term.k), root @ root.T))
        first += term.k
    return out


def _patterns(k: int) -> np.ndarray:
    """Return E_c (k (k + 1) / 2, k, k) of the entries of a symmetric matrix."""
    rows, cols = np.tril_indices(k)
    out = np.zeros((len(rows), k, k))
    out[np.arange(len(rows)), rows, cols] = out[np.arange(len(rows)), cols, rows] = 1.0
    return out


def _units(codes: list[np.ndarray]) -> list[np.ndarray]:
    """Return the rows of each part of the data that shares no level and no group with another part.

    Raises
    ------
    OptionError
        A part of very many rows: crossed factors.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, row, column, first = len(codes[0]), list[np.ndarray](), list[np.ndarray](), len(codes[0])
    for own in codes:
        row.append(np.arange(n))
        column.append(first + own)
        first += int(own.max()) + 1
    edges = np.concatenate(row), np.concatenate(column)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(first, first))
    label = connected_components(graph, directed=False)[1][:n]
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    largest = max(map(len, parts))
    if largest > LARGEST:
        raise OptionError(
            f"Kenward-Roger of a model with a residual structure and crossed grouping factors: {largest:,} "
            f"rows depend on each other; expected up to {LARGEST:,}. Use ddf='satterthwaite'"
        )
    return parts


class _Matrices:
    """R of the rows of a group of random effects, with derivatives in u, and in (u, log σ²) twice."""

    def __init__(self, structure: Structure, u: np.ndarray, christoffel: np.ndarray | None) -> None:
        self.structure, self.u, self.christoffel = structure, u, christoffel
        self.of_row = np.empty((len(structure.positions.groups), 2), dtype=np.intp)
        self.made = []
        for i, pattern in enumerate(structure.patterns):
            self.of_row[pattern.rows, 0] = i
            self.of_row[pattern.rows, 1] = np.arange(len(pattern.rows))[:, None]
            c, slopes = structure.matrix(u, pattern), structure.slopes(u, pattern)
            bent = None if christoffel is None else self._second(pattern)
            self.made.append((c, slopes, bent))

    def _second(self, pattern: Any) -> np.ndarray:
        m, t = self.structure.n_correlation, len(pattern.values)
        out = np.empty((m, m, t, t))
        for a in range(m):
            e = np.zeros(len(self.u))
            e[a] = STEP * max(1.0, abs(self.u[a]))
            slopes = self.structure.slopes
            near, far = (
                (slopes(self.u + s * e, pattern) - slopes(self.u - s * e, pattern))
                / (2.0 * s * e[a])
                for s in (1.0, 2.0)
            )
            out[a] = (4.0 * near - far) / 3.0
        return out

    def of(
        self, rows: np.ndarray, log_sd: np.ndarray | None, deltas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return R (n, n), ∂R/∂u (m, n, n) and the second derivatives (m + 1, m + 1, n, n)."""
        n, m_c, m = len(rows), self.structure.n_correlation, len(self.u)
        r, slopes = np.zeros((n, n)), np.zeros((m, n, n))
        second = None if self.christoffel is None else np.zeros((m + 1, m + 1, n, n))
        place = {int(row): i for i, row in enumerate(rows)}
        for i, group in {tuple(x) for x in self.of_row[rows].tolist()}:
            own = self.structure.patterns[i].rows[group]
            at = np.array([place[int(row)] for row in own])
            c, moved, bent = self.made[i]
            sd = np.ones(len(own)) if log_sd is None else np.exp(log_sd[own])
            outer = np.outer(sd, sd)
            block = np.ix_(at, at)
            r[block] = c * outer
            delta = deltas[:, own]
            both = delta[:, :, None] + delta[:, None, :]
            slopes[np.ix_(np.arange(m), at, at)] = np.concatenate([moved * outer, both * r[block]])
            if second is None or bent is None:
                continue
            full = np.zeros((m + 1, m + 1, len(own), len(own)))
            full[:m_c, :m_c] = bent * outer
            full[m_c:m, :m_c] = both[:, None] * moved[None] * outer
            full[:m_c, m_c:m] = full[m_c:m, :m_c].swapaxes(0, 1)
            full[m_c:m, m_c:m] = both[:, None] * both[None] * r[block]
            first = np.concatenate([slopes[np.ix_(np.arange(m), at, at)], r[block][None]])
            full[m], full[:, m] = first, first
            assert self.christoffel is not None
            full -= np.einsum("cab,cij->abij", self.christoffel, first)
            second[np.ix_(np.arange(m + 1), np.arange(m + 1), at, at)] = full
        return r, slopes, second


def _natural(structure: Structure, psi: np.ndarray) -> np.ndarray:
    """Return N of ψ = (u, log σ²): σ² first, variances in place of ratios, the others as they are named."""
    scale = float(np.exp(psi[-1]))
    own = structure.natural(psi[:-1])
    variances = _are_variances(structure, psi[:-1])
    return np.array([scale, *(scale * v if is_one else v for v, is_one in zip(own, variances))])


def _are_variances(structure: Structure, u: np.ndarray) -> list[bool]:
    """Return which natural parameters are variances, which move with σ²."""
    out: list[bool] = []
    correlation, variance, m = structure.correlation, structure.variance, structure.n_correlation
    if correlation is not None:
        k = correlation.bound.n_parameters
        own = [name.startswith("sd(") for name in correlation.bound.describe(u[:k])]
        out += own * len(correlation.labels) + [True] * (len(correlation.labels) - 1)
    if variance is not None:
        out += [name.startswith("sd(") for name in variance.describe(u[m:])]
    return out


def _christoffel(structure: Structure, u: np.ndarray) -> np.ndarray:
    """Return Γ^c_ab (m, m, m) of the natural parameters, at σ² = 1.

    Raises
    ------
    OptionError
        The structure does not name as many parameters as it has.
    """
    psi = np.append(u, 0.0)
    at, m = _natural(structure, psi), len(psi)
    if len(at) != m:
        raise OptionError(
            f"Kenward-Roger with second derivatives of {structure.title}, which has {m} parameters and names "
            f"{len(at)}; expected 'kenward-roger' or 'kenward-roger-sas-linear', without them"
        )
    steps = STEP * np.maximum(1.0, np.abs(psi))
    jacobian, second = np.empty((m, m)), np.empty((m, m, m))
    e = np.diag(steps)
    for a in range(m):
        near, far = (
            (_natural(structure, psi + s * e[a]) - _natural(structure, psi - s * e[a]))
            / (2 * s * steps[a])
            for s in (1, 2)
        )
        jacobian[:, a] = (4 * near - far) / 3
    signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
    for a in range(m):
        for b in range(m):
            corners = [
                w * _natural(structure, psi + 10 * (s * e[a] + t * e[b])) for s, t, w in signs
            ]
            second[:, a, b] = np.sum(corners, axis=0) / (400 * steps[a] * steps[b])
    out: np.ndarray = np.einsum("cr,rab->cab", np.linalg.inv(jacobian), second)
    return out


def is_linear(structure: Structure, u: np.ndarray) -> bool:
    """Return whether the matrices σ²R form a linear space of as many dimensions as there are parameters."""
    if structure.variance is not None:
        return structure.correlation is None and bool(getattr(structure.variance, "ratios", False))
    rng = np.random.default_rng(0)
    m = len(u)
    spanned = []
    for _ in range(4):
        at = u + 0.3 * rng.standard_normal(m)
        tangents = [
            np.concatenate([structure.slopes(at, p), structure.matrix(at, p)[None]]).reshape(
                m + 1, -1
            )
            for p in structure.patterns
        ]
        spanned.append(np.hstack(tangents))
    values = np.linalg.svd(np.vstack(spanned), compute_uv=False)
    return int(np.sum(values > LINEAR * values[0])) <= m + 1

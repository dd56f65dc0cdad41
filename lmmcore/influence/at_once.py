"""All deletions of a model of independent groups at once.

With V relative to σ² and G its relative covariance matrix, each group adds to ``M = [X y]'V⁻¹[X y]`` and to
log|V|. For U = Z'V⁻¹[X y], C = Z'V⁻¹Z and the pattern E_c of an entry γ_c of G, its derivatives are

    ∂M/∂γ_c = −U'E_cU,      ∂²M/∂γ_c∂γ_d = U'(E_cCE_d + E_dCE_c)U,
    ∂log|V|/∂γ_c = tr(CE_c), ∂²log|V|/∂γ_c∂γ_d = −tr(CE_cCE_d).

What a deletion takes away is what its groups added before less what they add after. So gradient and Hessian
without it are exact and do not read the other groups. One Newton step gives its θ, third derivatives of the
whole improve the step (Chebyshev's method), and Taylor series of second order give M there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..crossproducts.crossproducts import CrossProducts
from ..fitting.fit import Fit
from ..inference.second_order import gamma_slopes
from ..linalg.matrices import symmetric
from .deletions import Deletions, Rows

AT_ONCE = 1 << 22  # numbers of second derivatives that are held together
STEP = 1e-4  # of differences of Hessians, relative
NEAR = 5e-3  # relative change of G up to which Taylor series are exact to 1e-7


@dataclass(frozen=True, eq=False)
class Deleted:
    """Estimates without each deletion.

    Attributes
    ----------
    theta : array (deletions, m)
    m : array (deletions, p + 1, p + 1)
        [X y]'V⁻¹[X y] there, kept columns, in the basis.
    n : int array (deletions,)
        Rows left.
    near : bool array (deletions,)
        Whether the step is so short that the error is below about 1e-7 of the parameters.
    """

    theta: np.ndarray
    m: np.ndarray
    n: np.ndarray
    near: np.ndarray


@dataclass(eq=False)
class Additions:
    """What groups add to M and log|V|, with derivatives in γ: (…, c, d) as in the module's docstring."""

    m: np.ndarray
    m1: np.ndarray
    m2: np.ndarray
    log_det1: np.ndarray
    log_det2: np.ndarray

    @staticmethod
    def of(s: np.ndarray, w: np.ndarray, g: np.ndarray, patterns: np.ndarray) -> Additions:
        """Return those of groups with Z'Z = s (r, k, k) and Z'[X y] = w (r, k, q); M without [X y]'[X y]."""
        k, count = s.shape[1], len(patterns)
        inverse = np.linalg.inv(np.eye(k) + s @ g)
        u, c = inverse @ w, inverse @ s
        r, _, q = w.shape
        m = -(w.swapaxes(1, 2) @ g) @ u
        moved = np.einsum("ckl,rlb->rkcb", patterns, u).reshape(r, k, count * q)
        m1 = -(u.swapaxes(1, 2) @ moved).reshape(r, q, count, q).swapaxes(1, 2)
        m2 = (moved.swapaxes(1, 2) @ (c @ moved)).reshape(r, count, q, count, q)
        m2 = m2.transpose(0, 1, 3, 2, 4)
        ce = np.einsum("rkl,clj->rckj", c, patterns)
        return Additions(
            m, m1, m2 + m2.swapaxes(1, 2),
            np.einsum("rckk->rc", ce), -np.einsum("rckl,rdlk->rcd", ce, ce),
        )  # fmt: skip

    def added(self, other: Additions, sign: float) -> Additions:
        """Return self + sign · other."""
        return Additions(
            self.m + sign * other.m, self.m1 + sign * other.m1, self.m2 + sign * other.m2,
            self.log_det1 + sign * other.log_det1, self.log_det2 + sign * other.log_det2,
        )  # fmt: skip

    def summed(self, at: np.ndarray, count: int) -> Additions:
        """Return sums over the groups of each of `count` deletions, `at` (r,) being sorted."""
        first = np.flatnonzero(np.diff(at, prepend=-1))

        def total(a: np.ndarray) -> np.ndarray:
            out = np.zeros((count, *a.shape[1:]))
            if len(a):
                out[at[first]] = np.add.reduceat(a, first, axis=0)
            return out

        return Additions(
            total(self.m), total(self.m1), total(self.m2),
            total(self.log_det1), total(self.log_det2),
        )  # fmt: skip


class Groups:
    """The groups of a model in the engine's columns, at the estimates."""

    def __init__(self, fit: Fit) -> None:
        engine: Any = fit.likelihood.engine
        cp = fit.equations.crossproducts
        assert isinstance(cp, CrossProducts)
        self.kept = np.append(cp.basis.kept, len(cp.basis.order))
        terms, factors = engine.terms, fit.point.factors
        self.blocks = [b for b in cp.blocks if b.s.shape[1]]
        self.at = [i for i, b in enumerate(cp.blocks) if b.s.shape[1]]
        self.units, self.g, self.patterns = [], [], []
        for block in self.blocks:
            levels = tuple(width // t.k for width, t in zip(block.widths, terms))
            root = engine.factor(levels, factors)
            self.units.append(engine.unit(block))
            self.g.append(root @ root.T)
            self.patterns.append(_patterns([t.k for t in terms], levels))
        self.width = len(self.kept)
        self.count = engine.n_coordinates

    @property
    def at_once(self) -> int:
        """Groups whose second derivatives are held together."""
        return max(1, AT_ONCE // (self.count * self.width) ** 2)

    def additions(self, b: int, s: np.ndarray, w: np.ndarray) -> Additions:
        """Return what groups of block b add, for stored Z'Z (full) and Z'[X y] of all columns."""
        unit = self.units[b]
        of_engine = unit.T @ s @ unit
        return Additions.of(of_engine, unit.T @ w[:, :, self.kept], self.g[b], self.patterns[b])

    def whole(self) -> Additions:
        """Return the sums over all groups."""
        c, q = self.count, self.width
        out = Additions(
            np.zeros((q, q)), np.zeros((c, q, q)), np.zeros((c, c, q, q)), np.zeros(c), np.zeros((c, c))
        )  # fmt: skip
        for b, block in enumerate(self.blocks):
            for start in range(0, len(block.groups), self.at_once):
                part = slice(start, start + self.at_once)
                own = self.additions(b, symmetric(block.s[part]), block.w[part])
                at = np.zeros(len(own.m), dtype=np.intp)
                one = own.summed(at, 1)
                out = out.added(
                    Additions(one.m[0], one.m1[0], one.m2[0], one.log_det1[0], one.log_det2[0]), 1.0
                )
        return out


def _patterns(sizes: list[int], levels: tuple[int, ...]) -> np.ndarray:
    """Return E_c (n_coordinates, k, k): where an entry of the lower triangles of the G_t stands."""
    k = sum(size * m for size, m in zip(sizes, levels))
    out = np.zeros((sum(size * (size + 1) // 2 for size in sizes), k, k))
    at = first = 0
    for size, m in zip(sizes, levels):
        for level in range(m):
            c = first
            for i in range(size):
                for j in range(i + 1):
                    a, b = at + level * size + i, at + level * size + j
                    out[c, a, b] = out[c, b, a] = 1.0
                    c += 1
        at += size * m
        first += size * (size + 1) // 2
    return out


class AtOnce:
    """The estimates without each of many deletions, from sums over the groups."""

    def __init__(self, fit: Fit, rows: Rows) -> None:
        self.fit, self.rows, self.groups = fit, rows, Groups(fit)
        likelihood, point = fit.likelihood, fit.point
        self.slopes = gamma_slopes(fit)
        m, count = likelihood.n_parameters, self.groups.count
        nothing = np.zeros((count, count))
        self.bent = np.array([likelihood._chain(point, e, nothing)[1] for e in np.eye(count)])
        self.bent = self.bent.reshape(count, m, m)
        whole = self.groups.whole()
        root = np.tril(fit.state.root)
        whole.m = root @ root.T
        self.whole = whole
        self.roots = [np.linalg.inv(f) if np.all(np.diag(f) > 0.0) else None for f in point.factors]

    def third(self) -> np.ndarray:
        """Return the third derivatives of the criterion of the whole in θ (m, m, m), by differences."""
        fit, theta = self.fit, self.fit.point.theta
        likelihood = fit.equations.likelihood(
            fit.reml, fit.likelihood.structures, fit.likelihood.engine
        )
        out = np.empty((len(theta),) * 3)
        for j, h in enumerate(STEP * np.maximum(np.abs(theta), 0.1)):
            e = np.zeros(len(theta))
            e[j] = h
            up = likelihood.value_gradient_hessian(theta + e)[2]
            down = likelihood.value_gradient_hessian(theta - e)[2]
            out[:, :, j] = (up - down) / (2.0 * h)
        return out

    def chunks(self, deletions: Deletions) -> list[tuple[int, int]]:
        """Return borders of chunks of deletions."""
        size = self.groups.at_once
        starts = list(range(0, len(deletions), size))
        return list(zip(starts, [*starts[1:], len(deletions)]))

    def deleted(
        self, deletions: Deletions, start: int, stop: int, third: np.ndarray | None, moves: bool
    ) -> Deleted:
        """Return the estimates without some deletions.

        Parameters
        ----------
        third : array (m, m, m) or None
            None: one Newton step, without Chebyshev's correction.
        moves : bool
            False: θ stays.
        """
        fit, whole = self.fit, self.whole
        lost, n = self._lost(deletions, start, stop)
        left = Additions(*(np.asarray(a) for a in _less(whole, lost)))
        theta = np.repeat(fit.point.theta[None], stop - start, axis=0)
        if not moves:
            return Deleted(theta, left.m, n, np.ones(len(n), dtype=bool))
        n_eff = n - (self.groups.width - 1 if fit.reml else 0)
        gradient, hessian = self._derivatives(left, n_eff)
        step, regular = _newton(gradient, hessian)
        near = regular
        if third is not None:
            bent = np.einsum("ijk,dj,dk->di", third, step, step)
            more = -0.5 * _newton(-bent, hessian)[0]
            size = self._size(step)
            near = near & (size < NEAR) & (self._size(more) < 0.1 * NEAR)
            step = step + more
        moved = step @ self.slopes.T + 0.5 * np.einsum("cij,di,dj->dc", self.bent, step, step)
        m = left.m + np.einsum("dc,dcab->dab", moved, left.m1)
        m += 0.5 * np.einsum("dc,de,dceab->dab", moved, moved, left.m2)
        return Deleted(theta + step, m, n, near)

    def _lost(self, deletions: Deletions, start: int, stop: int) -> tuple[Additions, np.ndarray]:
        """Return what some deletions take away, and the rows they leave."""
        rows, groups, count = self.rows, self.groups, stop - start
        bounds = deletions.bounds[start : stop + 1]
        index = deletions.order[bounds[0] : bounds[-1]]
        of_row = np.repeat(np.arange(count), np.diff(bounds))
        c, q = groups.count, groups.width
        lost = Additions(
            np.zeros((count, q, q)), np.zeros((count, c, q, q)), np.zeros((count, c, c, q, q)),
            np.zeros((count, c)), np.zeros((count, c, c)),
        )  # fmt: skip
        xy = rows.xy[index]
        own = xy[:, groups.kept]
        first = np.flatnonzero(np.diff(of_row, prepend=-1))
        lost.m[of_row[first]] = _sums_of_squares(own, own, first)
        for b, (block, at) in enumerate(zip(groups.blocks, groups.at)):
            levels = rows.levels[at][index]
            mine = np.flatnonzero(levels >= 0)
            if not len(mine):
                continue
            order = mine[np.lexsort((levels[mine], of_row[mine]))]
            deletion, level = of_row[order], levels[order]
            new = np.flatnonzero(
                (np.diff(deletion, prepend=-1) != 0) | (np.diff(level, prepend=-1) != 0)
            )
            z, values = rows.z[at][index[order]], xy[order]
            which, group = deletion[new], level[new]
            s, w = symmetric(block.s[group]), block.w[group]
            sizes = np.diff(np.append(new, len(order)))
            gone = (sizes == block.counts[group])[:, None, None]
            less_s = np.where(gone, 0.0, s - _sums_of_squares(z, z, new))
            less_w = np.where(gone, 0.0, w - _sums_of_squares(z, values, new))
            change = groups.additions(b, s, w).added(groups.additions(b, less_s, less_w), -1.0)
            lost = lost.added(change.summed(which, count), 1.0)
        return lost, self.fit.likelihood.engine.n - np.diff(bounds)

    def _derivatives(self, left: Additions, n_eff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (d, m) and Hessian (d, m, m) in θ of the criterion without each deletion."""
        p = self.groups.width - 1
        _, e, inverse = _solved(left.m)
        r2 = np.einsum("da,dab,db->d", e, left.m, e)[:, None]
        of_x = np.einsum("dcab,db->dca", left.m1, e)
        slope = np.einsum("dca,da->dc", of_x, e) / r2
        bent = np.einsum("dceab,da,db->dce", left.m2, e, e)
        bent -= 2.0 * np.einsum("dca,dab,deb->dce", of_x[:, :, :p], inverse, of_x[:, :, :p])
        scale = n_eff[:, None, None]
        gradient = left.log_det1 + n_eff[:, None] * slope
        hessian = left.log_det2 + scale * (
            bent / r2[:, :, None] - slope[:, :, None] * slope[:, None, :]
        )
        if self.fit.reml and p:
            moved = np.einsum("dab,dcbe->dcae", inverse, left.m1[:, :, :p, :p])
            gradient = gradient + np.einsum("dcaa->dc", moved)
            hessian = hessian + np.einsum("dab,dceba->dce", inverse, left.m2[:, :, :, :p, :p])
            hessian = hessian - np.einsum("dcab,deba->dce", moved, moved)
        of_theta = np.einsum("ci,dce,ej->dij", self.slopes, hessian, self.slopes)
        of_theta += np.einsum("dc,cij->dij", gradient, self.bent)
        return gradient @ self.slopes, of_theta

    def _size(self, step: np.ndarray) -> np.ndarray:
        """Return how far steps in θ move G, relative to it (d,); infinite where G is singular."""
        out = np.zeros(len(step))
        moved = step @ self.slopes.T
        for term, inverse in zip(self.fit.likelihood.terms, self.roots):
            if inverse is None:
                return np.full(len(step), np.inf)
            rows, cols = np.tril_indices(term.k)
            change = np.zeros((len(step), term.k, term.k))
            change[:, rows, cols] = change[:, cols, rows] = moved[:, term.coordinates]
            size = np.linalg.norm(inverse @ change @ inverse.T, axis=(1, 2))
            out = np.maximum(out, size)
        return out


def _less(whole: Additions, lost: Additions) -> tuple[np.ndarray, ...]:
    return (
        whole.m - lost.m, whole.m1 - lost.m1, whole.m2 - lost.m2,
        whole.log_det1 - lost.log_det1, whole.log_det2 - lost.log_det2,
    )  # fmt: skip


def _sums_of_squares(a: np.ndarray, b: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return Σ ab' over runs of rows, which begin at `first`."""
    return np.add.reduceat(a[:, :, None] * b[:, None, :], first, axis=0)


def _solved(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return b (d, p), [−b; 1] (d, p + 1) and H⁻¹ (d, p, p); NaN where H is singular."""
    p = m.shape[1] - 1
    inverse = inverses(m[:, :p, :p])
    b = np.einsum("dab,db->da", inverse, m[:, :p, p])
    return b, np.concatenate([-b, np.ones((len(b), 1))], axis=1), inverse


def inverses(h: np.ndarray) -> np.ndarray:
    """Return the inverses of positive definite matrices (d, p, p), NaN for those that are not."""
    out = np.full_like(h, np.nan)
    if not h.shape[1]:
        return out
    values = np.linalg.eigvalsh(h)
    regular = values[:, 0] > 1e-14 * values[:, -1]
    out[regular] = np.linalg.inv(h[regular])
    return out


def _newton(gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Newton steps (d, m) and where the Hessian is positive definite; zeros where it is not."""
    step = np.zeros_like(gradient)
    finite = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    regular = finite.copy()
    if gradient.shape[1] and finite.any():
        values = np.linalg.eigvalsh(hessian[finite])
        regular[finite] = values[:, 0] > 1e-10 * np.abs(values).max(axis=1)
        if regular.any():
            step[regular] = -np.linalg.solve(hessian[regular], gradient[regular][:, :, None])[
                :, :, 0
            ]
    return step, regular

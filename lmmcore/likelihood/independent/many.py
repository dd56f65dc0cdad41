"""Many responses on one design of independent groups: criterion and derivatives, each at its own Λ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...crossproducts.crossproducts import CrossProducts
from ...crossproducts.responses import ResponseBlock
from ...linalg.matrices import lower_indices
from ...parallel import map_chunks
from ..state import TermShape
from . import _groups
from .engine import IndependentEngine, _pairs

LANES = _groups.LANES
AT_ONCE = 1 << 22  # numbers of Q'y that are held at a time


@dataclass(frozen=True, eq=False)
class Whitened:
    """The groups as the kernels take them, without a response: Z_g = Q_g R_g.

    Attributes
    ----------
    levels : tuple of int
        Levels of each term in a group.
    r : array (G, k, k)
        R_g times the units of the engine.
    x : array (G, k, p)
        Q_g'X of the kept columns.
    seen : bool array (G, k)
        Rows of Q_g' that exist: the rank of Z_g.
    """

    levels: tuple[int, ...]
    r: np.ndarray
    x: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True, eq=False)
class WhitenedResponses:
    """Responses in the coordinates of the groups.

    Attributes
    ----------
    y : tuple of arrays (r, G, k)
        Q_g'y.
    xy : array (r, p)
        X'y in the basis.
    yy : array (r,)
        y'y.
    """

    y: tuple[np.ndarray, ...]
    xy: np.ndarray
    yy: np.ndarray

    def take(self, index: np.ndarray | slice) -> WhitenedResponses:
        """Return some of the responses."""
        return WhitenedResponses(tuple(y[index] for y in self.y), self.xy[index], self.yy[index])

    def __len__(self) -> int:
        return len(self.yy)


@dataclass(frozen=True, eq=False)
class States:
    """The pieces of the criterion of each response; see `State`.

    Attributes
    ----------
    log_det_v : array (r,)
    root, inverse : arrays (r, p + 1, p + 1)
    """

    log_det_v: np.ndarray
    root: np.ndarray
    inverse: np.ndarray

    @property
    def r2(self) -> np.ndarray:
        return self.root[:, -1, -1] ** 2

    @property
    def log_det_h(self) -> np.ndarray:
        p = self.root.shape[1] - 1
        diagonal = self.root[:, np.arange(p), np.arange(p)]
        out: np.ndarray = 2.0 * np.log(diagonal).sum(axis=1)
        return out


class ManyResponses:
    """The engine of independent groups for many responses at once.

    Parameters
    ----------
    engine : IndependentEngine
    cp : CrossProducts
        From which it was built.
    """

    def __init__(self, engine: IndependentEngine, cp: CrossProducts) -> None:
        self.n, self.p = engine.n, engine.p
        self.terms: list[TermShape] = engine.terms
        self.n_coordinates = engine.n_coordinates
        self.rank = engine.rank
        self._cp, self._engine = cp, engine
        kept = cp.basis.kept
        self.groups: list[Whitened] = []
        self._batches: list[_groups.Batch] = []
        self.xx = np.ascontiguousarray(engine.total[: self.p, : self.p])
        within = self.xx.copy()
        for block in cp.blocks:
            if not block.s.shape[1]:
                continue
            r, x, rank_rows = engine.whitened(block, block.w[:, :, kept])
            levels = tuple(width // t.k for width, t in zip(block.widths, self.terms))
            self.groups.append(Whitened(levels, r, x, rank_rows))
            flat = x.reshape(len(x) * x.shape[1], self.p)
            within -= flat.T @ flat
            with_y = np.concatenate([x, np.zeros((*x.shape[:2], 1))], axis=2)
            self._batches.append(
                _groups.Batch(
                    _pack(r), _pack(with_y), _pack(np.ones(len(r))),
                    _pairs(tuple(t.k for t in self.terms), levels), self.n_coordinates,
                )
            )  # fmt: skip
        diagonal = np.arange(self.p)
        within[diagonal, diagonal] = np.maximum(within[diagonal, diagonal], 0.0)
        self.within = within

    @property
    def at_once(self) -> int:
        """The number of responses to pass at a time."""
        size = sum(g.seen.size for g in self.groups)
        return max(1, AT_ONCE // max(1, size))

    def whiten(self, block: ResponseBlock) -> WhitenedResponses:
        """Return responses that were read in the coordinates of the groups."""
        ys = []
        for part, zy in zip((b for b in self._cp.blocks if b.s.shape[1]), block.zy):
            _, white, _ = self._engine.whitened(part, np.ascontiguousarray(zy))
            ys.append(np.ascontiguousarray(white.transpose(2, 0, 1)))
        kept = self._cp.basis.kept
        return WhitenedResponses(tuple(ys), block.xy[kept].T, block.yy)

    def block(self, responses: WhitenedResponses) -> ResponseBlock:
        """Return responses in the coordinates of the groups as residuals from X: the inverse of `whiten`."""
        cp = self._cp
        kept, width = cp.basis.kept, len(cp.basis.order) + 1
        b = np.linalg.solve(self.xx, responses.xy.T)  # (p, r)
        yy = responses.yy - np.einsum("jr,rj->r", b, responses.xy)
        scale = np.exp2(np.round(0.5 * np.log2(self.n / yy)))
        zy, ys = [], iter(zip(self.groups, responses.y))
        for part in cp.blocks:
            if not part.s.shape[1]:
                zy.append(np.zeros((len(part.groups), 0, len(yy))))
                continue
            group, y = next(ys)
            unit = np.linalg.inv(self._engine.unit(part)).T
            of_engine = np.einsum("gba,rgb->gar", group.r, y)
            zy.append((unit @ of_engine - part.w[:, :, kept] @ b) * scale)
        new = np.zeros((width, len(yy)))
        new[kept] = -(cp.basis.map[np.ix_(kept, kept)] @ b) * scale
        new[-1] = scale * cp.basis.map[-1, -1]
        return ResponseBlock(tuple(zy), yy * scale**2, np.zeros((width - 1, len(yy))), new)

    def states(self, factors: list[np.ndarray], responses: WhitenedResponses) -> States:
        """Return the pieces of the criterion; NaN where it is not finite.

        Parameters
        ----------
        factors : list of arrays (r, k, k)
            Λ_t of each term for each response.
        """
        r, p = len(responses), self.p
        gram = np.empty((r, p + 1, p + 1))
        gram[:, :p, :p] = self.within
        xy, yy = responses.xy.copy(), responses.yy.copy()
        for group, y in zip(self.groups, responses.y):
            flat = y.reshape(r, -1)
            xy -= flat @ group.x.reshape(group.seen.size, p)
            yy -= np.einsum("ij,ij->i", flat, flat)
        gram[:, p, :p] = gram[:, :p, p] = xy
        gram[:, p, p] = np.maximum(yy, 0.0)
        log_det, bounds = np.zeros(r), _bounds(r)
        for group, batch, y in zip(self.groups, self._batches, responses.y):
            lam, packed = self._of_batch(group, factors), _pack_many(y)

            def work(i: int, batch: _groups.Batch = batch, lam: np.ndarray = lam,
                     packed: np.ndarray = packed) -> None:  # fmt: skip
                batch.criterion_many(lam, packed, bounds[i], bounds[i + 1], gram, log_det)

            map_chunks(work, len(bounds) - 1)
        rows, cols = lower_indices(p + 1)
        full = np.zeros_like(gram)
        full[:, rows, cols] = full[:, cols, rows] = gram[:, rows, cols]
        root = _cholesky(full)
        inverse = np.linalg.inv(np.where(np.isfinite(root), root, np.eye(p + 1)))
        return States(log_det, root, np.ascontiguousarray(np.tril(inverse)))

    def gradient_hessian(
        self, factors: list[np.ndarray], states: States, responses: WhitenedResponses, reml: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return gradients (r, m) and exact Hessians (r, m, m) in γ."""
        r, p, m = len(responses), self.p, self.n_coordinates
        n_eff = float(self.n - p if reml else self.n)
        tri = (p + 1) * (p + 2) // 2
        trace, quad, outer = np.zeros((r, m)), np.zeros((r, m, m)), np.zeros((r, m, tri))
        weights, bounds = (-1.0, 2.0 if reml else 0.0, 2.0 * n_eff), _bounds(r)
        for group, batch, y in zip(self.groups, self._batches, responses.y):
            lam, packed = self._of_batch(group, factors), _pack_many(y)

            def work(i: int, batch: _groups.Batch = batch, lam: np.ndarray = lam,
                     packed: np.ndarray = packed) -> None:  # fmt: skip
                batch.derivatives_many(
                    lam, states.inverse, packed, reml, *weights, bounds[i], bounds[i + 1],
                    trace, quad, outer,
                )  # fmt: skip

            map_chunks(work, len(bounds) - 1)
        last = p * (p + 1) // 2
        of_x, w, q = outer[:, :, :last], outer[:, :, last : last + p], outer[:, :, last + p]
        gradient = trace - n_eff * q
        hessian = 0.5 * (quad + quad.swapaxes(1, 2))
        hessian -= n_eff * (2.0 * w @ w.swapaxes(1, 2) + q[:, :, None] * q[:, None, :])
        if reml and p:
            rows, cols = lower_indices(p)
            gradient = gradient - of_x[:, :, rows == cols].sum(axis=2)
            twice = np.where(rows == cols, 1.0, 2.0)
            hessian -= (of_x * twice) @ of_x.swapaxes(1, 2)
        return gradient, hessian

    def _of_batch(self, group: Whitened, factors: list[np.ndarray]) -> np.ndarray:
        """Return Λ of a group of a batch (r, k, k): the factor of each term, once per level."""
        if len(factors) == 1 and group.levels[0] == 1:
            return np.ascontiguousarray(factors[0])
        size = sum(m * f.shape[1] for m, f in zip(group.levels, factors))
        out = np.zeros((len(factors[0]), size, size))
        at = 0
        for m, f in zip(group.levels, factors):
            for _ in range(m):
                out[:, at : at + f.shape[1], at : at + f.shape[1]] = f
                at += f.shape[1]
        return out


def _cholesky(full: np.ndarray) -> np.ndarray:
    """Return lower factors (r, q, q), NaN for a matrix that is not positive definite."""
    try:
        return np.linalg.cholesky(full)
    except np.linalg.LinAlgError:
        out = np.full_like(full, np.nan)
        for j, matrix in enumerate(full):
            try:
                out[j] = np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                continue
        return out


def _bounds(r: int) -> np.ndarray:
    """Return borders of chunks of responses."""
    return np.linspace(0, r, min(8, r) + 1).astype(np.intp)


def _pack(a: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(a).reshape(len(a), -1)
    return _groups.pack(rows).reshape(-1, *a.shape[1:], LANES)


def _pack_many(y: np.ndarray) -> np.ndarray:
    """Put groups side by side in lanes: (r, G, k) to (r, blocks, k, LANES)."""
    r, g, k = y.shape
    blocks = -(-g // LANES)
    out = np.zeros((r, blocks * LANES, k))
    out[:, :g] = y
    return np.ascontiguousarray(out.reshape(r, blocks, LANES, k).swapaxes(2, 3))

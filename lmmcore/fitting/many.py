"""Fits of one model to many responses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..crossproducts.crossproducts import CrossProducts
from ..crossproducts.responses import ResponseBlock
from ..design.layout import Layout
from ..errors import LmmcoreError, LmmcoreWarning
from ..likelihood.independent.draws import draw_responses
from ..likelihood.independent.engine import IndependentEngine
from ..likelihood.independent.many import ManyResponses, WhitenedResponses
from ..likelihood.lockstep import LockStep, Optima
from ..linalg.matrices import lower_indices
from .fit import Fit
from .refit import refit


@dataclass(frozen=True, eq=False)
class ManyFits:
    """The estimates of one model for many responses; NaN where a fit failed.

    Attributes
    ----------
    theta : array (r, m)
        In the units of the engine.
    beta : array (r, p)
    scale : array (r,)
        σ̂².
    relative : list of arrays (r, k, k)
        G_t of each term for the columns as given, relative to σ².
    reasons : dict of int to str
        Why a fit failed, by response.
    """

    theta: np.ndarray
    beta: np.ndarray
    scale: np.ndarray
    relative: list[np.ndarray]
    reasons: dict[int, str]

    def params(self, layout: Layout) -> np.ndarray:
        """Return β, lower triangle of cov_re / σ² and vcomp / σ² of each response (r, k)."""
        p = self.beta.shape[1]
        out = np.zeros((len(self.beta), p + layout.k_re2 + layout.k_vc))
        out[:, :p] = self.beta
        for where, g in zip(layout.packed, self.relative):
            rows, cols = lower_indices(g.shape[1])
            out[:, p + where] = g[:, rows, cols]
        out[np.isnan(self.scale)] = np.nan
        return out


class Refits:
    """Refits of a fit to other responses, in lock-step if the model allows it.

    Parameters
    ----------
    fit : Fit
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        engine, cp = fit.likelihood.engine, fit.equations.crossproducts
        self.many: ManyResponses | None = None
        self._lock: LockStep | None = None
        if isinstance(engine, IndependentEngine) and isinstance(cp, CrossProducts):
            self.many = ManyResponses(engine, cp)
            if fit.held is None and LockStep.serves(fit.likelihood):
                self._lock = LockStep(self.many, fit.likelihood)

    @property
    def is_rowless(self) -> bool:
        """Whether responses can be drawn without rows and fitted in lock-step."""
        return self._lock is not None

    @property
    def at_once(self) -> int:
        """Number of responses that are fitted together."""
        assert self.many is not None
        return self.many.at_once

    def of_drawn(self, r: int, rng: np.random.Generator | np.random.RandomState) -> ManyFits:
        """Return the fits of r responses drawn from the fitted model."""
        fit = self.fit
        assert self.many is not None
        sigma = float(np.sqrt(fit.scale)) * fit.likelihood.coordinates.y_scale
        return self.of_whitened(draw_responses(self.many, fit.point.factors, sigma, r, rng))

    def of_block(
        self, block: ResponseBlock, callback: Callable[[int], None] | None = None
    ) -> ManyFits:
        """Return the fits of responses that were read."""
        if self._lock is None or self.many is None:
            return self._one_by_one(block, callback)
        return self.of_whitened(self.many.whiten(block), block, callback)

    def of_whitened(
        self,
        responses: WhitenedResponses,
        block: ResponseBlock | None = None,
        callback: Callable[[int], None] | None = None,
    ) -> ManyFits:
        """Return the fits of responses in the coordinates of the groups.

        Responses without a block were drawn at β = 0; β̂ of the fit is added.
        """
        assert self.many is not None
        assert self._lock is not None
        optima = self._lock.minimize(self.fit.point.theta, responses)
        out = self._collect(optima, block)
        rest = np.flatnonzero(~optima.clear)
        if len(rest):
            some = self.many.block(responses.take(rest)) if block is None else block.take(rest)
            single = self._one_by_one(some, None)
            out.theta[rest] = single.theta
            out.beta[rest] = single.beta if block is not None else single.beta + self.fit.beta
            out.scale[rest] = single.scale
            for mine, theirs in zip(out.relative, single.relative):
                mine[rest] = theirs
            out.reasons.update({int(rest[j]): why for j, why in single.reasons.items()})
        if callback is not None:
            callback(len(responses))
        return out

    def _collect(self, optima: Optima, block: ResponseBlock | None) -> ManyFits:
        """Return the estimates at the optima of the lock-step method."""
        likelihood, coordinates = self.fit.likelihood, self.fit.likelihood.coordinates
        assert self._lock is not None
        states, r = optima.states, len(optima.theta)
        p = states.root.shape[1] - 1
        b = np.einsum("rj,rjk->rk", states.root[:, p, :p], states.inverse[:, :p, :p])
        # y = Xβ + …: drawn responses have no part in X, read ones are residuals.
        kept = self.fit.equations.crossproducts.basis.kept
        y_scale = np.full(r, coordinates.y_scale)
        shift = np.zeros((r, p))
        if block is not None:
            y_scale = block.map[-1]
            shift = block.map[kept].T
        basis = self.fit.equations.crossproducts.basis
        order = np.argsort(basis.order[kept], kind="stable")
        inner = basis.map[np.ix_(kept, kept)]
        beta = ((b @ inner.T - shift) / y_scale[:, None])[:, order]
        if block is None:
            beta = beta + self.fit.beta
        scale = states.r2 / self.fit.n_eff / y_scale**2
        relative = []
        for term, factor in zip(likelihood.terms, self._lock.factors(optima.theta)):
            g = factor @ factor.swapaxes(1, 2)
            relative.append(term.basis @ g @ term.basis.T)
        return ManyFits(optima.theta.copy(), beta, scale, relative, {})

    def _one_by_one(self, block: ResponseBlock, callback: Callable[[int], None] | None) -> ManyFits:
        fit, r = self.fit, len(block.yy)
        out = ManyFits(
            np.full((r, fit.likelihood.n_parameters), np.nan),
            np.full((r, fit.spec.k_fe), np.nan),
            np.full(r, np.nan),
            [np.full((r, t.k, t.k), np.nan) for t in fit.layout.terms],
            {},
        )
        for j in range(r):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", LmmcoreWarning)
                    found = refit(fit, block, j)
                if not found.certificate.converged:
                    raise LmmcoreError(str(found.certificate).splitlines()[0])
            except LmmcoreError as exc:
                out.reasons[j] = str(exc)
                continue
            out.theta[j], out.beta[j], out.scale[j] = found.point.theta, found.beta, found.scale
            for mine, g in zip(out.relative, found.relative):
                mine[j] = g
            if callback is not None:
                callback(1)
        return out


def joined(parts: Sequence[ManyFits]) -> ManyFits:
    """Return the fits of several blocks of responses as one."""
    reasons, at = dict[int, str](), 0
    for part in parts:
        reasons.update({at + j: why for j, why in part.reasons.items()})
        at += len(part.scale)
    return ManyFits(
        np.concatenate([p.theta for p in parts]),
        np.concatenate([p.beta for p in parts]),
        np.concatenate([p.scale for p in parts]),
        [np.concatenate(g) for g in zip(*(p.relative for p in parts))],
        reasons,
    )

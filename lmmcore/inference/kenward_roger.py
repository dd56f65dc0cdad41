"""Kenward and Roger's covariance of β̂, degrees of freedom and scale of F.

From Kenward and Roger (1997, Biometrics 53, 983–997) and, with second derivatives of V, (2009, Computational
Statistics and Data Analysis 53, 2583–2595). With Φ = cov(β̂), V_r = ∂V/∂φ_r, W the covariance matrix of the
estimates φ̂ and

    P_r = −X'V⁻¹V_rV⁻¹X,    Q_rs = X'V⁻¹V_rV⁻¹V_sV⁻¹X,    R_rs = X'V⁻¹(∂²V/∂φ_r∂φ_s)V⁻¹X,

the adjusted covariance is ``Φ_A = Φ + 2Φ[Σ_rs W_rs (Q_rs − P_rΦP_s − R_rs/4)]Φ``. The parameters are the
entries of the relative G and σ². For σ², ``V⁻¹ ∂V/∂σ²`` is the identity over σ², so that no product of rows
is needed. Where V is linear in its parameters R is zero.

W is 2 × the inverse of the expected information, ``tr(V⁻¹V_rV⁻¹V_s) − 2 tr(ΦQ_rs) + tr(ΦP_rΦP_s)``, or of the
observed Hessian of −2 log restricted likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DesignError, OptionError
from ..extension.inference import ReferenceDistribution
from ..fitting.fit import Fit, once
from .natural_parameters import Natural, natural_parameters
from .second_order import second_order

SMALL = (
    1e-9  # eigenvalue of the information, relative to the largest, of a direction that is left out
)


@dataclass(frozen=True, eq=False)
class Pieces:
    """The quantities of a fit that all variants share, in the metric in which Φ/σ² is the identity.

    Attributes
    ----------
    half : array (p, p)
        Φ = σ² half'half.
    first : array (m, p, p)
        −ΦP_r, for the covariance parameters, then σ² (on the scale of its logarithm).
    cross : array (m, m, p, p)
        ΦQ_rs.
    traces : array (m, m)
        tr(V⁻¹V_rV⁻¹V_s).
    bent : array (m, m, p, p) or None
        ΦR_rs, None where V is linear in the parameters.
    observed : array (m, m)
        2 × the inverse observed Hessian.
    """

    half: np.ndarray
    first: np.ndarray
    cross: np.ndarray
    traces: np.ndarray
    bent: np.ndarray | None
    observed: np.ndarray


@once
def pieces(fit: Fit) -> Pieces:
    """Return what Kenward and Roger's formulas need of a fit; formed once. A held σ² has no part."""
    found = _pieces(fit)
    if not fit.holds_scale:
        return found
    return replace(
        found, first=found.first[:-1], cross=found.cross[:-1, :-1], traces=found.traces[:-1, :-1],
        bent=None if found.bent is None else found.bent[:-1, :-1], observed=found.observed[:-1, :-1],
    )  # fmt: skip


def _pieces(fit: Fit) -> Pieces:
    likelihood, point, order = fit.likelihood, fit.point, second_order(fit)
    engine, state, p = likelihood.engine, fit.state, fit.spec.k_fe
    if fit.residual is not None:
        natural = natural_parameters(fit)
        first, cross, traces, bent = fit.residual.sums_of_groups(fit, natural)
        return Pieces(order.half, first, cross, traces, bent, _observed(fit, natural))
    trace, quad, _ = engine.derivatives(point.factors, state, False, (1.0, 0.0, 0.0))
    natural = natural_parameters(fit)
    slopes, m = natural.slopes, natural.slopes.shape[1] + 1
    adjustment = engine.adjustment(point.factors, state)
    first = np.empty((m, p, p))
    first[:-1] = np.tensordot(slopes.T, order.patterns, 1)
    first[-1] = np.eye(p)
    cross = np.empty((m, m, p, p))
    inner = np.tensordot(slopes.T, adjustment, 1)  # (r, d, p, p)
    cross[:-1, :-1] = np.tensordot(slopes.T, inner, (1, 1)).swapaxes(0, 1)
    cross[-1], cross[:, -1] = first, first
    traces = np.empty((m, m))
    traces[:-1, :-1] = slopes.T @ quad @ slopes
    traces[-1, :-1] = traces[:-1, -1] = slopes.T @ trace
    traces[-1, -1] = fit.spec.nobs
    bent = None
    if natural.curvature is not None:
        # V bends in the parameters of σ²G, which move with those of G and with log σ².
        change = np.column_stack([np.eye(m - 1), natural.scaling])
        own = np.tensordot(natural.curvature, order.patterns, 1)
        bent = np.einsum("ri,rsab,sj->ijab", change, own, change)
    return Pieces(order.half, first, cross, traces, bent, _observed(fit, natural))


def _observed(fit: Fit, natural: Natural) -> np.ndarray:
    """Return 2 × the inverse observed Hessian in the parameters and log σ²."""
    order = second_order(fit)
    cov = order.cov_theta
    jacobian, slopes = order.jacobian, natural.slopes
    more = len(jacobian) - len(slopes)  # parameters of a residual structure
    if more:
        whole = np.zeros((len(jacobian), slopes.shape[1] + more))
        whole[: len(slopes), : slopes.shape[1]] = slopes
        whole[len(slopes) :, slopes.shape[1] :] = np.eye(more)
        slopes = whole
    if slopes.shape[1]:
        change = np.linalg.lstsq(slopes, jacobian, rcond=None)[0]  # ∂φ/∂θ
        cov = change @ cov @ change.T
        move = order.log_scale @ slopes
    else:
        cov, move = np.zeros((0, 0)), np.zeros(0)
    out = np.empty((len(cov) + 1, len(cov) + 1))
    out[:-1, :-1] = cov
    out[-1, :-1] = out[:-1, -1] = move @ cov
    out[-1, -1] = move @ cov @ move + fit.likelihood.log_scale_variance
    return out


def _symmetric_inverse(information: np.ndarray) -> np.ndarray:
    if not len(information):
        return information
    size = np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-300))
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    kept = values > SMALL * values[-1]
    out: np.ndarray = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T / np.outer(size, size)
    return out


@dataclass(frozen=True)
class KenwardRoger:
    """Kenward and Roger's approximation.

    Attributes
    ----------
    title : str
    observed : bool
        Whether W comes from the observed Hessian (SAS), or from the expected information (pbkrtest).
    bent : bool
        Whether second derivatives of V count, where it is not linear in the natural parameters of a
        structure (variances and correlations, as `covariance_parameters` names them).
    """

    title: str
    observed: bool = False
    bent: bool = False

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return L Φ_A L', the degrees of freedom and the scale of F.

        Raises
        ------
        OptionError
            The fit is by maximum likelihood.
        DesignError
            The sample is so small that no F distribution has the moments of the test.
        """
        if not fit.reml:
            raise OptionError(
                f"ddf={self.title!r} of a fit by maximum likelihood; expected one by REML, for which the "
                "approximation is defined. Fit with reml=True, or use ddf='satterthwaite'"
            )
        found = pieces(fit)
        w = self.spread(found)
        rows = L @ found.half.T
        covariance = fit.scale * rows @ self.adjusted(found, w) @ rows.T
        df, scale = _moments(found, w, rows)
        if not (df > 0.0 and scale > 0.0):
            raise DesignError(
                f"ddf={self.title!r}: no F distribution has the moments of this test of {len(L)} rows "
                f"(df = {df:.3g}), because the sample is too small for it; expected fewer rows, or more "
                "groups. Use ddf='satterthwaite'"
            )
        return ReferenceDistribution(covariance, df, scale)

    def covariance(self, fit: Any) -> np.ndarray:
        """Return Φ_A, the adjusted covariance matrix of β̂ (p, p)."""
        found = pieces(fit)
        adjusted = self.adjusted(found, self.spread(found))
        out: np.ndarray = fit.scale * found.half.T @ adjusted @ found.half
        return out

    def spread(self, found: Pieces) -> np.ndarray:
        """Return W (m, m)."""
        if self.observed:
            return found.observed
        first = found.first
        information = (
            found.traces
            - 2.0 * np.einsum("rsii->rs", found.cross)
            + np.einsum("rij,sji->rs", first, first)
        )
        return 2.0 * _symmetric_inverse(information)

    def adjusted(self, found: Pieces, w: np.ndarray) -> np.ndarray:
        """Return Φ_A in the metric of the pieces (p, p)."""
        first = found.first
        inner = np.einsum("rs,rsij->ij", w, found.cross)
        inner -= np.einsum("rij,rjk->ik", np.tensordot(w, first, 1), first)
        if self.bent and found.bent is not None:
            inner -= 0.25 * np.einsum("rs,rsij->ij", w, found.bent)
        out: np.ndarray = np.eye(len(inner)) + inner + inner.T
        return out


def _moments(found: Pieces, w: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Return the df and the scale of F for the rows of LΦ^½ (q, p)."""
    _, values, own = np.linalg.svd(rows, full_matrices=False)
    own = own[values > 1e-10 * values[0]]
    rank = len(own)
    inside = np.einsum("qi,rij,tj->rqt", own, found.first, own)
    trace = np.einsum("rqq->r", inside)
    a1 = float(trace @ w @ trace)
    a2 = float(np.einsum("rs,rqt,stq->", w, inside, inside))
    if not a2 > 0.0:
        return np.inf, 1.0
    if rank == 1:
        return 2.0 / a2, 1.0  # what the formulas below come to
    b = (a1 + 6.0 * a2) / (2.0 * rank)
    g = ((rank + 1) * a1 - (rank + 4) * a2) / ((rank + 2) * a2)
    below = 3.0 * rank + 2.0 * (1.0 - g)
    c1, c2, c3 = g / below, (rank - g) / below, (rank + 2 - g) / below
    # The reciprocal of the mean of F, 1 − A₂/q, and a factor of its variance vanish together.
    inverse_mean, factor = 1.0 - a2 / rank, 1.0 - c2 * b
    vanish = abs(inverse_mean) < 1e-10 and abs(factor) < 1e-10
    square = 1.0 if vanish else (inverse_mean / factor) ** 2
    ratio = square * (1.0 + c1 * b) / (1.0 - c3 * b)  # q variance / (2 mean²)
    df = 4.0 + (rank + 2.0) / (ratio - 1.0)
    # At df = 2, df − 2 vanishes with 1 − A₂/q.
    scale = 1.0 if vanish and abs(df - 2.0) < 1e-8 else df * inverse_mean / (df - 2.0)
    return df, scale


KENWARD_ROGER = KenwardRoger("Kenward-Roger")
KENWARD_ROGER_BENT = KenwardRoger("Kenward-Roger, second derivatives", bent=True)
KENWARD_ROGER_SAS = KenwardRoger("Kenward-Roger, as SAS", observed=True, bent=True)
KENWARD_ROGER_SAS_LINEAR = KenwardRoger("Kenward-Roger (linear), as SAS", observed=True)

"""The influence of groups and of rows: what changes when one of them is left out.

The cross-products of what is deleted are subtracted from those of the model, and the fit goes on from its
estimates; the other rows are not read again. With b and V = cov(β̂) of the whole, and b_i, V_i without i,

    Cook's distance   (b − b_i)'V⁻¹(b − b_i)/p         (Cook 1977, Technometrics 19, 15–18)
    MDFFITS           (b − b_i)'V_i⁻¹(b − b_i)/p       (Belsley, Kuh and Welsch 1980, Regression Diagnostics)
    COVRATIO          det V_i / det V
    COVTRACE          |tr(V⁻¹V_i) − p|
    DFBETAS           (b − b_i)_j / √(V_i)_jj
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .crossproducts.crossproducts import CrossProducts
from .errors import OptionError
from .fitting.equations import Equations
from .fitting.estimate import estimate
from .fitting.fit import Fit
from .fitting.options import chosen_optimizers
from .refitting import reader_of

UNDETERMINED = (
    1e10  # increase of a variance of a fixed effect that is rounding: the rest does not have it
)
METHODS = ("exact", "one-step", "fixed")


@dataclass(frozen=True, eq=False)
class Influence:
    """Deletion diagnostics, a row for each deleted group or row.

    Attributes
    ----------
    level : str
        What was deleted: a grouping factor, or "row".
    method : str
    dfbeta, dfbetas : DataFrame (deletions, k_fe)
        Changes of the fixed effects, b − b_i, and these divided by their standard errors without i.
    measures : DataFrame
        Columns cooks_distance, mdffits, covratio, covtrace.
    parameters : DataFrame
        θ and σ² without i, as `theta` and `scale` of results.
    failed : tuple
        Labels without which the model cannot be fitted, because a fixed effect is not determined. Their
        rows are NaN.
    """

    level: str
    method: str
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    measures: pd.DataFrame
    parameters: pd.DataFrame
    failed: tuple[Any, ...]

    @property
    def cooks_distance(self) -> pd.Series:
        """Cook's distances."""
        return self.measures["cooks_distance"]

    def __str__(self) -> str:
        top = self.measures.sort_values("cooks_distance", ascending=False).head(10)
        lost = f"\nNot fitted without: {', '.join(map(str, self.failed))}" if self.failed else ""
        return (
            f"Deletion of each {self.level} ({self.method}), largest first\n{top.to_string()}{lost}"
        )

    def __repr__(self) -> str:
        return str(self)


def get_influence(results: Any, level: str | None = None, method: str = "exact") -> Influence:
    """Return deletion diagnostics for the groups of a model, or for its rows.

    Parameters
    ----------
    level : str, optional
        "row", or the grouping factor, which is the default.
    method : {"exact", "one-step", "fixed"}
        "exact": covariance parameters are estimated again after each deletion. "one-step": they move by one
        Newton step. "fixed": they stay, with σ², at the estimates of the whole.

    Returns
    -------
    Influence

    Raises
    ------
    OptionError
        Another level or method; several grouping factors, whose groups are not independent; variance
        components of vc_formula.
    """
    fit, model = results.fit, results.model
    if method not in METHODS:
        raise OptionError(f"method={method!r}; expected one of {', '.join(METHODS)}")
    if fit.is_crossed or fit.spec.has_components or fit.held is not None:
        raise OptionError(
            "get_influence of a model with several grouping factors, variance components of vc_formula, or "
            "held parameters; expected one grouping factor. Fit the model without each group in turn"
        )
    group = fit.spec.group_name
    level = group if level is None else level
    if level not in (group, "row"):
        raise OptionError(f"level={level!r}; expected {group!r} or 'row'")
    p = fit.spec.k_fe
    if not p:
        raise OptionError("get_influence of a model without fixed effects; expected at least one")
    whole, cov = fit.beta, fit.cov_beta
    inverse, logdet = np.linalg.inv(cov), np.linalg.slogdet(cov)[1]
    labels, beta, se, measures, parameters, failed = [], [], [], [], [], []
    for label, cp in _deletions(model, fit, level):
        labels.append(label)
        found = _without(fit, cp, method)
        if found is None:
            failed.append(label)
            beta.append(np.full(p, np.nan))
            se.append(np.full(p, np.nan))
            measures.append(np.full(4, np.nan))
            parameters.append(np.full(len(fit.theta) + 1, np.nan))
            continue
        b, v, theta, scale = found
        change = whole - b
        beta.append(change)
        se.append(np.sqrt(np.diag(v)))
        measures.append(
            np.array(
                [
                    change @ inverse @ change / p,
                    change @ np.linalg.solve(v, change) / p,
                    np.exp(np.linalg.slogdet(v)[1] - logdet),
                    abs(np.trace(inverse @ v) - p),
                ]
            )
        )
        parameters.append(np.append(theta, scale))
    index = pd.Index(labels, name=level)
    names = fit.spec.exog_names
    dfbeta = pd.DataFrame(np.array(beta), index=index, columns=names)
    dfbetas = pd.DataFrame(np.array(beta) / np.array(se), index=index, columns=names)
    return Influence(
        level, method, dfbeta, dfbetas,
        pd.DataFrame(
            np.array(measures), index=index,
            columns=["cooks_distance", "mdffits", "covratio", "covtrace"],
        ),
        pd.DataFrame(
            np.array(parameters), index=index,
            columns=[*(f"theta{i}" for i in range(len(fit.theta))), "scale"],
        ),
        tuple(failed),
    )  # fmt: skip


def _deletions(model: Any, fit: Fit, level: str) -> Iterator[tuple[Any, CrossProducts]]:
    """Yield label and cross-products without each group or row."""
    cp, design = fit.equations.crossproducts, model.design
    assert isinstance(cp, CrossProducts)
    xy, z = _rows(model, cp)
    log_weights = np.zeros(len(xy)) if design.weights is None else np.log(design.weights)
    codes = design.grouping.codes
    place = {
        int(g): (b, i)
        for b, block in enumerate(cp.blocks)
        for i, g in enumerate(block.groups.tolist())
    }
    if level == "row":
        labels = range(len(xy)) if design.row_labels is None else design.row_labels
        for row, label in enumerate(labels):
            own, zr = xy[row], z[row]
            b, i = place[int(codes[row])]
            block = cp.blocks[b]
            s, w, counts = block.s.copy(), block.w.copy(), block.counts.copy()
            s[i] -= np.tril(np.outer(zr, zr))
            w[i] -= np.outer(zr, own)
            counts[i] -= 1
            blocks = list(cp.blocks)
            blocks[b] = replace(block, s=s, w=w, counts=counts)
            yield label, _smaller(cp, blocks, np.outer(own, own), 1, float(log_weights[row]))
        return
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(design.grouping.labels) + 1))
    for g, label in enumerate(fit.spec.factors[0].keys):
        rows = order[bounds[g] : bounds[g + 1]]
        b, i = place[g]
        keep = np.arange(len(cp.blocks[b].groups)) != i
        block = cp.blocks[b]
        blocks = list(cp.blocks)
        blocks[b] = replace(
            block, groups=block.groups[keep], s=block.s[keep], w=block.w[keep],
            counts=block.counts[keep],
        )  # fmt: skip
        gram = xy[rows].T @ xy[rows]
        yield label, _smaller(cp, blocks, gram, len(rows), float(log_weights[rows].sum()))


def _smaller(
    cp: CrossProducts, blocks: list[Any], gram: np.ndarray, rows: int, log_weights: float
) -> CrossProducts:
    return replace(
        cp, n=cp.n - rows, log_weights=cp.log_weights - log_weights,
        total=cp.total - np.tril(gram), blocks=tuple(b for b in blocks if len(b.groups)),
    )  # fmt: skip


def _rows(model: Any, cp: CrossProducts) -> tuple[np.ndarray, np.ndarray]:
    """Return [X y] in the basis (n, p + 1) and stored columns of Z (n, k), times roots of the weights."""
    design, basis = model.design, cp.basis
    reader = reader_of(model)
    n, p = design.n_rows, len(basis.order)
    root = np.ones(n) if design.weights is None else np.sqrt(np.asarray(design.weights))
    raw = np.column_stack(
        [np.ones(n) if design.fixed[j] is None else design.fixed[j] for j in basis.order]
    ) if p else np.zeros((n, 0))  # fmt: skip
    y = raw @ basis.map[:p, -1] + np.asarray(design.endog) * basis.map[-1, -1]
    xy = np.column_stack([raw @ basis.map[:p, :p], y]) * root[:, None]
    at, _, z = reader.parts[0].rows(slice(0, n))
    columns = np.zeros((n, z.shape[1]))
    columns[at] = z
    return xy, columns * root[:, None]


def _without(
    fit: Fit, cp: CrossProducts, method: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """Return β̂, its covariance matrix, θ and σ² of the model with other cross-products."""
    equations = Equations(fit.layout, cp, fit.equations.structures)
    plain = fit.likelihood.engine is not fit.equations.engine
    engine = equations.plain_engine if plain else equations.engine
    likelihood = equations.likelihood(fit.reml, fit.likelihood.structures, engine)
    covariances = [t.to_engine(g) for t, g in zip(likelihood.terms, fit.relative)]
    theta = likelihood.parameters(covariances)
    point = likelihood.point(theta)
    if point.state is None or not np.isfinite(point.value):
        return None
    if method == "one-step":
        moved = likelihood.point(theta, order=2)
        assert moved.hessian is not None
        assert moved.gradient is not None
        step = -np.linalg.lstsq(moved.hessian, moved.gradient, rcond=1e-10)[0]
        point = likelihood.point(theta + step)
    elif method == "exact":
        optimizers, options = chosen_optimizers(None, {})
        layout = fit.layout
        found = estimate(
            likelihood, optimizers, layout.names, layout.groups, None, options, None, theta
        )
        point = found.point
    state = point.state
    if state is None:
        return None
    coordinates = likelihood.coordinates
    scale = fit.scale if method == "fixed" else coordinates.sigma2(state, likelihood.n_eff)
    relative = [t.to_user(f @ f.T) for t, f in zip(likelihood.terms, point.factors)]
    own = np.concatenate(
        [s.parameters(g) for s, g in zip(fit.likelihood.structures, relative)]
    ) if relative else np.zeros(0)  # fmt: skip
    covariance = coordinates.covariance(state, scale)
    if (np.diag(covariance) > UNDETERMINED * np.diag(fit.cov_beta)).any():
        return None
    return coordinates.beta(state), covariance, own, scale

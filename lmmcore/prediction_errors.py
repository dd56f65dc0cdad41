"""Standard errors and intervals of predictions, from Henderson's mixed-model equations.

The error of the predictor x'β̂ + z'b̂ of x'β + z'b has the variance

    σ² [z'K z + (x − X'Z K z)'H⁻¹(x − X'Z K z)],    K = Λ(Λ'Z'ZΛ + I)⁻¹Λ',    H = X'V⁻¹X,

with X'Z weighted. It is the joint uncertainty of β̂ and b̂, at given covariance parameters (Henderson 1975,
Biometrics 31, 423–447). A level that is not in the data adds z'Gz σ², a new observation σ²/w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .arguments import numbers
from .crossproducts.crossproducts import CrossProducts
from .errors import DataValueError, OptionError
from .fitting.fit import Fit
from .inference.choice import Choice
from .inference.contrasts import t_quantile
from .inference.wald import level as checked_level
from .likelihood.crossed.engine import CrossedEngine
from .likelihood.crossed.workspace import vanish
from .likelihood.independent.engine import IndependentEngine
from .linalg.matrices import symmetric

AT_ONCE = 256  # rows whose equations are solved together


@dataclass(frozen=True, eq=False)
class Located:
    """The random effects of one grouping factor in new rows.

    Attributes
    ----------
    factor : int
    levels : int array (m,)
        Level of the model, -1 for a new one.
    columns : int array (c,)
        Which of the coefficients of the factor.
    values : array (m, c)
        Columns of Z.
    """

    factor: int
    levels: np.ndarray
    columns: np.ndarray
    values: np.ndarray


def covariance_of_factor(fit: Fit, f: int) -> np.ndarray:
    """Return G of all coefficients of a grouping factor, relative to σ²."""
    at = fit.layout.columns_of_factor(f)
    cov: np.ndarray = fit.params_object.cov_re[np.ix_(at, at)]
    return cov


def error_variances(fit: Fit, x: np.ndarray, located: Sequence[Located]) -> np.ndarray:
    """Return the variances (m,) of the errors of x'β̂ + z'b̂, σ² included.

    Parameters
    ----------
    x : array (m, p)
        Columns of X.
    located : sequence of Located
    """
    p, coordinates = fit.spec.k_fe, fit.likelihood.coordinates
    in_basis = x @ coordinates.matrix * coordinates.y_scale
    total = np.zeros(len(x))
    for part in located:
        fresh = part.levels < 0
        if fresh.any():
            g = covariance_of_factor(fit, part.factor)[np.ix_(part.columns, part.columns)]
            z = part.values[fresh]
            total[fresh] += np.einsum("ia,ab,ib->i", z, g, z)
    known = [part for part in located if (part.levels >= 0).any()]
    if known:
        of_effects, projected = _of_effects(fit, len(x), known)
        total += of_effects
        in_basis = in_basis - projected
    half = in_basis @ fit.state.inverse[:p, :p].T
    variances: np.ndarray = fit.scale * (total + np.sum(half**2, axis=1))
    return variances


def _of_effects(fit: Fit, m: int, known: Sequence[Located]) -> tuple[np.ndarray, np.ndarray]:
    """Return z'Kz (m,) and X'Z K z in the basis (m, p)."""
    if fit.is_crossed:
        return _of_crossed(fit, m, known)
    return _of_independent(fit, m, known[0])


def _of_crossed(fit: Fit, m: int, known: Sequence[Located]) -> tuple[np.ndarray, np.ndarray]:
    engine, p = fit.likelihood.engine, fit.spec.k_fe
    assert isinstance(engine, CrossedEngine)
    system, workspace = engine.system, engine.workspace
    square, projected = np.zeros(m), np.zeros((m, p))
    if vanish(fit.point.factors):
        return square, projected
    workspace.hold(fit.point.factors)
    for start in range(0, m, AT_ONCE):
        rows = np.arange(start, min(m, start + AT_ONCE))
        rhs = np.zeros((system.columns, len(rows)))
        for part in known:
            basis = system.basis(part.factor)
            ok = rows[part.levels[rows] >= 0]
            z = np.zeros((len(ok), len(basis)))
            z[:, part.columns] = part.values[ok]
            first = system.plan.starts[part.factor][part.levels[ok]]
            rhs[first[:, None] + np.arange(len(basis)), (ok - start)[:, None]] = z @ basis
        workspace.forward(rhs)
        square[rows] = np.sum(rhs**2, axis=0)
        projected[rows] = rhs.T @ workspace.t[:, :p]
    return square, projected


def _of_independent(fit: Fit, m: int, part: Located) -> tuple[np.ndarray, np.ndarray]:
    engine, cp, p = fit.likelihood.engine, fit.equations.crossproducts, fit.spec.k_fe
    assert isinstance(engine, IndependentEngine)
    assert isinstance(cp, CrossProducts)
    square, projected = np.zeros(m), np.zeros((m, p))
    for block in cp.blocks:
        place = np.full(int(block.groups.max(initial=-1)) + 2, -1)
        place[block.groups] = np.arange(len(block.groups))
        inside = (part.levels >= 0) & (part.levels < len(place) - 1)
        rows = np.flatnonzero(inside)
        rows = rows[place[part.levels[rows]] >= 0]
        if not len(rows) or not block.s.shape[1]:
            continue
        groups, of_row = np.unique(place[part.levels[rows]], return_inverse=True)
        levels = tuple(width // t.k for width, t in zip(block.widths, engine.terms))
        basis = engine.basis(levels)  # (Z of the user) basis = Z of the engine
        lam = engine.factor(levels, fit.point.factors)
        r, white, _ = engine.whitened(
            type(block)(
                block.widths, block.groups[groups], block.s[groups], block.w[groups],
                block.counts[groups],
                None if block.columns is None else tuple(block.columns[g] for g in groups),
            ),
            block.w[groups][:, :, np.append(cp.basis.kept, len(cp.basis.order))],
        )  # fmt: skip
        root = r @ lam
        inner = np.linalg.inv(symmetric(np.eye(root.shape[2]) + root.swapaxes(1, 2) @ root))
        z = np.zeros((len(rows), basis.shape[0]))
        z[:, part.columns] = part.values[rows]
        z = z @ basis @ lam  # Λ'z
        kz = np.einsum("iab,ib->ia", inner[of_row], z)
        square[rows] = np.sum(z * kz, axis=1)
        zx = root.swapaxes(1, 2) @ white[:, :, :p]  # Λ'Z'X
        projected[rows] = np.einsum("ia,iaj->ij", kz, zx[of_row])
    return square, projected


def random_effects_se(results: Any) -> Any:
    """Standard errors of the random effects: of b̂ − b, with the uncertainty of β̂.

    They are larger than the roots of the diagonals of `random_effects_cov`, which take β as known. A frame
    with a row for each group, or a dict of such frames for several grouping factors.
    """
    fit, spec = results.fit, results.fit.spec
    if spec.has_components:
        raise OptionError(
            "random_effects_se of a model with variance components of vc_formula; expected components that "
            "are written as bars, such as (1 | g:a)"
        )
    found = {}
    for f, factor in enumerate(spec.factors):
        at = fit.layout.columns_of_factor(f)
        if not at:
            continue
        q, k = factor.n_levels, len(at)
        out = np.empty((q, k))
        nothing = np.zeros((q, spec.k_fe))
        for j in range(k):
            part = Located(f, np.arange(q), np.array([j]), np.ones((q, 1)))
            out[:, j] = np.sqrt(error_variances(fit, nothing, [part]))
        names = [
            name
            for t, term in enumerate(spec.terms)
            if term.factor == f
            for name in fit.layout.names[t]
        ]
        found[factor.name] = pd.DataFrame(out, index=pd.Index(factor.keys), columns=names)
    return found if spec.is_several else next(iter(found.values()), pd.DataFrame())


def interval_frame(
    fit: Fit,
    choice: Choice,
    values: np.ndarray,
    x: np.ndarray,
    located: Sequence[Located],
    interval: str,
    level: float,
    weights: Any,
    index: Any,
) -> pd.DataFrame:
    """Return predictions with their standard errors and limits; see ``MixedLMResults.predict``."""
    if interval not in ("confidence", "prediction"):
        raise OptionError(f"interval={interval!r}; expected 'confidence', 'prediction' or None")
    alpha = checked_level(1.0 - level)
    m = len(values)
    used = np.isfinite(values)
    variances, df = np.full(m, np.nan), np.full(m, np.inf)
    rows = x[used]
    if len(rows):
        unique, back = np.unique(rows, axis=0, return_inverse=True)
        se, own = choice.rows(fit, unique) if fit.spec.k_fe else (np.zeros(len(unique)), np.inf)
        back, own = back.ravel(), np.broadcast_to(own, len(unique))
        df[used] = own[back]
        if located:
            parts = [Located(t.factor, t.levels[used], t.columns, t.values[used]) for t in located]
            variances[used] = error_variances(fit, rows, parts)
            df[used] = np.inf
        else:
            variances[used] = se[back] ** 2
    if interval == "prediction" and fit.holds_scale and weights is None:
        raise OptionError(
            "interval='prediction' of a model that holds σ²: the variance of a new observation is not known; "
            "expected weights= of the new rows (1/v), or interval='confidence'"
        )
    if interval == "prediction":
        variances = variances + fit.scale / _weights(weights, m)
    se_all = np.sqrt(variances)
    reach = t_quantile(alpha, df) * se_all
    return pd.DataFrame(
        {"fit": values, "se": se_all, "lower": values - reach, "upper": values + reach}, index=index
    )


def _weights(given: Any, m: int) -> np.ndarray | float:
    if given is None:
        return 1.0
    weights = numbers(given, "weights", "a positive number for each new row")
    if weights.shape not in ((), (m,)) or not (np.isfinite(weights) & (weights > 0.0)).all():
        raise DataValueError(
            f"weights has shape {weights.shape}; expected {m} positive numbers, one for each new row"
        )
    return weights

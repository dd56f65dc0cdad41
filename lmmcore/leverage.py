"""The influence of single rows: leverages, effective degrees of freedom, derivative in the row weights.

For a row ``a = [z; x]`` of weight w and K, U, H of `lmmcore.likelihood.products`, its leverage is
``h = w a'(K + UH⁻¹U')a``. This is the derivative of its fitted value in its response, at fixed covariance
parameters (Demidenko and Stukel 2005, *Statistics in Medicine* 24, 893–909). The sum of the leverages is the
effective degrees of freedom of Vaida and Blanchard (2005, *Biometrika* 92, 351–370).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .crossproducts.crossed import CrossedProducts
from .fitting.fit import Fit, once
from .likelihood.products import ProductDerivative
from .refitting import reader_of

AT_ONCE = 1 << 13  # rows whose quadratic forms are formed together


@once
def effective_df(fit: Fit) -> float:
    """Effective degrees of freedom of fixed and random effects together: the sum of `hat_values`."""
    return _derivative(fit, 1.0).trace(fit.equations.crossproducts)


def hat_values(results: Any) -> Any:
    """Leverages (n,): how much each fitted value, random effects included, follows its own response.

    The covariance parameters are held at their estimates. Leverages are between 0 and 1, and their sum is
    `effective_df`.
    """
    model = results.model
    values = _forms(model, results.fit, 1.0)
    weights = model.design.weights
    values = values if weights is None else values * weights
    return results.fit.spec.series(values, model.design.row_labels)


def weight_derivative(results: Any) -> Any:
    """Derivative (n,) of −2 log-likelihood (REML: restricted) in the prior weight of each row.

    It is taken at the estimates, where the slope of the likelihood is zero, so their own change with the
    weight does not count. A row with a large negative derivative fits better than the model expects; one
    with a large positive derivative fits worse.
    """
    model, fit = results.model, results.fit
    weights = 1.0 if model.design.weights is None else model.design.weights
    resid = np.asarray(results.resid)
    values = _forms(model, fit, float(fit.reml)) + resid**2 / fit.scale - 1.0 / weights
    return fit.spec.series(values, model.design.row_labels)


def _derivative(fit: Fit, of_fixed: float) -> ProductDerivative:
    engine = fit.likelihood.engine
    return engine.product_derivative(fit.point.factors, fit.state, of_fixed, 0.0)


def _forms(model: Any, fit: Fit, of_fixed: float) -> np.ndarray:
    """Return a'Ωa (n,) for rows a = [z; x] without their weights."""
    derivative, cp = _derivative(fit, of_fixed), fit.equations.crossproducts
    reader, n = reader_of(model), fit.spec.nobs
    p = cp.total.shape[0] - 1
    out = np.empty(n)
    places = _places(cp) if isinstance(cp, CrossedProducts) else {}
    for start in range(0, n, AT_ONCE):
        rows = slice(start, min(n, start + AT_ONCE))
        x = reader.fixed_rows(rows.start, rows.stop)
        total = np.einsum("ij,ij->i", x @ derivative.total[:p, :p], x)
        parts = [part.rows(rows) for part in reader.parts]
        for (at, code, z), zz, zx in zip(parts, derivative.zz, derivative.zx):
            own = np.einsum("ia,iab,ib->i", z, zz[code], z)
            total[at] += own + 2.0 * np.einsum("ia,iaj,ij->i", z, zx[code][:, :, :p], x[at])
        for (f, g), (keys, order, n_right) in places.items():
            (_, left, zl), (_, right, zr) = parts[f], parts[g]
            place = order[np.searchsorted(keys, left.astype(np.int64) * n_right + right)]
            values = derivative.pairs[f, g][place]
            total += 2.0 * np.einsum("ia,iab,ib->i", zl, values, zr)
        out[rows] = total
    return out


def _places(cp: CrossedProducts) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]]:
    """Return for two factors the sorted numbers of the pairs of levels that meet, and their places."""
    out = {}
    for (f, g), pair in cp.pairs.items():
        n_right = cp.factors[g].s.shape[0]
        keys = pair.rows.astype(np.int64) * n_right + pair.cols
        order = np.argsort(keys, kind="stable")
        out[f, g] = keys[order], order, n_right
    return out

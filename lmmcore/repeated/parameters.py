"""Covariance parameters of a fit with a residual structure: estimates and standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..fitting.fit import Fit, once
from ..inference.second_order import second_order
from ..likelihood.users_columns import InUsersColumns
from .scales import scale_of
from .separable import Separable

STEP = 1e-5  # of differences, relative
Z = 1.959963984540054  # of intervals of level 0.95


@once
def covariance_parameters(fit: Fit) -> pd.DataFrame:
    """The parameters of the random effects and of the residuals, with standard errors.

    The columns are term, parameter, estimate (of the response's scale), std_err, lower and upper. "sigma" is
    the standard deviation of a residual, in a structure with several that of the first level or visit, or
    where the variance function is one. Standard errors come from the observed information of all covariance
    parameters together, by the delta method. The limits of level 0.95 are symmetric on the scale of
    logarithms (SDs, ranges), of Fisher's z (correlations) or of logits (nuggets). All are NaN on the
    boundary.
    """
    likelihood, residual, point = fit.likelihood, fit.residual, fit.point
    order = second_order(fit)
    move = order.log_scale @ order.jacobian
    both = np.vstack([np.eye(len(move)), move])
    cov = both @ order.cov_theta @ both.T
    cov[-1, -1] += likelihood.log_scale_variance
    whole = np.concatenate([point.theta, residual.u, [np.log(fit.scale)]])

    found = described(fit, whole)
    jacobian = np.zeros((len(found), len(whole)))
    for i in range(len(whole)):
        h = np.zeros(len(whole))
        h[i] = STEP * max(abs(whole[i]), 0.1)
        up, down = described(fit, whole + h), described(fit, whole - h)
        jacobian[:, i] = [(up[key] - down[key]) / (2.0 * h[i]) for key in found]
    variances = np.einsum("ij,jk,ik->i", jacobian, cov, jacobian)
    if fit.certificate.boundary or not fit.certificate.identified:
        variances = np.full(len(found), np.nan)
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.where(variances >= 0.0, variances, np.nan))
    rows: list[Any] = []
    for (term, name), value, own in zip(found, found.values(), se.tolist()):
        scale = scale_of(name)
        with np.errstate(all="ignore"):
            middle, reach = scale.to(value), Z * own * scale.slope(value)
            limits = float(scale.back(middle - reach)), float(scale.back(middle + reach))
        rows.append((term, name, value, own, *limits))
    return pd.DataFrame(
        rows, columns=["term", "parameter", "estimate", "std_err", "lower", "upper"]
    )


def described(fit: Fit, x: np.ndarray) -> dict[tuple[str, str], float]:
    """Return the covariance parameters by term and name at x = (θ, u, log σ²)."""
    likelihood, residual = fit.likelihood, fit.residual
    m_theta = likelihood.n_parameters
    sigma, out = float(np.exp(0.5 * x[-1])), dict[tuple[str, str], float]()
    for t, (term, structure, at) in enumerate(
        zip(likelihood.terms, likelihood.structures, likelihood.slices)
    ):
        own = x[:m_theta][at]
        if not isinstance(structure, InUsersColumns):
            root = structure.factor(own, term.k)
            own = structure.parameters(term.to_user(root @ root.T))
        names = list(fit.layout.terms[t].shown)
        for name, value in structure.describe(own, names, sigma).items():
            out[fit.layout.terms[t].title, name] = float(value)
    for name, value in residual.structure.describe(x[m_theta:-1]).items():
        out["residual", name] = float(value)
    if not fit.holds_scale:
        out["residual", "sigma"] = sigma
    return out


def residual_covariance(fit: Fit, group: Any = None) -> pd.DataFrame:
    """Return the covariance matrix σ²R of the residuals of one group.

    Parameters
    ----------
    group : label, optional
        By default the group with the most rows. A variance function makes it that of the rows of the group.

    Raises
    ------
    OptionError
        An unknown group.
    """
    structure, u = fit.residual.structure, fit.residual.u
    rows, pattern = _group(structure, group)
    matrix = fit.scale * structure.matrix(u, pattern)
    log_sd = structure.log_sd(u)
    if log_sd is not None:
        sd = np.exp(log_sd[rows])
        matrix = sd[:, None] * matrix * sd
    positions = structure.positions
    bound = None if structure.correlation is None else structure.correlation.bound
    if isinstance(bound, Separable):
        names: list[Any] = list(bound.labels(pattern.values))
    elif positions.levels is not None:
        names = [positions.levels[int(v)] for v in pattern.values[:, 0]]
    elif pattern.values.shape[1] == 1:
        names = pattern.values[:, 0].tolist()
    else:
        names = [tuple(v) for v in pattern.values.tolist()]
    index = pd.Index(names, tupleize_cols=False)
    return pd.DataFrame(matrix, index=index, columns=index)


def residual_correlation(fit: Fit, group: Any = None) -> pd.DataFrame:
    """Return the correlation matrix of the residuals of one group; see `residual_covariance`."""
    found = residual_covariance(fit, group)
    sd = np.sqrt(np.diag(found))
    return pd.DataFrame(found / np.outer(sd, sd), index=found.index, columns=found.columns)


def _group(structure: Any, group: Any) -> tuple[np.ndarray, Any]:
    positions = structure.positions
    if group is None:
        pattern = max(structure.patterns, key=lambda p: len(p.values))
        return pattern.rows[0], pattern
    labels = list(positions.group_labels)
    matches = [i for i, label in enumerate(labels) if label == group or str(label) == str(group)]
    if not matches:
        shown = ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")
        raise OptionError(f"group={group!r}; expected a group of the residual structure: {shown}")
    for pattern in structure.patterns:
        at = np.flatnonzero(positions.groups[pattern.rows[:, 0]] == matches[0])
        if len(at):
            return pattern.rows[at[0]], pattern
    raise OptionError(f"group={group!r} has no rows")

"""Cluster-robust covariance matrices of β̂, with Satterthwaite degrees of freedom.

With M = (X'V⁻¹X)⁻¹, residuals e_j = y_j − X_jβ̂ and clusters j that are independent of each other,

    cov(β̂) = M Σ_j X_j'V_j⁻¹ A_j e_j e_j' A_j' V_j⁻¹ X_j M.

CR0 has A = I; CR1 multiplies it by J/(J − 1) for J clusters, CR1S by J(n − 1)/((J − 1)(n − p)); CR3 has
A_j = (I − X_jMX_j'V_j⁻¹)⁻¹. CR2 has the A_j with which the matrix has no bias if the model's V is right:
A_j = D_j(D_j(V_j − X_jMX_j')D_j)⁻½D_j, D_j² = V_j (Bell and McCaffrey 2002, Survey Methodology 28, 169–181;
Pustejovsky and Tipton 2018, Journal of Business & Economic Statistics 36, 672–683). Degrees of freedom are
Satterthwaite's for one row, and those of the approximate Hotelling test (HTZ) of Tipton and Pustejovsky
(2015, Journal of Educational and Behavioral Statistics 40, 604–634) for several, with V as the working model.

All this happens in the column space of [Z_j X_j], in which V_j differs from the identity. Prior weights enter
by the roots of which rows are multiplied. With a residual structure R, V_j is formed as a whole; CR2 is that
of the rows as they are (A_j depends on the coordinates: it is another one for rows times R⁻½).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError, OptionError, suggest
from ..extension.inference import ReferenceDistribution
from ..linalg.matrices import semidefinite_cholesky
from .design_df import constant_inside

SMALL = 1e-9  # singular value or eigenvalue, relative, that counts as zero
KINDS = ("cr0", "cr1", "cr1s", "cr2", "cr3")


@dataclass(frozen=True, eq=False)
class OfClusters:
    """A robust covariance matrix of one fit, in sums over clusters.

    Attributes
    ----------
    title : str
    m : array (p, p)
        (X'V⁻¹X)⁻¹, V relative to σ².
    scores : array (J, p)
        X_j'V_j⁻¹A_je_j.
    spread : array (J, p, p)
        T'VT for T_j = A_j'V_j⁻¹X_j.
    shift : array (J, p, p)
        X_j'T_j.
    factor : float
        Multiplies the covariance matrix.
    """

    title: str
    m: np.ndarray
    scores: np.ndarray
    spread: np.ndarray
    shift: np.ndarray
    factor: float
    own_ddf: str = "satterthwaite"

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return the covariance matrix of Lβ̂, the degrees of freedom and the scale of F."""
        rows = L @ self.m
        moved = self.scores @ rows.T
        covariance = self.factor * moved.T @ moved
        q = int(np.linalg.matrix_rank(L))
        eta = self._degrees(
            rows if q == len(L) else np.linalg.svd(rows, full_matrices=False)[2][:q]
        )
        if q == 1:
            return ReferenceDistribution(covariance, eta)
        df = eta - q + 1.0
        if df <= 0.0:
            raise OptionError(
                f"{self.title} with {len(self.scores)} clusters leaves {df:.2f} degrees of freedom for {q} "
                "hypotheses; expected more clusters, or fewer hypotheses at a time"
            )
        return ReferenceDistribution(covariance, df, df / eta)

    def _degrees(self, rows: np.ndarray) -> float:
        """Return η: twice the squared mean over the variance of the quadratic forms."""
        root = np.linalg.cholesky(self.m)
        d = np.einsum("sa,jab,tb->jst", rows, self.spread, rows)
        c = np.einsum("jab,sb->jsa", self.shift, rows) @ root  # (J, q, p)
        inner = np.einsum("jsa,jta->jst", c, c)
        mean = np.sum(d - inner, axis=0)
        values, vectors = np.linalg.eigh(mean)
        if values[0] <= SMALL * values[-1]:
            raise OptionError(
                f"{self.title} has no degrees of freedom for this hypothesis: too few clusters inform it; "
                "expected more clusters"
            )
        to_unit = vectors / np.sqrt(values)
        d = np.einsum("sa,jst,tb->jab", to_unit, d, to_unit)
        c = np.einsum("sa,jsp->jap", to_unit, c)
        inner = np.einsum("jsa,jta->jst", c, c)
        cross = np.einsum("jsa,jtb->stab", c, c)  # Σ_j c_sj c_tj'
        q, total = len(values), 0.0
        for s in range(q):
            for t in range(q):
                k = cross[s, t]
                total += float(
                    d[:, s, s] @ d[:, t, t] - d[:, s, s] @ inner[:, t, t] - d[:, t, t] @ inner[:, s, s]
                    + np.sum(k**2) + d[:, s, t] @ d[:, s, t] - 2.0 * d[:, s, t] @ inner[:, s, t]
                    + np.sum(k * k.T)
                )  # fmt: skip
        return q * (q + 1.0) / total


@dataclass(frozen=True)
class ClusterRobust:
    """A cluster-robust covariance matrix of the fixed effects.

    Parameters
    ----------
    kind : {"cr0", "cr1", "cr1s", "cr2", "cr3"}
    cluster : str or array_like (n,), optional
        A column of the data, or the cluster of each row used. By default, the levels of the grouping
        factor in which all others are nested.
    """

    kind: str = "cr2"
    cluster: Any = None
    own_ddf: str = "satterthwaite"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(
                f"kind={self.kind!r}{suggest(str(self.kind), KINDS)}; expected one of {', '.join(KINDS)}"
            )

    @property
    def title(self) -> str:
        """What tables print."""
        return self.kind.upper()

    def bind(self, model: Any, fit: Any) -> OfClusters:
        """Read the rows of a model once, and return the sums over clusters.

        Raises
        ------
        OptionError
            Random effects are not nested in the clusters; an unknown column; fewer than two clusters.
        """
        codes, _, _ = clusters_of(model, fit, self.cluster, self.title)
        j, n, p = int(codes.max()) + 1, len(codes), fit.spec.k_fe
        if j < 2:
            raise OptionError(f"{self.title} with {j} cluster; expected two or more")
        factor = {"cr1": j / (j - 1.0), "cr1s": j * (n - 1.0) / ((j - 1.0) * (n - p))}.get(
            self.kind, 1.0
        )
        m = fit.cov_beta / fit.scale
        scores, spread, shift = np.empty((j, p)), np.empty((j, p, p)), np.empty((j, p, p))
        for at, x, z, e, r in rows_of_clusters(model, fit, codes):
            parts = _reduced(x, z, e) if r is None else (x, r + z @ z.T, e)
            scores[at], spread[at], shift[at] = _cluster(self.kind, m, *parts)
        return OfClusters(self.title, m, scores, spread, shift, factor)


def _reduced(
    x: np.ndarray, z: np.ndarray, e: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X, V = I + zz' and e in the column space of [z X]."""
    whole = np.hstack([z, x])
    size = np.linalg.norm(whole, axis=0)
    u, values, _ = np.linalg.svd(whole / np.where(size > 0.0, size, 1.0), full_matrices=False)
    basis = u[:, values > SMALL * values.max(initial=0.0)]
    x, z, e = basis.T @ x, basis.T @ z, basis.T @ e
    return x, np.eye(len(x)) + z @ z.T, e


def _cluster(
    kind: str, m: np.ndarray, x: np.ndarray, v: np.ndarray, e: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X'V⁻¹Ae (p,), T'VT (p, p) and X'T (p, p) of one cluster."""
    vx = np.linalg.solve(v, x)  # V⁻¹X
    if kind == "cr2":
        values, vectors = np.linalg.eigh(v)
        d = (vectors * np.sqrt(values)) @ vectors.T
        values, vectors = np.linalg.eigh(d @ (v - x @ m @ x.T) @ d)
        kept = values > SMALL * values[-1]
        a = d @ ((vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T) @ d
        t = a.T @ vx
    elif kind == "cr3":
        rest = np.eye(len(x)) - x @ m @ vx.T
        t = np.linalg.pinv(rest, rcond=SMALL).T @ vx
    else:
        t = vx
    return t.T @ e, t.T @ v @ t, x.T @ t


def clusters_of(model: Any, fit: Any, given: Any, what: str) -> tuple[np.ndarray, str, list[Any]]:
    """Return the cluster of each row (n,), what clusters are called, and their labels.

    Raises
    ------
    OptionError
        Random effects, or residuals that are correlated, are not nested in the clusters.
    """
    design = model.design
    groupings = sorted(design.groupings, key=lambda grouping: grouping.n_levels)
    if given is None:
        codes, name = groupings[0].codes, groupings[0].name
        labels = list(groupings[0].factor.keys)
    else:
        values, name = _labels(design, given)
        if pd.isna(values).any():
            raise DataValueError(
                f"cluster {name!r} is missing in some rows; expected a label in each row"
            )
        codes, unique = pd.factorize(values)
        own = [g for g in groupings if g.name == given] if isinstance(given, str) else []
        labels = [own[0].factor.keys[i] for i in unique] if own else list(unique)
    for grouping in groupings:
        if not constant_inside(codes.astype(float), grouping.codes):
            raise OptionError(
                f"the random effects of {grouping.name} are not nested in the clusters {name}: a level "
                "occurs in several clusters, which are then not independent. Choose larger clusters with "
                "cluster_robust(kind, cluster=...)"
            )
    if fit.residual is not None:
        structure = fit.residual.structure
        if not constant_inside(codes.astype(float), structure.positions.groups):
            raise OptionError(
                f"{what}: the groups of {structure.title} are not nested in the clusters {name}; expected "
                "larger clusters"
            )
    return np.asarray(codes, dtype=np.intp), name, labels


def _labels(design: Any, given: Any) -> tuple[np.ndarray, str]:
    if isinstance(given, str):
        own = [g for g in design.groupings if g.name == given]
        if own:
            return np.asarray(own[0].codes), given
        table = design.table
        if table is None or given not in table:
            known = [] if table is None else [str(c) for c in table.columns]
            raise OptionError(
                f"cluster={given!r} is no column of the data{suggest(given, known)}; expected one of "
                f"{', '.join(known) or 'none: give an array'}"
            )
        column = table[given] if design.in_table is None else table[given].iloc[design.in_table]
        return column.to_numpy(), given
    labels = np.asarray(given)
    if labels.shape != (design.n_rows,):
        raise DataValueError(
            f"cluster has shape {labels.shape}; expected a label for each of the {design.n_rows} rows used"
        )
    return labels, "cluster"


def rows_of_clusters(model: Any, fit: Any, codes: np.ndarray) -> Any:
    """Yield number, X_j, Z_jΛ, e_j and R_j of each cluster.

    Rows come times the roots of their weights and R_j is None, or with a residual structure as they are.
    """
    design, layout = model.design, fit.layout
    x = np.asarray(model.exog, dtype=float)
    e = np.asarray(model.endog, dtype=float) - x @ fit.beta
    if design.offset is not None:
        e = e - design.offset
    root_weights = np.ones(len(e)) if design.weights is None else np.sqrt(design.weights)
    x, e = x * root_weights[:, None], e * root_weights
    parts = []
    for f, grouping in enumerate(design.groupings):
        at = layout.columns_of_factor(f)
        if at:
            root = semidefinite_cholesky(fit.params_object.cov_re[np.ix_(at, at)])
            z = np.asarray(model.exog_re, dtype=float)[:, at] @ root * root_weights[:, None]
            parts.append((grouping.codes, z))
    components, sds = design.components, np.sqrt(fit.params_object.vcomp)
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1, append=codes.max() + 1))
    for j, (start, stop) in enumerate(pairwise(bounds)):
        rows = order[start:stop]
        blocks = [_block(levels[rows], z[rows]) for levels, z in parts]
        if components is not None:
            blocks.append(_components(components, sds, design.grouping.codes, rows, root_weights))
        z = np.hstack(blocks) if blocks else np.zeros((len(rows), 0))
        if fit.residual is None:
            yield j, x[rows], z, e[rows], None
            continue
        back = 1.0 / root_weights[rows]
        r = back[:, None] * fit.residual.covariance_of(rows) * back
        yield j, x[rows] * back[:, None], z * back[:, None], e[rows] * back, r


def _block(levels: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the columns of Z of some rows, for each level that occurs."""
    own, at = np.unique(levels, return_inverse=True)
    n, k = z.shape
    out = np.zeros((n, len(own), k))
    out[np.arange(n), at] = z
    return out.reshape(n, -1)


def _components(
    components: Any, sds: np.ndarray, groups: np.ndarray, rows: np.ndarray, root_weights: np.ndarray
) -> np.ndarray:
    entries: dict[tuple[int, int], int] = {}
    found = []
    for i, row in enumerate(rows.tolist()):
        for at in range(components.indptr[row], components.indptr[row + 1]):
            column = int(components.columns[at])
            sd = sds[components.labels[column][0]]
            place = entries.setdefault((int(groups[row]), column), len(entries))
            found.append((i, place, sd * components.values[at] * root_weights[row]))
    out = np.zeros((len(rows), len(entries)))
    for i, place, value in found:
        out[i, place] += value
    return out


def cluster_robust(kind: str = "cr2", cluster: Any = None) -> ClusterRobust:
    """Return a cluster-robust covariance matrix for ``vcov=``, with clusters of your choice.

    Parameters
    ----------
    kind : {"cr0", "cr1", "cr1s", "cr2", "cr3"}
    cluster : str or array_like (n,), optional
        A column of the data, or the cluster of each row used. The random effects must be nested in the
        clusters. By default, the outermost grouping factor.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_machines()
    >>> fit = lmmcore.mixedlm("score ~ Machine + (1 | Worker)", data).fit()
    >>> test = fit.t_test("Machine[T.B] = 0", vcov=lmmcore.cluster_robust("cr2", "Worker"))
    >>> round(test.df_denom, 6)
    5.0
    """
    return replace(ClusterRobust(str(kind).lower()), cluster=cluster)


CR0, CR1, CR1S, CR2, CR3 = map(ClusterRobust, KINDS)

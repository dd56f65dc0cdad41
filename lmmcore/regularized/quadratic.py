"""The quadratic of −2 log-likelihood in β at given variances, from an engine or from the rows.

Any engine can be used, since only its root of [X y]'V⁻¹[X y] is needed. If the cross-products of all columns
do not exist (at least as many columns as rows) or are too large, the rows are whitened, V^{-1/2}[X y], with
V = I + AA' with A = ZΛ sparse: V^{-1/2} = I − A Q A', Q = E diag(1/(r (r + 1))) E' for the
eigenvalues r² − 1 of A'A, block by block of groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from ..design.columns import stack
from ..design.design import Design
from ..likelihood.coordinates import Coordinates
from ..likelihood.state import State
from ..linalg.matrices import semidefinite_cholesky
from ..penalties.quadratic import Whitened


def rows_of_engine(coordinates: Coordinates, state: State, scale: float) -> Whitened:
    """Return the quadratic of (y − Xβ)'V⁻¹(y − Xβ)/σ² as p rows.

    Parameters
    ----------
    state : State
        Of the model's engine, for V relative to σ².
    scale : float
        σ².
    """
    p = len(coordinates.shift)
    root = np.tril(state.root)
    to_raw = np.linalg.inv(coordinates.matrix)  # coordinates in the basis = to_raw (β + shift)
    size = coordinates.y_scale * np.sqrt(scale)
    x = root[:p, :p].T @ to_raw / size
    return Whitened(np.asfortranarray(x), x @ coordinates.beta(state), state.r2 / size**2)


def whitened_rows(
    design: Design,
    columns: Sequence[int],
    covariances: Sequence[np.ndarray],
    scale: float,
    rows: np.ndarray | None = None,
) -> Whitened:
    """Return the quadratic of (y − Xβ)'V⁻¹(y − Xβ)/σ² as whitened rows of the data.

    Parameters
    ----------
    columns : sequence of int
        Columns of X.
    covariances : sequence of arrays
        G_t of each term and component, relative to σ².
    scale : float
        σ².
    rows : bool array (n,), optional
        Whole groups to take.
    """
    if rows is None:
        index = np.arange(design.n_rows)
        data = stack([*(design.fixed[j] for j in columns), design.endog], len(index))
    else:
        index = np.flatnonzero(rows)
        data = np.empty((len(index), len(columns) + 1), order="F")
        for i, j in enumerate(columns):
            column = design.fixed[j]
            data[:, i] = 1.0 if column is None else column[index]
        data[:, -1] = design.endog[index]
    if design.weights is not None:
        data *= np.sqrt(design.weights[index])[:, None]
    a = random_root(design, covariances, index)
    data -= a @ (_half(a) @ (a.T @ data))
    data /= np.sqrt(scale)
    return Whitened(np.asfortranarray(data[:, :-1]), np.ascontiguousarray(data[:, -1]))


def random_root(
    design: Design, covariances: Sequence[np.ndarray], rows: np.ndarray
) -> sparse.csr_matrix:
    """Return A = W^{1/2} Z Λ (rows, effects), V = I + AA', in the order of the groups' effects."""
    n = len(rows)
    weight = np.ones(n) if design.weights is None else np.sqrt(design.weights[rows])
    parts = []
    at = 0
    for t, term in enumerate(design.terms):
        k = len(term.names)
        codes = design.groupings[term.factor].codes[rows].astype(np.int64)
        z = stack([None if c is None else c[rows] for c in design.random[at : at + k]], n)
        at += k
        values = (z @ semidefinite_cholesky(covariances[t])) * weight[:, None]
        where = codes[:, None] * k + np.arange(k)
        parts.append((np.repeat(np.arange(n), k), where.ravel(), values.ravel()))
    if design.components is not None:
        own = design.components.take(rows)
        codes = design.grouping.codes[rows].astype(np.int64)
        row = np.repeat(np.arange(n), np.diff(own.indptr))
        which = np.array([c for c, _ in own.labels], dtype=np.int64)[own.columns]
        sd = np.sqrt([float(g[0, 0]) for g in covariances[len(design.terms) :]])
        pair = codes[row] * len(own.labels) + own.columns
        parts.append((row, pair, own.values * sd[which] * weight[row]))
    blocks = []
    for row, column, value in parts:
        used, column = np.unique(column, return_inverse=True)
        blocks.append(sparse.csr_matrix((value, (row, column)), shape=(n, len(used))))
    return sparse.hstack(blocks, format="csr") if len(blocks) > 1 else blocks[0]


def _half(a: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return Q with (I + AA')^{-1/2} = I − A Q A'."""
    gram = (a.T @ a).tocoo()
    q = gram.shape[0]
    n_blocks, label = sparse.csgraph.connected_components(gram, directed=False)
    sizes = np.bincount(label, minlength=n_blocks)
    order = np.argsort(label, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)])
    place = np.empty(q, dtype=np.intp)
    place[order] = np.arange(q) - first[label[order]]
    rows, cols, values = [], [], []
    for size in np.unique(sizes):
        chosen = np.flatnonzero(sizes == size)
        number = np.full(n_blocks, -1)
        number[chosen] = np.arange(len(chosen))
        mine = number[label[gram.row]] >= 0
        dense = np.zeros((len(chosen), size, size))
        r, c = gram.row[mine], gram.col[mine]
        dense[number[label[r]], place[r], place[c]] = gram.data[mine]
        value, vector = np.linalg.eigh(dense)
        root = np.sqrt(1.0 + np.maximum(value, 0.0))
        half = (vector / (root * (root + 1.0))[:, None, :]) @ vector.swapaxes(1, 2)
        members = order[first[chosen][:, None] + np.arange(size)]
        rows.append(np.repeat(members, size, axis=1).ravel())
        cols.append(np.tile(members, (1, size)).ravel())
        values.append(half.ravel())
    triple = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return sparse.csr_matrix(triple, shape=(q, q))

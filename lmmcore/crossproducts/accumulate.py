"""From a design to its cross-products: two passes over the rows, block by block.

The first pass gives the cross-products of the shifted columns of X and y, from which the basis is
chosen; the second forms everything in that basis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..design.columns import Column
from ..design.design import Design
from ..design.groups import Grouping
from ..errors import DataValueError, NotFiniteError
from ..linalg.matrices import all_finite, symmetric
from ..parallel import map_chunks
from . import _rows
from .basis import Basis, fit_basis
from .crossproducts import CrossProducts, GroupBlock, batch_groups

CHUNK = 1 << 16  # rows
SAMPLE = 256  # rows read for a first guess of location


def cross_products(design: Design) -> CrossProducts:
    """Return the cross-products of a design.

    Raises
    ------
    DataValueError
        NaN or infinity in a column, weights that are not positive.
    """
    n = design.n_rows
    log_weights, weights, raw, shift, basis, matrix = first_pass(design)
    codes = design.grouping.codes
    counts = np.bincount(codes, minlength=design.grouping.n_levels)
    term_columns = tuple(t.names for t in design.terms)
    z_map: np.ndarray | None = None
    blocks: tuple[GroupBlock, ...]
    if not design.random and design.components is None:  # no random effects
        q, c = design.grouping.n_levels, len(shift)
        total = _total(raw, shift, matrix, weights, n)
        blocks = (GroupBlock((), np.arange(q), np.zeros((q, 0, 0)), np.zeros((q, 0, c)), counts),)
    elif design.components is None:
        z = _rows.Columns(design.random, n)
        z_shift, z_map = center(z, design.random[0] is None)
        total, s, w = grouped(n, raw, shift, matrix, weights, z, z_shift, design.grouping)
        blocks = (
            GroupBlock(
                tuple(len(c) for c in term_columns),
                np.arange(design.grouping.n_levels),
                s,
                w,
                counts,
            ),
        )
    else:
        total, blocks = _ragged(design, raw, shift, matrix, weights, counts)
        term_columns += tuple((name,) for name in design.components.names)
    if not all(all_finite(b.s) for b in blocks):
        raise non_finite(design)
    return CrossProducts(
        n, log_weights, design.fixed_names, term_columns, design.grouping.labels, basis, total,
        blocks, z_map,
    )  # fmt: skip


def first_pass(design: Design) -> tuple[float, Any, Any, np.ndarray, Basis, np.ndarray]:
    """First pass over the rows: Σ log w, weights, columns, shift, basis, matrix of shifted rows."""
    n, p = design.n_rows, len(design.fixed)
    log_weights = 0.0 if design.weights is None else _check_weights(design.weights)
    weights = None if design.weights is None else _rows.Columns((design.weights,), n)
    order, constant = _constant_first(design.fixed)
    raw, shift, basis, matrix = _choose_basis(design, order, constant, weights)
    if basis.dependent and order[0] != 0:
        # Of dependent columns the later ones go: choose again in the order that was given.
        raw, shift, basis, matrix = _choose_basis(design, np.arange(p), None, weights)
    return log_weights, weights, raw, shift, basis, matrix


def _choose_basis(
    design: Design, order: np.ndarray, constant: float | None, weights: Any
) -> tuple[Any, np.ndarray, Basis, np.ndarray]:
    """Return columns, shift, basis and the matrix for shifted rows."""
    n, p = design.n_rows, len(order)
    ordered = tuple(design.fixed[j] for j in order)
    raw = _rows.Columns((*ordered, design.endog), n)
    shift = np.zeros(p + 1)
    if constant is not None:
        shift[1:] = raw.typical(max(1, n // SAMPLE))[1:]
    gram = _total(raw, shift, None, weights, n)
    if not all_finite(gram):
        raise non_finite(design)

    def shifted_rows() -> np.ndarray:
        x = np.empty((n, p), order="F")
        for j, column in enumerate(ordered):
            x[:, j] = 1.0 if column is None else column
            x[:, j] -= shift[j]
        return x if design.weights is None else x * np.sqrt(design.weights)[:, None]

    return raw, shift, *fit_basis(gram, shift, order, constant, n, shifted_rows)


def _total(
    raw: Any, shift: np.ndarray, matrix: np.ndarray | None, weights: Any, n: int
) -> np.ndarray:
    c = len(shift)

    def work(i: int) -> np.ndarray:
        out = np.zeros((c, c))
        _rows.accumulate(raw, shift, matrix, weights, i * CHUNK, min(n, (i + 1) * CHUNK), out)
        return out

    parts = map_chunks(work, max(1, -(-n // CHUNK)))
    lower = parts[0] if len(parts) == 1 else np.sum(parts, axis=0)
    return symmetric(lower)


def grouped(
    n: int, raw: Any, shift: np.ndarray, matrix: np.ndarray, weights: Any, z: Any,
    z_shift: np.ndarray, grouping: Grouping,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Second pass over the rows for groups that have the same columns: total, Z_g'Z_g, Z_g'[X y]."""
    c, k, q = len(shift), z.n_columns, grouping.n_levels
    codes, in_order = grouping.codes, grouping.in_order
    bounds = _chunk_bounds(n, codes, in_order)
    shared = in_order or len(bounds) == 2 or q * k * (c + k) * (len(bounds) - 1) > 4 * n * c

    # In sorted data a group lies in one chunk. Else each chunk has sums of its own, unless these
    # would outgrow the data: then one thread goes through all rows.
    if shared and not in_order:
        bounds = [0, n]
    s, w = np.zeros((q, k, k)), np.zeros((q, k, c))

    def work(i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        total = np.zeros((c, c))
        mine = (s, w) if shared else (np.zeros((q, k, k)), np.zeros((q, k, c)))
        _rows.accumulate(
            raw, shift, matrix, weights, bounds[i], bounds[i + 1], total, z, z_shift, codes, *mine
        )
        return total, *mine

    parts = map_chunks(work, len(bounds) - 1)
    total = parts[0][0]
    for part in parts[1:]:
        total = total + part[0]
    if not shared:
        for part in parts:
            s += part[1]
            w += part[2]
    return total, s, w


def _chunk_bounds(n: int, codes: np.ndarray, in_order: bool) -> list[int]:
    bounds = [0]
    while bounds[-1] < n:
        end = min(n, bounds[-1] + CHUNK)
        if in_order and end < n:
            end = int(np.searchsorted(codes, codes[end], side="left"))
            if end <= bounds[-1]:  # one group fills the chunk: take all of it
                end = int(np.searchsorted(codes, codes[bounds[-1]], side="right"))
        bounds.append(end)
    return bounds


def _ragged(
    design: Design, raw: Any, shift: np.ndarray, matrix: np.ndarray, weights: Any,
    counts: np.ndarray,
) -> tuple[np.ndarray, tuple[GroupBlock, ...]]:  # fmt: skip
    """Second pass over the rows for groups that have columns of their own."""
    components = design.components
    assert components is not None
    n, c, q = design.n_rows, len(shift), design.grouping.n_levels
    k = len(design.random)
    codes = design.grouping.codes
    n_terms = len(design.terms)
    # Number the columns that occur in each group, in the order of components and labels.
    lengths = np.diff(components.indptr)
    group_of = np.repeat(codes.astype(np.int64), lengths)
    by_term = sorted(range(len(components.labels)), key=lambda j: (components.labels[j][0], j))
    rank = np.empty(len(by_term), dtype=np.int64)
    rank[by_term] = np.arange(len(by_term))
    pair = group_of * len(by_term) + rank[components.columns]
    pairs, inverse = np.unique(pair, return_inverse=True)
    owner = pairs // len(by_term)
    own = np.bincount(owner, minlength=q)
    first = np.concatenate([[0], np.cumsum(own)])
    local = inverse - first[group_of] + k
    width = (own + k).astype(np.int32)
    # Entries of each row: the shared columns, then the group's own.
    indptr = np.concatenate([[0], np.cumsum(lengths + k)]).astype(np.int64)
    cols = np.empty(indptr[-1], dtype=np.int32)
    vals = np.empty(indptr[-1])
    at = np.repeat(indptr[:-1] + k - components.indptr[:-1], lengths)
    at = at + np.arange(components.indptr[-1])
    cols[at], vals[at] = local, components.values
    for j, column in enumerate(design.random):
        cols[indptr[:-1] + j] = j
        vals[indptr[:-1] + j] = 1.0 if column is None else column
    s_at = np.concatenate([[0], np.cumsum(width.astype(np.int64) ** 2)])
    w_at = np.concatenate([[0], np.cumsum(width.astype(np.int64) * c)])
    s_flat, w_flat = np.zeros(max(1, s_at[-1])), np.zeros(max(1, w_at[-1]))
    total = np.zeros((c, c))
    if len(cols) == 0:
        cols, vals = np.zeros(1, dtype=np.int32), np.zeros(1)
    _rows.accumulate(
        raw, shift, matrix, weights, 0, n, total, codes=codes,
        ragged=(indptr, cols, vals, width, s_at, w_at, s_flat, w_flat),
    )  # fmt: skip
    shared_labels = [(t, i) for t, term in enumerate(design.terms) for i in range(len(term.names))]
    labels = [components.labels[by_term[j]] for j in (pairs % len(by_term))]
    groups = []
    for g in range(q):
        m = int(width[g])
        mine = [(n_terms + t, label) for t, label in labels[first[g] : first[g + 1]]]
        groups.append(
            (
                g,
                (*shared_labels, *mine),
                s_flat[s_at[g] : s_at[g + 1]].reshape(m, m),
                w_flat[w_at[g] : w_at[g + 1]].reshape(m, c),
                int(counts[g]),
            )
        )
    return total, batch_groups(groups, n_terms + len(components.names))


def _constant_first(columns: tuple[Column, ...]) -> tuple[np.ndarray, float | None]:
    """Return the order with a constant column first, and its value (None: there is none)."""
    order = np.arange(len(columns))
    for j, column in enumerate(columns):
        if column is None:
            value = 1.0
        elif column[0] != 0 and column[0] == column[-1] and bool(np.all(column == column[0])):
            value = float(column[0])
        else:
            continue
        order[: j + 1] = [j, *range(j)]
        return order, value
    return order, None


def center(z: _rows.Columns, with_constant: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift of the columns of Z and the matrix that undoes it.

    Columns are shifted when the first one is constant one, so that the shift is a linear map.
    """
    k = z.n_columns
    if not with_constant:
        return np.zeros(k), np.eye(k)
    shift, undo = z.typical(max(1, z.n_rows // SAMPLE)), np.eye(k)
    undo[0, 1:] = shift[1:]
    return shift, undo


def _check_weights(weights: np.ndarray) -> float:
    """Return Σ log w after checking that all weights are positive numbers."""
    bad = ~(weights > 0) | ~np.isfinite(weights)
    if bad.any():
        row = int(np.argmax(bad))
        raise NotFiniteError(
            f"weights has {weights[row]} in row {row} ({int(bad.sum())} such rows); expected positive "
            "finite numbers, as the residual variance is sigma^2 / weight. Leave out rows with weight 0"
        )
    return float(np.sum(np.log(weights)))


def non_finite(design: Design) -> DataValueError:
    """Name the column and the row of the first value that is not finite."""
    names = [x for t in design.terms for x in t.names]
    columns = [
        (f"endog {design.endog_name!r}", design.endog),
        *((f"exog column {x!r}", c) for x, c in zip(design.fixed_names, design.fixed)),
        *((f"exog_re column {x!r}", c) for x, c in zip(names, design.random)),
    ]
    if design.components is not None:
        columns.append(("exog_vc", design.components.values))
    for what, column in columns:
        if column is None or column.dtype.kind != "f":
            continue
        bad = ~np.isfinite(column)
        if bad.any():
            row = int(np.argmax(bad))
            kind, advice = "infinity", "Correct the data"
            if np.isnan(column[row]):
                kind = "NaN"
                advice = (
                    "Use missing='drop' to leave out rows with missing values, or correct the data"
                )
            return NotFiniteError(
                f"{what} has {kind} in row {row} ({int(bad.sum())} of {len(column)} values are not "
                f"finite); expected finite numbers. {advice}"
            )
    return DataValueError(
        "the squares of the values are too large for floating point; rescale the columns of the data"
    )

"""Groups with the same Z_g'Z_g are one class, and a class needs few members.

The likelihood depends on a group's data through ``vec(Q_g'[X y])`` only by the sum over the class
of its outer products. So a class of many groups is replaced by as few pseudo-groups as that sum
has dimensions; the first of them carries the number of groups.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.linalg.lapack import dpstrf

SMALL = 512  # fewer groups cost less than looking for classes
_ODD = np.uint64(0x9E3779B97F4A7C15)


def compress(
    s: np.ndarray, r: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace large classes by pseudo-groups.

    Parameters
    ----------
    s : array (G, k, k)
        Lower triangles of Z_g'Z_g: groups of one class are equal to the last bit.
    r : array (G, k, k)
    w : array (G, k, c)

    Returns
    -------
    r, w and multiplicity (G',) of groups and pseudo-groups.
    """
    g, k, c = w.shape
    size = k * c
    ones = np.ones(g)
    if g <= max(size, SMALL):
        return r, w, ones
    code = _class_codes(s)
    counts = np.bincount(code)
    if counts.max() <= size:
        return r, w, ones
    large = counts > size
    single = ~large[code]
    order = np.argsort(code, kind="stable")
    starts = np.cumsum(counts) - counts
    new_r, new_w, new_m = [r[single]], [w[single]], [ones[single]]
    for class_ in np.flatnonzero(large):
        members = order[starts[class_] : starts[class_] + counts[class_]]
        equal = (s[members] == s[members[0]]).all(axis=(1, 2))
        if not equal.all():  # equal hashes of unequal groups
            rest, members = members[~equal], members[equal]
            new_r.append(r[rest])
            new_w.append(w[rest])
            new_m.append(ones[rest])
        triangle = _few_rows(w[members].reshape(len(members), size))
        new_w.append(triangle.reshape(-1, k, c))
        new_r.append(np.broadcast_to(r[members[0]], (len(triangle), k, k)))
        multiplicity = np.zeros(len(triangle))
        multiplicity[0] = len(members)
        new_m.append(multiplicity)
    return np.concatenate(new_r), np.concatenate(new_w), np.concatenate(new_m)


def _few_rows(rows: np.ndarray) -> np.ndarray:
    """Return at most as many rows as there are columns, with the same cross-products.

    The likelihood sums these very products, so that forming them first loses nothing.
    """
    gram = rows.T @ rows
    scale = np.sqrt(gram.diagonal())
    scale[scale == 0.0] = 1.0
    root, pivots, rank, _ = dpstrf(gram / (scale[:, None] * scale))
    out = np.zeros((max(1, rank), len(gram)))
    out[:rank, pivots - 1] = np.triu(root)[:rank]
    return out * scale


def _class_codes(s: np.ndarray) -> np.ndarray:
    """Return a number per group, equal where all bits of s are."""
    g, k, _ = s.shape
    rows, cols = np.tril_indices(k)
    if g > 4096:  # all different in a sample: no class can be large enough to matter
        sample = s[:: g // 1024, rows[-1], cols[-1]]
        if len(np.unique(sample)) > 0.95 * len(sample):
            return np.arange(g)
    # Adding 0.0 makes -0.0 and 0.0 the same bits.
    bits = (s[:, rows, cols] + 0.0).view(np.uint64)
    key = np.zeros(g, dtype=np.uint64)
    for j in range(bits.shape[1]):
        key = (key ^ bits[:, j]) * _ODD
        key ^= key >> np.uint64(29)
    return pd.factorize(key)[0]

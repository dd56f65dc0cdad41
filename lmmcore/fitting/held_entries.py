"""Entries of a covariance matrix held fixed, stated as entries of a Cholesky factor.

A factor L holds an entry ``G_ab = Σ_c L_ac L_bc`` where every product is a constant. In some orders of the
columns that is so when the same entries of L are held, in others not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from ..errors import OptionError
from ..linalg.matrices import lower_indices, semidefinite_cholesky

SEARCHED = 7  # columns up to which all orders are tried


def order_that_holds(free: np.ndarray, g: np.ndarray) -> tuple[int, ...]:
    """Return an order of the columns in which holding entries of L holds those of G.

    Parameters
    ----------
    free : bool array (k, k)
        Which entries of G are estimated; symmetric.
    g : array (k, k)
        Values of the others.

    Raises
    ------
    OptionError
        There is none.
    """
    k = len(g)
    for order in _orders(free):
        where = np.ix_(order, order)
        if _holds(free[where], semidefinite_cholesky(g[where])):
            return order
    rows, cols = lower_indices(k)
    held = [(int(i), int(j)) for i, j in zip(rows, cols) if not free[i, j]]
    raise OptionError(
        f"free holds the entries {held} of cov_re, which no order of the {k} columns can hold in a Cholesky "
        "factor; expected a pattern such as independent blocks, or one variance held. Use "
        "use_sqrt=True to hold entries of the factor, or variance components for independent parts"
    )


def _orders(free: np.ndarray) -> Iterator[tuple[int, ...]]:
    k = len(free)
    yield tuple(range(k))
    # Those with most held entries first.
    yield tuple(np.argsort(free.sum(axis=1), kind="stable").tolist())
    if k <= SEARCHED:
        yield from permutations(range(k))


def _holds(free: np.ndarray, factor: np.ndarray) -> bool:
    """Whether every held entry of G is a constant when the same entries of L are held."""
    moves = np.tril(free)
    zero = ~moves & (factor == 0.0)
    for a, b in zip(*lower_indices(len(free))):
        if free[a, b]:
            continue
        terms = slice(0, b + 1)
        moving = moves[a, terms] | moves[b, terms]
        if (moving & ~(zero[a, terms] | zero[b, terms])).any():
            return False
    return True

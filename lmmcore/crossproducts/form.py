"""From a design to cross-products of the kind that its grouping factors ask for."""

from __future__ import annotations

from ..design.design import Design
from ..design.factors import crossed_factors
from ..errors import DesignError, counted
from .accumulate import cross_products
from .crossed import CrossedProducts, crossed_products, refuse_equal_factors
from .crossproducts import CrossProducts

MANY = 2000  # fixed effects above which cross-products wait until an ordinary fit needs them


def formed_at_once(design: Design) -> bool:
    """Return whether a model forms its cross-products when it is built."""
    return design.n_rows > len(design.fixed) and len(design.fixed) <= MANY


def form_products(design: Design) -> CrossProducts | CrossedProducts:
    """Return the cross-products of all columns."""
    factors = crossed_factors(design)
    if factors is None:
        return cross_products(design)
    found = crossed_products(design, factors)
    refuse_equal_factors(found, factors)
    return found


def form_many(design: Design) -> CrossProducts | CrossedProducts:
    """Return the cross-products of a design of many columns, none of which may be dropped.

    Raises
    ------
    DesignError
        There are no fewer columns than rows, or some that others determine.
    """
    n, p = design.n_rows, len(design.fixed)
    if n <= p:
        raise DesignError(
            f"{counted(n, 'row')} cannot determine {counted(p, 'fixed effect')} and a residual "
            "variance; expected more rows than columns of exog. Remove columns or add rows, or "
            "penalize them: fit_regularized(..., variances='joint')"
        )
    cp = form_products(design)
    if cp.basis.dependent:
        names = [design.fixed_names[cp.basis.order[j]] for j in cp.basis.dependent]
        raise DesignError(
            f"{', '.join(map(repr, names[:10]))} are determined by other columns. With {p} columns, "
            "lmmcore does not drop them; remove them"
        )
    return cp

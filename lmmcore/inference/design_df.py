"""Degrees of freedom that follow from the design: where in the nested groups a regressor varies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..extension.inference import ReferenceDistribution
from .terms import columns_of_terms
from .unidentified import cov_fe_of
from .wald import product

SAME = (
    1e-10  # range inside a group, relative to that of all rows, of a column that is constant there
)


@dataclass(frozen=True, eq=False)
class OfColumns:
    """One number for each fixed effect; combinations have the smallest of theirs.

    Attributes
    ----------
    title : str
    df : array (p,)
    """

    title: str
    df: np.ndarray
    of_design: bool = True

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return L cov(β̂) L' and the degrees of freedom."""
        used = np.any(L != 0.0, axis=0)
        df = float(self.df[used].min()) if used.any() else np.inf
        return ReferenceDistribution(product(L, cov_fe_of(fit), L), df)


@dataclass(frozen=True)
class BetweenWithin:
    """Between and within the groups of the outermost grouping factor (SAS: DDFM=BETWITHIN).

    A column that is constant in every group has ``J − p_b`` degrees of freedom, for J groups and p_b such
    columns, the intercept among them. Any other has ``n − J − p_w``, for p_w such columns (Schluchter and
    Elashoff 1990, J. Stat. Comput. Simul. 37, 69–87).
    """

    title: str = "between-within"
    of_design: bool = True

    def bind(self, model: Any, fit: Any) -> OfColumns:
        """Return the degrees of freedom for the rows of a model."""
        codes = nested_codes(model, self.title)[0]
        groups, n = int(codes.max()) + 1, len(codes)
        between = np.array([constant_inside(x, codes) for x in _columns(model)], dtype=bool)
        outer, inner = groups - between.sum(), n - groups - (~between).sum()
        df = np.where(between, outer, inner).astype(float)
        return _checked(self.title, df, fit)


@dataclass(frozen=True)
class Containment:
    """Inner and outer regressors of nested grouping factors, as nlme counts them.

    With m_i levels of grouping factor i (m_0 is 1 with an intercept, else 0, and m_{Q+1} = n), a term that
    varies inside the levels of factor i − 1 and not inside those of i has ``m_i − m_{i−1} − p_i`` degrees of
    freedom, for p_i columns of such terms. The intercept has those of the innermost (Pinheiro and Bates
    2000, section 2.4.2).
    """

    title: str = "containment"
    of_design: bool = True

    def bind(self, model: Any, fit: Any) -> OfColumns:
        """Return the degrees of freedom for the rows of a model."""
        levels = nested_codes(model, self.title)
        columns, p = _columns(model), fit.spec.k_fe
        n = fit.spec.nobs
        constant = np.array([np.ptp(x) <= SAME * np.abs(x).max() for x in columns], dtype=bool)
        place = np.full(p, len(levels), dtype=int)  # the level at which each column is estimated
        for where in columns_of_terms(fit.spec).values():
            for i in range(len(levels) - 1, -1, -1):
                if not all(constant_inside(columns[j], levels[i]) for j in where):
                    break
                place[where] = i
        counts = [int(constant.any()), *(int(codes.max()) + 1 for codes in levels), n]
        own = np.array(
            [
                counts[i + 1] - counts[i] - int(np.sum((place == i) & ~constant))
                for i in range(len(levels) + 1)
            ],
            dtype=float,
        )
        df = own[place]
        df[constant] = own[-1]
        return _checked(self.title, df, fit)


def _checked(title: str, df: np.ndarray, fit: Any) -> OfColumns:
    low = np.flatnonzero(df < 1.0)
    if len(low):
        names = ", ".join(fit.spec.exog_names[j] for j in low)
        raise OptionError(
            f"ddf={title!r} leaves {df[low[0]]:g} degrees of freedom for {names}; expected more groups than "
            "regressors that are constant in them. Use ddf='satterthwaite'"
        )
    return OfColumns(title, df)


def _columns(model: Any) -> np.ndarray:
    """Return the columns of X that have a coefficient (p, n)."""
    columns: np.ndarray = np.asarray(model.exog, dtype=float).T
    return columns


def constant_inside(column: np.ndarray, codes: np.ndarray) -> bool:
    """Return whether a column (n,) has one value in each group."""
    q = int(codes.max()) + 1
    low, high = np.full(q, np.inf), np.full(q, -np.inf)
    np.minimum.at(low, codes, column)
    np.maximum.at(high, codes, column)
    return bool(np.all(high - low <= SAME * max(np.ptp(column), np.abs(column).max())))


def nested_codes(model: Any, title: str) -> list[np.ndarray]:
    """Return the levels of each row (n,) for each grouping factor, outermost first.

    Raises
    ------
    OptionError
        Grouping factors that cross.
    """
    groupings = sorted(model.design.groupings, key=lambda grouping: grouping.n_levels)
    codes = [grouping.codes for grouping in groupings]
    for outer, inner, a, b in zip(codes, codes[1:], groupings, groupings[1:]):
        if not constant_inside(outer.astype(float), inner):
            raise OptionError(
                f"ddf={title!r} needs nested grouping factors, and {b.name} crosses {a.name}; expected one "
                "inside the other. Use ddf='satterthwaite' or 'kenward-roger'"
            )
    return codes


BETWEEN_WITHIN = BetweenWithin()
CONTAINMENT = Containment()

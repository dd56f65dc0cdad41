"""Backward elimination of random and fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from ..arguments import number
from ..errors import OptionError, suggest
from ..inference.ranova import deletions, ranova
from ..inference.terms import columns_of_terms, tested_terms
from .reduced import droppable_terms, refuse, without_fixed, without_random


@dataclass(frozen=True, eq=False)
class Step:
    """The course of a backward elimination.

    Attributes
    ----------
    random, fixed : DataFrame
        A row for each term that was eliminated, in order ("eliminated" 1, 2, …), then one for each that
        was tested last and kept ("eliminated" 0), with its test.
    results : MixedLMResults
        The fit of what is left.
    formula : str
    """

    random: pd.DataFrame
    fixed: pd.DataFrame
    results: Any
    formula: str

    def __str__(self) -> str:
        def shown(frame: pd.DataFrame) -> str:
            return frame.to_string(float_format=lambda x: f"{x:.5g}", na_rep="")

        return (
            f"Random effects\n{shown(self.random)}\n\nFixed effects\n{shown(self.fixed)}\n\n"
            f"Model: {self.formula}"
        )

    def __repr__(self) -> str:
        return str(self)


def step(
    results: Any,
    *,
    alpha_random: float = 0.1,
    alpha_fixed: float = 0.05,
    keep: str | Sequence[str] = (),
    ddf: Any = None,
    vcov: Any = None,
) -> Step:
    """Eliminate random effects, then fixed effects, one at a time, the least significant first.

    Random effects are tested by `ranova`, and deleted while the largest p-value (χ², conservative) is above
    `alpha_random`; the last one stays. Fixed-effects terms are then tested by the F tests of `drop1`, and
    deleted while the largest p-value is above `alpha_fixed`. A term stays as long as an
    interaction has it. Each model is fitted as the first one was, by REML or ML (Kuznetsova, Brockhoff and
    Christensen 2017, J. Stat. Softw. 82(13)).

    Parameters
    ----------
    alpha_random, alpha_fixed : float
        Levels. 0 deletes all that can be deleted, 1 nothing.
    keep : str or sequence of str
        Terms of the fixed effects, and random effects as `ranova` names them, that stay.
    ddf, vcov : optional
        As for `t_test`.

    Returns
    -------
    Step
        Tests after such a selection are too optimistic: they do not know of it.

    Raises
    ------
    OptionError
        A level that is none, an unknown term in `keep`; a penalized fit, or one with held parameters.
    """
    refuse(results, "step")
    alphas = [_alpha(alpha_random, "alpha_random"), _alpha(alpha_fixed, "alpha_fixed")]
    kept = [keep] if isinstance(keep, str) else list(keep)
    known = [name for t, term in enumerate(results.fit.layout.terms)
             for name, _ in deletions(results.fit, t, term.title)]  # fmt: skip
    known += list(tested_terms(results.fit))
    for name in kept:
        if name not in known:
            raise OptionError(
                f"keep has {name!r}{suggest(str(name), known)}; expected names of terms"
            )
    random, left = _random(results, alphas[0], kept)
    fixed, last = _fixed(left, alphas[1], kept, ddf, vcov)
    return Step(random, fixed, last, last.fit.spec.formula or "")


def _alpha(given: Any, name: str) -> float:
    value = number(given, name, "a number from 0 to 1")
    if not 0.0 <= value <= 1.0:
        raise OptionError(f"{name}={value!r}; expected a number from 0 to 1")
    return value


def _random(results: Any, alpha: float, kept: Sequence[str]) -> tuple[pd.DataFrame, Any]:
    rows: list[pd.Series] = []
    while True:
        table = ranova(results.fit).table.iloc[1:]
        places = _places(results)
        open_ = [n for n in table.index if n not in kept and n in places]
        worst = max(open_, key=lambda n: table.pvalue[n], default=None)
        if worst is None or not table.pvalue[worst] > alpha or _is_last(results, places[worst]):
            break
        rows.append(_row(table, worst, len(rows) + 1))
        results = without_random(results, *places[worst])
    return _table(rows, table), results


def _places(results: Any) -> dict[str, tuple[int, int | None]]:
    """Return which term, and which of its columns, each deletion of bars takes away."""
    out: dict[str, tuple[int, int | None]] = {}
    for t, term in enumerate(results.fit.layout.terms):
        if not term.is_component:
            for name, structure in deletions(results.fit, t, term.title):
                out[name] = (t, getattr(structure, "column", None))
    return out


def _is_last(results: Any, place: tuple[int, int | None]) -> bool:
    return place[1] is None and len(results.fit.layout.terms) == 1


def _fixed(
    results: Any, alpha: float, kept: Sequence[str], ddf: Any, vcov: Any
) -> tuple[pd.DataFrame, Any]:
    rows: list[pd.Series] = []
    empty = pd.DataFrame(columns=["sum_sq", "mean_sq", "df_num", "df_denom", "F", "pvalue"])
    table = empty
    while droppable_terms(results.fit):
        table = results.drop1(ddf=ddf, vcov=vcov).table
        open_ = [n for n in table.index if n not in kept]
        worst = max(open_, key=lambda n: table.pvalue[n], default=None)
        if worst is None or not table.pvalue[worst] > alpha:
            break
        rows.append(_row(table, worst, len(rows) + 1))
        if len(columns_of_terms(results.fit.spec)[worst]) == results.fit.spec.k_fe:
            break  # a model without any fixed effect
        results = without_fixed(results, worst)
        table = empty
    return _table(rows, table), results


def _row(table: pd.DataFrame, name: str, order: int) -> pd.Series:
    row = cast(pd.Series, table.loc[name]).copy()
    row["eliminated"] = order
    return row


def _table(rows: list[pd.Series], last: pd.DataFrame) -> pd.DataFrame:
    kept = last.drop(index=[r.name for r in rows if r.name in last.index]).assign(eliminated=0)
    parts = [frame for frame in (pd.DataFrame(rows), kept) if len(frame)]
    out = pd.concat(parts) if parts else kept
    out["eliminated"] = np.asarray(out["eliminated"], dtype=int)
    return out[["eliminated", *(c for c in out.columns if c != "eliminated")]]

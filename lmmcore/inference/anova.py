"""Analysis of variance of a fit: an F test of each fixed-effects term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DesignError
from ..fitting.fit import Fit
from . import contrasts
from .choice import Choice, f_choice
from .hypotheses import hypotheses


@dataclass(frozen=True, eq=False)
class AnovaTable:
    """F tests of the fixed-effects terms.

    Attributes
    ----------
    table : DataFrame
        A row for each term: sum_sq = F · df_num · σ̂², mean_sq = F · σ̂², df_num, df_denom, F, pvalue.
    type : int
        1, 2 or 3.
    method : str
        What gave covariance and degrees of freedom.
    note : str
        What the tests do not cover; may be empty.
    """

    table: pd.DataFrame
    type: int
    method: str
    note: str = ""

    def __str__(self) -> str:
        head = f"Analysis of variance, type {self.type}, degrees of freedom: {self.method}"
        shown = self.table.map(lambda x: f"{x:.4g}")
        return "\n".join(filter(None, [head, shown.to_string(), self.note]))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<p>{self.method}, type {self.type}</p>{self.table.to_html()}<p>{self.note}</p>"


def anova(fit: Fit, type: int | str = 3, *, ddf: Any = None, vcov: Any = None) -> AnovaTable:
    """Test each fixed-effects term with an F test.

    For a matrix L of q rows and C = cov(Lβ̂), ``F = scale · (Lβ̂)'C⁻¹(Lβ̂)/q`` is compared with F(q, df); `ddf`
    gives C, df and scale.

    Parameters
    ----------
    type : {1, 2, 3}
        1: each term after those before it (by number of variables, then as written). 2: each after all
        others that do not contain it; a term contains another that has the same numeric and fewer
        categorical variables. 3: each after all others, with categorical variables coded as
        deviations from the mean of their levels, so that it does not depend on the contrasts
        of the formula (Goodnight 1980, SAS Technical Report R-101). Types 1 and 2 are as for least squares
        with the weights of the model.
    ddf, vcov : optional
        As for `t_test`. Where the default is normal, "satterthwaite" is used.

    Returns
    -------
    AnovaTable

    Raises
    ------
    DesignError
        The model has no fixed-effects term but the intercept.
    OptionError
        Another type.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_machines()
    >>> fit = lmmcore.mixedlm("score ~ Machine + (1 | Worker)", data).fit()
    >>> fit.anova().table.round(3)[["df_num", "df_denom", "F"]]
             df_num  df_denom       F
    Machine       2      46.0  87.798
    """
    found = hypotheses(fit, type)
    if not found:
        raise DesignError(
            "the model has no fixed-effects term but the intercept; expected one to test. Use t_test for the "
            "intercept"
        )
    choice = f_choice(fit, ddf, vcov)
    table = f_tests(fit, choice, found)
    note = ""
    if fit.spec.dropped:
        note = (
            f"Columns left out, because others determine them: {', '.join(fit.spec.dropped)}. The tests are "
            "of the columns that remain, and depend on their coding"
        )
    number = {"I": 1, "II": 2, "III": 3}.get(str(type), type)
    return AnovaTable(table, int(number), choice.title, note)


def f_tests(fit: Fit, choice: Choice, found: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return F tests of hypotheses by name, as `AnovaTable.table` has them."""
    rows = {}
    for name, matrix in found.items():
        tested = contrasts.wald_test(
            fit.beta,
            lambda m: choice(fit, m),
            (matrix, np.zeros(len(matrix)), ()),
            True,
        )
        f, q = float(tested.statistic), len(matrix)
        rows[name] = (f * q * fit.scale, f * fit.scale, q, tested.df_denom, f, tested.pvalue)
    columns = ["sum_sq", "mean_sq", "df_num", "df_denom", "F", "pvalue"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

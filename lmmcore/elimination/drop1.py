"""Tests of the fixed-effects terms that can be dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..errors import DesignError, OptionError
from ..inference.anova import f_tests
from ..inference.choice import f_choice
from ..inference.hypotheses import hypotheses
from .reduced import droppable_terms, fitted, refuse, without_fixed


@dataclass(frozen=True, eq=False)
class DropTable:
    """Tests of single deletions.

    Attributes
    ----------
    table : DataFrame
        A row for each term. F tests: as `anova`. Likelihood-ratio tests: npar, llf, aic, chisq, df, pvalue,
        the whole model first.
    method : str
        Degrees of freedom, or what the likelihoods are.
    """

    table: pd.DataFrame
    method: str

    def __str__(self) -> str:
        shown = self.table.to_string(float_format=lambda x: f"{x:.5g}", na_rep="")
        return f"Deletions of fixed-effects terms: {self.method}\n{shown}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<p>{self.method}</p>{self.table.to_html(na_rep='')}"


def drop1(results: Any, test: str = "F", *, ddf: Any = None, vcov: Any = None) -> DropTable:
    """Test each fixed-effects term that can be dropped: that is in no interaction with others.

    Parameters
    ----------
    test : {"F", "chi2"}
        "F": F tests of the fit; see `anova`. "chi2": likelihood-ratio tests; whole and reduced models are
        fitted by maximum likelihood, as restricted likelihoods cannot be compared.
    ddf, vcov : optional
        For "F", as for `t_test`.

    Returns
    -------
    DropTable

    Raises
    ------
    OptionError
        Another test; a penalized fit, or one with held parameters.
    DesignError
        The model has no term but the intercept.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_oats()
    >>> fit = lmmcore.mixedlm("yield_ ~ nitro * Variety + (1 | Block)", data).fit()
    >>> fit.drop1().table.index.tolist()
    ['nitro:Variety']
    """
    refuse(results, "drop1")
    if test not in ("F", "chi2"):
        raise OptionError(f"test={test!r}; expected 'F' or 'chi2'")
    fit = results.fit
    names = droppable_terms(fit)
    if not names:
        raise DesignError(
            "the model has no fixed-effects term but the intercept; expected one to drop"
        )
    if test == "F":
        choice = f_choice(fit, ddf, vcov)
        found = hypotheses(fit, 2)
        return DropTable(f_tests(fit, choice, {n: found[n] for n in names}), choice.title)
    whole = results if not fit.reml else fitted(results, results.model.design, False)
    rows = {"<none>": (*_sizes(whole), np.nan, np.nan, np.nan)}
    for name in names:
        reduced = without_fixed(results, name, False)
        npar, llf, aic = _sizes(reduced)
        statistic, df = max(0.0, 2.0 * (whole.llf - llf)), rows["<none>"][0] - npar
        rows[name] = (npar, llf, aic, statistic, df, float(chdtrc(df, statistic)))
    columns = ["npar", "llf", "aic", "chisq", "df", "pvalue"]
    return DropTable(
        pd.DataFrame.from_dict(rows, orient="index", columns=columns), "likelihoods (ML)"
    )


def _sizes(results: Any) -> tuple[int, float, float]:
    npar = int(results.k_fe + results.fit.n_variances)
    return npar, float(results.llf), 2.0 * npar - 2.0 * float(results.llf)

"""Likelihood-ratio tests of the random effects, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..covariance.unstructured import Unstructured
from ..errors import DesignError
from ..fitting.estimate import estimate
from ..fitting.fit import Fit
from ..fitting.options import chosen_optimizers
from .rlrt import Absent


@dataclass(frozen=True, eq=False)
class RandomEffectsTable:
    """Likelihood-ratio tests of random effects.

    Attributes
    ----------
    table : DataFrame
        The whole model first, then one row for each deletion: npar, llf, aic, chisq, df, pvalue (χ²,
        conservative for variances) and pvalue_mixture (boundary mixture, for a single variance).
    note : str
    """

    table: pd.DataFrame
    note: str

    def __str__(self) -> str:
        return f"{self.table.to_string(float_format=lambda x: f'{x:.5g}', na_rep='')}\n{self.note}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"{self.table.to_html(na_rep='')}<p>{self.note}</p>"


class WithoutColumn:
    """The unstructured matrices of k columns in which one variance and its covariances are zero."""

    def __init__(self, column: int) -> None:
        self.column = column

    def _rest(self, k: int) -> np.ndarray:
        return np.delete(np.arange(k), self.column)

    def n_parameters(self, k: int) -> int:
        return k * (k - 1) // 2

    def rank(self, k: int) -> int:
        return k - 1

    def parameters(self, g: np.ndarray) -> np.ndarray:
        rest = self._rest(len(g))
        return Unstructured().parameters(g[np.ix_(rest, rest)])

    def factor(self, theta: np.ndarray, k: int) -> np.ndarray:
        out = np.zeros((k, k - 1))
        out[self._rest(k)] = Unstructured().factor(theta, k - 1)
        return out

    def factor_derivative(self, theta: np.ndarray, k: int) -> np.ndarray:
        out = np.zeros((len(theta), k, k - 1))
        out[:, self._rest(k)] = Unstructured().factor_derivative(theta, k - 1)
        return out

    def factor_second_derivative(self, theta: np.ndarray, k: int) -> None:
        return None

    def describe(self, theta: np.ndarray, names: Any, sigma: float) -> dict[str, float]:
        return {}


def ranova(fit: Fit) -> RandomEffectsTable:
    """Test each random effect by deleting it.

    A term with one coefficient is deleted; of an unstructured term with several, each coefficient but a
    constant one in turn, with its covariances; another structure as a whole. Each model without is fitted
    again, by REML if the fit was, from the cross-products alone. The fixed effects are the same, so
    that restricted likelihoods can be compared.

    Returns
    -------
    RandomEffectsTable
        ``pvalue`` refers twice the difference of log-likelihoods to χ². Since a variance of zero lies on
        the boundary this is conservative; ``pvalue_mixture`` is the equal mixture of χ² with df − 1 and df
        (Stram and Lee 1994, Biometrics 50, 1171–1177).

    Raises
    ------
    DesignError
        The model has held parameters, so that deletions are not nested in it.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> row = fit.ranova().table.loc["Days in (1 + Days | Subject)"]
    >>> round(float(row.chisq), 3), float(row["df"])
    (42.837, 2.0)
    """
    if fit.held is not None:
        raise DesignError(
            "ranova of a fit with held covariance parameters; expected a fit without `free`, in which each "
            "random effect can be deleted"
        )
    whole = fit.spec.k_fe + fit.likelihood.n_parameters + 1
    llf = -0.5 * fit.criterion
    rows = {"<none>": (whole, llf, 2.0 * whole - 2.0 * llf, np.nan, np.nan, np.nan, np.nan)}
    for t, term in enumerate(fit.layout.terms):
        for name, structure in deletions(fit, t, term.title):
            criterion, count = _fitted(fit, t, structure)
            npar = fit.spec.k_fe + count + 1
            df, statistic = whole - npar, max(0.0, criterion - fit.criterion)
            p = float(chdtrc(df, statistic)) if df else np.nan
            below = float(chdtrc(df - 1, statistic)) if df > 1 else float(statistic <= 0.0)
            one = not isinstance(structure, Absent) or fit.likelihood.terms[t].k == 1
            mixed = 0.5 * (p + below) if one else np.nan
            rows[name] = (npar, -0.5 * criterion, 2.0 * npar + criterion, statistic, df, p, mixed)
    columns = ["npar", "llf", "aic", "chisq", "df", "pvalue", "pvalue_mixture"]
    method = "restricted likelihoods (REML)" if fit.reml else "likelihoods (ML)"
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return RandomEffectsTable(table, f"Deletions of random effects, {method}.")


def deletions(fit: Fit, t: int, title: str) -> list[tuple[str, Any]]:
    """Return name and covariance structure of each deletion of a term."""
    shape, structure = fit.likelihood.terms[t], fit.equations.structures[t]
    entries = shape.k * (shape.k + 1) // 2
    names = fit.layout.names[t]
    constant = [j for j in range(shape.k) if names[j] in ("Intercept", fit.layout.groups[t])]
    if shape.k == 1 or structure.n_parameters(shape.k) != entries or not constant:
        return [(title, Absent())]
    return [
        (f"{names[j]} in {title}", WithoutColumn(j)) for j in range(shape.k) if j not in constant
    ]


def _fitted(fit: Fit, t: int, structure: Any) -> tuple[float, int]:
    """Return the criterion of a model with another structure of one term, and its parameters in θ."""
    structures = list(fit.equations.structures)
    structures[t] = structure
    likelihood = fit.equations.likelihood(fit.reml, structures, fit.equations.plain_engine)
    if not likelihood.n_parameters:
        return float(likelihood.value_without_effects), 0
    optimizers, options = chosen_optimizers(None, {})
    found = estimate(likelihood, optimizers, fit.layout.names, fit.layout.groups, None, options)
    return float(found.point.value), likelihood.n_parameters

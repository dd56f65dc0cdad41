"""Tests of linear hypotheses, of terms and of pairs of levels; the delta method."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arguments import numbers
from ..errors import DataValueError, LmmcoreWarning, users_line
from ..fitting.fit import Fit
from . import contrasts
from .contrasts import ContrastResults, constraints
from .covariance import covariance
from .delta import DeltaMethod
from .pairwise import PairwiseTests, pairwise
from .parameters import df_resid
from .terms import TermTests, wald_terms
from .unidentified import cov_fe_of, why_none


def _df(fit: Fit, small_sample: bool | None) -> float | None:
    return float(df_resid(fit)) if small_sample else None


def _left_out(fit: Fit) -> list[str]:
    """Return the fixed effects without standard errors: at zero by a penalty, or not identified."""
    names = fit.spec.exog_names
    return [names[j] for j in np.flatnonzero(np.isnan(np.diag(cov_fe_of(fit))))]


def _left_out_as(fit: Fit) -> str:
    """Return why the coefficients in `_left_out` have no standard errors."""
    return why_none(_left_out(fit), dict(zip(fit.spec.exog_names, fit.beta)))


def t_test(fit: Fit, r_matrix: Any, use_t: bool | None = None) -> ContrastResults:
    """Test linear hypotheses about the fixed effects, one by one.

    Parameters
    ----------
    r_matrix : str, list of str, array (k_fe,) or (m, k_fe), or (array, values)
        Such as ``"x1 = x2, x3 = 1"``. Right-hand sides that are not given are zero.
    use_t : bool, optional
        Whether to use the t distribution with `df_resid` degrees of freedom. By default, the normal
        distribution is used.

    Returns
    -------
    ContrastResults
        Standard errors are those of `bse_fe`. They are NaN for hypotheses about a coefficient that a
        penalty sets to zero, or whose standard error the data do not identify.
    """
    hypothesis = constraints(r_matrix, fit.spec.exog_names)
    found = contrasts.t_test(fit.beta, cov_fe_of(fit), hypothesis, _df(fit, use_t))
    lost = np.isnan(found.sd) if found.sd is not None else np.zeros(0, dtype=bool)
    if lost.any():
        warnings.warn(
            f"no standard errors of {', '.join(n for n, no in zip(found.c_names, lost) if no)}: "
            f"{_left_out_as(fit)}. Test other coefficients",
            LmmcoreWarning,
            stacklevel=users_line(),
        )
    return found


def wald_test(
    fit: Fit,
    r_matrix: Any,
    cov_p: Any = None,
    invcov: Any = None,
    use_f: bool | None = None,
    df_constraints: int | None = None,
    scalar: bool = True,
) -> ContrastResults:
    """Test linear hypotheses about the fixed effects jointly, with a χ² or an F test; see `t_test`.

    Parameters
    ----------
    r_matrix : str, list of str, array (k_fe,) or (m, k_fe), or (array, values)
    cov_p : array (k_fe, k_fe), optional
        Covariance matrix of the fixed effects, to use instead of `cov_fe`.
    invcov : array (m, m), optional
        Inverse of the covariance matrix of the tested combinations. By default, it follows from `cov_fe`.
    use_f : bool, optional
        Whether to use an F test with `df_resid` denominator degrees of freedom. By default, a χ² test is
        used.
    df_constraints : int, optional
        Numerator degrees of freedom, to use instead of m.
    scalar : bool
        Whether the statistic and the p-value are floats. If false, they are arrays of shapes (1, 1) and ().
    """
    cov, p = cov_fe_of(fit), fit.spec.k_fe
    if cov_p is not None:
        cov = numbers(cov_p, "cov_p", "a covariance matrix")
        if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or len(cov) < p:
            raise DataValueError(f"cov_p has shape {cov.shape}; expected ({p}, {p})")
        cov = cov[:p, :p]
    hypothesis = constraints(r_matrix, fit.spec.exog_names)
    found = contrasts.wald_test(fit.beta, cov, hypothesis, _df(fit, use_f), invcov, df_constraints)
    if scalar:
        return found
    return replace(found, statistic=np.array([[found.statistic]]), pvalue=np.asarray(found.pvalue))


def f_test(fit: Fit, r_matrix: Any, cov_p: Any = None, invcov: Any = None) -> ContrastResults:
    """Test linear hypotheses jointly, with an F test of `df_resid` denominator degrees of freedom."""
    return wald_test(fit, r_matrix, cov_p, invcov, use_f=True)


def wald_test_terms(
    fit: Fit,
    skip_single: bool = False,
    extra_constraints: Sequence[tuple[str, Any]] | None = None,
    combine_terms: Sequence[str] | None = None,
    scalar: bool = True,
) -> TermTests:
    """Test for each term of the formula that all its coefficients are zero.

    Parameters
    ----------
    skip_single : bool
        Whether to leave out terms of one column.
    extra_constraints : sequence of (name, matrix), optional
        Further hypotheses, matrices (m, k_fe).
    combine_terms : sequence of str, optional
        Strings. For each of them, all terms whose names contain it are tested jointly.
    scalar : bool
        As for `wald_test`.

    Returns
    -------
    TermTests
        Its ``table`` has a row for each term. Each term is tested in the presence of all others (type III,
        with the contrasts of the formula). A coefficient has no standard error if a penalty sets it to
        zero or the data do not identify its standard error. Such coefficients are not tested; `left_out`
        names them.
    """

    def test(matrix: np.ndarray) -> ContrastResults:
        return wald_test(fit, matrix, scalar=scalar)

    return wald_terms(
        fit.spec, test, skip_single, extra_constraints or (), combine_terms or (), _left_out(fit),
        _left_out_as(fit),
    )  # fmt: skip


def t_test_pairwise(
    fit: Fit,
    term_name: str,
    method: str | Sequence[str] = "hs",
    alpha: float = 0.05,
    factor_labels: Sequence[str] | None = None,
) -> PairwiseTests:
    """Compare the levels of a categorical variable pairwise, with p-values adjusted for multiple testing.

    Parameters
    ----------
    term_name : str
        Name of a main effect, such as ``"C(treatment)"``, with any contrasts.
    method : str or sequence of str
        Adjustment: bonferroni (b), sidak (s), holm (h), holm-sidak (hs), simes-hochberg (sh),
        fdr_bh, fdr_by.
    alpha : float
        Significance level of the tests. Intervals have the level 1 − alpha, and are not adjusted.
    factor_labels : sequence of str, optional
        Names of the levels, to use instead of those in the data.

    Returns
    -------
    PairwiseTests
        Its ``result_frame`` has a row for each pair.
    """

    def test(matrix: np.ndarray) -> ContrastResults:
        return t_test(fit, matrix)

    return pairwise(
        fit.spec, test, term_name, method, alpha, factor_labels, _left_out(fit), _left_out_as(fit)
    )


def get_nlfun(
    fit: Fit,
    fun: Callable[[np.ndarray], Any],
    deriv: Callable[[np.ndarray], Any] | None = None,
) -> DeltaMethod:
    """Return a function of `params` with its standard errors and tests, by the delta method.

    Parameters
    ----------
    fun : callable
        Takes params, an array (k,) with covariances relative to σ². Returns a number or a vector (m,).
    deriv : callable, optional
        Takes params, returns the Jacobian (m, k). By default, the Jacobian is computed by differences.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> ratio = fit.get_nlfun(lambda params: params[0] / params[1])
    >>> ratio.predicted().round(3), ratio.se_vectorized().round(3)
    (array([24.018]), array([3.694]))
    """
    return DeltaMethod(fun, fit.params, covariance(fit).values, deriv)

"""Tests of linear hypotheses, of terms and of pairs of levels; the delta method."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arguments import numbers
from ..errors import DataValueError, LmmcoreWarning, OptionError, users_line
from ..extension.inference import ReferenceDistribution
from ..fitting.fit import Fit
from . import contrasts
from .choice import Choice, by_name, choice_of
from .contrasts import ContrastResults, constraints
from .covariance import covariance
from .delta import DeltaMethod
from .pairwise import PairwiseTests, pairwise
from .terms import TermTests, wald_terms
from .unidentified import cov_fe_of, why_none
from .wald import product


def _chosen(fit: Fit, small_sample: bool | None, name: str, ddf: Any, vcov: Any) -> Choice:
    """Return what a test uses, by statsmodels' argument `name` or by `ddf` and `vcov`."""
    if small_sample is None:
        return choice_of(fit, ddf, vcov)
    if ddf is not None or vcov is not None:
        raise OptionError(
            f"{name}={small_sample!r} was given together with ddf or vcov; expected one of them. {name}=True "
            "stands for ddf='residual', and False for 'z'"
        )
    return by_name("residual" if small_sample else "z")


def _left_out(fit: Fit) -> list[str]:
    """Return the fixed effects without standard errors: at zero by a penalty, or not identified."""
    names = fit.spec.exog_names
    return [names[j] for j in np.flatnonzero(np.isnan(np.diag(cov_fe_of(fit))))]


def _left_out_as(fit: Fit) -> str:
    """Return why the coefficients in `_left_out` have no standard errors."""
    return why_none(_left_out(fit), dict(zip(fit.spec.exog_names, fit.beta)))


def t_test(
    fit: Fit, r_matrix: Any, use_t: bool | None = None, *, ddf: Any = None, vcov: Any = None
) -> ContrastResults:
    """Test linear hypotheses about the fixed effects, one by one.

    Parameters
    ----------
    r_matrix : str, list of str, array (k_fe,) or (m, k_fe), or (array, values)
        Such as ``"x1 = x2, x3 = 1"``. Right-hand sides that are not given are zero.
    use_t : bool, optional
        Whether to use the t distribution with `df_resid` degrees of freedom (``ddf="residual"``), or the
        normal distribution (``ddf="z"``).
    ddf : str or DegreesOfFreedom, optional
        What gives the degrees of freedom: "satterthwaite", "kenward-roger", "residual", "z", … By default,
        what `fit` was asked for.
    vcov : str or DegreesOfFreedom, optional
        What gives the covariance matrix of the fixed effects, such as "cr2", if not `ddf`.

    Returns
    -------
    ContrastResults
        With `sd` and `df_denom` of each row. Standard errors are NaN for hypotheses about a coefficient
        that a penalty sets to zero, or whose standard error the data do not identify.
    """
    choice = _chosen(fit, use_t, "use_t", ddf, vcov)
    hypothesis = constraints(r_matrix, fit.spec.exog_names)

    def reference(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return choice.rows(fit, matrix)

    found = contrasts.t_test(fit.beta, reference, hypothesis, choice.note)
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
    *,
    ddf: Any = None,
    vcov: Any = None,
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
        Whether to use an F test; its denominator degrees of freedom are those of `ddf`, or `df_resid` where
        that is normal. By default, an F test is used unless `ddf` is normal.
    df_constraints : int, optional
        Numerator degrees of freedom, to use instead of m.
    scalar : bool
        Whether the statistic and the p-value are floats. If false, they are arrays of shapes (1, 1) and ().
    ddf, vcov : optional
        As for `t_test`.
    """
    p, cov = fit.spec.k_fe, None
    choice = choice_of(fit, ddf, vcov)
    if cov_p is not None or (use_f and choice.is_normal):
        choice = _chosen(fit, bool(use_f), "use_f", None, None)  # statsmodels' tests
    if cov_p is not None:
        cov = numbers(cov_p, "cov_p", "a covariance matrix")
        if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or len(cov) < p:
            raise DataValueError(f"cov_p has shape {cov.shape}; expected ({p}, {p})")
        cov = cov[:p, :p]
    hypothesis = constraints(r_matrix, fit.spec.exog_names)

    def reference(matrix: np.ndarray) -> ReferenceDistribution:
        found = choice(fit, matrix)
        return found if cov is None else replace(found, covariance=product(matrix, cov, matrix))

    f_test = not choice.is_normal if use_f is None else bool(use_f)
    found = contrasts.wald_test(
        fit.beta, reference, hypothesis, f_test, invcov, df_constraints, choice.note
    )
    if scalar:
        return found
    return replace(found, statistic=np.array([[found.statistic]]), pvalue=np.asarray(found.pvalue))


def f_test(
    fit: Fit,
    r_matrix: Any,
    cov_p: Any = None,
    invcov: Any = None,
    *,
    ddf: Any = None,
    vcov: Any = None,
) -> ContrastResults:
    """Test linear hypotheses jointly, with an F test; see `wald_test`.

    Its denominator degrees of freedom are those of `ddf`, or `df_resid` where that is normal.
    """
    return wald_test(fit, r_matrix, cov_p, invcov, True, ddf=ddf, vcov=vcov)


def wald_test_terms(
    fit: Fit,
    skip_single: bool = False,
    extra_constraints: Sequence[tuple[str, Any]] | None = None,
    combine_terms: Sequence[str] | None = None,
    scalar: bool = True,
    *,
    ddf: Any = None,
    vcov: Any = None,
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
    scalar, ddf, vcov
        As for `wald_test`.

    Returns
    -------
    TermTests
        Its ``table`` has a row for each term. Each term is tested in the presence of all others (type III,
        with the contrasts of the formula). A coefficient has no standard error if a penalty sets it to
        zero or the data do not identify its standard error. Such coefficients are not tested; `left_out`
        names them.
    """

    choice = choice_of(fit, ddf, vcov)

    def test(matrix: np.ndarray) -> ContrastResults:
        return wald_test(fit, matrix, scalar=scalar, ddf=choice)

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
    *,
    ddf: Any = None,
    vcov: Any = None,
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
    ddf, vcov : optional
        As for `t_test`.

    Returns
    -------
    PairwiseTests
        Its ``result_frame`` has a row for each pair.
    """

    choice = choice_of(fit, ddf, vcov)

    def test(matrix: np.ndarray) -> ContrastResults:
        return t_test(fit, matrix, ddf=choice)

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

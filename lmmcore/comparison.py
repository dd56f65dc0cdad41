"""Likelihood-ratio tests between nested models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from .arguments import generator, whole_number
from .errors import DataTypeError, DataValueError, OptionError
from .inference.design_df import constant_inside
from .repeated.nesting import refuse_not_nested
from .repeated.results import RepeatedResults
from .results import MixedLMResults

TESTS = ("chi2", "mixture", "bootstrap")
SPANNED = 1e-7  # part of a column that another model does not span


@dataclass(frozen=True, eq=False)
class ModelComparison:
    """Likelihood-ratio tests of a sequence of nested models.

    Attributes
    ----------
    table : DataFrame
        A row for each model, from small to large: formula, npar, llf, aic, bic, and, against the model
        before it, chisq (twice the difference of log-likelihoods), df and pvalue.
    results : tuple of MixedLMResults
        The fits that were compared, refitted by ML where the note says so.
    note : str
    """

    table: pd.DataFrame
    results: tuple[MixedLMResults, ...]
    note: str

    def __str__(self) -> str:
        return f"{self.table.to_string(float_format=lambda x: f'{x:.5g}')}\n{self.note}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"{self.table.to_html()}<p>{self.note}</p>"


def anova(
    *results: MixedLMResults,
    test: str = "chi2",
    refit: bool = True,
    nrep: int = 1000,
    rng: Any = None,
) -> ModelComparison:
    """Compare nested models by likelihood-ratio tests.

    Parameters
    ----------
    *results : MixedLMResults
        Two or more fits to the same rows, in any order, also with residual structures.
    test : {"chi2", "mixture", "bootstrap"}
        "chi2": χ² with the difference in the number of parameters. It is conservative for a variance, whose
        hypothesis of zero lies on the boundary. "mixture": for one more random coefficient beside m − 1 new
        covariances, the equal mixture of χ² with m − 1 and m degrees of freedom (Self and Liang
        1987, JASA 82, 605–610; Stram and Lee 1994, Biometrics 50, 1171–1177). "bootstrap": both models are
        fitted to responses drawn from the smaller; ``p = (b + 1)/(nrep + 1)``, where b
        of nrep statistics are as large as the observed one.
    refit : bool
        Whether to fit again by maximum likelihood where restricted likelihoods cannot be compared: with
        different fixed effects, or a mixture of REML and ML. If false, that is an error.
    nrep : int
        Number of draws of "bootstrap".
    rng : Generator, RandomState or int, optional

    Returns
    -------
    ModelComparison

    Raises
    ------
    DataValueError
        Different rows, responses or weights; models that are not nested.
    OptionError
        Another test; a mixture for hypotheses that have another one; `refit` false where it is needed.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> small = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit(reml=False)
    >>> large = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit(reml=False)
    >>> lmmcore.anova(small, large).table.round(3)[["npar", "chisq", "df"]].iloc[1].tolist()
    [6.0, 42.139, 2.0]
    """
    _check_arguments(results, test)
    whole_number(nrep, "nrep", 1)
    fits = sorted(results, key=_size)
    _same_rows(fits)
    for small, large in pairwise(fits):
        _nested(small, large)
    same_x = all(_spans(b, a) and _spans(a, b) for a, b in pairwise(fits))
    methods = {fit.reml for fit in fits}
    note = "Restricted likelihoods (REML)." if methods == {True} else "Likelihoods (ML)."
    if len(methods) > 1 or (methods == {True} and not same_x):
        why = (
            "the fixed effects differ"
            if len(methods) == 1
            else "some fits are by REML, others by ML"
        )
        if not refit:
            raise OptionError(
                f"restricted likelihoods cannot be compared, because {why}; expected fits by ML. Use "
                "refit=True, or fit with reml=False"
            )
        fits = [_by_ml(fit) for fit in fits]
        note = f"Likelihoods (ML): models were fitted again, because {why}."
    rows, previous = [], None
    generator_ = generator(rng)
    for fit in fits:
        row = _row(fit)
        if previous is not None:
            row.update(_test(previous, fit, test, nrep, generator_))
        rows.append(row)
        previous = fit
    columns = ["formula", "npar", "llf", "aic", "bic", "chisq", "df", "pvalue"]
    words = {
        "chi2": " p-values: χ².",
        "mixture": " p-values: equal mixture of χ² with df − 1 and df.",
        "bootstrap": f" p-values: parametric bootstrap, {nrep} draws.",
    }
    return ModelComparison(pd.DataFrame(rows, columns=columns), tuple(fits), note + words[test])


def _check_arguments(results: Sequence[Any], test: str) -> None:
    if len(results) < 2:
        raise OptionError(f"{len(results)} model; expected two or more to compare")
    for fit in results:
        if not isinstance(fit, (MixedLMResults, RepeatedResults)):
            raise DataTypeError(
                f"anova compares results of MixedLM.fit, and got a {type(fit).__name__}; fit it first, "
                "without a penalty"
            )
    if test not in TESTS:
        raise OptionError(f"test={test!r}; expected one of {', '.join(TESTS)}")
    if test != "chi2" and any(isinstance(fit, RepeatedResults) for fit in results):
        raise OptionError(
            f"test={test!r} of models with residual structures is not offered; expected 'chi2'"
        )


def _size(fit: MixedLMResults) -> int:
    return int(fit.k_fe + fit.fit.n_variances)


def _row(fit: MixedLMResults) -> dict[str, Any]:
    k, n = _size(fit), fit.nobs
    formula = fit.fit.spec.formula or " + ".join(fit.fit.spec.exog_names)
    return {
        "formula": formula, "npar": k, "llf": fit.llf, "aic": 2.0 * k - 2.0 * fit.llf,
        "bic": k * np.log(n) - 2.0 * fit.llf,
    }  # fmt: skip


def _by_ml(fit: MixedLMResults) -> MixedLMResults:
    if not fit.reml:
        return fit
    if isinstance(fit, RepeatedResults):
        return fit.model.fit(reml=False)
    model, reml = fit.model, fit.model.reml
    free = fit.freepat
    start = None if free is None else fit.params_object
    found: MixedLMResults = model.fit(start, reml=False, free=free)
    model.reml = reml
    return found


def _same_rows(fits: Sequence[MixedLMResults]) -> None:
    first = fits[0].model
    for fit in fits[1:]:
        model = fit.model
        if model.nobs != first.nobs:
            raise DataValueError(
                f"the models have {first.nobs} and {model.nobs} rows; expected the same rows. Perhaps a "
                "variable has missing values: leave these rows out of the data first"
            )
        if not np.array_equal(np.asarray(first.endog), np.asarray(model.endog)):
            raise DataValueError(
                "the models have different responses, or rows in another order; expected the same rows"
            )
        a, b = (
            np.ones(1) if m.design.weights is None else m.design.weights for m in (first, model)
        )
        if not np.allclose(a, b, rtol=1e-12):
            raise DataValueError("the models have different weights; expected the same")
        if first.design.scale != model.design.scale:
            raise DataValueError(
                "σ² is held at different values in the models, or estimated in some; expected the same sigma="
            )


def _spans(large: MixedLMResults, small: MixedLMResults) -> bool:
    """Return whether the columns of X of one model span those of another."""
    return _inside(np.asarray(large.model.exog, float), np.asarray(small.model.exog, float))


def _inside(large: np.ndarray, small: np.ndarray) -> bool:
    if not small.shape[1]:
        return True
    q, r = np.linalg.qr(large / np.linalg.norm(large, axis=0))
    q = q[:, np.abs(np.diag(r)) > 1e-10]
    unit = small / np.linalg.norm(small, axis=0)
    return bool(np.linalg.norm(unit - q @ (q.T @ unit), axis=0).max() < SPANNED)


def _nested(small: MixedLMResults, large: MixedLMResults) -> None:
    refuse_not_nested(small.fit.residual, large.fit.residual)
    if not _spans(large, small):
        missing = sorted(set(small.fit.spec.exog_names) - set(large.fit.spec.exog_names))
        raise DataValueError(
            "the models are not nested: the larger does not have all fixed effects of the smaller "
            f"({', '.join(missing) or 'other combinations'}); expected nested models. Compare them by aic"
        )
    for codes, z, name in _random_columns(small):
        others = _random_columns(large)
        own = [w for other, w, _ in others if _same_partition(codes, other)]
        if own and _inside(np.hstack(own), z):
            continue
        if not any(_inside_levels(other, w, codes, z) for other, w, _ in others):
            raise DataValueError(
                f"the models are not nested: the larger does not have the random effects {name} of the "
                "smaller; expected nested models. Compare them by aic"
            )
    lost = set(small.fit.layout.component_names) - set(large.fit.layout.component_names)
    if lost:
        raise DataValueError(
            f"the models are not nested: the larger does not have the components {', '.join(sorted(lost))} "
            "of the smaller; expected nested models. Compare them by aic"
        )


def _random_columns(fit: MixedLMResults) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return levels (n,), columns (n, k) and name of each random-effects term in bars."""
    design, out, start = fit.model.design, [], 0
    exog_re = np.asarray(fit.model.exog_re, dtype=float)
    for t, term in enumerate(design.terms):
        k = len(term.names)
        codes = design.groupings[term.factor].codes
        out.append((codes, exog_re[:, start : start + k], fit.fit.layout.terms[t].title))
        start += k
    return out


def _same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = len(np.unique(a.astype(np.int64) * (int(b.max()) + 1) + b))
    return pairs == len(np.unique(a)) == len(np.unique(b))


def _inside_levels(
    outer: np.ndarray, columns: np.ndarray, codes: np.ndarray, z: np.ndarray
) -> bool:
    """Return whether effects of finer levels are combinations of the coefficients of coarser ones.

    So (1 | g:f) is a special case of (0 + f | g).
    """
    if not constant_inside(outer.astype(float), codes):
        return False
    for level in range(int(outer.max()) + 1):
        rows = np.flatnonzero(outer == level)
        own, at = np.unique(codes[rows], return_inverse=True)
        effects = np.zeros((len(rows), len(own), z.shape[1]))
        effects[np.arange(len(rows)), at] = z[rows]
        flat = effects.reshape(len(rows), -1)
        found = columns[rows] @ np.linalg.lstsq(columns[rows], flat, rcond=None)[0]
        if np.abs(found - flat).max() > SPANNED * np.abs(z).max():
            return False
    return True


def _test(
    small: MixedLMResults, large: MixedLMResults, test: str, nrep: int, rng: Any
) -> dict[str, float]:
    statistic = 2.0 * (large.llf - small.llf)
    df = _size(large) - _size(small)
    if statistic < -1e-6 * max(1.0, abs(small.llf)):
        raise DataValueError(
            f"the model with more parameters has a lower log-likelihood ({large.llf:.6f} against "
            f"{small.llf:.6f}), so that they are not nested, or a fit did not converge; expected "
            "nested models"
        )
    statistic = max(statistic, 0.0)
    if df == 0:
        return {"chisq": statistic, "df": 0, "pvalue": np.nan}
    if test == "chi2":
        p = float(chdtrc(df, statistic))
    elif test == "mixture":
        p = _mixture(small, large, statistic, df)
    else:
        p = _bootstrap(small, large, statistic, nrep, rng)
    return {"chisq": statistic, "df": df, "pvalue": p}


def _mixture(small: MixedLMResults, large: MixedLMResults, statistic: float, df: int) -> float:
    columns = [sum(t.k for t in f.fit.likelihood.terms) for f in (small, large)]
    if small.k_fe != large.k_fe or columns[1] - columns[0] != 1:
        raise OptionError(
            "test='mixture' is for one more random coefficient or component and the same fixed effects; here "
            f"there are {columns[1] - columns[0]} more, and {large.k_fe - small.k_fe} fixed effects. Use "
            "test='bootstrap'"
        )
    upper = float(chdtrc(df, statistic))
    lower = float(chdtrc(df - 1, statistic)) if df > 1 else float(statistic <= 0.0)
    return 0.5 * (upper + lower)


def _bootstrap(
    small: MixedLMResults, large: MixedLMResults, statistic: float, nrep: int, rng: Any
) -> float:
    source = small.model.get_distribution(np.asarray(small.params), small.scale)
    above = 0
    for _ in range(nrep):
        y = source.rvs(rng=rng)
        drawn = 2.0 * (large.refit(y).llf - small.refit(y).llf)
        above += drawn >= statistic - 1e-8
    return (above + 1.0) / (nrep + 1.0)

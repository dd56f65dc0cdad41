"""Marginal means of a fit, and slopes of covariates, with their contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError, OptionError, suggest
from ..fitting.fit import Fit
from ..inference.choice import Choice, choice_of
from ..inference.contrasts import f_p_value
from ..inference.wald import level as checked_level
from .adjusted import adjusted_p, check_method, critical_value
from .comparisons import contrast_matrix
from .grid import Grid, reference_grid

WEIGHTS = ("equal", "proportional", "cells")
STEP = 1e-4  # of the differences of slopes, relative to the spread of the covariate


@dataclass(frozen=True, eq=False)
class Estimates:
    """Combinations Lβ̂ of the fixed effects with names: means, slopes, or contrasts between them.

    Attributes
    ----------
    fit : Fit
    choice : Choice
        What gives standard errors and degrees of freedom.
    labels : DataFrame
        A row for each combination: the levels it belongs to, or the name of the contrast.
    L : array (m, p)
    estimable : bool array (m,)
        Whether the data determine the combination. The others have no numbers.
    by : tuple of str
        The columns of `labels` that divide the combinations into families.
    what : str
        "mean", "slope" or "difference": the name of the column of estimates.
    adjust : str
        How p-values and intervals are adjusted for the number of comparisons of a family.
    n_means : int
        Number of means compared in a family.
    log : bool
        Whether the response is a logarithm, and estimates are shown on the scale of its exponential.
    offset : float
        Added to means: the mean of the offset of the model.
    """

    fit: Fit
    choice: Choice
    labels: pd.DataFrame
    L: np.ndarray
    estimable: np.ndarray
    by: tuple[str, ...]
    what: str
    adjust: str = "none"
    n_means: int = 0
    log: bool = False
    offset: float = 0.0

    @property
    def estimate(self) -> np.ndarray:
        """Lβ̂ (m,), NaN for what cannot be estimated."""
        return np.where(self.estimable, self.L @ self.fit.beta + self.offset, np.nan)

    def families(self) -> list[np.ndarray]:
        """Return the positions of the combinations of each family."""
        if not self.by:
            return [np.arange(len(self.labels))]
        codes = self.labels.groupby(list(self.by), sort=False, observed=True).ngroup().to_numpy()
        return [np.flatnonzero(codes == c) for c in range(int(codes.max()) + 1)]

    def frame(self, level: float = 0.95, adjust: str | None = None) -> pd.DataFrame:
        """Return the estimates with standard errors, df, limits, t and p.

        Parameters
        ----------
        level : float
            Of the intervals.
        adjust : str, optional
            "none", "tukey", "mvt" (multivariate t; "dunnett" is the same), "bonferroni", "sidak", "holm",
            "holm-sidak", "simes-hochberg", "fdr_bh" or "fdr_by". Intervals are adjusted too, except by the
            step-wise methods and the false discovery rates, which have none: `note` says so. With a
            response that is a logarithm, standard errors are by the delta method, tests and limits
            are those on the scale of the logarithm.
        """
        alpha = checked_level(1.0 - level)
        method = check_method(self.adjust if adjust is None else adjust)
        m = len(self.labels)
        se, df = np.full(m, np.nan), np.full(m, np.nan)
        ok = np.flatnonzero(self.estimable)
        if len(ok):
            se[ok], df[ok] = self.choice.rows(self.fit, self.L[ok])
        estimate = self.estimate
        reach, p, t = np.full(m, np.nan), np.full(m, np.nan), estimate / se
        for family in self.families():
            mine = family[self.estimable[family]]
            if not len(mine):
                continue
            cov = self.choice(self.fit, self.L[mine]).covariance if method == "mvt" else None
            correlation = np.eye(len(mine)) if cov is None else _correlation(cov)
            n_means = self.n_means or len(mine)
            p[mine] = adjusted_p(t[mine], df[mine], correlation, method, n_means)
            reach[mine] = (
                critical_value(alpha, df[mine], correlation, method, n_means)[0] * se[mine]
            )
        out = self.labels.copy()
        low, high = estimate - reach, estimate + reach
        if self.log:
            estimate, low, high = np.exp(estimate), np.exp(low), np.exp(high)
            se = se * estimate
        name = self.what
        if self.log:
            name = "ratio" if self.what == "difference" else "response"
        return out.assign(
            **{name: estimate, "se": se, "df": df, "lower": low, "upper": high, "t": t, "pvalue": p}
        )

    @property
    def note(self) -> str:
        """What the table does not show: degrees of freedom, adjustment, what cannot be estimated."""
        lines = [f"Degrees of freedom: {self.choice.title}."]
        if self.adjust != "none":
            lines.append(
                f"Adjusted for {self.n_means or len(self.L)} means in each family: {self.adjust}."
            )
            if self.adjust in ("holm", "holm-sidak", "simes-hochberg", "fdr_bh", "fdr_by"):
                lines.append("Intervals are not adjusted: this method has none.")
        lost = self.labels[~self.estimable]
        if len(lost):
            shown = "; ".join(
                ", ".join(f"{k}={v}" for k, v in row.items()) for _, row in lost.iterrows()
            )
            lines.append(f"Not estimable from these data: {shown}.")
        return " ".join(lines)

    def contrast(
        self, method: Any = "pairwise", adjust: str | None = None, reference: int = 0
    ) -> Estimates:
        """Return contrasts within each family.

        Parameters
        ----------
        method : str, array (c, m) or mapping
            "pairwise", "consecutive", "polynomial", "dunnett", "mean", a matrix over the means of a
            family, or a mapping of names to its rows.
        adjust : str, optional
            As for `frame`; by default "tukey" for pairwise, "mvt" for consecutive and Dunnett, "fdr_bh" for
            differences from the mean, "none" for others.
        reference : int
            The mean with which "dunnett" compares.

        Raises
        ------
        OptionError, DataValueError
            An unknown name, or a matrix of another width.
        """
        rows, labels, ok = [], [], []
        usual, n_means = "none", 0
        for family in self.families():
            part = self.labels.iloc[family].drop(columns=list(self.by))
            names = [" ".join(map(str, row)) for row in part.itertuples(index=False, name=None)]
            matrix, own, usual = contrast_matrix(method, names, reference)
            n_means = max(n_means, len(names))
            rows.append(matrix @ self.L[family])
            ok.append(~((matrix != 0.0) & ~self.estimable[family]).any(axis=1))
            frame = pd.DataFrame({"contrast": own})
            for name in self.by:
                frame[name] = self.labels[name].iloc[family[0]]
            labels.append(frame)
        chosen = check_method(usual if adjust is None else adjust)
        return Estimates(
            self.fit, self.choice, pd.concat(labels, ignore_index=True), np.vstack(rows), np.concatenate(ok),
            self.by, "difference", chosen, n_means, self.log,
        )  # fmt: skip

    def pairs(self, adjust: str | None = None) -> Estimates:
        """Return all differences within each family; see `contrast`."""
        return self.contrast("pairwise", adjust)

    def joint_tests(self) -> pd.DataFrame:
        """Return an F test of each family: that all its means are equal, or all contrasts zero.

        Columns are the names of `by`, df_num, df_denom, F and pvalue.

        Raises
        ------
        DataValueError
            A family has a combination that cannot be estimated.
        """
        out = []
        for family in self.families():
            if not self.estimable[family].all():
                raise DataValueError(f"a joint test of all rows is not possible. {self.note}")
            matrix = self.L[family]
            if self.what != "difference":
                matrix = matrix[1:] - matrix[0]
            matrix = _independent(matrix)
            found = self.choice(self.fit, matrix)
            distance, q = matrix @ self.fit.beta, len(matrix)
            f = found.scale * float(distance @ np.linalg.solve(found.covariance, distance)) / q
            row = {name: self.labels[name].iloc[family[0]] for name in self.by}
            row.update(df_num=q, df_denom=found.df, F=f, pvalue=f_p_value(q, found.df, f))
            out.append(row)
        return pd.DataFrame(out)

    def __str__(self) -> str:
        shown = self.frame().to_string(index=False, float_format=lambda x: f"{x:.5g}")
        return f"{shown}\n{self.note}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"{self.frame().to_html(index=False)}<p>{self.note}</p>"


def _correlation(cov: np.ndarray) -> np.ndarray:
    sd = np.sqrt(np.diag(cov))
    out: np.ndarray = cov / np.outer(sd, sd)
    return out


def _independent(matrix: np.ndarray) -> np.ndarray:
    """Return a basis of the rows of a matrix."""
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    basis: np.ndarray = rows[values > 1e-10 * values[0]]
    return basis


def means(
    results: Any,
    specs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    transform: str | None = None,
    ddf: Any = None,
    vcov: Any = None,
) -> Estimates:
    """Return marginal means (least-squares means) of factors.

    The fit is evaluated at the reference grid: all combinations of levels, covariates at their means. A
    marginal mean is an average of these predictions, with random effects of zero (Searle, Speed and
    Milliken 1980, The American Statistician 34, 216–221).

    Parameters
    ----------
    specs : str or sequence of str
        Variables of the data whose levels have means.
    by : str or sequence of str, optional
        Variables that divide the means into families, within which they are compared.
    at : mapping of str to values, optional
        Values of covariates in place of their means, or some levels of a factor. A covariate with
        several values may be in `specs` or `by`.
    weights : {"equal", "proportional", "cells"}
        How levels of other factors are averaged: equally; by how often their combinations occur in the
        data; or by how often they occur together with the levels of the mean.
    transform : {"log"}, optional
        The response is a logarithm: show means and ratios on the scale of its exponential.
    ddf, vcov : optional
        As for `t_test`. Where the default is normal, it stays so.

    Returns
    -------
    Estimates
        Its `frame()` is the table; `contrast()`, `pairs()` and `joint_tests()` compare the means. What the
        data do not determine is named in `note` and has no numbers.

    Raises
    ------
    OptionError
        A variable that the fixed effects do not have, a level that the data do not have.
    DataValueError
        With weights="cells", a combination that the data do not have.
    """
    names, families = _listed(specs, "specs"), _listed(by or [], "by")
    if weights not in WEIGHTS:
        raise OptionError(f"weights={weights!r}; expected one of {', '.join(WEIGHTS)}")
    if transform not in (None, "log"):
        raise OptionError(f"transform={transform!r}; expected 'log' or None")
    grid = reference_grid(results, at)
    wanted = [*families, *(name for name in names if name not in families)]
    _refuse_unknown(grid, wanted, at)
    matrix, ok = grid.matrix()
    labels, L, estimable = _averaged(grid, wanted, matrix, ok, weights)
    design = results.model.design
    offset = 0.0 if design.offset is None else float(np.mean(design.offset))
    choice = choice_of(results.fit, ddf, vcov)
    return Estimates(
        results.fit, choice, labels, L, estimable, tuple(families), "mean", log=transform == "log",
        offset=offset,
    )  # fmt: skip


def slopes(
    results: Any,
    covariate: str,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    ddf: Any = None,
    vcov: Any = None,
) -> Estimates:
    """Return the slope of a covariate, averaged over the reference grid, for each level of other variables.

    The slope is the derivative of the fitted values, by differences of the columns of X.

    Parameters
    ----------
    covariate : str
    by : str or sequence of str, optional
        Variables whose levels have slopes of their own. They are compared with each other.
    at, weights, ddf, vcov : optional
        As for `means`.
    """
    grid = reference_grid(results, at)
    if covariate not in grid.covariates:
        raise OptionError(
            f"{covariate!r} is no covariate of the fixed effects{suggest(str(covariate), grid.covariates)}; "
            f"expected one of {', '.join(grid.covariates) or 'none'}"
        )
    names = _listed(by or [], "by")
    _refuse_unknown(grid, names, at)
    column = results.model.design.fixed_table[covariate].astype(float)
    h = STEP * float(np.ptp(column.dropna())) or STEP
    base = grid.frame[covariate].astype(float)
    ends = [grid.matrix(grid.frame.assign(**{covariate: base + step})) for step in (h, -h)]
    matrix = (ends[0][0] - ends[1][0]) / (2.0 * h)
    matrix[np.abs(matrix) < 1e-12 / h] = 0.0
    labels, L, estimable = _averaged(grid, names, matrix, ends[0][1] & ends[1][1], weights)
    if not names:
        labels = pd.DataFrame({"covariate": [covariate]})
    return Estimates(
        results.fit, choice_of(results.fit, ddf, vcov), labels, L, estimable, (), "slope"
    )


def _listed(given: Any, argument: str) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    if argument == "specs" and not names:
        raise OptionError(f"{argument}={given!r}; expected the names of one or more variables")
    return names


def _refuse_unknown(grid: Grid, names: Sequence[str], at: Mapping[str, Any] | None) -> None:
    known = [*grid.factors, *grid.covariates]
    for name in names:
        if name not in known:
            raise OptionError(
                f"{name!r} is no variable of the fixed effects{suggest(str(name), known)}; expected some of "
                f"{', '.join(known)}"
            )
        if name in grid.covariates and name not in (at or {}):
            raise OptionError(
                f"{name!r} is a covariate and has no levels; expected a factor. Give values with "
                f"at={{{name!r}: [...]}}, or use slopes({name!r})"
            )


def _averaged(
    grid: Grid, names: Sequence[str], matrix: np.ndarray, ok: np.ndarray, weights: str
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return labels, L and whether each row can be estimated, for each combination of some variables."""
    frame = grid.frame
    if names:
        codes = frame.groupby(list(names), sort=False, observed=True).ngroup().to_numpy()
    else:
        codes = np.zeros(len(frame), dtype=int)
    share = np.ones(len(frame))
    if weights != "equal":
        share = grid.counts
    others = [f for f in grid.factors if f not in names]
    if weights == "proportional" and others:
        share = grid.counts.copy()
        share = (
            pd.Series(share)
            .groupby([frame[o].astype(str) for o in others])
            .transform("sum")
            .to_numpy()
        )
    m = int(codes.max()) + 1
    total = np.bincount(codes, weights=share, minlength=m)
    if (total == 0.0).any():
        first = frame.iloc[int(np.flatnonzero(codes == np.argmin(total))[0])]
        cell = ", ".join(f"{name}={first[name]}" for name in names)
        raise DataValueError(
            f"weights={weights!r}: the data have no row with {cell}; expected combinations that occur. Use "
            "weights='equal'"
        )
    L = np.zeros((m, matrix.shape[1]))
    np.add.at(L, codes, (share / total[codes])[:, None] * matrix)
    used = share > 0.0
    lost = np.bincount(codes, weights=used & ~ok, minlength=m) > 0
    heads = [int(np.flatnonzero(codes == c)[0]) for c in range(m)]
    return frame.iloc[heads][list(names)].reset_index(drop=True), L, ~lost

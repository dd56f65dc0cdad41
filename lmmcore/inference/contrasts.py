"""Wald tests of linear hypotheses about the fixed effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import patsy
from scipy import special

from ..arguments import numbers, whole_number
from ..errors import DataValueError, FormulaError, OptionError
from ..extension.inference import ReferenceDistribution
from .equations import read_equations
from .wald import interval, level


@dataclass(frozen=True)
class ContrastSummary:
    """The table of a test, as text and as HTML.

    Attributes
    ----------
    title : str
    table : DataFrame
        Formatted cells, one row for each hypothesis.
    """

    title: str
    table: pd.DataFrame

    def as_text(self) -> str:
        """Return the table as text, without line breaks in rows."""
        lines = self.table.to_string().splitlines()
        width = max(map(len, lines))
        return "\n".join(
            [self.title.center(width).rstrip(), "=" * width, lines[0], "-" * width, *lines[1:], "=" * width]
        )  # fmt: skip

    def as_html(self) -> str:
        """Return the table as HTML."""
        return f"<h4>{escape(self.title)}</h4>{self.table.to_html()}"

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


@dataclass(frozen=True, eq=False)
class ContrastResults:
    """The result of a test, under the names that statsmodels uses.

    Attributes
    ----------
    distribution : {"norm", "t", "chi2", "F"}
    statistic : array (m,) or float
        z or t of each row, or one statistic for all rows together.
    pvalue : array (m,) or float
    effect, sd : array (m,) or None
        Estimate and standard error of each row; None for a joint test.
    df_num, df_denom : float, array (m,) or None
        Of t tests, `df_denom` is an array where the rows have different degrees of freedom.
    c_names : tuple of str
    method : str
        What gave covariance and degrees of freedom, such as "Satterthwaite".
    """

    distribution: str
    statistic: Any
    pvalue: Any
    effect: np.ndarray | None
    sd: np.ndarray | None
    df_num: float | None
    df_denom: Any
    c_names: tuple[str, ...]
    method: str = ""

    @property
    def tvalue(self) -> Any:
        """The statistic."""
        return self.statistic

    @property
    def fvalue(self) -> Any:
        """The statistic of an F test."""
        return self.statistic

    @property
    def dist(self) -> Any:
        """The distribution of the statistic, from scipy.stats."""
        from scipy import stats  # takes half a second

        return getattr(stats, self.distribution.lower())

    @property
    def dist_args(self) -> tuple[Any, ...]:
        """Degrees of freedom of `dist`."""
        given = (df for df in (self.df_num, self.df_denom) if df is not None)
        found = tuple(df if isinstance(df, np.ndarray) else float(df) for df in given)
        return found[: 1 if self.distribution == "chi2" else None]

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Return confidence limits (m, 2) of level 1 − alpha, a row for each hypothesis."""
        if self.effect is None or self.sd is None:
            raise DataValueError(
                "a joint test has no confidence interval; test the rows separately with t_test"
            )
        if self.distribution == "norm":
            return interval(self.effect, self.sd, alpha)
        alpha = level(alpha)
        reach = t_quantile(alpha, self.df_denom) * self.sd
        return np.column_stack([self.effect - reach, self.effect + reach])

    def summary_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return a table with a row for each hypothesis."""
        limits = self.conf_int(alpha)
        letter = "z" if self.distribution == "norm" else "t"
        own = {"df": self.df_denom} if isinstance(self.df_denom, np.ndarray) else {}
        return pd.DataFrame(
            {
                "coef": self.effect,
                "std err": self.sd,
                **own,
                letter: self.statistic,
                f"P>|{letter}|": self.pvalue,
                "Conf. Int. Low": limits[:, 0],
                "Conf. Int. Upp.": limits[:, 1],
            },
            index=list(self.c_names),
        )

    def summary(
        self, xname: Sequence[str] | None = None, alpha: float = 0.05, title: str | None = None
    ) -> ContrastSummary | str:
        """Return the formatted table of `summary_frame`; for a joint test, a line of text.

        Parameters
        ----------
        xname : sequence of str, optional
            Names of the hypotheses.
        alpha : float
            1 − level of the confidence intervals.
        title : str, optional
        """
        if self.effect is None:
            return str(self)
        frame = self.summary_frame(alpha)
        if xname is not None:
            if isinstance(xname, str) or len(xname) != len(frame):
                raise OptionError(f"xname={xname!r}; expected {len(frame)} names")
            frame.index = pd.Index([str(name) for name in xname])
        frame.columns = [*frame.columns[:-2], f"[{alpha / 2:g}", f"{1 - alpha / 2:g}]"]
        cells = frame.map(lambda x: f"{x:.4f}" if x == 0.0 or abs(x) >= 0.01 else f"{x:.4g}")
        for name in frame.columns[2:-2]:  # degrees of freedom, statistic and p-value
            cells[name] = [f"{x:.3f}" for x in frame[name]]
        if title is None:
            title = "Test for Constraints" + (f" ({self.method})" if self.method else "")
        return ContrastSummary(title, cells)

    def __str__(self) -> str:
        if self.effect is not None:
            return str(self.summary())
        if self.distribution == "F":
            return (
                f"F test: F = {self.statistic:.4g}, p = {self.pvalue:.4g}, "
                f"df_num = {self.df_num:g}, df_denom = {self.df_denom:g}"
                + (f" ({self.method})" if self.method else "")
            )
        return (
            f"Wald test: chi2 = {self.statistic:.4g}, p = {self.pvalue:.4g}, df = {self.df_num:g}"
        )

    def __repr__(self) -> str:
        return str(self)


def constraints(
    hypothesis: Any, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return matrix (m, p), values (m,) and names of linear hypotheses.

    Parameters
    ----------
    hypothesis : str, list of str, array (p,) or (m, p), or (array, values)
        Text such as ``"x1 = x2, x3 = 1"`` with the names of the fixed effects.
    names : sequence of str
        Names of the fixed effects.
    """
    p = len(names)
    if isinstance(hypothesis, str) or (
        isinstance(hypothesis, (list, tuple)) and all(isinstance(h, str) for h in hypothesis)
    ):
        text = [hypothesis] if isinstance(hypothesis, str) else list(hypothesis)
        try:
            return read_equations(text, names)
        except patsy.PatsyError as exc:
            raise FormulaError(
                f"the hypothesis {hypothesis!r} cannot be read: {str(exc).splitlines()[0]}; expected "
                f"linear equations in {', '.join(names)}, such as '{names[-1]} = 0'"
            ) from exc
    values: Any = 0.0
    if isinstance(hypothesis, tuple) and len(hypothesis) == 2:
        hypothesis, values = hypothesis
    matrix = np.atleast_2d(numbers(hypothesis, "r_matrix", "equations as text, or a matrix"))
    if matrix.ndim != 2 or matrix.shape[1] != p:
        raise DataValueError(
            f"r_matrix for a test of fixed effects should have {p} columns, one for each of "
            f"{', '.join(names)}; it has shape {matrix.shape}"
        )
    right = numbers(values, "the values of r_matrix", "a number for each row")
    if right.size not in (1, len(matrix)):
        raise DataValueError(
            f"r_matrix has {len(matrix)} rows and {right.size} values; expected a value for each row"
        )
    right = np.broadcast_to(right.ravel(), (len(matrix),))
    if not (len(matrix) and np.isfinite(matrix).all() and np.isfinite(right).all()):
        raise DataValueError(
            f"r_matrix is {matrix.tolist()} with values {right.tolist()}; expected at least one row of "
            "finite numbers"
        )
    return matrix, right, tuple(f"c{i}" for i in range(len(matrix)))


def t_test(
    beta: np.ndarray,
    reference: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    hypothesis: tuple[np.ndarray, np.ndarray, tuple[str, ...]],
    title: str = "",
) -> ContrastResults:
    """Test each row.

    `reference` returns standard errors (m,) and degrees of freedom (m,) of the rows of a matrix; infinite
    ones stand for the normal distribution. `title` names the method.
    """
    matrix, values, names = hypothesis
    nothing = np.flatnonzero(~matrix.any(axis=1))
    if len(nothing):
        raise DataValueError(
            f"row {nothing[0]} of r_matrix is zero, so it tests nothing; expected a "
            "combination of fixed effects"
        )
    effect = matrix @ beta
    sd, df = reference(matrix)
    z = (effect - values) / sd
    if np.isinf(df).all():
        p = 2.0 * special.ndtr(-np.abs(z))
        return ContrastResults("norm", z, p, effect, sd, None, None, names, title)
    same = float(df[0]) if np.all(df == df[0]) else df
    return ContrastResults("t", z, t_p_values(z, df), effect, sd, None, same, names, title)


def wald_test(
    beta: np.ndarray,
    reference: Callable[[np.ndarray], ReferenceDistribution],
    hypothesis: tuple[np.ndarray, np.ndarray, tuple[str, ...]],
    use_f: bool,
    inverse: Any = None,
    df_constraints: int | None = None,
    title: str = "",
) -> ContrastResults:
    """Test all rows jointly, with an F test or, if `use_f` is false, a χ² test.

    `reference` returns the reference distribution of the rows of a matrix. `inverse` (m, m) stands for the
    inverse covariance matrix of the rows, `df_constraints` for m, and `title` names the method.

    Raises
    ------
    DataValueError
        The rows are linearly dependent, or `inverse` has the wrong shape.
    """
    matrix, values, names = hypothesis
    rank = int(np.linalg.matrix_rank(matrix))
    if rank < len(matrix):
        raise DataValueError(
            f"the {len(matrix)} hypotheses have rank {rank}; expected linearly independent rows. "
            "Remove the redundant ones"
        )
    distance = matrix @ beta - values
    found = reference(matrix)
    if inverse is None:
        spread = found.covariance
        # As correlations, since fixed effects may have very different units.
        sd = np.sqrt(np.maximum(spread.diagonal(), 0.0))
        if not (np.isfinite(spread).all() and sd.all()) or (
            np.linalg.matrix_rank(spread / np.outer(sd, sd), hermitian=True) < rank
        ):
            raise DataValueError(
                "the covariance matrix of the tested combinations is singular or not finite; expected "
                "fixed effects that have standard errors. Leave out what has none, or correct cov_p"
            )
        statistic = float(distance @ np.linalg.solve(spread, distance))
    else:
        inverse = numbers(inverse, "invcov", "a matrix")
        if inverse.shape != (rank, rank):
            raise DataValueError(f"invcov has shape {inverse.shape}; expected ({rank}, {rank})")
        statistic = float(distance @ inverse @ distance)
    m = rank if df_constraints is None else whole_number(df_constraints, "df_constraints", 1)
    if not use_f:
        p = float(special.chdtrc(m, max(statistic, 0.0)))
        return ContrastResults("chi2", statistic, p, None, None, m, m, names, title)
    f = found.scale * statistic / m
    p = f_p_value(m, found.df, f)
    return ContrastResults("F", f, p, None, None, m, found.df, names, title)


def f_p_value(df_num: float, df_denom: float, f: float) -> float:
    """Return the p-value of an F statistic; with zero denominator degrees of freedom it is 1."""
    if np.isinf(df_denom):
        return float(special.chdtrc(df_num, max(f * df_num, 0.0)))
    return float(special.fdtrc(df_num, df_denom, max(f, 0.0))) if df_denom > 0.0 else 1.0


def t_p_values(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Return two-sided p-values of t statistics; infinite df stand for the normal distribution."""
    normal = np.isinf(df)
    with np.errstate(invalid="ignore"):
        inner = special.stdtr(np.where(normal, 1.0, df), -np.abs(t))
    tail: np.ndarray = np.where(normal, special.ndtr(-np.abs(t)), inner)
    return 2.0 * tail


def t_quantile(alpha: float, df: Any) -> np.ndarray:
    """Return the quantile of level 1 − alpha/2 of t distributions; infinite df stand for the normal."""
    df = np.asarray(df, dtype=float)
    normal = np.isinf(df)
    inner = special.stdtrit(np.where(normal, 1.0, df), 1.0 - alpha / 2.0)
    out: np.ndarray = np.where(normal, special.ndtri(1.0 - alpha / 2.0), inner)
    return out

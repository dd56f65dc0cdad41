"""The summary of a fit as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..inference.wald import interval, p_values

if TYPE_CHECKING:
    from ..results import MixedLMResults


@dataclass(frozen=True)
class Table:
    """A table of text: a heading, column names (the first is that of the row names) and rows."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_text(self) -> str:
        """Return aligned text; the first column to the left, the others to the right."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[j]) for row in cells) for j in range(len(self.columns))]

        def line(row: tuple[str, ...]) -> str:
            first = row[0].ljust(widths[0])
            return "  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]).rstrip()

        return "\n".join([self.heading, *("  " + line(row) for row in cells)])

    def as_html(self) -> str:
        """Return an HTML table."""
        head = "".join(f"<th>{escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in self.rows
        )
        caption = f"<caption>{escape(self.heading)}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, eq=False)
class Summary:
    """Tables of a fit.

    Attributes
    ----------
    title : str
    facts : tuple of (name, value)
    sections : tuple of Table
    closing : str
        The certificate of convergence.
    parameters : DataFrame
        All parameters in the layout of statsmodels: estimate, standard error, z, p, interval.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Table, ...]
    closing: str
    parameters: pd.DataFrame

    @property
    def tables(self) -> list[pd.DataFrame]:
        """The facts and all parameters, as frames of text."""
        return [pd.DataFrame(list(self.facts)), self.parameters]

    def as_text(self) -> str:
        """Return the summary as text."""
        width = max(len(name) for name, _ in self.facts)
        facts = "\n".join(f"  {name.ljust(width)}  {value}" for name, value in self.facts)
        parts = [self.title, facts, *(t.as_text() for t in self.sections), self.closing]
        return "\n\n".join(parts)

    def as_html(self) -> str:
        """Return the summary as HTML tables."""
        facts = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in self.facts)
        tables = "".join(t.as_html() for t in self.sections)
        closing = f"<p>{escape(self.closing)}</p>"
        return f"<h4>{escape(self.title)}</h4><table>{facts}</table>{tables}{closing}"

    def as_latex(self) -> str:
        """Return a LaTeX table of all parameters with the facts below its caption."""
        caption = _latex(f"{self.title}. " + "; ".join(f"{n}: {v}" for n, v in self.facts))
        columns = " & ".join(["", *map(_latex, self.parameters.columns)])
        rows = [
            " & ".join([_latex(str(name)), *map(_latex, row)])
            for name, row in zip(self.parameters.index, self.parameters.to_numpy())
        ]
        body = " \\\\\n".join([columns + " \\\\ \\hline", *rows]).replace("\\hline \\\\", "\\hline")
        align = "l" + "r" * self.parameters.shape[1]
        return (
            f"\\begin{{table}}\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{align}}}\n\\hline\n"
            f"{body} \\\\ \\hline\n\\end{{tabular}}\n\\end{{table}}"
        )

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


def summarize(
    results: MixedLMResults,
    alpha: float,
    yname: str | None = None,
    xname_fe: Sequence[str] | None = None,
    xname_re: Sequence[str] | None = None,
    title: str | None = None,
) -> Summary:
    """Return the summary of a fit."""
    model = results.model
    kind = "REML" if results.reml else "maximum likelihood"
    sizes = np.bincount(model.design.grouping.codes)
    fixed = _names(xname_fe, "xname_fe", model.exog_names)
    covariance = _names(xname_re, "xname_re", model.param_names[model.k_fe :])
    response = yname or model.endog_names
    formula = model.formula if yname is None and xname_fe is None else None
    facts = [
        ("Formula", formula or f"{response} ~ {' + '.join(fixed) or '0'}"),
        ("Observations", f"{results.nobs:,}" + _dropped(model.design.n_dropped)),
        (
            "Groups",
            f"{model.n_groups:,} ({model.group_name}), of {sizes.min():,} to {sizes.max():,} rows",
        ),
        (
            "REML criterion" if results.reml else "Deviance (−2 log-likelihood)",
            f"{results.criterion:.4f}",
        ),
    ]
    if model.dropped:
        facts.append(("Dropped columns", ", ".join(model.dropped) + " (determined by others)"))
    return Summary(
        title or f"Linear mixed-effects model fit by {kind}",
        tuple(facts),
        (_random_table(results), _fixed_table(results, alpha, fixed)),
        str(results.convergence),
        _parameters(results, alpha, [*fixed, *covariance]),
    )


def _names(given: Sequence[str] | None, argument: str, own: list[str]) -> list[str]:
    if given is None:
        return own
    if len(given) != len(own):
        raise OptionError(
            f"{argument} has {len(given)} names; expected {len(own)}, for {', '.join(own)}"
        )
    return [str(name) for name in given]


def _parameters(results: MixedLMResults, alpha: float, names: list[str]) -> pd.DataFrame:
    """Return the table of all parameters in the layout of statsmodels."""
    p = results.k_fe
    beta, se = np.asarray(results.fe_params), np.asarray(results.bse_fe)
    limits = interval(beta, se, alpha)
    z = beta / se
    rows = [
        [f"{x:.3f}" for x in (beta[i], se[i], z[i], p_values(z)[i], *limits[i])] for i in range(p)
    ]
    values = results.scale * np.asarray(results.params)[p:]
    errors = np.asarray(results.bse_variances)[:-1]
    rows += [
        [f"{v:.3f}", "" if np.isnan(e) else f"{e:.3f}", "", "", "", ""]
        for v, e in zip(values, errors)
    ]
    columns = ["Coef.", "Std.Err.", "z", "P>|z|", f"[{alpha / 2:g}", f"{1 - alpha / 2:g}]"]
    return pd.DataFrame(rows, index=names, columns=columns)


def _latex(text: str) -> str:
    for char in "&%$#_{}":
        text = text.replace(char, "\\" + char)
    return text.replace("~", "\\textasciitilde{}").replace("−", "$-$")


def _dropped(n: int) -> str:
    return f" ({n:,} rows with missing values left out)" if n else ""


def _random_table(results: MixedLMResults) -> Table:
    model = results.model
    rows: list[tuple[str, ...]] = []
    group, at = model.group_name, 0
    cov = np.asarray(results.cov_re)
    widest = max((len(t.names) for t in model.design.terms), default=1)
    for term in model.design.terms:
        k = len(term.names)
        part = cov[at : at + k, at : at + k]
        sd = np.sqrt(np.diag(part))
        for i, name in enumerate(term.names):
            shown = "Intercept" if name == group else name
            correlations = [
                f"{part[i, j] / (sd[i] * sd[j]):.3f}" if sd[i] * sd[j] > 0 else "–"
                for j in range(i)
            ]
            padding = [""] * (widest - 1 - i)
            row = (
                f"{group}: {shown}",
                _number(part[i, i]),
                _number(sd[i]),
                *correlations,
                *padding,
            )
            rows.append(row)
        at += k
    for name, value in zip(model.vcomp_names, results.vcomp):
        row = (f"{group} / {name}", _number(value), _number(np.sqrt(value)), *[""] * (widest - 1))
        rows.append(row)
    scale = results.scale
    rows.append(("Residual", _number(scale), _number(np.sqrt(scale)), *[""] * (widest - 1)))
    correlation = ("Correlation",) if widest > 1 else ()
    columns = ("", "Variance", "SD", *correlation, *[""] * max(0, widest - 2))
    return Table("Random effects", columns, tuple(rows))


def _fixed_table(results: MixedLMResults, alpha: float, names: list[str]) -> Table:
    beta, se = np.asarray(results.fe_params), np.asarray(results.bse_fe)
    z = beta / se
    p = p_values(z)
    limits = interval(beta, se, alpha)
    level = f"{100 * (1 - alpha):g} %"
    rows = tuple(
        (
            name,
            _number(beta[i]),
            _number(se[i]),
            f"{z[i]:.3f}",
            "<0.001" if p[i] < 0.001 else f"{p[i]:.3f}",
            _number(limits[i, 0]),
            _number(limits[i, 1]),
        )
        for i, name in enumerate(names)
    )
    columns = ("", "Estimate", "SE", "z", "P>|z|", f"{level} from", "to")
    return Table("Fixed effects", columns, rows)


def _number(x: float) -> str:
    """Return five significant digits, without an exponent where that is short."""
    if x == 0.0:
        return "0"
    if 1e-4 <= abs(x) < 1e6:
        decimals = max(0, 4 - int(np.floor(np.log10(abs(x)))))
        return f"{x:.{min(decimals, 6)}f}"
    return f"{x:.4e}"

"""The summary of a fit as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..inference.choice import Choice, choice_of
from ..inference.contrasts import t_p_values, t_quantile
from ..inference.covariance import variances
from ..inference.structure import covariance_parameters, is_structured, one_choice_of_many
from ..inference.wald import level
from .varcorr import terms_of


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
        The head of statsmodels' summary, in its order.
    parameters : DataFrame
        All parameters as text, in the layout of statsmodels: estimate, standard error, z, p, interval.
    notes : tuple of (name, value)
        Formula, criterion and what was left out.
    random : Table
        Variances, standard deviations and correlations of the random effects.
    closing : str
        The certificate of convergence.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    parameters: pd.DataFrame
    notes: tuple[tuple[str, str], ...]
    random: Table
    closing: str

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Two frames of text: the facts, in two pairs of columns, and all parameters."""
        return [pd.DataFrame(self._pairs()), self.parameters]

    def _pairs(self) -> list[tuple[str, str, str, str]]:
        """Return the facts side by side: the first half to the left."""
        cells = [(f"{name}:", value) for name, value in self.facts]
        half = (len(cells) + 1) // 2
        right = cells[half:] + [("", "")] * (2 * half - len(cells))
        return [(*a, *b) for a, b in zip(cells[:half], right)]

    def as_text(self) -> str:
        """Return the summary as text."""
        table = [["", *self.parameters.columns]]
        table += [[str(n), *row] for n, row in zip(self.parameters.index, self.parameters.values)]
        widths = [max(len(row[j]) for row in table) for j in range(len(table[0]))]
        lines = [
            " ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
            for row in table
        ]
        head = self._pairs()
        wide = [max(len(row[j]) for row in head) for j in range(4)]
        total = max(len(lines[0]), sum(wide) + 6)
        gap = " " * (2 + (total - sum(wide) - 6) // 3)
        facts = [gap.join(c.ljust(w) for c, w in zip(row, wide)).rstrip() for row in head]
        width = max((len(name) for name, _ in self.notes), default=0)
        notes = [f"{name.ljust(width)}  {value}" for name, value in self.notes]
        return "\n".join(
            [
                self.title.center(total).rstrip(), "=" * total, *facts, "-" * total, lines[0].rstrip(),
                "-" * total, *(line.rstrip() for line in lines[1:]), "=" * total, *notes, "",
                self.random.as_text(), "", self.closing,
            ]
        )  # fmt: skip

    def as_html(self) -> str:
        """Return the summary as HTML tables."""

        def row(cells: Sequence[str], tag: str = "td") -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells) + "</tr>"

        facts = "".join(row(cells) for cells in self._pairs())
        head = row(["", *self.parameters.columns], "th")
        body = "".join(
            f"<tr><th>{escape(str(name))}</th>" + row(cells)[4:]
            for name, cells in zip(self.parameters.index, self.parameters.to_numpy().tolist())
        )
        notes = "".join(row(cells) for cells in self.notes)
        return (
            f"<h4>{escape(self.title)}</h4><table>{facts}</table><table>{head}{body}</table>"
            f"<table>{notes}</table>{self.random.as_html()}<p>{escape(self.closing)}</p>"
        )

    def as_latex(self) -> str:
        """Return a LaTeX table: the facts, then all parameters."""
        facts = [" & ".join(map(_latex, cells)) for cells in self._pairs()]
        rows = [" & ".join(["", *map(_latex, self.parameters.columns)]) + " \\\\ \\hline"]
        rows += [
            " & ".join([_latex(str(name)), *map(_latex, row)]) + " \\\\"
            for name, row in zip(self.parameters.index, self.parameters.to_numpy())
        ]
        align = "l" + "r" * self.parameters.shape[1]
        return "\n".join(
            [
                "\\begin{table}", f"\\caption{{{_latex(self.title)}}}", "\\begin{center}",
                "\\begin{tabular}{llll}", "\\hline", *(line + " \\\\" for line in facts), "\\hline",
                "\\end{tabular}", "\\end{center}", "\\begin{center}",
                f"\\begin{{tabular}}{{{align}}}", "\\hline", *rows, "\\hline", "\\end{tabular}",
                "\\end{center}", "\\end{table}",
            ]
        )  # fmt: skip

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


def summarize(
    fit: Any,
    alpha: float,
    yname: str | None = None,
    xname_fe: Sequence[str] | None = None,
    xname_re: Sequence[str] | None = None,
    title: str | None = None,
    choice: Choice | None = None,
) -> Summary:
    """Return the summary of a fit."""
    spec = fit.spec
    choice = choice_of(fit) if choice is None else choice
    fixed = _names(xname_fe, "xname_fe", spec.exog_names)
    structured = xname_re is None and is_structured(fit)
    covariance = _names(xname_re, "xname_re", list(spec.layout.parameter_names))
    response = yname or spec.endog_name
    formula = spec.formula if yname is None and xname_fe is None else None
    facts = (
        ("Model", "MixedLM"),
        ("No. Observations", str(spec.nobs)),
        *_group_facts(fit),
        ("Dependent Variable", response),
        ("Method", "REML" if fit.reml else "ML"),
        ("Scale", _fact(fit.scale)),
        ("Log-Likelihood", _fact(-0.5 * fit.criterion)),
        ("Converged", "Yes" if fit.certificate.converged else "No"),
    )
    notes = [
        ("Formula", formula or f"{response} ~ {' + '.join(fixed) or '0'}"),
        ("REML criterion" if fit.reml else "Deviance", f"{fit.criterion:.4f}"),
    ]
    if choice.note:
        notes.append(("Degrees of freedom", choice.note))
    elif fit.is_plain and spec.has_bars and spec.k_fe:
        notes.append(
            (
                "Degrees of freedom",
                "none (normal), for the size of the model; summary(ddf='satterthwaite') has them",
            )
        )
    penalty = getattr(fit, "penalty", "")
    if penalty:
        notes.append(("Penalty", penalty))
        notes.append(
            (
                "",
                "z, P and intervals take the selected columns as given, so their levels do not hold",
            )
        )
    if spec.n_dropped:
        n = spec.n_dropped
        at_fault = ", ".join(f"{name} in {k:,}" for name, k in spec.missing.items())
        why = f" ({at_fault})" if at_fault else ""
        notes.append(("Left out", f"{n:,} row{'' if n == 1 else 's'} with missing values{why}"))
    note = one_choice_of_many(fit.of_variances) if structured else ""
    if note:
        notes.append(("", note))
    if spec.dropped:
        notes.append(("Dropped columns", ", ".join(spec.dropped) + " (determined by others)"))
    return Summary(
        title or "Mixed Linear Model Regression Results",
        facts,
        _parameters(fit, alpha, fixed, None if structured else covariance, choice),
        tuple(notes),
        _random_table(fit),
        str(fit.certificate),
    )


def _names(given: Sequence[str] | None, argument: str, own: list[str]) -> list[str]:
    if given is None:
        return own
    if len(given) != len(own):
        raise OptionError(
            f"{argument} has {len(given)} names; expected {len(own)}, for {', '.join(own)}"
        )
    return [str(name) for name in given]


def _parameters(
    fit: Any, alpha: float, fixed: list[str], covariance: list[str] | None, choice: Choice
) -> pd.DataFrame:
    """Return the table of all parameters in the layout of statsmodels.

    `covariance` None: the parameters of covariance structures stand in place of entries of cov_re.
    """
    p = fit.spec.k_fe
    beta, (se, df) = fit.beta, choice.rows(fit, np.eye(p)) if p else (np.zeros(0), np.zeros(0))
    reach = t_quantile(level(alpha), df) * se
    limits = np.column_stack([beta - reach, beta + reach])
    z = beta / se
    p_value = t_p_values(z, df)
    letter, own = ("z", False) if np.isinf(df).all() else ("t", True)
    rows = [
        [_cell(x) for x in (beta[i], se[i])]
        + ([_short(df[i])] if own else [])
        + [_decimals(x) for x in (z[i], p_value[i])]
        + [_cell(x) for x in limits[i]]
        for i in range(p)
    ]
    if covariance is None:
        table = covariance_parameters(fit)
        several = table["term"].nunique() > 1
        covariance = [
            f"{term} {name}" if several else name
            for term, name in zip(table["term"], table["parameter"])
        ]
        values, errors = table["estimate"].to_numpy(), table["std_err"].to_numpy()
    else:
        shown = _shown_covariances(fit)
        values = (fit.scale * fit.params[p:])[shown]
        errors = np.sqrt(np.diag(variances(fit)))[:-1][shown]
        covariance = [name for name, keep in zip(covariance, shown) if keep]
    empty = [""] * (5 if own else 4)
    rows += [[_cell(v), _cell(e), *empty] for v, e in zip(values, errors)]
    columns = ["Coef.", "Std.Err.", *(["df"] if own else []), letter, f"P>|{letter}|"]
    columns += [f"[{alpha / 2:g}", f"{1 - alpha / 2:g}]"]
    return pd.DataFrame(rows, index=[*fixed, *covariance], columns=columns)


def _latex(text: str) -> str:
    for char in "&%$#_{}":
        text = text.replace(char, "\\" + char)
    for char in "<>|":
        text = text.replace(char, f"${char}$")
    return text.replace("~", "\\textasciitilde{}").replace("−", "$-$")


def _cell(x: float) -> str:
    """Return three decimals, or four significant digits where these would hide a small number."""
    return _decimals(x) if x == 0.0 or not abs(x) < 0.0995 else f"{x:.4g}"


def _short(df: float) -> str:
    """Return degrees of freedom with two decimals, none where they are many."""
    return f"{df:.2f}" if df < 1000 else f"{df:.0f}"


def _decimals(x: float) -> str:
    return "" if np.isnan(x) else f"{x:.3f}"


def _fact(x: float) -> str:
    return f"{x:.4f}" if x == 0.0 or abs(x) >= 0.01 else f"{x:.4e}"


def _random_table(fit: Any) -> Table:
    terms = list(terms_of(fit))
    widest = max((len(t.names) for t in terms), default=1)
    rows: list[tuple[str, ...]] = []
    for term in terms:
        for i, name in enumerate(term.names):
            correlations = [term.correlation(i, j) for j in range(i)]
            cells = ["–" if np.isnan(r) else f"{r:.3f}" for r in correlations]
            variance = term.cov[i, i]
            shown = f"{term.group}: {name}" if name else term.group
            padding = [""] * (widest - 1 - i)
            rows.append((shown, _number(variance), _number(np.sqrt(variance)), *cells, *padding))
    scale = fit.scale
    residual = "Residual (held)" if fit.of_effects.holds_scale else "Residual"
    rows.append((residual, _number(scale), _number(np.sqrt(scale)), *[""] * (widest - 1)))
    correlation = ("Correlation",) if widest > 1 else ()
    columns = ("", "Variance", "SD", *correlation, *[""] * max(0, widest - 2))
    return Table("Random effects", columns, tuple(rows))


def _group_facts(fit: Any) -> list[tuple[str, str]]:
    """Return what the summary says of the groups, in statsmodels' words for one factor."""
    spec, cp = fit.spec, fit.of_effects.equations.crossproducts
    if spec.is_several:
        return [(f"Levels of {factor.name}", f"{factor.n_levels:,}") for factor in spec.factors]
    blocks = getattr(cp, "blocks", None)  # else one group, in which components are crossed
    sizes = np.array([spec.nobs]) if blocks is None else np.concatenate([b.counts for b in blocks])
    return [
        ("No. Groups", str(spec.factors[0].n_levels)),
        ("Min. group size", str(sizes.min())),
        ("Max. group size", str(sizes.max())),
        ("Mean group size", f"{sizes.mean():.1f}"),
    ]


def _shown_covariances(fit: Any) -> np.ndarray:
    """Return which covariance parameters belong to a term; those between terms are no parameters."""
    layout = fit.layout
    shown = np.zeros(layout.k_re2 + layout.k_vc, dtype=bool)
    for where in layout.packed:
        shown[where] = True
    return shown


def _number(x: float) -> str:
    """Return five significant digits, without an exponent where that is short."""
    if x == 0.0:
        return "0"
    if 1e-4 <= abs(x) < 1e6:
        decimals = max(0, 4 - int(np.floor(np.log10(abs(x)))))
        return f"{x:.{min(decimals, 6)}f}"
    return f"{x:.4e}"


def summary(
    fit: Any,
    yname: str | None = None,
    xname_fe: Sequence[str] | None = None,
    xname_re: Sequence[str] | None = None,
    title: str | None = None,
    alpha: float = 0.05,
    *,
    ddf: Any = None,
    vcov: Any = None,
) -> Summary:
    """Return tables of the estimates, to print or to format by ``as_text``, ``as_html``, ``as_latex``.

    Parameters
    ----------
    yname : str, optional
        Name of the response.
    xname_fe, xname_re : sequence of str, optional
        Names of the fixed effects, and of the covariance parameters.
    title : str, optional
    alpha : float
        One minus the level of the confidence intervals.
    ddf, vcov : optional
        As for `t_test`: degrees of freedom and covariance of the fixed effects.
    """
    for argument, names in (("xname_fe", xname_fe), ("xname_re", xname_re)):
        if isinstance(names, str):
            raise OptionError(f"{argument}={names!r}; expected a list of names")
    yname, title = (None if text is None else str(text) for text in (yname, title))
    choice = choice_of(fit, ddf, vcov)
    return summarize(fit, alpha, yname, xname_fe, xname_re, title, choice)

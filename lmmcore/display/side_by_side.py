"""Several fits side by side, as tables of papers have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError
from ..tidy import glance, tidy

BLOCKS = ("fixed", "random", "fit")
FACTS = {"nobs": "Rows", "logLik": "Log-likelihood", "AIC": "AIC", "BIC": "BIC"}


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Fits in columns.

    Attributes
    ----------
    frame : DataFrame
        Cells as text; the index has the block of a row (fixed, random, fit) and its name.
    """

    frame: pd.DataFrame

    def as_text(self) -> str:
        """Return the table as text."""
        names = [name for _, name in self.frame.index]
        wide = max(map(len, names))
        columns = [[str(c), *self.frame[c].tolist()] for c in self.frame.columns]
        widths = [max(map(len, column)) for column in columns]
        lines = [" " * wide + "  " + "  ".join(c[0].rjust(w) for c, w in zip(columns, widths))]
        block = ""
        for i, (own, name) in enumerate(self.frame.index):
            if own != block:
                lines.append("-" * len(lines[0]))
                block = own
            cells = "  ".join(c[i + 1].rjust(w) for c, w in zip(columns, widths))
            lines.append(f"{name.ljust(wide)}  {cells}".rstrip())
        return "\n".join(lines)

    def as_html(self) -> str:
        """Return the table as HTML."""
        head = "".join(f"<th>{escape(str(c))}</th>" for c in self.frame.columns)
        body = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            + "".join(f"<td>{escape(x)}</td>" for x in row)
            + "</tr>"
            for (_, name), row in zip(self.frame.index, self.frame.to_numpy())
        )
        return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"

    def as_markdown(self) -> str:
        """Return the table as Markdown."""
        columns = [str(c) for c in self.frame.columns]
        lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
        for (_, name), row in zip(self.frame.index, self.frame.to_numpy()):
            shown = name.replace("|", "\\|")
            lines.append(f"| {shown} | " + " | ".join(row) + " |")
        return "\n".join(lines)

    def as_latex(self) -> str:
        """Return the table as LaTeX, for the package booktabs."""
        columns = " & ".join(_latex(str(c)) for c in self.frame.columns)
        lines = [
            "\\begin{tabular}{l" + "r" * self.frame.shape[1] + "}", "\\toprule", f" & {columns} \\\\",
        ]  # fmt: skip
        block = ""
        for (own, name), row in zip(self.frame.index, self.frame.to_numpy()):
            if own != block:
                lines.append("\\midrule")
                block = own
            lines.append(" & ".join([_latex(name), *map(_latex, row)]) + " \\\\")
        return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


def _latex(text: str) -> str:
    for a in ("\\", "&", "%", "#", "_", "{", "}"):
        text = text.replace(a, "\\textbackslash{}" if a == "\\" else f"\\{a}")
    return (
        text.replace("|", "$|$")
        .replace("~", "\\textasciitilde{}")
        .replace("^", "\\textasciicircum{}")
    )


def table(
    *results: Any, names: Sequence[str] | None = None, digits: int = 3, stars: bool = False
) -> SideBySide:
    """Return fits side by side: estimates with standard errors, standard deviations, criteria.

    Parameters
    ----------
    *results : results
    names : sequence of str, optional
        Of the columns; by default (1), (2), …
    digits : int
        Significant digits.
    stars : bool
        Whether to mark p-values below 0.05, 0.01 and 0.001.

    Returns
    -------
    SideBySide
        Printed, it is text; ``as_html``, ``as_markdown``, ``as_latex`` and ``frame`` are there too.

    Raises
    ------
    OptionError
        No results; another number of names.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> one, two = (lmmcore.mixedlm(f"Reaction ~ Days + {bars}", data).fit()
    ...             for bars in ("(1 | Subject)", "(Days | Subject)"))
    >>> print(lmmcore.table(one, two, names=["intercepts", "slopes"]).frame.loc[("fixed", "Days")].tolist())
    ['10.5 (0.804)', '10.5 (1.55)']
    """
    if not results:
        raise OptionError("table() without results; expected one or more fits")
    columns = [f"({i + 1})" for i in range(len(results))] if names is None else list(names)
    if len(columns) != len(results):
        raise OptionError(f"names has {len(columns)} entries for {len(results)} fits")
    whole = []
    for found in results:
        cells: dict[tuple[str, str], str] = {}
        for row in tidy(found).to_dict("records"):
            value = _number(row["estimate"], digits)
            if row["effect"] == "fixed":
                mark = _stars(row["p.value"]) if stars else ""
                cells["fixed", row["term"]] = f"{value} ({_number(row['std.error'], digits)}){mark}"
            else:
                kind, _, what = row["term"].rpartition("__")
                name = {"sd": "SD", "cor": "Correlation"}.get(kind, "")
                of = "" if row["group"] == "Residual" and kind == "sd" else f"{what} | "
                cells["random", f"{name} {of}{row['group']}".strip()] = value
        facts = glance(found).iloc[0]
        for key, name in FACTS.items():
            cells["fit", name] = f"{facts[key]:,.0f}" if key == "nobs" else f"{facts[key]:.1f}"
        cells["fit", "Method"] = "REML" if found.fit.reml else "ML"
        whole.append(cells)
    keys = list(dict.fromkeys(key for cells in whole for key in cells))
    keys.sort(key=lambda key: BLOCKS.index(key[0]) + 0.5 * (key[1] == "SD Residual"))  # the last SD
    index = pd.MultiIndex.from_tuples(keys, names=["block", "name"])
    data = {c: [cells.get(k, "") for k in keys] for c, cells in zip(columns, whole)}
    if len(data) < len(columns):
        raise OptionError(f"names={columns!r}; expected different names")
    return SideBySide(pd.DataFrame(data, index=index))


def _number(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e9 else text


def _stars(p: float) -> str:
    return "***" if p < 0.001 else "**" if p < 0.01 else "*" if p < 0.05 else ""

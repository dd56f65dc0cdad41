"""What a notebook or a console shows of a model and of results that nobody has asked for anything."""

from __future__ import annotations

from html import escape
from typing import Any


def facts_of_model(model: Any) -> list[tuple[str, str]]:
    """Return what a model is, as pairs of name and value."""
    spec = model.spec
    structure = getattr(model, "residual_structure", None)
    out = [("Formula", spec.formula or f"{spec.endog_name} on {', '.join(spec.exog_names)}")]
    if structure is not None:
        out.append(("Residuals", structure.title))
    out.append(
        ("Rows", f"{spec.nobs:,}" + (f" ({spec.n_dropped:,} left out)" if spec.n_dropped else ""))
    )
    out += [(f"Levels of {f.name}", f"{f.n_levels:,}") for f in spec.factors if spec.terms]
    out.append(("Fixed effects", ", ".join(spec.exog_names) or "none"))
    return out


def model_text(model: Any) -> str:
    """Return a model as text."""
    facts = facts_of_model(model)
    width = max(len(name) for name, _ in facts)
    lines = [f"{name.ljust(width)}  {value}" for name, value in facts]
    return "\n".join([type(model).__name__, *(f"  {line}" for line in lines), "fit() estimates it"])


def model_html(model: Any) -> str:
    """Return a model as an HTML table."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in facts_of_model(model)
    )
    name = type(model).__name__
    return f"<table><caption>{name}: <code>fit()</code> estimates it</caption>{rows}</table>"


def results_text(results: Any) -> str:
    """Return results as text: their summary."""
    return str(results.summary())


def results_html(results: Any) -> str:
    """Return results as HTML: the tables of their summary."""
    found: str = results.summary()._repr_html_()
    return found

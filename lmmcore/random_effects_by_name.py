"""Which random effects a prediction includes, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .design.design import RandomTerm
from .design.formula import Bar, parse_formula
from .design.spec import ModelSpec
from .errors import FormulaError, OptionError, suggest


def chosen_terms(model: Any, given: Any) -> frozenset[int]:
    """Return the numbers of the terms that ``predict(random_effects=given)`` includes.

    The terms of the formula come first, then the variance components.

    Raises
    ------
    OptionError
        A name does not belong to random effects of the model.
    """
    if isinstance(given, (bool, np.bool_)):
        given = "all" if given else "none"
    if isinstance(given, str):
        if given == "none":
            return frozenset()
        if given == "all":
            return frozenset(range(len(model.spec.terms) + len(model.vcomp_names)))
        given = [given]
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise _refused(model, given, "")
    found: set[int] = set()
    for name in given:
        numbers = _named(model, name) if isinstance(name, str) else []
        if not numbers:
            raise _refused(model, name, suggest(str(name), _known(model)))
        found.update(numbers)
    return frozenset(found)


def _refused(model: Any, given: Any, hint: str) -> OptionError:
    known = ", ".join(map(repr, _known(model)))
    hint = hint if "did you mean" in hint else ""
    return OptionError(
        f"random_effects={given!r} names no random effects of the model{hint or '.'} Expected True or "
        f"'all', False or 'none', or one or several of {known}"
    )


def _known(model: Any) -> list[str]:
    """Return the names of all grouping factors, terms and variance components."""
    spec = model.spec
    names = [g.name for g in spec.factors]
    names += [_text(spec, term) for term in spec.terms]
    return list(dict.fromkeys([*names, *model.vcomp_names]))


def _named(model: Any, name: str) -> list[int]:
    """Return the terms that a name means, none when it means nothing."""
    spec, name = model.spec, name.strip()
    if "|" in name:
        return _by_bars(spec, name)
    k = len(spec.terms)
    found = [t for t, term in enumerate(spec.terms) if name in _group_names(spec, term.factor)]
    for j, component in enumerate(model.vcomp_names):
        if name in (component, f"{model.group_name} / {component}", *_group_names(spec, 0)):
            found.append(k + j)
    return found


def _group_names(spec: ModelSpec, factor: int) -> tuple[str, str]:
    grouping = spec.factors[factor]
    return grouping.name, ":".join(grouping.variables) or grouping.name


def _by_bars(spec: ModelSpec, text: str) -> list[int]:
    """Return the terms that bars such as ``(1 + x | g)`` or ``(1 | a/b)`` mean; all of them or none."""
    if not text.endswith(")"):
        text = f"({text})"
    try:
        bars: Sequence[Bar] = parse_formula(f"y ~ {text}").bars
    except FormulaError:
        return []
    found = []
    for bar in bars:
        columns = _columns_of_bar(bar)
        mine = [
            t for t, term in enumerate(spec.terms)
            if ":".join(bar.group) in _group_names(spec, term.factor)
            and set(_columns_of_term(spec, term)) == columns
        ]  # fmt: skip
        if not mine:
            return []
        found += mine
    return found


def _columns_of_bar(bar: Bar) -> set[str]:
    terms = bar.terms
    if terms.plain is not None:
        names: Iterable[str] = (*terms.plain, *(("1",) if terms.intercept else ()))
    else:
        pieces = [piece.strip() for piece in re.split(r"\+(?![^(]*\))", terms.text)]
        names = [p for p in pieces if p not in ("0", "1")] + ([] if "0" in pieces else ["1"])
    return {_base(name) for name in names}


def _columns_of_term(spec: ModelSpec, term: RandomTerm) -> list[str]:
    """Return the columns of a term as a formula names them, "1" for its intercept."""
    constant = ("Intercept", spec.factors[term.factor].name)
    return list(dict.fromkeys("1" if name in constant else _base(name) for name in term.names))


def _base(name: str) -> str:
    """Return the variable of a column, without its level and blanks: "x[T.b]" is of x."""
    return re.sub(r"\[[^\]]*\]|\s", "", name)


def _text(spec: ModelSpec, term: RandomTerm) -> str:
    columns = _columns_of_term(spec, term)
    shown = columns if "1" in columns else ["0", *columns]
    return f"({' + '.join(shown)} | {spec.factors[term.factor].name})"

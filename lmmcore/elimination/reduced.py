"""The same model without a term of its fixed or random effects."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from ..design.design import Design
from ..design.encoding import Encoding
from ..design.spec import ModelSpec
from ..errors import DesignError, LmmcoreWarning, OptionError
from ..fitting.fit import Fit
from ..inference.hypotheses import in_order
from ..inference.terms import columns_of_terms, tested_terms


def droppable_terms(fit: Fit) -> list[str]:
    """Return the fixed-effects terms whose variables are not all in another term; not the intercept."""
    spec, names = fit.spec, list(tested_terms(fit))
    used = {name: _variables(spec, name) for name in names}
    return in_order(spec, [n for n in names if not any(used[n] < used[o] for o in names)])


def _variables(spec: ModelSpec, name: str) -> frozenset[Any]:
    info = spec.fixed_info
    if not isinstance(info, Encoding):  # columns of numbers, each a term
        return frozenset([name])
    term = next(t for t in info.terms if t.name == name)
    return frozenset(v for product in term.products for v in product.variables)


def refuse(results: Any, what: str) -> None:
    """Raise an error for fits that have no reduced model.

    Raises
    ------
    OptionError
    """
    fit = results.fit
    if not fit.is_plain or fit.held is not None:
        how = "held covariance parameters" if fit.is_plain else "a penalty"
        raise OptionError(f"{what} of a fit with {how}; expected an ordinary fit")


def without_fixed(results: Any, term: str, reml: bool | None = None) -> Any:
    """Return the fit of the model without a fixed-effects term.

    Parameters
    ----------
    reml : bool, optional
        By default as the fit.
    """
    fit, design = results.fit, results.model.design
    kept = np.setdiff1d(np.arange(fit.spec.k_fe), columns_of_terms(fit.spec)[term])
    return fitted(results, design.take_fixed(kept), fit.reml if reml is None else reml)


def without_random(results: Any, t: int, column: int | None) -> Any:
    """Return the fit of the model without a random-effects term, or without one of its columns.

    Raises
    ------
    DesignError
        It is the last one.
    """
    return fitted(results, _less_random(results.model.design, t, column), results.fit.reml)


def fitted(results: Any, design: Design, reml: bool) -> Any:
    """Return the fit of a design of the same rows, with the same degrees of freedom in tests."""
    model = results.model
    new = type(model)._from_design(design, formula_of(design), model.use_sqrt)
    chosen = results.fit.inference
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LmmcoreWarning)
        found = new.fit(reml=reml)
    if chosen is not None:
        found = type(found)(
            new, replace(found.fit, inference=chosen.bound(new, found.fit)), found.full_output
        )
    return found


def _less_random(design: Design, t: int, column: int | None) -> Design:
    term, first = design.terms[t], sum(len(x.names) for x in design.terms[:t])
    k = len(term.names)
    gone = range(first, first + k) if column is None else [first + column]
    random = tuple(c for j, c in enumerate(design.random) if j not in gone)
    terms = list(design.terms)
    if column is None:
        del terms[t]
    else:
        terms[t] = term.take(np.delete(np.arange(k), column))
    if not terms and design.components is not None:
        return replace(design, terms=(), random=random)
    if not terms:
        raise DesignError(
            "the last random effect cannot be deleted; expected a model with one or more. Fit a linear model "
            "by least squares"
        )
    used = sorted({x.factor for x in terms})
    groupings = [design.groupings[f] for f in used]
    terms = [replace(x, factor=used.index(x.factor)) for x in terms]
    return replace(
        design, terms=tuple(terms), random=random, grouping=groupings[0],
        others=tuple(groupings[1:]),
    )  # fmt: skip


def formula_of(design: Design) -> str:
    """Return a formula for a design, for people to read."""
    fixed = [n for n in design.fixed_names if n != "Intercept"]
    info = design.fixed_info
    if isinstance(info, Encoding):
        built = np.arange(len(design.fixed)) if design.fixed_built is None else design.fixed_built
        where = info.term_name_slices
        present = set(np.asarray(built).tolist())
        fixed = [
            n for n, at in where.items()
            if n != "Intercept" and present.intersection(range(at.start, at.stop))
        ]  # fmt: skip
    constant = "1" if "Intercept" in design.fixed_names else "0"
    bars = []
    for term in design.terms:
        group = design.groupings[term.factor].name
        names = ["1" if n in ("Intercept", group) else n for n in term.names]
        names = names if "1" in names else ["0", *names]
        kind = "" if term.covariance == "unstructured" else str(term.covariance)
        bars.append(f"{kind}({' + '.join(names)} | {group})")
    return f"{design.endog_name} ~ {' + '.join([constant, *fixed, *bars])}"

"""The hypotheses of analysis of variance: for each term of a formula, a matrix L of type 1, 2 or 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import patsy

from ..design.encoding import Encoding
from ..design.spec import ModelSpec
from ..errors import OptionError
from ..fitting.fit import Fit
from .terms import columns_of_terms, tested_terms

SMALL = 1e-12


def hypotheses(fit: Fit, kind: Any) -> dict[str, np.ndarray]:
    """Return L (q, p) of each term but the intercept.

    Parameters
    ----------
    kind : {1, 2, 3} or {"I", "II", "III"}
        1: each term after those before it. 2: each after all others that do not contain it. 3: each after
        all others, every categorical variable coded as deviations from the mean of its levels.

    Raises
    ------
    OptionError
        Another kind.
    """
    kind = {"I": 1, "II": 2, "III": 3}.get(kind, kind) if isinstance(kind, str) else kind
    if isinstance(kind, bool) or kind not in (1, 2, 3):
        raise OptionError(f"type={kind!r}; expected 1, 2 or 3")
    columns = columns_of_terms(fit.spec)
    tested = tested_terms(fit)
    terms = in_order(fit.spec, list(tested))
    first = [name for name in columns if name not in tested and len(columns[name])]
    gram = _gram(fit)
    if kind == 3:
        found = _by_deviations(fit.spec, terms, columns)
        # The same hypotheses, in rows that are those of type 2.
        last = [t for t in terms if not any(_contains(fit.spec, other, t) for other in terms)]
        for name in last:
            others = [other for other in terms if other != name]
            found.update(_sequential(gram, [*first, *others, name], [name], columns))
        return found
    if kind == 1:
        return _sequential(gram, [*first, *terms], terms, columns)
    out = {}
    for name in terms:
        above = [other for other in terms if _contains(fit.spec, other, name)]
        others = [other for other in terms if other != name and other not in above]
        out.update(_sequential(gram, [*first, *others, name, *above], [name], columns))
    return out


def in_order(spec: ModelSpec, names: Sequence[str]) -> list[str]:
    """Return terms by their number of variables, and as written among equals."""
    text = getattr(spec.fixed_info, "text", None)
    try:
        found = patsy.ModelDesc.from_formula(f"0 + {text}").rhs_termlist if text else []
    except patsy.PatsyError:
        found = []
    written = [term.name() for term in found]
    known = [name for name in written if name in names]
    if len(known) != len(names):
        return list(names)
    return sorted(known, key=lambda name: (name.count(":"), known.index(name)))


def _gram(fit: Fit) -> np.ndarray:
    """Return X'WX (p, p) up to a factor, from the cross-products."""
    p = fit.spec.k_fe
    to_basis = np.linalg.inv(fit.likelihood.coordinates.matrix)
    gram: np.ndarray = to_basis.T @ fit.likelihood.engine.total[:p, :p] @ to_basis
    return gram


def _sequential(
    gram: np.ndarray, order: Sequence[str], wanted: Sequence[str], columns: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the rows of terms in the Cholesky factor of X'WX whose columns are in some order."""
    at = np.concatenate([columns[name] for name in order])
    size = np.sqrt(np.diag(gram))[at]
    upper = np.linalg.cholesky(gram[np.ix_(at, at)] / np.outer(size, size)).T
    rows = np.zeros_like(gram)
    rows[:, at] = upper / np.diag(upper)[:, None] * size / size[:, None]
    ends = np.cumsum([len(columns[name]) for name in order])
    where = {name: slice(end - len(columns[name]), end) for name, end in zip(order, ends)}
    return {name: rows[where[name]] for name in wanted}


def _variables(spec: ModelSpec, name: str) -> tuple[frozenset[Any], frozenset[Any]]:
    """Return the categorical and the numeric variables of a term."""
    info = spec.fixed_info
    if not isinstance(info, Encoding):  # columns of numbers, each a term
        return frozenset(), frozenset([name])
    term = next(t for t in info.terms if t.name == name)
    used = {v for product in term.products for v in product.variables}
    factors = frozenset(v for v in used if info.variables[v].levels is not None)
    return factors, frozenset(used) - factors


def _contains(spec: ModelSpec, outer: str, inner: str) -> bool:
    """Return whether a term has the numeric variables of another, all its categorical ones, and more."""
    (a, x), (b, y) = _variables(spec, outer), _variables(spec, inner)
    return x == y and a > b


def _by_deviations(
    spec: ModelSpec, terms: Sequence[str], columns: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the coefficients of each term in deviation coding as functions of β.

    Both codings describe the same means. The map between their coefficients follows from any rows in which
    all levels and enough values occur; these are drawn.
    """
    identity, info = np.eye(spec.k_fe), spec.fixed_info
    if not isinstance(info, Encoding) or spec.dropped:
        return {name: identity[columns[name]] for name in terms}
    recoded = replace(info, terms=tuple(_deviations(t) for t in info.terms))
    rng = np.random.default_rng(0)
    n = 20 * len(info.names) + 20 * max((len(v.levels or ()) for v in info.variables), default=1)
    values = [
        rng.integers(0, len(v.levels), n)
        if v.levels is not None
        else rng.uniform(0.5, 1.5, n if v.width == 1 else (n, v.width))
        for v in info.variables
    ]

    def matrix(encoding: Encoding) -> np.ndarray:
        made = encoding.columns(values)
        return np.column_stack([np.ones(n) if c is None else np.asarray(c, float) for c in made])

    change = np.linalg.lstsq(matrix(recoded), matrix(info), rcond=None)[0]
    change[np.abs(change) < SMALL * np.abs(change).max()] = 0.0
    where = info.term_name_slices
    return {name: change[where[name]][:, spec.built] for name in terms}


def _deviations(term: Any) -> Any:
    """Return a term whose categorical variables are coded as deviations from the mean of the levels."""

    def coded(contrast: np.ndarray | None) -> np.ndarray | None:
        if contrast is None or contrast.shape[1] != len(contrast) - 1:
            return contrast
        k = contrast.shape[1]
        return np.vstack([np.eye(k), -np.ones(k)])

    products = tuple(replace(p, contrasts=tuple(map(coded, p.contrasts))) for p in term.products)
    return replace(term, products=products)

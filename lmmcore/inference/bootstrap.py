"""The bootstrap: refits of resampled groups, or of responses drawn from the fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..arguments import generator, numbers
from ..design.columns import Column
from ..design.design import Design
from ..design.groups import Grouping, GroupingFactor
from ..errors import (
    ConvergenceWarning,
    DataValueError,
    LmmcoreError,
    LmmcoreWarning,
    OptionError,
    users_line,
)
from ..fitting.fit import Fit
from ..fitting.many import Refits, joined
from ..fitting.options import optimizers_of
from ..refitting import reader_of, refit_to

Generator = np.random.Generator | np.random.RandomState


def resampled(
    results: Any,
    nrep: int,
    method: str | None,
    rng: Any,
    kind: str,
    fun: Callable[[Any], Any] | None,
    callback: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Return a statistic of each refit (nrep, k), NaN where it failed; see `bootstrap`."""
    if isinstance(nrep, bool) or not isinstance(nrep, (int, np.integer)) or nrep < 2:
        raise OptionError(f"nrep={nrep!r}; expected a whole number of replications, 2 or more")
    rng = generator(rng)
    if kind not in ("groups", "parametric"):
        raise OptionError(f"kind={kind!r}; expected 'groups' or 'parametric'")
    if method in ("groups", "parametric"):
        raise OptionError(f"method={method!r} is not an optimizer; did you mean kind={method!r}?")
    optimizers_of(method)  # an unknown one is an error now, not the failure of each refit
    if kind == "parametric" and fun is None and method is None and results.fit.is_plain:
        refits = Refits(results.fit)
        if refits.is_rowless:
            return _rowless(results.fit, refits, int(nrep), rng, callback)
    draw = _groups_again if kind == "groups" else _responses_again
    again = draw(results, method)
    statistic = _params if fun is None else fun
    wanted = np.atleast_1d(numbers(statistic(results), "what fun returned", "a number or a vector"))
    if wanted.ndim != 1:
        raise DataValueError(f"fun returned shape {wanted.shape}; expected a number or a vector")
    out = np.full((nrep, len(wanted)), np.nan)
    reasons: list[str] = []
    for i in range(nrep):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LmmcoreWarning)
                fit = again(rng)
                if not fit.converged:
                    raise LmmcoreError(str(fit.convergence).splitlines()[0])
                value = np.atleast_1d(np.asarray(statistic(fit), dtype=float))
                if value.shape != wanted.shape:
                    raise LmmcoreError(
                        "columns of exog were dropped, because other columns determine them"
                    )
                out[i] = value
        except LmmcoreError as exc:
            reasons.append(str(exc))
        if callback is not None:
            callback(i + 1, nrep)
    _tell_failures(reasons, nrep)
    return out


def _tell_failures(reasons: Sequence[str], nrep: int) -> None:
    if len(reasons) > nrep - 2:
        raise LmmcoreError(
            f"{len(reasons)} of {nrep} refits failed; expected data that can still be fitted after "
            f"resampling. Use kind='parametric', or a smaller model. The first error: {reasons[0]}"
        )
    if reasons:
        warnings.warn(
            f"{len(reasons)} of {nrep} refits failed. Their rows are NaN, and the mean and "
            f"standard deviation leave them out. The first error: {reasons[0]}",
            ConvergenceWarning,
            stacklevel=users_line(),
        )


def _rowless(
    fit: Fit,
    refits: Refits,
    nrep: int,
    rng: Generator,
    callback: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Return `params` of refits to responses that are drawn without rows."""
    done, parts = 0, []
    while done < nrep:
        r = min(refits.at_once, nrep - done)
        parts.append(refits.of_drawn(r, rng))
        for i in range(done, done + r) if callback is not None else ():
            callback(i + 1, nrep)  # type: ignore[misc]
        done += r
    found = joined(parts)
    _tell_failures(list(found.reasons.values()), nrep)
    return found.params(fit.layout)


def _responses_again(results: Any, method: str | None) -> Callable[[Generator], Any]:
    """Return a function that draws a response from the fitted model and refits the model to it."""
    model, fit = results.model, results.fit
    distribution = model.get_distribution(fit.params_object, fit.scale)
    offset, reader = model.design.offset, reader_of(model)

    def again(rng: Generator) -> Any:
        y = distribution.rvs(rng=rng)
        y = y if offset is None else y - offset
        return refit_to(results, y, reader.read(y[:, None]), 0, method)

    return again


def _groups_again(results: Any, method: str | None) -> Callable[[Generator], Any]:
    """Return a function that draws as many groups as there are, with replacement, and refits."""
    model, design = results.model, results.model.design
    if design.others:
        raise OptionError(
            "kind='groups' resamples the groups of a single grouping factor; the model has "
            f"{', '.join(g.name for g in design.groupings)}, whose levels share rows. Use "
            "kind='parametric', which draws responses from the fitted model"
        )
    draw = _groups_of(design)
    formula = getattr(model, "formula", None)

    def again(rng: Generator) -> Any:
        return results._refit(type(model)._from_design(draw(rng), formula, model.use_sqrt), method)

    return again


def _params(fit: Any) -> np.ndarray:
    return np.asarray(fit.params)


def _groups_of(design: Design) -> Callable[[Generator], Design]:
    """Return a function that draws as many groups as there are, with replacement."""
    grouping = design.grouping
    q = grouping.n_levels
    order = np.argsort(grouping.codes, kind="stable")
    sizes = np.bincount(grouping.codes, minlength=q)
    first = np.concatenate([[0], np.cumsum(sizes)])

    def draw(rng: Generator) -> Design:
        chosen = (
            rng.integers(q, size=q)
            if isinstance(rng, np.random.Generator)
            else rng.randint(q, size=q)
        )
        lengths = sizes[chosen]
        ends = np.cumsum(lengths)
        rows = order[np.repeat(first[chosen] - ends + lengths, lengths) + np.arange(int(ends[-1]))]
        drawn = GroupingFactor(grouping.name, np.arange(q), grouping.factor.variables)
        codes = np.repeat(np.arange(q, dtype=np.int32), lengths)
        return _rows_of(design, rows, Grouping(drawn, codes, in_order=True))

    return draw


def _rows_of(design: Design, rows: np.ndarray, grouping: Grouping) -> Design:
    def take(columns: tuple[Column, ...]) -> tuple[Column, ...]:
        return tuple(None if c is None else c[rows] for c in columns)

    return replace(
        design,
        endog=design.endog[rows],
        fixed=take(design.fixed),
        random=take(design.random),
        grouping=grouping,
        components=None if design.components is None else design.components.take(rows),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        rows=rows if design.rows is None else design.rows[rows],
        in_table=rows if design.in_table is None else design.in_table[rows],
        row_labels=None,
    )


def bootstrap(
    results: Any,
    nrep: int = 100,
    method: str | None = None,
    disp: bool = False,
    store: bool = True,
    rng: Any = None,
    *,
    kind: str = "groups",
    fun: Callable[[Any], Any] | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Refit the model to resampled data, with the same penalty if there is one.

    Parameters
    ----------
    nrep : int
        Number of replications.
    method : str, optional
        Optimizer; by default that of `fit`.
    disp : bool
        Accepted for compatibility; has no effect. See `callback`.
    store : bool
        Whether ``results.bootstrap_results`` keeps the estimates.
    rng : Generator, RandomState or int, optional
    kind : {"groups", "parametric"}
        Whether to draw whole groups with replacement, or responses from the fitted model.
    fun : callable, optional
        Takes the results of a refit, returns a number or a vector; by default ``params``.
    callback : callable, optional
        Called after each refit with its number and `nrep`.

    Returns
    -------
    mean, std : arrays (k,)
    values : array (nrep, k)
        The row of a refit that failed is NaN. A warning says how many failed.

    Notes
    -----
    In a model with one grouping factor, the parametric bootstrap of `params` draws the cross-products of a
    response instead of its rows, because the likelihood needs no more. It refits many replicates at once.

    statsmodels resamples single rows. This is wrong for mixed models, because the rows of a group are
    dependent.
    """
    values = resampled(results, nrep, method, rng, kind, fun, callback)
    good = values[~np.isnan(values).any(axis=1)]
    if store:
        results.__dict__["bootstrap_results"] = values
    return good.mean(axis=0), good.std(axis=0), values

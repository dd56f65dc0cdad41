"""The bootstrap: refits of resampled groups, or of responses drawn from the fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..arguments import generator, numbers
from ..design.columns import Column
from ..design.design import Design
from ..design.groups import Grouping
from ..errors import ConvergenceWarning, DataValueError, LmmcoreError, LmmcoreWarning, OptionError

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
    model, design = results.model, results.model.design
    if kind == "groups":
        if design.others:
            raise OptionError(
                "kind='groups' draws the groups of one factor; the levels of "
                f"{', '.join(g.name for g in design.groupings)} do not come apart. Use "
                "kind='parametric', which draws responses from the fitted model"
            )
        draw = _groups_of(design)
    elif kind == "parametric":
        distribution = model.get_distribution(results.fit.params_object, results.fit.scale)

        def draw(rng: Generator) -> Design:
            y = distribution.rvs(rng=rng)
            return replace(design, endog=y if design.offset is None else y - design.offset)

    else:
        raise OptionError(f"kind={kind!r}; expected 'groups' or 'parametric'")
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
                again = type(model)._from_design(
                    draw(rng), getattr(model, "formula", None), model.use_sqrt
                )
                fit = results._refit(again, method)
                if not fit.converged:
                    raise LmmcoreError(str(fit.convergence).splitlines()[0])
                value = np.atleast_1d(np.asarray(statistic(fit), dtype=float))
                if value.shape != wanted.shape:
                    raise LmmcoreError("columns of exog were dropped, as others determine them")
                out[i] = value
        except LmmcoreError as exc:
            reasons.append(str(exc))
        if callback is not None:
            callback(i + 1, nrep)
    if reasons:
        if len(reasons) > nrep - 2:
            raise LmmcoreError(
                f"{len(reasons)} of {nrep} refits failed, the first: {reasons[0]}; expected data that "
                "still determine the model when resampled. Try kind='parametric', or a smaller model"
            )
        warnings.warn(
            f"{len(reasons)} of {nrep} refits failed and are left out of mean and standard deviation "
            f"(their rows are NaN); the first: {reasons[0]}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return out


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
        return _rows_of(
            design, rows, replace(
                grouping, codes=np.repeat(np.arange(q, dtype=np.int32), lengths),
                labels=np.arange(q), in_order=True,
            ),
        )  # fmt: skip

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
    """Refit the model to resampled data, by the same penalty if there is one.

    Parameters
    ----------
    nrep : int
        Number of replications.
    method : str, optional
        Optimizer; by default that of `fit`.
    disp : bool
        Accepted for compatibility, without effect; see `callback`.
    store : bool
        Whether ``results.bootstrap_results`` keeps the estimates.
    rng : Generator, RandomState or int, optional
    kind : {"groups", "parametric"}
        Draw whole groups with replacement, or responses from the fitted model.
    fun : callable, optional
        Takes the results of a refit, returns a number or a vector; by default ``params``.
    callback : callable, optional
        Called after each refit with its number and `nrep`.

    Returns
    -------
    mean, std : arrays (k,)
    values : array (nrep, k)
        A row of NaN where a refit failed, of which a warning tells the number.

    Notes
    -----
    statsmodels resamples rows, which mixed models do not allow: the rows of a group are dependent.
    """
    values = resampled(results, nrep, method, rng, kind, fun, callback)
    good = values[~np.isnan(values).any(axis=1)]
    if store:
        results.__dict__["bootstrap_results"] = values
    return good.mean(axis=0), good.std(axis=0), values

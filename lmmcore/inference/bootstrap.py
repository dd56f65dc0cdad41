"""The bootstrap: refits of resampled groups, or of responses drawn from the fitted model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import generator, numbers
from ..design.columns import Column
from ..design.design import Design
from ..design.groups import Grouping
from ..errors import ConvergenceWarning, DataValueError, LmmcoreError, LmmcoreWarning, OptionError

if TYPE_CHECKING:
    from ..results import MixedLMResults

Generator = np.random.Generator | np.random.RandomState


def bootstrap(
    results: MixedLMResults,
    nrep: int,
    method: str | None,
    rng: Any,
    kind: str,
    fun: Callable[[MixedLMResults], Any] | None,
    callback: Callable[[int, int], None] | None,
) -> np.ndarray:
    """Return a statistic of each refit (nrep, k), NaN where it failed; see ``MixedLMResults.bootstrap``."""
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
        distribution = model.get_distribution(results.params_object, results.scale)

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
                # What is held fixed is held where it was.
                start = None if results.freepat is None else results.params_object
                fit = again.fit(start, reml=results.reml, free=results.freepat, method=method)
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


def _params(fit: MixedLMResults) -> np.ndarray:
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

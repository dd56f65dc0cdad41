"""Labeled random effects: by group, by factor, as frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .by_level import ByLevel
from .errors import DataValueError, OptionError
from .fitting.fit import once
from .likelihood.crossed.effects import CrossedConditional
from .likelihood.independent.effects import Conditional, ConditionalBlock, conditional
from .memory import available_memory


@once
def crossed_effects_of(fit: Any) -> CrossedConditional:
    """Return the random effects of a model with several grouping factors."""
    own = fit.of_effects
    return CrossedConditional(own.equations.crossproducts, own.likelihood, own.point, own.solution)


@once
def independent_effects(fit: Any) -> Conditional:
    """Return the random effects of a model with one grouping factor."""
    own = fit.of_effects
    return conditional(own.equations.crossproducts, own.likelihood, own.point, own.solution)


def random_effects_of(fit: Any) -> Conditional | CrossedConditional:
    """Return the random effects, given data, β̂ and the variances."""
    return crossed_effects_of(fit) if fit.is_crossed else independent_effects(fit)


@dataclass(frozen=True, eq=False)
class GroupEffects:
    """The BLUPs, or their covariance matrices, of a group at a time.

    Attributes
    ----------
    blocks : tuple of (values (G, k) or (G, k, k), names)
        Groups of one shape; `names` has one index for all of them, or one for each.
    block, place : int arrays (q,)
        Where each group is.
    scale : float
        What values are multiplied by.
    """

    blocks: tuple[tuple[np.ndarray, list[pd.Index]], ...]
    block: np.ndarray
    place: np.ndarray
    scale: float = 1.0

    def __call__(self, level: int) -> pd.Series | pd.DataFrame:
        values, names = self.blocks[self.block[level]]
        at = self.place[level]
        own = self.scale * values[at]
        index = names[0] if len(names) == 1 else names[at]
        if own.ndim == 1:
            return pd.Series(own, index=index)
        return pd.DataFrame(own, index=index, columns=index)


def effects_by_group(results: Any, covariances: bool = False) -> ByLevel:
    """Return the BLUPs of each group, or their conditional covariances, made when asked for."""
    shared = list(results.fit.layout.coefficient_names)
    blocks, q = [], results.fit.spec.factors[0].n_levels
    block_of, place = np.zeros(q, dtype=np.intp), np.zeros(q, dtype=np.intp)
    for b, block in enumerate(independent_effects(results.fit).blocks):
        names = [shared] if block.columns is None else _names_of_groups(results, block)
        values = block.covariances if covariances else block.means
        blocks.append((values, [pd.Index(own, dtype=object if not own else None) for own in names]))
        block_of[block.groups] = b
        place[block.groups] = np.arange(len(block.groups))
    effects = GroupEffects(
        tuple(blocks), block_of, place, results.fit.scale if covariances else 1.0
    )
    return ByLevel(results.fit.spec.factors[0], effects)


def _names_of_groups(results: Any, block: ConditionalBlock) -> list[list[str]]:
    """Return the names of the random effects of each group of a block with columns of their own."""
    shared, components = (
        list(results.fit.layout.coefficient_names),
        list(results.fit.layout.component_names),
    )
    n_terms, k = independent_effects(results.fit).n_terms, len(shared)
    assert block.columns is not None
    return [
        [*shared, *(f"{components[t - n_terms]}[{name}]" for t, name in columns[k:])]
        for columns in block.columns
    ]


def effects_frame(results: Any) -> pd.DataFrame:
    """Return the BLUPs of the random coefficients, a row for each group."""
    _refuse_crossed(results, "random_effects_frame", "random_effects")
    model = results.model
    return pd.DataFrame(
        independent_effects(results.fit).means(model.n_groups, model.k_re),
        index=pd.Index(model.spec.factors[0].labels, name=model.group_name, tupleize_cols=False),
        columns=model.exog_re_names,
    )


def covariances_frame(results: Any) -> pd.DataFrame:
    """Return their conditional covariance matrices, one below the other."""
    _refuse_crossed(results, "random_effects_cov_frame", "random_effects_cov")
    model, names = results.model, list(results.fit.layout.coefficient_names)
    values = results.fit.scale * independent_effects(results.fit).covariances(
        model.n_groups, model.k_re
    )
    rows: list[Any] = [model.spec.factors[0].labels, names]
    index = pd.MultiIndex.from_product(rows, names=[model.group_name, "name"])
    return pd.DataFrame(values.reshape(-1, model.k_re), index=index, columns=names)


def _refuse_crossed(results: Any, name: str, instead: str) -> None:
    if results.fit.is_crossed:
        raise OptionError(
            f"{name} is for models with one grouping factor; {instead} has a frame "
            f"for each of {', '.join(f.name for f in crossed_effects_of(results.fit).factors)}"
        )


def component_effects(results: Any, form: Callable[[str], str]) -> dict[tuple[int, str], float]:
    """Return the BLUPs of the variance components by level of the group and name, in some form."""
    if results.fit.is_crossed:
        means = np.concatenate([f.means.ravel() for f in crossed_effects_of(results.fit).factors])
        names = map(form, _component_names(crossed_effects_of(results.fit)))
        return {(0, name): value for name, value in zip(names, means.tolist())}
    out: dict[tuple[int, str], float] = {}
    k = results.fit.layout.k_re
    for block in independent_effects(results.fit).blocks:
        if block.columns is None:
            continue
        for group, names_, values in zip(
            block.groups.tolist(), _names_of_groups(results, block), block.means.tolist()
        ):
            out.update(((group, form(n)), v) for n, v in zip(names_[k:], values[k:]))
    return out


def names_by_factor(results: Any) -> list[list[str]]:
    """Return the names of each factor's random coefficients, without the factor's own."""
    spec = results.fit.spec
    out: list[list[str]] = [[] for _ in spec.factors]
    for term, group in zip(spec.terms, results.fit.layout.groups):
        out[term.factor] += ["Intercept" if x == group else x for x in term.names]
    return out


def crossed_effects(results: Any, found: CrossedConditional) -> dict[Any, Any]:
    """Return the BLUPs: frames by factor, or one Series for the one group of statsmodels' spelling."""
    if results.fit.spec.has_components:
        names = _component_names(found)
        means = np.concatenate([f.means.ravel() for f in found.factors])
        return {results.model.group_labels[0]: pd.Series(means, index=names)}
    return {
        f.name: pd.DataFrame(f.means, index=pd.Index(f.labels, name=f.name), columns=names)
        for f, names in zip(found.factors, names_by_factor(results))
    }


def crossed_covariances(results: Any, found: CrossedConditional) -> dict[Any, Any]:
    """Return the conditional covariances, as `crossed_effects` has the means."""
    scale = results.fit.scale
    if results.fit.spec.has_components:
        names = _component_names(found)
        needed, free = 3 * 8 * len(names) ** 2, available_memory()
        if free is not None and needed > free:
            raise DataValueError(
                f"the joint covariance matrix of {len(names):,} random effects needs {needed >> 30} GiB, "
                f"{free >> 30} GiB are available; state the factors by bars, (1 | a) + (1 | b), for which "
                "random_effects_cov holds each level's own matrix"
            )
        joint = scale * found.joint_covariance()
        return {results.model.group_labels[0]: pd.DataFrame(joint, index=names, columns=names)}
    out = {}
    for f, names, cov in zip(found.factors, names_by_factor(results), found.covariances):
        index = pd.MultiIndex.from_product([f.labels, names], names=[f.name, "name"])
        out[f.name] = pd.DataFrame(scale * cov.reshape(-1, len(names)), index=index, columns=names)
    return out


def _component_names(found: CrossedConditional) -> list[str]:
    return [f"{f.name}[{label}]" for f in found.factors for label in f.labels]


# What results offer


def random_effects(results: Any) -> dict[Any, pd.Series] | dict[str, pd.DataFrame]:
    """BLUPs of the random effects: a Series for each group label.

    The Series are created on demand; `random_effects_frame` has the coefficients of all groups. A label
    of another type finds its group if it is unambiguous: 308 finds the group "308". With several grouping
    factors, there is a frame for each grouping factor, with a row for each level.
    """
    if results.fit.is_crossed:
        return crossed_effects(results, crossed_effects_of(results.fit))
    return effects_by_group(results)


def random_effects_cov(results: Any) -> dict[Any, pd.DataFrame]:
    """Conditional covariance matrix of the random effects of each group, given the data, β and the variances.

    The frames are created on demand; `random_effects_cov_frame` has the matrices of all groups. With
    several grouping factors, there is a frame for each grouping factor. It stacks the matrices of
    the levels, with rows (level, name), so ``frame.loc[level]`` is one matrix.
    """
    if results.fit.is_crossed:
        return crossed_covariances(results, crossed_effects_of(results.fit))
    return effects_by_group(results, covariances=True)


def random_effects_frame(results: Any) -> pd.DataFrame:
    """BLUPs of the random coefficients: one row for each group (n_groups, k_re).

    Raises
    ------
    OptionError
        The model has several grouping factors: see `random_effects`.
    """
    return effects_frame(results)


def random_effects_cov_frame(results: Any) -> pd.DataFrame:
    """Conditional covariance matrices of the random coefficients (n_groups · k_re, k_re).

    The matrices are stacked, with rows (group, name). ``frame.loc[group]`` is one
    matrix; ``frame.to_numpy().reshape(-1, k_re, k_re)`` has all.

    Raises
    ------
    OptionError
        The model has several grouping factors: see `random_effects_cov`.
    """
    return covariances_frame(results)

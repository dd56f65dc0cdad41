"""Labelled random effects of models with several grouping factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .errors import DataValueError
from .likelihood.crossed_blup import CrossedConditional
from .memory import available_memory

if TYPE_CHECKING:
    from .results import MixedLMResults


def names_by_factor(results: MixedLMResults) -> list[list[str]]:
    """Return the names of each factor's random coefficients, without the factor's own."""
    design = results.model.design
    out: list[list[str]] = [[] for _ in design.groupings]
    for term, group in zip(design.terms, results.model._term_groups):
        out[term.factor] += ["Intercept" if x == group else x for x in term.names]
    return out


def crossed_effects(results: MixedLMResults, found: CrossedConditional) -> dict[Any, Any]:
    """Return the BLUPs: frames by factor, or one Series for the one group of statsmodels' spelling."""
    if results.model.design.components is not None:
        names = _component_names(found)
        means = np.concatenate([f.means.ravel() for f in found.factors])
        return {results.model.group_labels[0]: pd.Series(means, index=names)}
    return {
        f.name: pd.DataFrame(f.means, index=pd.Index(f.labels, name=f.name), columns=names)
        for f, names in zip(found.factors, names_by_factor(results))
    }


def crossed_covariances(results: MixedLMResults, found: CrossedConditional) -> dict[Any, Any]:
    """Return the conditional covariances, as `crossed_effects` has the means."""
    scale = results.scale
    if results.model.design.components is not None:
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

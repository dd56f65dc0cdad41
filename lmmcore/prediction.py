"""Prediction for new rows: X β̂, and with the random effects of known groups X β̂ + Z b̂."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .design.build import as_frame
from .design.columns import matrix_columns, stack
from .design.evaluate import rebuild
from .design.groups import code_groups, interaction
from .errors import DataValueError, NameNotFoundError, OptionError, suggest

if TYPE_CHECKING:
    from .results import MixedLMResults


def random_part(
    results: MixedLMResults, exog: Any, groups: Any, exog_re: Any, new_groups: str
) -> np.ndarray:
    """Return Z b̂ (m,) for new rows; see ``MixedLMResults.predict``."""
    model, design = results.model, results.model.design
    if new_groups not in ("error", "zero"):
        raise OptionError(
            f"new_groups={new_groups!r}; expected 'error', or 'zero' (the prediction by the fixed effects "
            "for groups that the model does not know)"
        )
    if design.components is not None:
        raise OptionError(
            "random_effects=True is not there for models with variance components; fittedvalues has them "
            "for the rows of the model, random_effects by group"
        )
    frame = None if isinstance(exog, np.ndarray) else as_frame(exog)
    z = _columns(results, frame, exog_re, len(exog))
    names = design.grouping.variables
    if groups is None:
        if frame is None or not names:
            raise OptionError(
                "the groups of the new rows are not given: give groups=, a label for each row"
                + (
                    ""
                    if frame is None
                    else f" (the model's groups were an array, {model.group_name!r})"
                )
            )
        for name in names:
            if name not in frame.columns:
                raise NameNotFoundError(
                    f"exog has no column {name!r}, the group of the model"
                    + suggest(name, map(str, frame.columns))
                )
        factors = [code_groups(frame[name], name) for name in names]
        grouping = factors[0] if len(factors) == 1 else interaction(factors)
    else:
        if isinstance(groups, str) and frame is not None and groups in frame.columns:
            groups = frame[groups]
        grouping = code_groups(groups, model.group_name)
    if len(grouping.codes) != len(z):
        raise DataValueError(
            f"groups has {len(grouping.codes)} labels for {len(z)} rows; expected one for each row"
        )
    at = pd.Index(design.grouping.labels).get_indexer(pd.Index(grouping.labels))
    if (at < 0).any() and new_groups == "error":
        unknown = [str(x) for x in np.asarray(grouping.labels)[at < 0][:3]]
        raise DataValueError(
            f"{int((at < 0).sum())} groups of {model.group_name!r} are not in the model, such as "
            f"{', '.join(unknown)}; expected groups that were fitted. Use new_groups='zero' to predict "
            "these by the fixed effects"
        )
    effects = np.vstack([results.random_effects_frame.to_numpy(), np.zeros(z.shape[1])])
    return np.sum(z * effects[at][grouping.codes], axis=1)


def _columns(
    results: MixedLMResults, frame: pd.DataFrame | None, exog_re: Any, n: int
) -> np.ndarray:
    """Return Z (m, k_re) of new rows."""
    model, terms = results.model, results.model.design.terms
    if exog_re is not None:
        columns, _ = matrix_columns(exog_re, None, "x_re", "exog_re")
        if len(columns) != model.k_re or len(columns[0]) != n:
            raise DataValueError(
                f"exog_re has {len(columns)} columns; expected {model.k_re} "
                f"({', '.join(model.exog_re_names)}) for {n} rows"
            )
        return stack(columns, n)
    if frame is not None and all(term.info is not None for term in terms):
        return np.column_stack([rebuild(term.info, frame) for term in terms])
    if all(column is None for column in model.design.random):
        return np.ones((n, model.k_re))
    raise OptionError(
        "the random effects' columns of the new rows are not given: give exog_re=, an array with the "
        f"columns {', '.join(model.exog_re_names)}"
    )

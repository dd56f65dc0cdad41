"""The formula interface under the name that statsmodels users import.

``import lmmcore.api as smf`` in place of ``import statsmodels.formula.api as smf`` for mixed models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import MixedLM
from .params import MixedLMParams

__all__ = ["MixedLM", "MixedLMParams", "mixedlm"]


def mixedlm(
    formula: str,
    data: Any,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    subset: Any = None,
    use_sparse: bool = False,
    missing: str = "none",
    **keywords: Any,
) -> MixedLM:
    """Build a model from a formula; see `MixedLM.from_formula`.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> fit.fe_params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    """
    return MixedLM.from_formula(
        formula, data, re_formula, vc_formula, subset, use_sparse, missing, _depth=2, **keywords
    )

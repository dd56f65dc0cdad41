"""The formula interface under the name that statsmodels users import.

``import lmmcore.api as smf`` in place of ``import statsmodels.formula.api as smf`` for mixed models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import MixedLM
from .params import MixedLMParams
from .repeated.model import RepeatedLM

__all__ = ["MixedLM", "MixedLMParams", "mixedlm"]


def mixedlm(
    formula: str,
    data: Any,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    subset: Any = None,
    use_sparse: bool = False,
    missing: str = "none",
    *,
    residual: Any = None,
    variance: Any = None,
    **keywords: Any,
) -> Any:
    """Build a model from a formula; see `MixedLM.from_formula`.

    Parameters
    ----------
    residual : str or ResidualTerm, optional
        Correlation of the residuals within groups, such as ``"ar1(visit | subject)"``.
    variance : str, optional
        How their variance depends on a column, such as ``"by(sex)"`` or ``"power(pressure)"``.

    Returns
    -------
    MixedLM
        With `residual` or `variance`, a `RepeatedLM`.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> fit.fe_params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}
    """
    model = MixedLM.from_formula(
        formula, data, re_formula, vc_formula, subset, use_sparse, missing, _depth=2, **keywords
    )
    if residual is None and variance is None:
        return model
    return RepeatedLM(model, residual, variance)

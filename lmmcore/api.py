"""The formula interface under the name that statsmodels users import.

``import lmmcore.api as smf`` in place of ``import statsmodels.formula.api as smf`` for mixed models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .design.build import as_frame
from .model import MixedLM
from .params import MixedLMParams
from .repeated.known import Known, known_blocks
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
    sigma: Any = None,
    **keywords: Any,
) -> Any:
    """Build a model from a formula; see `MixedLM.from_formula`.

    Parameters
    ----------
    residual : str, ResidualTerm or Known, optional
        Correlation of the residuals within groups, such as ``"ar1(visit | subject)"``.
    variance : str, optional
        How their variance depends on a column, such as ``"by(sex)"`` or ``"power(pressure)"``.
    sigma : float or "known", optional
        Holds the residual standard deviation at a number; "known" with ``weights=1/v``: the residuals have
        the variances v. ``residual=lmmcore.known(V)`` gives their covariance matrix.

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
    if isinstance(residual, Known):
        given = {"weights": keywords.get("weights"), "sigma": sigma, "variance": variance}
        residual = known_blocks(residual, as_frame(data), given)
        keywords["weights"], sigma = 1.0 / residual.variances, 1.0
        residual = residual if residual.blocks else None
    model = MixedLM.from_formula(
        formula, data, re_formula, vc_formula, subset, use_sparse, missing, sigma=sigma, _depth=2,
        **keywords,
    )  # fmt: skip
    if residual is None and variance is None:
        return model
    return RepeatedLM(model, residual, variance)

"""The formula interface under the name that statsmodels users import.

``import lmmcore.api as smf`` in place of ``import statsmodels.formula.api as smf`` for mixed models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from .arguments import shown_without
from .design.build import as_frame
from .model import MixedLM
from .params import MixedLMParams
from .repeated.known import Known, known_blocks
from .repeated.model import RepeatedLM
from .repeated.terms import ResidualProduct, ResidualTerm, VarianceProduct, VarianceTerm

__all__ = ["MixedLM", "MixedLMParams", "mixedlm"]

Residual = str | ResidualTerm | ResidualProduct
Variance = str | VarianceTerm | VarianceProduct


@overload
def mixedlm(
    formula: str, data: Any, re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None, subset: Any = None, use_sparse: bool = False,
    missing: str = "none", *, groups: Any = None, weights: Any = None, covariance: Any = None,
    residual: None = None, variance: None = None, sigma: float | str | None = None,
    use_sqrt: bool = True, like: MixedLM | None = None,
) -> MixedLM: ...  # fmt: skip
@overload
def mixedlm(
    formula: str, data: Any, re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None, subset: Any = None, use_sparse: bool = False,
    missing: str = "none", *, groups: Any = None, weights: Any = None, covariance: Any = None,
    residual: Known, variance: None = None, sigma: None = None, use_sqrt: bool = True,
) -> MixedLM | RepeatedLM: ...  # fmt: skip
@overload
def mixedlm(
    formula: str, data: Any, re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None, subset: Any = None, use_sparse: bool = False,
    missing: str = "none", *, groups: Any = None, weights: Any = None, covariance: Any = None,
    residual: Residual | None = None, variance: Variance | None = None,
    sigma: float | str | None = None, use_sqrt: bool = True,
) -> RepeatedLM: ...  # fmt: skip
@shown_without("unknown")
def mixedlm(
    formula: str,
    data: Any,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    subset: Any = None,
    use_sparse: bool = False,
    missing: str = "none",
    *,
    groups: Any = None,
    weights: Any = None,
    covariance: Any = None,
    residual: Any = None,
    variance: Any = None,
    sigma: Any = None,
    use_sqrt: bool = True,
    like: MixedLM | None = None,
    **unknown: Any,
) -> Any:
    """Build a linear mixed-effects model from a formula and a table.

    Parameters
    ----------
    formula : str
        ``"y ~ x + (1 + x | g)"``: fixed effects, and random effects in bars. Any number of bars with any
        grouping factors, crossed or nested: ``(x | a) + (1 | b)``, ``(1 | a/b)``, ``(x || g)`` (independent
        coefficients), ``cs(1 + x | g)`` (a covariance structure), ``offset(z)``. Or ``"y ~ x"`` with
        `groups`. A formula can call any Python function that the caller sees.
    data : DataFrame or mapping of columns
        Also anything with ``to_pandas()`` or ``df()``.
    re_formula : str, optional
        Columns of the random coefficients, such as ``"1 + x"``, if there are no bars.
    vc_formula : mapping, optional
        ``{name: formula}`` of variance components inside groups, such as ``{"class": "0 + C(class)"}``.
    subset : array_like, optional
        Rows to use, as for ``data.loc``.
    use_sparse : bool
        Accepted for compatibility; storage is chosen by lmmcore.
    missing : {"none", "drop", "raise"}
        "none" and "drop" leave out rows in which a variable of the model is missing; "raise" raises an
        error. ``model.rows_used`` has the rows that remain.
    groups : str or array_like, optional
        A column, or labels, if there are no bars.
    weights : str or array_like, optional
        Prior weights w > 0: Var(e_i) = σ²/w_i.
    covariance : str, CovarianceStructure or mapping, optional
        Structure of the random coefficients' covariance matrix, such as ``"cs"`` or ``{"g": "ar1"}``.
    residual : str, ResidualTerm, ResidualProduct or Known, optional
        Correlation of the residuals within groups, such as ``"ar1(visit | subject)"`` or
        ``"un(outcome) * ar1(visit) | subject"``; ``lmmcore.known(V)`` for known covariances.
    variance : str or VarianceTerm, optional
        How the residual variance depends on a column, such as ``"by(sex)"``, ``"power(pressure)"`` or
        ``"power(fitted)"``, or a product of these.
    sigma : float or "known", optional
        Holds the residual standard deviation at a number; "known" with ``weights=1/v``: the residuals have
        the variances v.
    use_sqrt : bool
        Accepted for compatibility.
    like : MixedLM, optional
        A model with one row for each row of `data`. The new model is the same, its fixed effects evaluated
        in `data`. No other argument is used.

    Returns
    -------
    MixedLM
        With `residual` or `variance`, a `RepeatedLM`.

    Raises
    ------
    FormulaError, NameNotFoundError
        The formula cannot be read, or names something that is not there.
    DataValueError, DesignError
        Values or designs that no model can be made of.
    OptionError, UnknownArgumentError
        Other arguments.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    >>> fit.fe_params.round(3).to_dict()
    {'Intercept': 251.405, 'Days': 10.467}

    Crossed random effects, and residuals that are correlated within subjects:

    >>> crossed = lmmcore.mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)",
    ...                           lmmcore.datasets.load_penicillin())
    >>> growth = lmmcore.mixedlm("distance ~ age + (1 | Subject)", lmmcore.datasets.load_orthodont(),
    ...                          residual="ar1(1 | Subject)")
    """
    if isinstance(residual, Known):
        given = {"weights": weights, "sigma": sigma, "variance": variance}
        residual = known_blocks(residual, as_frame(data), given)
        weights, sigma = 1.0 / residual.variances, 1.0
        residual = residual if residual.blocks else None
    model = MixedLM.from_formula(
        formula, data, re_formula, vc_formula, subset, use_sparse, missing, groups=groups,
        weights=weights, use_sqrt=use_sqrt, covariance=covariance, like=like, sigma=sigma, _depth=2,
        **unknown,
    )  # fmt: skip
    if residual is None and variance is None:
        return model
    return RepeatedLM(model, residual, variance)

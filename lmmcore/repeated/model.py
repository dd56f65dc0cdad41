"""RepeatedLM: a linear model with a residual structure, with or without random effects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..arguments import shown_without
from ..chosen_inference import with_inference
from ..crossproducts.crossed import CrossedProducts, crossed_products
from ..design.build import as_frame, from_formula
from ..design.design import Design
from ..design.factors import factors_of_terms
from ..design.held_scale import held_scale
from ..display.at_a_glance import model_html, model_text
from ..errors import OptionError
from ..fitting.options import chosen_optimizers
from ..model import MixedLM
from .fit import fit_repeated
from .fixed_point import fit_of_fitted
from .known import Known, known_blocks
from .results import RepeatedResults
from .structure import bind
from .terms import ResidualTerm, residual_term, variance_term

SHARED = (
    "design", "spec", "crossproducts", "equations", "endog", "exog", "exog_re", "endog_names",
    "exog_names", "nobs", "k_fe", "k_re", "n_groups", "rows_used", "formula", "group_name",
    "group_labels", "exog_re_names", "vcomp_names", "k_vc",
)  # fmt: skip


class RepeatedLM:
    """A linear model whose residuals are correlated within groups, or have unequal variances.

    ``mixedlm(…, residual=, variance=)``, `gls` and `mmrm` make it.

    Attributes
    ----------
    mixed : MixedLM
        The same model without the structure.
    residual_structure : Structure
    """

    def __init__(self, mixed: MixedLM, residual: Any = None, variance: Any = None) -> None:
        self.mixed = mixed
        self.residual_structure = bind(
            mixed.design, residual_term(residual), variance_term(variance)
        )
        cp = mixed.crossproducts
        if self.residual_structure.crosses and not isinstance(cp, CrossedProducts):
            self.crossproducts = crossed_products(mixed.design, factors_of_terms(mixed.design))
            self.equations = mixed.equations.of(self.crossproducts)

    def __getattr__(self, name: str) -> Any:
        if name in SHARED and "mixed" in self.__dict__:
            return getattr(self.mixed, name)
        raise AttributeError(
            f"a model with a residual structure has no {name!r}; it has fit and {', '.join(SHARED)}"
        )

    __repr__ = model_text
    _repr_html_ = model_html

    def _rebuilt(self, design: Design) -> RepeatedLM:
        """Return the same model for another design."""
        structure = self.residual_structure
        return RepeatedLM(self.mixed._rebuilt(design), structure.term, structure.variance_term)

    def predict(self, params: Any, exog: Any = None) -> Any:
        """Return Xβ (m,) for the rows of the model, or for new rows; see `MixedLM.predict`."""
        return self.mixed.predict(params, exog)

    def fit(
        self,
        reml: bool = True,
        method: str | Sequence[str] | None = None,
        *,
        ddf: Any = None,
        vcov: Any = None,
        callback: Callable[[int, float], None] | None = None,
        **options: Any,
    ) -> RepeatedResults:
        """Estimate all parameters by restricted maximum likelihood or maximum likelihood.

        Parameters
        ----------
        reml : bool
        method : str, optional
            Name of an optimizer; by default a trust-region Newton method.
        ddf, vcov : optional
            Degrees of freedom and covariance of the fixed effects, as for `MixedLM.fit`; by default
            Satterthwaite's degrees of freedom, which know of all covariance parameters.
        callback : callable, optional
            Called as ``callback(iteration, value)`` with −2 log-likelihood.
        **options
            Of the optimizer.

        Returns
        -------
        RepeatedResults

        Raises
        ------
        OptionError
            An unknown optimizer or option.
        ConvergenceError
            The likelihood has no maximum.

        Notes
        -----
        Where variances are a function of the fitted values, fits are repeated until these do not change.

        Warns
        -----
        ConvergenceWarning
            The fit did not converge.
        NotIdentifiedWarning
            The data cannot tell some covariance parameters apart.
        """
        if not isinstance(reml, bool):
            raise OptionError(f"reml={reml!r}; expected True (REML) or False (ML)")
        optimizers, options = chosen_optimizers(method, options)
        structure = self.residual_structure
        if structure.of_fitted:
            found = fit_of_fitted(self, reml, optimizers, options, callback)
        else:
            found = fit_repeated(self, structure, reml, optimizers, options, callback)
        return RepeatedResults(self, with_inference(self, found, ddf, vcov))


@shown_without("_depth")
def gls(
    formula: str,
    data: Any,
    residual: str | ResidualTerm | Known | None = None,
    variance: Any = None,
    *,
    weights: Any = None,
    subset: Any = None,
    sigma: Any = None,
    _depth: int = 1,
) -> RepeatedLM:
    """Build a linear model without random effects, with correlated or unequal residuals.

    Parameters
    ----------
    formula : str
        Of the fixed effects.
    data : DataFrame or mapping of columns
    residual : str or ResidualTerm, optional
        Such as ``"ar1(visit | subject)"``, ``"un(visit | subject)"``, ``"exp(x + y)"``.
    variance : str, optional
        Such as ``"by(sex)"`` or ``"power(pressure)"``.
    weights : str or array_like, optional
        Prior weights: Var(e_i) is divided by them.
    subset : array_like, optional
        Rows to use, as for ``data.loc``.
    sigma : float or "known", optional
        Holds the residual standard deviation, as for `mixedlm`.

    Returns
    -------
    RepeatedLM

    Raises
    ------
    OptionError
        Neither `residual` nor `variance`.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_orthodont()
    >>> fit = lmmcore.gls("distance ~ age * Sex", data, residual="cs(1 | Subject)").fit()
    >>> fit.covariance_parameters.round(3)[["parameter", "estimate"]].values.tolist()
    [['rho', 0.632], ['sigma', 2.285]]
    """
    if isinstance(residual, Known):
        given = {"weights": weights, "sigma": sigma, "variance": variance}
        term: Any = known_blocks(residual, as_frame(data), given)
        weights, sigma = 1.0 / term.variances, 1.0
    else:
        term = residual_term(residual)
    if term is None and variance is None:
        raise OptionError(
            "gls without residual= and variance= is least squares; expected one of them. Use statsmodels' "
            "OLS or WLS for independent residuals"
        )
    groups = term.groups if isinstance(term, ResidualTerm) else None
    design = from_formula(
        formula,
        data,
        groups,
        weights=weights,
        subset=subset,
        frame=sys._getframe(_depth),
        random=False,
        scale=held_scale(sigma, weights),
    )
    return RepeatedLM(MixedLM._from_design(design, formula, True), term, variance)


def mmrm(
    formula: str,
    data: Any,
    residual: str | ResidualTerm,
    *,
    weights: Any = None,
    subset: Any = None,
) -> RepeatedLM:
    """Build a mixed model for repeated measures: a linear model with a covariance matrix over visits.

    Parameters
    ----------
    formula, data, weights, subset
        As for `gls`.
    residual : str or ResidualTerm
        Such as ``"un(AVISIT | USUBJID)"``, also with "ar1h", "toeph", "csh", "anteh" and their homogeneous
        forms. Each subject has at most one row for each visit.

    Returns
    -------
    RepeatedLM
    """
    return gls(formula, data, residual, weights=weights, subset=subset, _depth=2)

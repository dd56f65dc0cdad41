"""RepeatedResults: the front door of a fit with a residual structure."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .. import random_effects as effects
from ..chosen_inference import of_inference, of_rows_and_inference
from ..delegation import Value, method_of
from ..display.at_a_glance import results_html, results_text
from ..display.varcorr import varcorr
from ..errors import OptionError
from ..fitting.fit import Fit
from ..inference import facts, parameters, tests
from ..inference.anova import anova
from ..means.for_packages import design_matrix, reference_grid, term_map
from ..means.means import means, slopes
from ..plots.accessor import Plots
from ..spellings import refuse_attribute
from ..storage import write_pickle
from ..tidy import augment, glance, tidy
from . import rows
from .influence import get_influence
from .parameters import covariance_parameters, residual_correlation, residual_covariance
from .profiles import profile
from .resampling import bootstrap, refit
from .summary import summary

of_fit, of_self = method_of("fit"), method_of()


def tvalues(fit: Fit) -> pd.Series:
    """The t statistics of the fixed effects."""
    found = tests.t_test(fit, np.eye(fit.spec.k_fe))
    return pd.Series(np.atleast_1d(found.statistic), index=fit.spec.exog_names)


def pvalues(fit: Fit) -> pd.Series:
    """The p-values of the fixed effects."""
    found = tests.t_test(fit, np.eye(fit.spec.k_fe))
    return pd.Series(np.atleast_1d(found.pvalue), index=fit.spec.exog_names)


def conf_int(
    results: Any,
    alpha: float = 0.05,
    *,
    method: str = "wald",
    nrep: int = 1000,
    rng: Any = None,
    interval: str = "percentile",
    ddf: Any = None,
    vcov: Any = None,
) -> pd.DataFrame:
    """Return confidence limits of level 1 − alpha (m, 2).

    Parameters
    ----------
    method : {"wald", "profile", "boot"}
        "wald": of the fixed effects, with `ddf` and `vcov`. "profile" and "boot" (the parametric bootstrap):
        of all parameters; see `profile` and `bootstrap`.
    nrep, rng, interval : optional
        Of "boot".

    Raises
    ------
    OptionError
        Another method.
    """
    if method == "profile":
        frame = profile(results, level=1.0 - alpha).frame()
        return frame[["lower", "upper"]].set_axis([0, 1], axis=1)
    if method == "boot":
        return results.bootstrap(nrep, rng=rng).conf_int(alpha, interval)
    if method != "wald":
        raise OptionError(f"method={method!r}; expected 'wald', 'profile' or 'boot'")
    fit = results.fit
    found = tests.t_test(fit, np.eye(fit.spec.k_fe), ddf=ddf, vcov=vcov)
    return pd.DataFrame(found.conf_int(alpha), index=fit.spec.exog_names)


def random_effects(results: Any) -> Any:
    """BLUPs of the random effects; see `MixedLMResults.random_effects`."""
    if not results.fit.layout.terms:
        raise OptionError(
            "random_effects of a model without random effects; expected one with bars"
        )
    return effects.random_effects(results)


def save(results: Any, fname: Any) -> None:
    """Write the results to a file (pickle); ``lmmcore.MixedLMResults.load`` reads them."""
    write_pickle(results, fname)


class RepeatedResults:
    """The result of a fit with a residual structure. It is frozen.

    Everything is given the estimated correlations and variances of the residuals; tests know of their
    uncertainty, by Satterthwaite's degrees of freedom.

    Attributes
    ----------
    model : RepeatedLM
    fit : Fit
        ``fit.residual`` has the structure.
    """

    model: Any
    fit: Fit

    def __init__(self, model: Any, fit: Fit) -> None:
        self.__dict__.update(model=model, fit=fit)

    def _refit(self, model: Any, method: Any) -> RepeatedResults:
        """Return the same fit of a model with other data."""
        structure = replace(model.residual_structure, start=self.fit.residual.u)
        model.residual_structure = structure
        found: RepeatedResults = model.fit(reml=self.reml, method=method)
        return found

    __repr__ = results_text
    _repr_html_ = results_html

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"results are frozen; {name!r} cannot be set. Copy what you need")

    def __getattr__(self, name: str) -> Any:
        known = () if name.startswith("_") else [n for n in dir(type(self)) if n[0] != "_"]
        raise refuse_attribute(type(self).__name__, name, known)

    # What was fitted

    convergence = Value(facts.convergence, "fit")
    converged = Value(facts.converged, "fit")
    reml = Value(facts.reml, "fit")
    method = Value(facts.method, "fit")
    nobs = Value(facts.nobs, "fit")
    k_fe = Value(facts.k_fe, "fit")
    criterion = Value(facts.criterion, "fit")
    llf = Value(facts.llf, "fit")
    aic = Value(parameters.aic, "fit")
    bic = Value(parameters.bic, "fit")

    # Estimates

    scale = Value(facts.scale, "fit")
    fe_params = Value(parameters.fe_params, "fit")
    cov_re = Value(parameters.cov_re, "fit")
    varcorr = Value(varcorr, "fit")
    covariance_parameters = Value(covariance_parameters, "fit")
    residual_covariance = of_fit(residual_covariance)
    residual_correlation = of_fit(residual_correlation)

    # Standard errors, tests, intervals

    cov_fe = Value(parameters.cov_fe, "fit")
    bse_fe = Value(parameters.bse_fe, "fit")
    tvalues = Value(tvalues, "fit")
    pvalues = Value(pvalues, "fit")
    conf_int = of_rows_and_inference(conf_int)
    profile = of_self(profile)
    t_test = of_inference(tests.t_test)
    wald_test = of_inference(tests.wald_test)
    f_test = of_inference(tests.f_test)
    wald_test_terms = of_inference(tests.wald_test_terms)
    anova = of_inference(anova)
    means = of_rows_and_inference(means)
    slopes = of_rows_and_inference(slopes)

    # Random effects and rows

    random_effects = cached_property(random_effects)
    fittedvalues = cached_property(rows.fittedvalues)
    resid = cached_property(rows.resid)
    get_influence = of_self(get_influence)
    residuals = of_self(rows.residuals)
    predict = of_self(rows.predict)
    simulate = of_self(rows.simulate)
    design_matrix = of_self(design_matrix)
    term_map = of_self(term_map)
    reference_grid = of_self(reference_grid)

    # Refits, tables, files

    refit = of_self(refit)
    bootstrap = of_self(bootstrap)

    plot = cached_property(Plots)
    tidy = of_self(tidy)
    glance = of_self(glance)
    augment = of_self(augment)
    summary = of_rows_and_inference(summary)
    save = of_self(save)

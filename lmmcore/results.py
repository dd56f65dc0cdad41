"""MixedLMResults: the front door of a fit."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from . import leverage, prediction, storage
from . import random_effects as effects
from .chosen_inference import of_inference, of_rows_and_inference
from .delegation import Value, method_of
from .diagnostics import diagnostics
from .display.at_a_glance import results_html, results_text
from .display.summary import summary
from .display.varcorr import varcorr
from .elimination.drop1 import drop1
from .elimination.step import step
from .fitting.fit import Fit
from .inference import facts, parameters, tests
from .inference.anova import anova
from .inference.profile import profile_fe, profile_re
from .inference.profiles import profile
from .inference.ranova import ranova
from .inference.rlrt import rlrt
from .inference.structure import covariance_parameters
from .influence.diagnostics import get_influence
from .influence.scores import scores
from .intervals import conf_int
from .means.for_packages import design_matrix, reference_grid, term_map
from .means.means import means, slopes
from .plots.accessor import Plots
from .prediction_errors import random_effects_se
from .refitting import refit
from .resampling.bootstrap import bootstrap
from .resampling.permutation import permutation_test
from .residuals import residuals, simulate
from .row_for_row import FixedEffects
from .spellings import refuse_attribute
from .statsmodels import rows
from .tidy import augment, glance, tidy
from .variance_explained import conditional_aic, icc, partial_r_squared, r_squared

of_fit, of_self = method_of("fit"), method_of()


class MixedLMResults:
    """The result of a fit. It is frozen. Attributes are computed when they are first used.

    Vectors and matrices are labeled pandas objects when the model came from a formula or from pandas
    objects, and arrays when it came from arrays.

    Attributes
    ----------
    model : MixedLM
    fit : Fit
        The fitted model as data, from which everything else is computed.
    convergence : Convergence
        The certificate of the optimum.
    """

    model: Any
    fit: Fit
    full_output: bool

    def __init__(self, model: Any, fit: Fit, full_output: bool = False) -> None:
        self.__dict__.update(model=model, fit=fit, full_output=full_output)

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
    nfev = Value(facts.nfev, "fit")
    reml = Value(facts.reml, "fit")
    method = Value(facts.method, "fit")
    nobs = Value(facts.nobs, "fit")
    k_fe = Value(facts.k_fe, "fit")
    k_re = Value(facts.k_re, "fit")
    k_re2 = Value(facts.k_re2, "fit")
    k_vc = Value(facts.k_vc, "fit")
    k_constr = Value(facts.k_constr, "fit")
    use_sqrt = Value(facts.use_sqrt, "fit")
    use_t = Value(facts.use_t, "fit")
    freepat = Value(facts.freepat, "fit")
    k_constant = Value(rows.k_constant, "model")
    criterion = Value(facts.criterion, "fit")
    llf = Value(facts.llf, "fit")
    aic = Value(parameters.aic, "fit")
    bic = Value(parameters.bic, "fit")
    aicc = Value(parameters.aicc, "fit")
    df_modelwc = Value(parameters.df_modelwc, "fit")
    df_resid = Value(parameters.df_resid, "fit")
    hist = Value(facts.hist)

    # Estimates

    scale = Value(facts.scale, "fit")
    theta = Value(facts.theta, "fit")
    params_object = Value(facts.params_object, "fit")
    params = Value(parameters.params, "fit")
    fe_params = Value(parameters.fe_params, "fit")
    cov_re = Value(parameters.cov_re, "fit")
    cov_re_unscaled = Value(parameters.cov_re_unscaled, "fit")
    vcomp = Value(parameters.vcomp, "fit")
    varcorr = Value(varcorr, "fit")
    covariance_parameters = Value(covariance_parameters, "fit")

    # Standard errors, tests, intervals

    cov_fe = Value(parameters.cov_fe, "fit")
    bse_fe = Value(parameters.bse_fe, "fit")
    cov_params = of_fit(parameters.cov_params)
    cov_params_note = Value(parameters.cov_params_note, "fit")
    normalized_cov_params = Value(parameters.normalized_cov_params, "fit")
    bse = Value(parameters.bse, "fit")
    cov_variances = Value(parameters.cov_variances, "fit")
    bse_variances = Value(parameters.bse_variances, "fit")
    bse_re = Value(parameters.bse_re, "fit")
    tvalues = Value(parameters.tvalues, "fit")
    pvalues = Value(parameters.pvalues, "fit")
    conf_int = of_rows_and_inference(conf_int)
    t_test = of_inference(tests.t_test)
    wald_test = of_inference(tests.wald_test)
    f_test = of_inference(tests.f_test)
    wald_test_terms = of_inference(tests.wald_test_terms)
    t_test_pairwise = of_inference(tests.t_test_pairwise)
    get_nlfun = of_fit(tests.get_nlfun)
    anova = of_inference(anova)
    rlrt = of_fit(rlrt)
    ranova = of_fit(ranova)
    drop1 = of_rows_and_inference(drop1)
    step = of_self(step)
    means = of_rows_and_inference(means)
    slopes = of_rows_and_inference(slopes)

    # Random effects and rows

    random_effects = cached_property(effects.random_effects)
    random_effects_cov = cached_property(effects.random_effects_cov)
    random_effects_frame = cached_property(effects.random_effects_frame)
    r_squared = of_self(r_squared)
    partial_r_squared = of_self(partial_r_squared)
    icc = of_self(icc)
    conditional_aic = cached_property(conditional_aic)
    random_effects_se = cached_property(random_effects_se)
    random_effects_cov_frame = cached_property(effects.random_effects_cov_frame)
    fittedvalues = cached_property(prediction.fittedvalues)
    resid = cached_property(prediction.resid)
    get_influence = of_self(get_influence)
    scores = of_self(scores)
    diagnostics = of_self(diagnostics)
    design_matrix = of_self(design_matrix)
    term_map = of_self(term_map)
    reference_grid = of_self(reference_grid)
    residuals = of_self(residuals)
    simulate = of_self(simulate)
    predict = of_rows_and_inference(prediction.predict)
    hat_values = cached_property(leverage.hat_values)
    effective_df = Value(leverage.effective_df, "fit")
    weight_derivative = cached_property(leverage.weight_derivative)

    # Refits, files, tables

    refit = of_self(refit)
    bootstrap = of_self(bootstrap)
    permutation_test = of_self(permutation_test)
    save = of_self(storage.save)
    plot = cached_property(Plots)
    tidy = of_self(tidy)
    glance = of_self(glance)
    augment = of_self(augment)
    summary = of_inference(summary)
    hess_diag = Value(parameters.hess_diag, "fit")
    profile_re = of_fit(profile_re)
    profile_fe = of_fit(profile_fe)
    profile = of_fit(profile)
    remove_data = of_self(storage.remove_data)

    @classmethod
    def load(cls, fname: Any) -> Any:
        """Read results that `save` wrote, of a plain or of a penalized fit.

        Load only files that you trust: pickle runs their code.

        Raises
        ------
        DataTypeError
            The file holds something else.
        """
        return storage.load(fname)

    @property
    def _results(self) -> FixedEffects:
        """What multiple imputation (statsmodels' MICE) pools."""
        return FixedEffects(self.fit.beta, tests.cov_fe_of(self.fit))

    def _refit(self, model: Any, method: Any) -> MixedLMResults:
        """Return the same fit of a model with other data."""
        start = None if self.freepat is None else self.params_object  # held where it was
        found: MixedLMResults = model.fit(start, reml=self.reml, free=self.freepat, method=method)
        return found

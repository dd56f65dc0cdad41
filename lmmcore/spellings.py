"""Arguments under the names that R, lme4, nlme and statsmodels have for them."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import UnknownArgumentError, suggest

_ML = "REML or ML is chosen by the fit: fit(reml=True) or fit(reml=False)"
_OF_FIT = "it belongs to the fit: "
_GAUSSIAN = "responses are Gaussian here, and nothing stands for it"

FIT_ARGUMENTS = (
    "start_params", "reml", "niter_sa", "do_cg", "fe_pen", "cov_pen", "free", "full_output", "method",
    "callback", "maxiter", "ddf", "vcov",
)  # fmt: skip

FORMULA_ARGUMENTS = (
    "formula", "data", "re_formula", "vc_formula", "subset", "use_sparse", "missing", "groups", "weights",
    "use_sqrt", "covariance", "like", "sigma",
)  # fmt: skip
INIT_ARGUMENTS = (
    "endog", "exog", "groups", "exog_re", "exog_vc", "use_sqrt", "missing", "weights", "covariance",
    "like", "sigma",
)  # fmt: skip

FIT = {
    "REML": "did you mean 'reml'?",
    "ML": "did you mean reml=False?",
    "optimizer": "did you mean 'method', the name of an optimizer?",
    "optimiser": "did you mean 'method', the name of an optimizer?",
    "algorithm": "did you mean 'method', the name of an optimizer?",
    "solver": "did you mean 'method', the name of an optimizer?",
    "opt": "did you mean 'method', the name of an optimizer?",
    "control": "there is no object of options; they are arguments of fit, such as fit(maxiter=200)",
    "optCtrl": "there is no object of options; they are arguments of fit, such as fit(maxiter=200)",
    "start": "did you mean 'start_params'?",
    "maxit": "did you mean 'maxiter'?",
    "max_iter": "did you mean 'maxiter'?",
    "maxIter": "did you mean 'maxiter'?",
    "maxfev": "did you mean 'maxiter'?",
    "verbose": "did you mean 'callback', a function of the iteration and −2 log-likelihood?",
    "nAGQ": "the likelihood of a Gaussian response needs no quadrature, and nothing stands for it",
    "family": _GAUSSIAN,
    "weights": "weights belong to the model: mixedlm(formula, data, weights=…)",
    "penalty": "did you mean fit_regularized(method=…)?",
    "alpha": "did you mean fit_regularized(alpha=…), or conf_int(alpha=…) of the results?",
    "na_action": "missing values belong to the model: mixedlm(formula, data, missing='drop')",
}

MODEL = {
    "REML": _ML,
    "reml": _ML,
    "method": _OF_FIT + "fit(method=…), the name of an optimizer, or fit(reml=False)",
    "optimizer": _OF_FIT + "fit(method=…), the name of an optimizer",
    "control": _OF_FIT + "its options are arguments, such as fit(maxiter=200)",
    "start": _OF_FIT + "fit(start_params=…)",
    "verbose": _OF_FIT + "fit(callback=…)",
    "family": _GAUSSIAN,
    "link": _GAUSSIAN,
    "na_action": "did you mean missing='drop' or missing='raise'?",
    "random": "random terms are in the formula, (1 + x | g), or in re_formula= with groups=",
    "fixed": "did you mean 'formula'?",
    "group": "did you mean 'groups'?",
    "correlation": "residuals are independent here; covariance= is for random effects",
    "cov_struct": "residuals are independent here; covariance= is for random effects",
    "offset": "offsets are in the formula: y ~ x + offset(z) + (1 | g)",
    "contrasts": "contrasts are in the formula: C(f, Sum)",
    "var_weights": "did you mean 'weights'?",
    "freq_weights": "there are none; weights= divides the residual variance",
}

# Attributes of results, under the names of R and other packages.
RESULTS = {
    "AIC": "aic",
    "AICc": "aicc",
    "BIC": "bic",
    "REMLcrit": "criterion",
    "VarCorr": "varcorr",
    "bootMer": "bootstrap(kind='parametric')",
    "coef": "fe_params for the fixed effects, and random_effects",
    "coefficients": "fe_params",
    "confint": "conf_int",
    "contest": "f_test or t_test, with ddf=",
    "cooks_distance": "get_influence().cooks_distance",
    "deviance": "criterion, −2 log-likelihood",
    "df_residual": "df_resid",
    "emmeans": "means",
    "emtrends": "slopes",
    "fitted": "fittedvalues",
    "fixef": "fe_params",
    "formula": "model.formula",
    "getME": "theta, model.exog, model.exog_re and the like",
    "hatvalues": "hat_values",
    "influence": "get_influence",
    "intervals": "conf_int",
    "isSingular": "convergence.boundary, which names what is singular (empty if nothing is)",
    "is_singular": "convergence.boundary, which names what is singular (empty if nothing is)",
    "logLik": "llf",
    "loglik": "llf",
    "lsmeans": "means",
    "model_matrix": "model.exog",
    "ngrps": "model.n_groups",
    "r2": "r_squared",
    "ranef": "random_effects, or random_effects_frame",
    "rsquared": "r_squared",
    "se_fixef": "bse_fe",
    "se_ranef": "random_effects_cov",
    "sigma": "scale, the residual variance σ²; its root is σ",
    "sigma2": "scale, the residual variance σ²",
    "tidy": "summary, or conf_int",
    "vcov": "cov_fe",
}


def refuse_attribute(of: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for an attribute that results do not have, with what was meant."""
    meaning = RESULTS.get(name.replace(".", "_"))
    ends = suggest(name, known) if meaning is None else f"; here it is called {meaning}"
    return AttributeError(f"{of!r} object has no attribute {name!r}{ends}", name=name)


def meant(name: str, table: dict[str, str], known: Iterable[str]) -> str:
    """Return the end of a message about an argument that is not known: what was meant."""
    known_as = table.get(name.replace(".", "_"))
    return suggest(name, known) if known_as is None else f"; {known_as}"


def refuse_arguments(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the arguments that a function which builds a model does not have.

    Raises
    ------
    UnknownArgumentError
    """
    for name in given:
        raise UnknownArgumentError(
            f"{function} has no argument {name!r}{meant(name, MODEL, known)}"
        )

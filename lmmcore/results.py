"""MixedLMResults: estimates, standard errors and predictions of random effects."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from .arguments import numbers
from .chosen_terms import chosen_terms
from .crossproducts.crossed import CrossedProducts
from .crossproducts.crossproducts import CrossProducts
from .design.columns import stack
from .design.removed import without_rows
from .display.summary import Summary, summarize
from .display.varcorr import varcorr
from .errors import DataTypeError, LmmcoreWarning, OptionError
from .fitting.certificate import Convergence
from .inference.bootstrap import bootstrap
from .inference.inference import Inference
from .inference.profile import profile_variance
from .inference.structure import (
    covariance_of_structured,
    covariance_parameters,
    is_structured,
)
from .inference.unidentified import Unidentified, unidentified
from .inference.wald import CovarianceOfParams
from .likelihood.crossed.effects import CrossedConditional
from .likelihood.independent.effects import Conditional, conditional
from .likelihood.profiled import Point, ProfiledLikelihood
from .likelihood.state import State
from .likelihood.units import InUsersColumns
from .params import MixedLMParams
from .prediction import offset_part, random_part
from .random_effects import (
    covariances_frame,
    crossed_covariances,
    crossed_effects,
    effects_by_group,
    effects_frame,
)
from .row_for_row import FixedEffects
from .storage import write_pickle

if TYPE_CHECKING:
    from .fitting.estimate import Estimate
    from .model import MixedLM


Series: TypeAlias = "pd.Series | np.ndarray"
Frame: TypeAlias = "pd.DataFrame | np.ndarray"


class MixedLMResults(Inference):
    """The result of a fit. It is frozen: attributes are computed when first asked for.

    Vectors and matrices are labelled pandas objects when the model came from a formula or from pandas
    objects, and arrays when it came from arrays.

    Attributes
    ----------
    model : MixedLM
    reml : bool
    method : {"REML", "ML"}
    convergence : Convergence
        The certificate of the optimum.
    converged : bool
    nfev : int
        Evaluations of the criterion.
    """

    model: MixedLM
    convergence: Convergence
    reml: bool
    freepat: MixedLMParams | None
    penalty: str = ""  # what was penalised, in words
    _full_output: bool
    _likelihood: ProfiledLikelihood
    _point: Point

    def __init__(
        self,
        model: MixedLM,
        likelihood: ProfiledLikelihood,
        found: Estimate,
        reml: bool,
        freepat: MixedLMParams | None = None,
        full_output: bool = False,
    ) -> None:
        self.__dict__.update(
            model=model,
            _likelihood=likelihood,
            _point=found.point,
            convergence=found.convergence,
            reml=reml,
            freepat=freepat,
            _full_output=full_output,
        )

    @property
    def _labelled(self) -> bool:
        return self.model.design.labelled

    def _series(self, values: np.ndarray, index: Any) -> Series:
        """Return a Series where the model was given pandas objects, as statsmodels does."""
        return pd.Series(values, index=index) if self._labelled else values

    def _frame(self, values: np.ndarray, names: list[str]) -> Frame:
        if not self._labelled:
            return values
        return pd.DataFrame(values, index=names, columns=names)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"results are frozen; {name!r} cannot be set. Copy what you need")

    @property
    def method(self) -> str:
        return "REML" if self.reml else "ML"

    @property
    def converged(self) -> bool:
        return self.convergence.converged

    @property
    def nfev(self) -> int:
        return self.convergence.evaluations

    @property
    def nobs(self) -> int:
        return self.model.nobs

    @property
    def k_fe(self) -> int:
        return self.model.k_fe

    @property
    def k_re(self) -> int:
        return self.model.k_re

    @property
    def k_re2(self) -> int:
        return self.model.k_re2

    @property
    def k_vc(self) -> int:
        return self.model.k_vc

    @property
    def k_constant(self) -> int:
        """1 if the fixed effects have a constant, also as a combination of columns; else 0."""
        return self.model.k_constant

    @property
    def use_sqrt(self) -> bool:
        """How `model` packs parameters."""
        return self.model.use_sqrt

    @property
    def k_constr(self) -> int:
        """Number of covariance parameters that `free` holds fixed."""
        if self.freepat is None:
            return 0
        packed = self.freepat.get_packed(use_sqrt=False, has_fe=True)[self.k_fe :]
        return int((packed == 0.0).sum())

    # The criterion

    @property
    def _state(self) -> State:
        state = self._point.state
        assert state is not None  # a fit ends where the criterion is finite
        return state

    @property
    def criterion(self) -> float:
        """−2 log-likelihood (REML: −2 log restricted likelihood), a float."""
        return float(self._point.value)

    @property
    def llf(self) -> float:
        """Log-likelihood, restricted under REML."""
        return -0.5 * self.criterion

    @cached_property
    def scale(self) -> float:
        """The residual variance σ² (of an observation with weight 1)."""
        likelihood = self._likelihood
        return likelihood.coordinates.sigma2(self._state, likelihood.n_eff)

    # Fixed effects

    @cached_property
    def fe_params(self) -> Series:
        """The fixed effects β̂ (k_fe,)."""
        return self._series(self._beta.copy(), self.model.exog_names)

    @cached_property
    def _beta(self) -> np.ndarray:
        return self._likelihood.coordinates.beta(self._state)

    @property
    def cov_fe(self) -> Frame:
        """Covariance matrix of the fixed effects, σ̂² (X'V⁻¹X)⁻¹ (k_fe, k_fe).

        Entries are NaN where they depend on variances that the data do not identify, as where the
        grouping factor of a random intercept is a fixed effect too (`cov_params_note`).
        """
        return self._frame(self._cov_fe.copy(), self.model.exog_names)

    @cached_property
    def _unidentified(self) -> Unidentified | None:
        """What the data do not identify."""
        return unidentified(self, self._cov_fe_here)

    @cached_property
    def _cov_fe(self) -> np.ndarray:
        if self._unidentified is None:
            return self._cov_fe_here
        return np.where(self._unidentified.fixed, np.nan, self._cov_fe_here)

    @cached_property
    def _cov_fe_here(self) -> np.ndarray:
        """The covariance matrix of the fixed effects at the estimate, identified or not."""
        return self._likelihood.coordinates.covariance(self._state, self.scale)

    @cached_property
    def bse_fe(self) -> Series:
        """Standard errors of the fixed effects (k_fe,)."""
        return self._series(np.sqrt(np.diag(self._cov_fe)), self.model.exog_names)

    @property
    def _results(self) -> FixedEffects:
        """What multiple imputation (statsmodels' MICE) pools."""
        return FixedEffects(self._beta, self._cov_fe)

    # Information criteria

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 k − 2 log-likelihood; NaN under REML, with a warning that says why."""
        return self._information_criterion(2.0, "aic")

    @property
    def bic(self) -> float:
        """Schwarz' criterion, k log n − 2 log-likelihood; NaN under REML, with a warning."""
        return self._information_criterion(float(np.log(self.nobs)), "bic")

    def _information_criterion(self, price: float, name: str) -> float:
        if self.reml:
            warnings.warn(
                f"{name} is NaN under REML, whose likelihoods of models with different fixed effects "
                "cannot be compared; fit with reml=False",
                LmmcoreWarning,
                stacklevel=3,
            )
            return float("nan")
        return self.criterion + price * (self.k_fe + self._likelihood.n_parameters + 1)

    # Covariance of the random effects

    @cached_property
    def _relative(self) -> list[np.ndarray]:
        """G_t of each term for the columns as given, relative to σ²."""
        likelihood = self._likelihood
        return [term.to_user(f @ f.T) for term, f in zip(likelihood.terms, self._point.factors)]

    @cached_property
    def _cov_re_unscaled(self) -> np.ndarray:
        out = np.zeros((self.k_re, self.k_re))
        at = 0
        for term, g in zip(self.model.design.terms, self._relative):
            k = len(term.names)
            out[at : at + k, at : at + k] = g
            at += k
        return out

    @property
    def cov_re_unscaled(self) -> Frame:
        """Covariance matrix of the random coefficients divided by σ² (k_re, k_re)."""
        return self._frame(self._cov_re_unscaled.copy(), self.model.exog_re_names)

    @property
    def cov_re(self) -> Frame:
        """Covariance matrix of the random coefficients (k_re, k_re)."""
        return self._frame(self._cov_re_unscaled * self.scale, self.model.exog_re_names)

    @cached_property
    def vcomp(self) -> np.ndarray:
        """Variance components (k_vc,), in the order of ``model.vcomp_names``."""
        parts = self._relative[len(self.model.design.terms) :]
        return np.array([g[0, 0] for g in parts]) * self.scale

    @cached_property
    def theta(self) -> np.ndarray:
        """Parameters of the structures of the relative covariance matrices, term by term.

        Of an unstructured one they are its Cholesky factor, row by row.
        """
        likelihood = self._likelihood
        parts = likelihood.parts(self._point.theta)
        return np.concatenate(
            [
                part if isinstance(s, InUsersColumns) else s.parameters(g)
                for s, part, g in zip(likelihood.structures, parts, self._relative)
            ]
        )

    @cached_property
    def covariance_parameters(self) -> pd.DataFrame:
        """The parameters of each term's covariance structure in its own terms.

        Columns term, parameter (such as "sd(x)", "corr"), estimate (σ² included) and std_err, by the
        delta method from the observed information; NaN on the boundary and for what the data do not
        identify (`cov_params_note`).
        """
        return covariance_parameters(self)

    @cached_property
    def _cov_params(self) -> CovarianceOfParams:
        return covariance_of_structured(self) if is_structured(self) else super()._cov_params

    @property
    def _theta_hessian(self) -> np.ndarray | None:
        """Hessian of −2 log-likelihood in θ."""
        return self._point.hessian

    @cached_property
    def params_object(self) -> MixedLMParams:
        """All parameters; covariances relative to σ²."""
        parts = self._relative[len(self.model.design.terms) :]
        vcomp = np.array([g[0, 0] for g in parts])
        return MixedLMParams.from_components(
            self._beta.copy(), self._cov_re_unscaled.copy(), vcomp=vcomp
        )

    @cached_property
    def params(self) -> Series:
        """Fixed effects, lower triangle of cov_re / σ², vcomp / σ², packed as statsmodels does."""
        packed = self.params_object.get_packed(use_sqrt=False, has_fe=True)
        return self._series(packed, self.model.param_names)

    # Random effects

    @property
    def _solution(self) -> np.ndarray | None:
        """What makes the residual from [X y] in the basis; None for the GLS estimate."""
        return None

    @cached_property
    def varcorr(self) -> pd.DataFrame:
        """Variances, SDs and correlations of the random effects, σ² included.

        One row for each coefficient and, with the covariance as `variance`, for each pair of a term.
        Columns term (the grouping factor), name, with (the other of a pair), variance, sd, correlation.
        """
        return varcorr(self)

    @cached_property
    def _crossed(self) -> CrossedConditional | None:
        """Random effects of a model with several grouping factors."""
        cp = self.model.crossproducts
        if not isinstance(cp, CrossedProducts):
            return None
        return CrossedConditional(cp, self._likelihood, self._point, self._solution)

    @cached_property
    def _conditional(self) -> Conditional:
        cp = self.model.crossproducts
        assert isinstance(cp, CrossProducts)
        return conditional(cp, self._likelihood, self._point, self._solution)

    @cached_property
    def random_effects(self) -> dict[Any, pd.Series] | dict[str, pd.DataFrame]:
        """BLUPs of the random effects: a Series for each group label.

        A Series is made when it is asked for; `random_effects_frame` has the coefficients of all
        groups at once. A label of another type finds its group where that is unambiguous: 308 is
        the group "308". With several grouping factors a frame for each factor, a row for each level.
        """
        if self._crossed is not None:
            return crossed_effects(self, self._crossed)
        return effects_by_group(self)

    @cached_property
    def random_effects_cov(self) -> dict[Any, pd.DataFrame]:
        """Covariance matrix of each group's random effects given the data, β and the variances.

        A frame is made when it is asked for; `random_effects_cov_frame` has those of all groups.
        With several grouping factors a frame for each factor, with the matrices of its levels one below
        the other: rows (level, name), so that ``frame.loc[level]`` is one of them.
        """
        if self._crossed is not None:
            return crossed_covariances(self, self._crossed)
        return effects_by_group(self, covariances=True)

    @cached_property
    def random_effects_frame(self) -> pd.DataFrame:
        """BLUPs of the random coefficients: one row for each group (n_groups, k_re).

        Raises
        ------
        OptionError
            The model has several grouping factors: see `random_effects`.
        """
        return effects_frame(self)

    @cached_property
    def random_effects_cov_frame(self) -> pd.DataFrame:
        """Conditional covariance matrices of the random coefficients (n_groups · k_re, k_re).

        One below the other: rows (group, name), so that ``frame.loc[group]`` is one of them, and
        ``frame.to_numpy().reshape(-1, k_re, k_re)`` holds all.

        Raises
        ------
        OptionError
            The model has several grouping factors: see `random_effects_cov`.
        """
        return covariances_frame(self)

    # Rows

    @cached_property
    def fittedvalues(self) -> Series:
        """Fitted values with the random effects, X β̂ + Z b̂ (n,)."""
        return self._fitted(None)

    def _fitted(self, terms: frozenset[int] | None) -> Series:
        """Return X β̂ + Z b̂ of the model's rows, with the random effects of some terms or of all."""
        design = self.model.design
        fitted = stack((design.fixed[j] for j in self.model._kept_columns), design.n_rows)
        effects = self._conditional if self._crossed is None else self._crossed
        values = fitted @ self._beta + effects.row_effects(design, terms)
        if design.offset is not None:
            values = values + design.offset
        return self._series(values, design.row_labels)

    @cached_property
    def resid(self) -> Series:
        """Residuals y − X β̂ − Z b̂ (n,)."""
        values = self.model.endog - np.asarray(self.fittedvalues)
        return self._series(values, self.model.design.row_labels)

    def predict(
        self,
        exog: Any = None,
        transform: bool = True,
        *,
        random_effects: bool | str | Collection[str] = False,
        groups: Any = None,
        exog_re: Any = None,
        new_groups: str = "error",
    ) -> Series:
        """Return X β̂ (m,), the prediction by the fixed effects, or X β̂ + Z b̂.

        Parameters
        ----------
        exog : DataFrame or array_like, optional
            New rows: a frame with the variables of the formula, or the columns of exog; by default
            the rows of the model. An offset is added but to an array of columns, which has none.
        transform : bool
            Whether a frame goes through the formula; if false it holds the columns of exog.
        random_effects : bool, {"all", "none"}, str or list of str
            Whether the BLUPs of the rows' groups are added: all, none, or those of some grouping
            factors ("plate"), terms ("(1 + x | g)") and variance components, by name.
        groups : array_like (m,), str or mapping, optional
            Groups of the new rows; by default the columns of the frame that the model was grouped by.
            With several grouping factors a mapping, by the factors' names.
        exog_re : array_like (m, k_re), optional
            Columns of the random coefficients; by default from the frame through the formula.
        new_groups : {"error", "zero"}
            What to do with groups that were not fitted: an error, or random effects of zero.
        """
        terms = chosen_terms(self.model, random_effects)
        if not transform and exog is not None:
            exog = numbers(exog, "exog", "the columns of exog, as transform=False")
        if exog is None:
            if terms:
                every = len(self.model.design.terms) + self.model.k_vc
                return self.fittedvalues.copy() if len(terms) == every else self._fitted(terms)
            values, offset = self.model.predict(self._beta), self.model.design.offset
            values = values if offset is None else values + offset
            return self._series(values, self.model.design.row_labels)
        values = self.model.predict(self._beta, exog)
        if not isinstance(exog, np.ndarray):
            values = values + offset_part(self.model.design, exog)
        if terms:
            values = values + random_part(self, exog, groups, exog_re, new_groups, terms)
        return pd.Series(values, exog.index) if hasattr(exog, "index") else values

    @property
    def hist(self) -> list[dict[str, Any]] | None:
        """The path of the optimizer if ``fit(full_output=True)``, else None."""
        if not self._full_output:
            return None
        c = self.convergence
        return [
            {
                "converged": c.converged, "fopt": self.criterion, "iterations": c.iterations,
                "fcalls": c.evaluations, "message": c.message, "path": list(c.path),
            }
        ]  # fmt: skip

    def profile_re(
        self,
        re_ix: int | str,
        vtype: str,
        num_low: int = 5,
        dist_low: float = 1.0,
        num_high: int = 5,
        dist_high: float = 1.0,
        *,
        method: str | Sequence[str] | None = None,
        **fit_kwargs: Any,
    ) -> np.ndarray:
        """Return the profile likelihood of a variance.

        Parameters
        ----------
        re_ix : int or str
            A random coefficient (its number or name) or the name of a variance component.
        vtype : {"re", "vc"}
        num_low, num_high : int
            Number of points below and above the estimate.
        dist_low, dist_high : float
            Distance of the outermost points, as a variance.
        method : str or sequence of str, optional
            Optimizer of the restricted fits, as in ``MixedLM.fit``.
        **fit_kwargs
            Its options, such as `maxiter`.

        Returns
        -------
        array (num_low + 1 + num_high, 2)
            Variances and log-likelihoods. The ratio to σ² is what is held fixed.
        """
        optimizers, options = self.model._optimizers(method, fit_kwargs)
        return profile_variance(
            self, re_ix, vtype, num_low, dist_low, num_high, dist_high, optimizers, options
        )

    def bootstrap(
        self,
        nrep: int = 100,
        method: str | None = None,
        disp: bool = False,
        store: bool = True,
        rng: Any = None,
        *,
        kind: str = "groups",
        fun: Callable[[MixedLMResults], Any] | None = None,
        callback: Callable[[int, int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Refit the model to resampled data, by the same penalty if there is one.

        Parameters
        ----------
        nrep : int
            Number of replications.
        method : str, optional
            Optimizer; by default that of `fit`.
        disp : bool
            Accepted for compatibility, without effect; see `callback`.
        store : bool
            Whether ``results.bootstrap_results`` keeps the estimates.
        rng : Generator, RandomState or int, optional
        kind : {"groups", "parametric"}
            Draw whole groups with replacement, or responses from the fitted model.
        fun : callable, optional
            Takes the results of a refit, returns a number or a vector; by default ``params``.
        callback : callable, optional
            Called after each refit with its number and `nrep`.

        Returns
        -------
        mean, std : arrays (k,)
        values : array (nrep, k)
            A row of NaN where a refit failed, of which a warning tells the number.

        Notes
        -----
        statsmodels resamples rows, which mixed models do not allow: the rows of a group are dependent.
        """
        values = bootstrap(self, nrep, method, rng, kind, fun, callback)
        good = values[~np.isnan(values).any(axis=1)]
        if store:
            self.__dict__["bootstrap_results"] = values
        return good.mean(axis=0), good.std(axis=0), values

    def _refit(self, model: MixedLM, method: Any) -> MixedLMResults:
        """Return the same fit of a model with other data."""
        start = None if self.freepat is None else self.params_object  # held where it was
        return model.fit(start, reml=self.reml, free=self.freepat, method=method)

    def remove_data(self) -> None:
        """Take the rows of the data out of these results and their model, to make them small.

        Estimates, inference, random effects, `summary` and `predict` for new rows go on working;
        what needs the rows (`fittedvalues`, `resid`, `predict` without an argument, the data of
        the model) raises `DataRemovedError`. Other results of the same model lose the rows too.
        """
        model = self.model
        model.group_sizes  # noqa: B018 — kept, as the summary shows them
        for name in ("fittedvalues", "resid"):
            self.__dict__.pop(name, None)
        for name in (
            "endog", "exog", "exog_re", "exog_vc", "groups", "row_indices", "endog_li", "exog_li",
            "exog_re_li", "exog_re2_li",
        ):  # fmt: skip
            model.__dict__.pop(name, None)
        model.design = without_rows(model.design)

    def save(self, fname: Any, remove_data: bool = False) -> None:
        """Write the results to a file (pickle); `load` reads them.

        The file is written whole or not at all: where writing fails, a file that was there stays. Modules
        and functions that the formula uses are saved by their names. A function without one, such as a
        lambda, is missed when new rows are predicted after loading; everything else works without it.

        Parameters
        ----------
        fname : str or path
        remove_data : bool
            Whether to leave out the rows of the data (`remove_data`).
        """
        if remove_data:
            self.remove_data()
        write_pickle(self, fname)

    @classmethod
    def load(cls, fname: Any) -> MixedLMResults:
        """Read results that `save` wrote. Load only files that you trust: pickle runs their code.

        Raises
        ------
        DataTypeError
            The file holds something else.
        """
        with open(fname, "rb") as file:
            try:
                found = pickle.load(file)
            except (
                pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError, IndexError,
            ) as exc:  # fmt: skip
                raise DataTypeError(
                    f"{fname} cannot be read ({exc}); expected results written by save()"
                ) from exc
        if not isinstance(found, cls):
            raise DataTypeError(
                f"{fname} holds a {type(found).__name__}; expected results written by save()"
            )
        return found

    def summary(
        self,
        yname: str | None = None,
        xname_fe: Sequence[str] | None = None,
        xname_re: Sequence[str] | None = None,
        title: str | None = None,
        alpha: float = 0.05,
    ) -> Summary:
        """Return tables of the estimates: ``print`` it, or see ``as_text``, ``as_html``, ``as_latex``.

        Parameters
        ----------
        yname : str, optional
            Name of the response.
        xname_fe, xname_re : sequence of str, optional
            Names of the fixed effects, and of the covariance parameters.
        title : str, optional
        alpha : float
            One minus the level of the confidence intervals (normal quantiles).
        """
        for argument, names in (("xname_fe", xname_fe), ("xname_re", xname_re)):
            if isinstance(names, str):
                raise OptionError(f"{argument}={names!r}; expected a list of names")
        yname, title = (None if text is None else str(text) for text in (yname, title))
        return summarize(self, alpha, yname, xname_fe, xname_re, title)

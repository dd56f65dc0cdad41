"""MixedLM: the front door."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .arguments import check_components, has_parameters, number, numbers, whole_number
from .at_parameters import AtParameters, as_params, closed_under
from .crossproducts.accumulate import cross_products
from .crossproducts.crossed import CrossedProducts, crossed_products, refuse_equal_factors
from .crossproducts.crossproducts import CrossProducts
from .design.arrays import from_arrays
from .design.build import as_frame, check_missing, from_formula
from .design.columns import matrix_columns, stack
from .design.components import VCSpec
from .design.design import Design, with_covariance
from .design.evaluate import rebuild
from .design.factors import crossed_factors
from .errors import (
    ConvergenceWarning,
    DataTypeError,
    DataValueError,
    DesignError,
    FormulaError,
    NotFiniteError,
    NotIdentifiedWarning,
    OptionError,
    RankDeficientWarning,
    UnusedArgumentWarning,
    counted,
    users_line,
)
from .extension import CovarianceStructure, lower_indices, semidefinite_cholesky, take_options
from .extension.guarded_optimizer import guarded_optimizer
from .fitting.estimate import estimate
from .fitting.patterns import order_that_holds
from .likelihood.coordinates import Coordinates
from .likelihood.fixed import FixedPattern
from .likelihood.penalised import SmoothPenalties
from .likelihood.profiled import Engine, ProfiledLikelihood
from .likelihood.start import neutral_start
from .likelihood.units import InUsersColumns
from .model_rows import ModelRows
from .params import MixedLMParams
from .regularized.doors import PenalisedFits, check_smooth
from .regularized.smooth import estimate_penalised, smooth_penalties, smooth_results
from .results import MixedLMResults
from .row_for_row import check_like, with_columns, with_data
from .simulate import MixedLMDistribution
from .spellings import FORMULA_ARGUMENTS, INIT_ARGUMENTS, refuse_arguments

DEFAULT_METHOD = "newton"
MANY = 2000  # fixed effects above which cross-products wait until an ordinary fit needs them
# Arguments of the fits of other classes of statsmodels.
UNUSED = frozenset({"cov_type", "cov_kwds", "use_t", "retall", "skip_hessian", "warn_convergence"})


class MixedLM(ModelRows, AtParameters, PenalisedFits):
    """A linear mixed-effects model.

    ``y = X β + Z b + e`` within groups, ``b ~ N(0, σ² G)`` independently for each group,
    ``e ~ N(0, σ²/w)``.

    Parameters
    ----------
    endog : array_like (n,)
        The response.
    exog : array_like (n, k_fe)
        Columns of the fixed effects; a constant is not added.
    groups : array_like (n,)
        Label of each row's group: numbers, text or a categorical, in any order.
    exog_re : array_like (n, k_re), optional
        Columns of the random coefficients; by default a random intercept, unless `exog_vc` is given.
    exog_vc : VCSpec or mapping, optional
        Variance components inside groups.
    use_sqrt : bool
        Accepted for compatibility: the optimizer works on a Cholesky factor in any case.
    missing : {"none", "raise", "drop"}
        Missing values are an error ("none", "raise") or their rows are left out ("drop").
    weights : array_like (n,), optional
        Prior weights w > 0.
    covariance : str, CovarianceStructure or mapping, optional
        Structure of the random coefficients' covariance matrix; see `from_formula`.
    like : MixedLM, optional
        A model with as many rows, whose groups, random effects, weights and structures are those of
        this one.

    Attributes
    ----------
    k_fe, k_re, k_re2, k_vc : int
        Numbers of fixed effects, random coefficients, their covariance parameters, components.
    nobs : int
    n_groups : int
    group_labels : list
        Sorted. With several grouping factors these and ``groups``, ``row_indices``, ``group_sizes`` are
        those of the first one; `n_levels` has all.
    n_levels : dict of str to int
        Levels of each grouping factor.
    structure : Structure
        How a model with several grouping factors is factored: order, storage, bytes, cost.
    dropped : tuple of str
        Columns of exog left out because other columns determine them.

    Raises
    ------
    LmmcoreError
        A subclass that says what is wrong with the data; see `lmmcore.errors`.

    Notes
    -----
    Rows are matched by position. Series and frames among `endog`, `exog`, `groups`, `exog_re`,
    `weights` must therefore have one index: another order or other labels are an error. Align
    them before, by ``groups.loc[endog.index]``, or give arrays (``groups.to_numpy()``) where the
    position is what counts. Masked entries of masked arrays are missing values.

    A fit changes nothing in the model but the attribute ``reml``, which says what `loglike`, `score`
    and `hessian` evaluate; input is never changed. Source of the formulas: Pinheiro and Bates
    (2000), *Mixed-Effects Models in S and S-PLUS*, chapter 2.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> model = lmmcore.MixedLM.from_formula("Reaction ~ Days", data, groups="Subject",
    ...                                      re_formula="1 + Days")
    >>> round(model.fit().criterion, 4)
    1743.6283
    """

    def __init__(
        self,
        endog: Any,
        exog: Any,
        groups: Any = None,
        exog_re: Any = None,
        exog_vc: VCSpec | Mapping[str, Any] | None = None,
        use_sqrt: bool = True,
        missing: str = "none",
        *,
        weights: Any = None,
        covariance: Any = None,
        like: MixedLM | None = None,
        **unknown: Any,
    ) -> None:
        refuse_arguments("MixedLM", unknown, INIT_ARGUMENTS)
        if isinstance(endog, pd.DataFrame) and endog.shape[1] != 1:
            raise DataValueError(f"endog has shape {endog.shape}; expected one number per row")
        if like is not None:
            others = {"groups": groups, "exog_re": exog_re, "exog_vc": exog_vc, "weights": weights}
            check_like(like, {**others, "covariance": covariance})
            self._setup(with_columns(like, endog, exog), like.use_sqrt, None)
            return
        check_components(exog_vc)
        design = from_arrays(endog, exog, groups, exog_re, exog_vc, weights, missing)
        design = with_covariance(design, covariance)
        self._setup(design, use_sqrt, None)

    @classmethod
    def from_formula(
        cls,
        formula: str | None = None,
        data: Any = None,
        re_formula: str | None = None,
        vc_formula: Mapping[str, str] | None = None,
        subset: Any = None,
        use_sparse: bool = False,
        missing: str = "none",
        *,
        groups: Any = None,
        weights: Any = None,
        use_sqrt: bool = True,
        covariance: Any = None,
        like: MixedLM | None = None,
        _depth: int = 1,
        **unknown: Any,
    ) -> MixedLM:
        """Build a model from a formula and a table.

        Parameters
        ----------
        formula : str
            ``"y ~ x + (1 + x | g)"``, or ``"y ~ x"`` with `groups`. Any number of random terms with any
            grouping factors, crossed or nested: ``(x | a) + (1 | b)``, ``(1 | a/b)`` (which is
            ``(1 | a) + (1 | a:b)``), ``(x || g)`` (independent coefficients), ``offset(z)``.
        data : DataFrame or mapping of columns
            Also anything with ``to_pandas()`` or ``df()``.
        re_formula : str, optional
            Columns of the random coefficients, such as ``"1 + x"``.
        vc_formula : mapping, optional
            ``{name: formula}`` of variance components inside groups, such as
            ``{"class": "0 + C(class)"}``.
        subset : array_like, optional
            Rows to use, as for ``data.loc``.
        use_sparse : bool
            Accepted for compatibility: storage is chosen by lmmcore.
        missing : {"none", "drop", "raise"}
            Rows where a variable of the model is missing, once it is evaluated, are left out ("none",
            the default, and "drop"; statsmodels refuses them), or they are an error ("raise"). The
            summary says how many and why, `rows_used` which rows are left.
        groups : str or array_like, optional
            Name of a column, or labels; a Series, and a Series as `weights`, must have the index of
            `data`.
        weights : str or array_like, optional
            Prior weights.
        covariance : str, CovarianceStructure or mapping, optional
            Structure of the covariance matrix of the random coefficients, by name (``"cs"``) or as an
            object; a mapping names the grouping factor, ``{"g": "cs"}``. The formula says the same
            as ``cs(1 + x | g)``.
        like : MixedLM, optional
            A model with a row for each row of `data`. The new model is that one with the fixed effects'
            columns that its formula gives for `data`, all of them, also where they are constant;
            everything else stays. No other argument is used.
        """
        refuse_arguments("mixedlm", unknown, FORMULA_ARGUMENTS)
        if like is not None:
            check_like(like, {"formula": formula, "groups": groups, "weights": weights})
            model = cls.__new__(cls)
            model._setup(with_data(like, data), like.use_sqrt, like.formula, form=False)
            return model
        parts = vc_formula.items() if isinstance(vc_formula, Mapping) else ()
        for argument, given in (
            ("re_formula", re_formula), *((f"vc_formula[{name!r}]", text) for name, text in parts)
        ):  # fmt: skip
            if given is not None and not isinstance(given, str):
                raise FormulaError(f"{argument}={given!r}; expected a formula, such as '1 + x'")
        if isinstance(groups, (bool, int, float)):
            raise DataTypeError(f"groups={groups!r}; expected the name of a column, or labels")
        if formula is None:
            raise FormulaError("no formula was given; expected text such as 'y ~ x + (1 | g)'")
        check_missing(missing)
        arguments = (formula, data, groups, re_formula, vc_formula, weights, subset)
        frame = sys._getframe(_depth)
        try:  # most data miss nothing, so that what is missing is looked for once something is met
            design = with_covariance(from_formula(*arguments, frame, look=False), covariance)
            if missing == "raise" or _formed_at_once(design):
                return cls._from_design(design, formula, use_sqrt)
        except NotFiniteError:
            if missing == "raise":
                raise
        design = with_covariance(from_formula(*arguments, frame, look=True), covariance)
        return cls._from_design(design, formula, use_sqrt)

    @classmethod
    def _from_design(cls, design: Design, formula: str | None, use_sqrt: bool) -> MixedLM:
        model = cls.__new__(cls)
        model._setup(design, use_sqrt, formula)
        return model

    def initialize(self) -> None:
        """Accepted for compatibility, without effect: a model is complete once it is built.

        For changed data build another model: results of fits refer to the one that they came from.
        """

    def _get_init_kwds(self) -> dict[str, Any]:
        """Return what another model of these rows is built with, as code written for statsmodels asks."""
        return {"like": self}

    def _setup(
        self, design: Design, use_sqrt: bool, formula: str | None, form: bool = True
    ) -> None:
        self.design = design
        self.use_sqrt = use_sqrt
        self.reml = True
        if formula is not None:  # as in statsmodels, a model of arrays has no such attribute
            self.formula = formula
        self.dropped: tuple[str, ...] = ()
        self._kept_columns = np.arange(len(design.fixed))
        self._n_given = len(design.fixed) if design.fixed_built is None else design.fixed_given
        if form and _formed_at_once(design):
            self._form(self._products())
        self.exog_names = [design.fixed_names[j] for j in self._kept_columns]
        self.endog_names = design.endog_name
        self.nobs = design.n_rows
        self.k_fe = len(self.exog_names)
        self.k_re = len(design.random)
        self.k_re2 = self.k_re * (self.k_re + 1) // 2
        self.k_vc = 0 if design.components is None else len(design.components.names)
        self.n_groups = design.grouping.n_levels
        self.n_totobs = self.nobs
        self.k_params = self.k_fe + self.k_re2
        self._structures  # noqa: B018 — so that an unknown structure is refused here, not by a fit

    def _products(self) -> CrossProducts | CrossedProducts:
        """Form the cross-products of all columns."""
        factors = crossed_factors(self.design)
        if factors is None:
            return cross_products(self.design)
        found = crossed_products(self.design, factors)
        refuse_equal_factors(found, factors)
        return found

    def _form(self, cp: CrossProducts | CrossedProducts) -> None:
        """Take in the cross-products: which columns are kept, and where they are in the basis."""
        basis, design = cp.basis, self.design
        self.crossproducts = cp
        self.dropped = tuple(design.fixed_names[basis.order[j]] for j in basis.dependent)
        if self.dropped:
            warnings.warn(
                f"dropped {', '.join(map(repr, self.dropped))} from the fixed effects: other columns "
                "determine them. Remove these columns to silence this warning",
                RankDeficientWarning,
                stacklevel=5,
            )
        self._kept_columns = Coordinates(basis).columns

    @cached_property
    def crossproducts(self) -> CrossProducts | CrossedProducts:  # type: ignore[override]
        """Cross-products of all columns, formed with the model, or when first needed with many columns.

        Raises
        ------
        DesignError
            There are no fewer columns than rows, or too many that determine each other.
        """
        n, p = self.design.n_rows, len(self.design.fixed)
        if n <= p:
            raise DesignError(
                f"{counted(n, 'row')} cannot determine {counted(p, 'fixed effect')} and a residual "
                "variance; expected more rows than columns of exog. Remove columns or add rows, or "
                "penalise them: fit_regularized(..., variances='joint')"
            )
        cp = self._products()
        if cp.basis.dependent:
            names = [self.design.fixed_names[cp.basis.order[j]] for j in cp.basis.dependent]
            raise DesignError(
                f"{', '.join(map(repr, names[:10]))} are determined by other columns; with {p} columns "
                "nothing is dropped. Remove them"
            )
        return cp

    @property
    def _cross_products_formed(self) -> bool:
        return "crossproducts" in self.__dict__

    def get_distribution(self, params: Any, scale: float, exog: Any = None) -> MixedLMDistribution:
        """Return the distribution of the response at given parameters; ``rvs`` draws from it.

        Parameters
        ----------
        params : array (k_fe + k_re2 + k_vc,)
            As ``results.params``: covariances relative to σ².
        scale : float
            σ².
        exog : array (n, k_fe), optional
            Columns of the fixed effects; by default those of the model.
        """
        scale = number(scale, "scale", "a positive residual variance")
        return MixedLMDistribution(self, params, scale, exog)

    def predict(self, params: Any, exog: Any = None) -> np.ndarray:
        """Return X β (m,) for the fixed effects β, for the model's rows or others.

        Parameters
        ----------
        params : MixedLMParams or array_like
            The first k_fe entries of an array are β.
        exog : DataFrame or array_like (m, k_fe), optional
            New rows: a frame with the variables of the formula, or the columns of exog: those with a
            coefficient, or all that the model was given.
        """
        given = params.fe_params if has_parameters(params) else params
        beta = numbers(given, "params", "MixedLMParams, or a vector that begins with β")
        if beta.ndim != 1 or len(beta) < self.k_fe or not np.isfinite(beta[: self.k_fe]).all():
            raise DataValueError(
                f"params is {beta.tolist()!r}; expected {self.k_fe} finite fixed effects first: "
                f"{', '.join(self.exog_names)}"
            )
        return self._rows_of(exog) @ beta[: self.k_fe]

    def _rows_of(self, exog: Any) -> np.ndarray:
        if exog is None:
            return self.exog
        info = self.design.fixed_info
        if info is not None and not isinstance(exog, np.ndarray):
            return rebuild(info, as_frame(exog))[:, self._built_columns]
        if isinstance(exog, pd.DataFrame):
            names = [str(name) for name in exog.columns]
            if set(self.exog_names) <= set(names):
                exog = exog.iloc[:, [names.index(name) for name in self.exog_names]]
        columns, _ = matrix_columns(exog, None, "x", "exog")
        if len(columns) != self.k_fe and len(columns) == self._n_given:
            # those of columns left out are among them
            columns = tuple(columns[j] for j in self._built_columns)
        if len(columns) != self.k_fe:
            all_of = (
                f", or all {self._n_given} that were given" if self._n_given > self.k_fe else ""
            )
            raise DataValueError(
                f"exog has {len(columns)} columns; expected {self.k_fe}: "
                f"{', '.join(self.exog_names)}{all_of}"
            )
        return stack(columns, len(columns[0]))

    def fit(
        self,
        start_params: MixedLMParams | np.ndarray | None = None,
        reml: bool = True,
        niter_sa: int = 0,
        do_cg: bool = True,
        fe_pen: Any = None,
        cov_pen: Any = None,
        free: MixedLMParams | None = None,
        full_output: bool = False,
        method: str | Sequence[str] | None = None,
        *,
        callback: Callable[[int, float], None] | None = None,
        **options: Any,
    ) -> MixedLMResults:
        """Estimate the parameters by restricted maximum likelihood or maximum likelihood.

        Parameters
        ----------
        start_params : MixedLMParams or array, optional
            Where to start: covariance parameters relative to σ², packed as by
            ``MixedLMParams.get_packed(use_sqrt)`` with or without the fixed effects. By default
            the start comes from the data.
        reml : bool
        niter_sa : int
            Accepted for compatibility, without effect.
        do_cg : bool
            If false, nothing is optimised: the result is that of `start_params`.
        fe_pen, cov_pen : penalty objects, optional
            Smooth penalties, subtracted from the log-likelihood: ``fe_pen.func(β)`` with its gradient
            ``fe_pen.deriv(β)``, and ``cov_pen.func(G, inverse of G)`` with ``cov_pen.deriv`` in the
            lower triangle of G, the covariance matrix of the random coefficients relative to σ²;
            those of statsmodels will do. β is then what maximises the penalised likelihood.
        free : MixedLMParams, optional
            A mask: where its ``cov_re`` (lower triangle) or ``vcomp`` is 0, the entry of the Cholesky
            factor of cov_re (with ``use_sqrt=False``: the entry of cov_re itself), or the root of the
            component, stays as in `start_params` (by default the identity). ``cov_re = np.eye(k)``
            makes the random coefficients independent. Fixed effects are always estimated.
        full_output : bool
            Whether ``results.hist`` holds the path of the optimizer.
        method : str or sequence of str, optional
            Name of an optimizer, or names tried in turn until the certificate holds; the default is
            trust-region Newton on the exact Hessian. ``lmmcore.plugins()`` lists them.
        callback : callable, optional
            Called as ``callback(iteration, value)`` with −2 log-likelihood: with ``(0, value)`` at the
            start, then after each iteration. Where the fit goes on from a further start, or with the
            next of several methods, the iterations count from 0 again.
        **options
            Options of the optimizer.

        Returns
        -------
        MixedLMResults

        Raises
        ------
        OptionError
            An optimizer or an option that is not known.
        ConvergenceError
            The likelihood has no maximum, as there is no residual variation.

        Warns
        -----
        ConvergenceWarning
            When the certificate does not hold.
        NotIdentifiedWarning
            When the data cannot tell covariance parameters apart.
        UnusedArgumentWarning
            When an argument does nothing here.
        """
        if not isinstance(reml, (bool, np.bool_)):
            raise OptionError(f"reml={reml!r}; expected True (REML) or False (ML)")
        for name, penalty in (("fe_pen", fe_pen), ("cov_pen", cov_pen)):
            if penalty is not None:
                check_smooth(penalty, name)
        if callback is not None and not callable(callback):
            raise OptionError(
                f"callback={callback!r}; expected a function of the iteration and −2 log-likelihood"
            )
        optimizers, options = self._optimizers(method, options)
        if free is not None:
            if not has_parameters(free):
                raise DataTypeError(
                    f"free is a {type(free).__name__}; expected MixedLMParams that hold 1 (estimated) or "
                    "0 (held fixed), such as MixedLMParams.from_components(np.ones(k_fe), np.eye(k_re))"
                )
            free = as_params(free)
        engine = self._engine if free is None else self._plain_engine
        penalty = smooth_penalties(self, fe_pen, cov_pen)
        likelihood = self._likelihood(bool(reml), None, engine, penalty)
        start = None if start_params is None else self._start(likelihood, start_params)
        if free is not None:
            at = likelihood.covariances(start) if start is not None else None
            structures = self._fixed_pattern(likelihood, free, start)
            likelihood = self._likelihood(bool(reml), structures, engine, penalty)
            start = None if at is None else likelihood.parameters(at)
        if not do_cg:
            take_options("none", options, {})
            start = neutral_start(likelihood) if start is None else start
            optimizers = []
        search = estimate if penalty is None else estimate_penalised
        found = search(
            likelihood, optimizers, self._term_names, self._term_groups, start, options, callback
        )
        self.reml = bool(reml)
        if optimizers and not found.convergence.converged:
            what = "Use the default method, or raise maxiter"
            if self._engine.rank >= self.nobs - self.k_fe:
                what = (
                    "The random effects can reproduce every observation, so that the residual "
                    "variance is hardly identified: remove random coefficients"
                )
            warnings.warn(
                f"the fit did not converge: {found.convergence.message} (Newton decrement "
                f"{found.convergence.newton_decrement:.1e}). {what}",
                ConvergenceWarning,
                stacklevel=2,
            )
        if not found.convergence.identified:
            warnings.warn(
                f"the model is not identified: {'; '.join(found.convergence.not_identified)}. The "
                "estimates of these parameters are one choice of many with the same likelihood; remove "
                "one of the terms",
                NotIdentifiedWarning,
                stacklevel=users_line(),
            )
        results = MixedLMResults if penalty is None else smooth_results
        return results(self, likelihood, found, bool(reml), free, full_output)

    def _optimizers(
        self, method: str | Sequence[str] | None, options: dict[str, Any]
    ) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
        """Return the optimizers of the argument `method`, and the options that they may be given."""
        if options.get("maxiter") is not None:
            options = {**options, "maxiter": whole_number(options["maxiter"], "maxiter", 1)}
        return _optimizers(method), _used(options)

    def _fixed_pattern(
        self, likelihood: ProfiledLikelihood, free: MixedLMParams, start: np.ndarray | None
    ) -> list[CovarianceStructure]:
        """Return structures that hold entries of the factors where they start."""
        mask_fe = free.fe_params
        # All zeros are what MixedLMParams(k_fe, k_re, k_vc) holds before anything is set.
        if mask_fe.shape != (self.k_fe,) or not ((mask_fe == 1.0).all() or not mask_fe.any()):
            raise DataValueError(
                f"free has fe_params {mask_fe.tolist()}; expected {self.k_fe} ones: the fixed effects are "
                "always estimated. To hold one fixed, subtract its column times its value from endog"
            )
        if free.cov_re.shape != (self.k_re, self.k_re) or len(free.vcomp) != self.k_vc:
            raise DataValueError(
                f"free has cov_re of shape {free.cov_re.shape} and {len(free.vcomp)} components; "
                f"expected ({self.k_re}, {self.k_re}) and {self.k_vc}, as the model has"
            )
        masks = [*self._blocks(free.cov_re), *(np.array([[v]]) for v in free.vcomp)]
        out: list[CovarianceStructure] = []
        for t, (term, mask) in enumerate(zip(likelihood.terms, masks)):
            factor = likelihood.factors(start)[t] if start is not None else None
            if factor is None:  # the identity, in the engine
                factor = np.linalg.inv(term.basis)
            index = lower_indices(term.k)
            if not np.isin(mask[index], (0.0, 1.0)).all():
                raise DataValueError(
                    f"free has entries {mask[index].tolist()}; expected 1 (estimated) or 0 (held fixed)"
                )
            if self.use_sqrt:
                out.append(FixedPattern(mask[index] == 1.0, factor[index]))
                continue
            estimated = np.tril(mask == 1.0)
            estimated |= estimated.T
            g = factor @ factor.T
            order = order_that_holds(estimated, g)
            where = np.ix_(order, order)
            values = semidefinite_cholesky(g[where])[index]
            out.append(FixedPattern(estimated[where][index], values, order))
        return out

    def _blocks(self, matrix: np.ndarray) -> list[np.ndarray]:
        """Return the diagonal block of each term of a (k_re, k_re) matrix."""
        out, at = [], 0
        for term in self.design.terms:
            k = len(term.names)
            out.append(np.asarray(matrix)[at : at + k, at : at + k])
            at += k
        return out

    def _likelihood(
        self,
        reml: bool,
        structures: Sequence[CovarianceStructure] | None = None,
        engine: Engine | None = None,
        penalty: SmoothPenalties | None = None,
    ) -> ProfiledLikelihood:
        engine = engine or self._engine
        if structures is None:
            structures = [
                s if closed_under(s) != "nothing" else InUsersColumns(s, term.basis)
                for s, term in zip(self._structures, engine.terms)
            ]
        sizes = [len(names) for names in self._term_names]
        return ProfiledLikelihood(self.crossproducts, structures, sizes, reml, engine, penalty)

    def _start(
        self, likelihood: ProfiledLikelihood, given: MixedLMParams | np.ndarray
    ) -> np.ndarray:
        if has_parameters(given):
            params = as_params(given)
        else:
            packed = numbers(given, "start_params", "MixedLMParams, or a vector of parameters")
            size = self.k_re2 + self.k_vc
            if packed.shape not in ((size,), (size + self.k_fe,)) or not np.all(
                np.isfinite(packed)
            ):
                raise DataValueError(
                    f"start_params has shape {packed.shape}; expected {size} finite covariance "
                    f"parameters, or {self.k_fe} fixed effects and these"
                )
            params = MixedLMParams.from_packed(
                packed, self.k_fe, self.k_re, self.use_sqrt, len(packed) != size
            )
        if params.cov_re.shape != (self.k_re, self.k_re) or len(params.vcomp) != self.k_vc:
            raise DataValueError(
                f"start_params has cov_re of shape {params.cov_re.shape} and {len(params.vcomp)} "
                f"components; expected ({self.k_re}, {self.k_re}) and {self.k_vc}"
            )
        if len(params.fe_params) not in (0, self.k_fe):
            raise DataValueError(
                f"start_params has {len(params.fe_params)} fixed effects; expected {self.k_fe}, or none"
            )
        params.check("start_params")
        blocks = self._blocks(params.cov_re)
        blocks += [np.array([[v]]) for v in params.vcomp]
        scaled = [t.to_engine(g) for g, t in zip(blocks, likelihood.terms)]
        return likelihood.parameters(scaled)


def _formed_at_once(design: Design) -> bool:
    """Return whether a model forms its cross-products when it is built."""
    return design.n_rows > len(design.fixed) and len(design.fixed) <= MANY


def _optimizers(method: str | Sequence[str] | None) -> list[tuple[str, Any]]:
    """Return the optimizers of the argument `method`."""
    if method is None:
        names: list[str] = [DEFAULT_METHOD]
    elif isinstance(method, str):
        names = [method]
    else:
        names = list(method) if isinstance(method, Sequence) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(f"method={method!r}; expected the name of an optimizer or several names")
    for name in names:
        if name.lower() in ("ml", "reml"):
            raise OptionError(
                f"method={name!r} is no optimizer; did you mean reml={name.lower() == 'reml'}?"
            )
    return [(name, guarded_optimizer(name)) for name in names]


def _used(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that fits of other statsmodels classes take."""
    unused = [name for name in options if name in UNUSED]
    for name in unused:
        warnings.warn(
            f"Argument {name} not used by MixedLM.fit; leave it out",
            UnusedArgumentWarning,
            stacklevel=4,
        )
    return {name: value for name, value in options.items() if name not in unused}


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

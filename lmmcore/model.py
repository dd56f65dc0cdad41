"""MixedLM: the front door."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from . import estimation
from .arguments import check_components, shown_without
from .crossproducts.crossed import CrossedProducts
from .crossproducts.crossproducts import CrossProducts
from .crossproducts.form import form_many, form_products, formed_at_once
from .delegation import Value, method_of
from .design.arrays import from_arrays
from .design.build import check_formula_arguments, from_formula
from .design.components import VCSpec
from .design.design import Design, with_covariance
from .design.held_scale import held_scale
from .design.spec import ModelSpec
from .display.at_a_glance import model_html, model_text
from .errors import (
    DataValueError,
    NotFiniteError,
    RankDeficientWarning,
    rows_removed,
    users_line,
)
from .fitting.equations import Equations, bound_structures
from .likelihood.coordinates import Coordinates
from .prediction import linear_predictor
from .regularized import methods as penalized
from .row_for_row import check_like, with_columns, with_data
from .simulate import get_distribution
from .spellings import FORMULA_ARGUMENTS, INIT_ARGUMENTS, refuse_arguments
from .statsmodels import at_parameters, rows

method = method_of()


class MixedLM:
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
        Covariance structure of the random coefficients; see `from_formula`.
    like : MixedLM, optional
        A model with the same rows. The new one takes its groups, random effects, weights, structures.
    sigma : float or "known", optional
        Holds σ at a number; "known" with ``weights=1/v`` at 1: the residuals have the variances v.

    Attributes
    ----------
    k_fe, k_re, k_re2, k_vc : int
        Numbers of fixed effects, random coefficients, entries of cov_re (lower triangle), and variance
        components.
    nobs : int
    n_groups : int
    group_labels : list
        Sorted. With several grouping factors, this attribute, ``groups``,
        ``row_indices`` and ``group_sizes`` describe the first one; `n_levels` has all.
    n_levels : dict of str to int
        Levels of each grouping factor.
    structure : Structure
        The elimination plan of a model with several grouping factors: order, storage, bytes, cost.
    dropped : tuple of str
        Columns of exog left out because other columns determine them.

    Raises
    ------
    LmmcoreError
        The data or the arguments are wrong; see the subclasses in `lmmcore.errors`.

    Notes
    -----
    Rows are matched by position. Series and frames among `endog`, `exog`, `groups`,
    `exog_re`, `weights` must therefore have the same index, in the same order; otherwise there is an
    error. Align them with ``groups.loc[endog.index]``, or give arrays (``groups.to_numpy()``) to match
    rows by position. Masked entries of masked arrays are missing values.

    A fit changes only the attribute ``reml`` of the model, which decides what `loglike`, `score` and
    `hessian` evaluate. Input is never changed. Source of the formulas: Pinheiro and Bates (2000),
    *Mixed-Effects Models in S and S-PLUS*, chapter 2.

    Examples
    --------
    >>> import lmmcore
    >>> data = lmmcore.datasets.load_sleepstudy()
    >>> model = lmmcore.MixedLM.from_formula("Reaction ~ Days", data, groups="Subject",
    ...                                      re_formula="1 + Days")
    >>> round(model.fit().criterion, 4)
    1743.6283
    """

    @shown_without("unknown")
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
        sigma: Any = None,
        **unknown: Any,
    ) -> None:
        refuse_arguments("MixedLM", unknown, INIT_ARGUMENTS)
        if isinstance(endog, pd.DataFrame) and endog.shape[1] != 1:
            raise DataValueError(f"endog has shape {endog.shape}; expected one number per row")
        if like is not None:
            others = {"groups": groups, "exog_re": exog_re, "exog_vc": exog_vc, "weights": weights}
            check_like(like, {**others, "covariance": covariance, "sigma": sigma})
            self._setup(with_columns(like, endog, exog), like.use_sqrt, None)
            return
        check_components(exog_vc)
        scale = held_scale(sigma, weights)
        design = from_arrays(endog, exog, groups, exog_re, exog_vc, weights, missing, scale)
        design = with_covariance(design, covariance)
        self._setup(design, use_sqrt, None)

    @classmethod
    @shown_without("unknown", "_depth")
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
        sigma: Any = None,
        _depth: int = 1,
        **unknown: Any,
    ) -> MixedLM:
        """Build a model from a formula and a table.

        Parameters
        ----------
        formula, data, re_formula, vc_formula, subset, use_sparse, missing, groups, weights : optional
            As for `lmmcore.mixedlm`, which has residual structures too.
        covariance, use_sqrt, sigma, like : optional
            As for `lmmcore.mixedlm`.

        Returns
        -------
        MixedLM
        """
        refuse_arguments("mixedlm", unknown, FORMULA_ARGUMENTS)
        if like is not None:
            others = {"formula": formula, "groups": groups, "weights": weights, "sigma": sigma}
            check_like(like, others)
            model = cls.__new__(cls)
            model._setup(with_data(like, data), like.use_sqrt, like.formula, form=False)
            return model
        check_formula_arguments(formula, re_formula, vc_formula, groups, missing)
        arguments = (formula, data, groups, re_formula, vc_formula, weights, subset)
        frame, scale = sys._getframe(_depth), held_scale(sigma, weights)
        try:  # most data miss nothing, so that what is missing is looked for once something is met
            design = with_covariance(
                from_formula(*arguments, frame, drop_missing=False, scale=scale), covariance
            )
            if missing == "raise" or formed_at_once(design):
                return cls._from_design(design, formula, use_sqrt)
        except NotFiniteError:
            if missing == "raise":
                raise
        design = from_formula(*arguments, frame, drop_missing=True, scale=scale)
        design = with_covariance(design, covariance)
        return cls._from_design(design, formula, use_sqrt)

    @classmethod
    def _from_design(cls, design: Design, formula: str | None, use_sqrt: bool) -> MixedLM:
        model = cls.__new__(cls)
        model._setup(design, use_sqrt, formula)
        return model

    __repr__ = model_text
    _repr_html_ = model_html

    def _rebuilt(self, design: Design) -> MixedLM:
        """Return the same model for another design."""
        return type(self)._from_design(design, getattr(self, "formula", None), self.use_sqrt)

    def initialize(self) -> None:
        """Accepted for compatibility; has no effect, because a model is complete when it is built."""

    def _get_init_kwds(self) -> dict[str, Any]:
        """Return what another model of these rows is built with, as code written for statsmodels asks."""
        return {"like": self}

    def _setup(
        self, design: Design, use_sqrt: bool, formula: str | None, form: bool = True
    ) -> None:
        self.rows: Design | None = design
        self.reml = True
        if formula is not None:  # as in statsmodels, a model of arrays has no such attribute
            self.formula = formula
        kept, coordinates = np.arange(len(design.fixed)), None
        if form and formed_at_once(design):
            self.crossproducts = form_products(design)
            coordinates = Coordinates(self.crossproducts.basis)
            kept = coordinates.columns
        self.spec = ModelSpec.of(design, kept, formula, use_sqrt)
        self.structures = bound_structures(design, self.spec.layout)
        if coordinates is not None:
            self.equations = Equations(
                self.spec.layout, self.crossproducts, self.structures, coordinates, design.scale
            )
        self.use_sqrt = use_sqrt
        self.dropped = self.spec.dropped
        self.exog_names = self.spec.exog_names
        self.endog_names = design.endog_name
        self.nobs = self.n_totobs = design.n_rows
        layout, self.k_fe = self.spec.layout, self.spec.k_fe
        self.k_re, self.k_re2, self.k_vc = layout.k_re, layout.k_re2, layout.k_vc
        self.k_params = self.k_fe + self.k_re2
        self.n_groups = design.grouping.n_levels
        if self.dropped:
            warnings.warn(
                f"dropped {', '.join(map(repr, self.dropped))} from the fixed effects: other columns "
                "determine them. Remove these columns to silence this warning",
                RankDeficientWarning,
                stacklevel=users_line(),
            )

    @property
    def design(self) -> Design:
        """The columns of the model in the rows used; a DataRemovedError after `remove_data`."""
        if self.rows is None:
            raise rows_removed()
        return self.rows

    @cached_property
    def crossproducts(self) -> CrossProducts | CrossedProducts:
        """Cross-products of all columns.

        They are formed when the model is built, many columns when they are first needed.

        Raises
        ------
        DesignError
            There are at least as many columns as rows, or too many columns that others determine.
        """
        return form_many(self.design)

    @cached_property
    def equations(self) -> Equations:
        """Cross-products, covariance structures and engines: all of which likelihoods are made."""
        scale = self.design.scale
        return Equations(self.spec.layout, self.crossproducts, self.structures, scale=scale)

    # Rows and names, as statsmodels has them

    endog = cached_property(rows.endog)
    exog = cached_property(rows.exog)
    exog_re = cached_property(rows.exog_re)
    exog_vc = cached_property(rows.exog_vc)
    groups = cached_property(rows.groups)
    group_sizes = cached_property(rows.group_sizes)
    row_indices = cached_property(rows.row_indices)
    endog_li = cached_property(rows.endog_li)
    exog_li = cached_property(rows.exog_li)
    exog_re_li = cached_property(rows.exog_re_li)
    exog_re2_li = cached_property(rows.exog_re2_li)
    exog_re_names = Value(rows.exog_re_names)
    vcomp_names = Value(rows.vcomp_names)
    param_names = Value(rows.param_names)
    group_labels = Value(rows.group_labels)
    group_name = Value(rows.group_name)
    n_levels = Value(rows.n_levels)
    rows_used = Value(rows.rows_used)
    k_constant = Value(rows.k_constant)
    structure = Value(rows.structure)
    data = Value(rows.data)
    group_list = method(rows.group_list)

    # The likelihood at given parameters

    loglike = method(at_parameters.loglike)
    score = method(at_parameters.score)
    score_full = method(at_parameters.score_full)
    score_sqrt = method(at_parameters.score_sqrt)
    hessian = method(at_parameters.hessian)
    information = method(at_parameters.information)
    get_fe_params = method(at_parameters.get_fe_params)
    get_scale = method(at_parameters.get_scale)

    # Fits

    fit = method(estimation.fit)
    refit = method(estimation.refit)
    fit_regularized = method(penalized.fit_regularized)
    fit_regularized_path = method(penalized.fit_regularized_path)
    select_random_effects = method(penalized.select_random_effects)

    predict = method(linear_predictor)
    get_distribution = method(get_distribution)

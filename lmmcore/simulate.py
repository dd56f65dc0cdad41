"""Drawing responses from a model at given parameters."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .arguments import generator, number
from .design.columns import unmasked
from .errors import DataValueError, LmmcoreWarning
from .linalg.matrices import semidefinite_cholesky
from .params import MixedLMParams
from .statsmodels.at_parameters import params_of


class MixedLMDistribution:
    """The distribution of the response of a model.

    Parameters
    ----------
    model : MixedLM
    params : array (k_fe + k_re2 + k_vc,)
        As ``results.params``: covariances relative to σ².
    scale : float
        σ².
    exog : array (n, k_fe), optional
        Columns of the fixed effects; by default those of the model.
    """

    def __init__(self, model: Any, params: Any, scale: float, exog: Any = None) -> None:
        self.model = model
        self.scale = float(scale)
        if not self.scale > 0:
            raise DataValueError(f"scale={scale!r}; expected a positive residual variance")
        given = params_of(model, params, use_sqrt=False, has_fe=True)
        self.fe_params = given.fe_params
        if given.cov_re.shape == (model.k_re, model.k_re) and len(given.vcomp) == model.k_vc:
            given = _nearest(given)
        self.cov_re = self.scale * given.cov_re
        self.vcomp = self.scale * given.vcomp
        self.exog = model.exog if exog is None else np.asarray(unmasked(exog), dtype=float)
        if self.exog.shape != (model.nobs, model.k_fe):
            raise DataValueError(
                f"exog has shape {self.exog.shape}; expected ({model.nobs}, {model.k_fe}), as the model"
            )
        if model.nobs > model.k_fe:
            model.equations.packed.factors(given)  # refuses what is no covariance matrix
        else:
            given.check()

    def rvs(
        self, n: int = 0, rng: np.random.Generator | np.random.RandomState | int | None = None
    ) -> np.ndarray:
        """Draw a response (nobs,).

        Parameters
        ----------
        n : int
            Accepted for compatibility, without effect: the number of rows is that of the model.
        rng : Generator, RandomState or int, optional
        """
        rng = generator(rng)
        model, design = self.model, self.model.design
        y = self.exog @ self.fe_params
        if design.offset is not None:
            y = y + design.offset
        codes = design.grouping.codes
        for f, grouping in enumerate(design.groupings):
            columns = model.spec.layout.columns_of_factor(f)
            if columns:
                root = semidefinite_cholesky(self.cov_re[np.ix_(columns, columns)])
                b = rng.standard_normal((grouping.n_levels, len(columns))) @ root.T
                y = y + np.sum(model.exog_re[:, columns] * b[grouping.codes], axis=1)
        components = design.components
        if components is not None:
            rows = np.repeat(np.arange(model.nobs), np.diff(components.indptr))
            component = np.array([t for t, _ in components.labels])[components.columns]
            sd = np.sqrt(self.vcomp)[component]
            # One effect for each component, group and column, drawn in that order.
            own = component.astype(np.int64) * model.n_groups + codes[rows]
            own = own * len(components.labels) + components.columns
            _, inverse = np.unique(own, return_inverse=True)
            effects = rng.standard_normal(int(inverse.max(initial=-1)) + 1)
            y = y + np.bincount(
                rows, weights=effects[inverse] * sd * components.values, minlength=model.nobs
            )
        noise = np.sqrt(self.scale) * rng.standard_normal(model.nobs)
        weights = design.weights
        return y + (noise if weights is None else noise / np.sqrt(weights))


def _nearest(params: MixedLMParams) -> MixedLMParams:
    """Return parameters with the nearest covariance matrix where they hold none.

    Draws of parameters from their normal approximation, as mediation analyses make them, fall
    beyond zero variances now and then.
    """
    values, vectors = np.linalg.eigh(params.cov_re)
    lowest = min(values.min(initial=0.0), params.vcomp.min(initial=0.0))
    if lowest >= -1e-10 * max(values.max(initial=0.0), params.vcomp.max(initial=0.0)):
        return params
    warnings.warn(
        f"params hold no covariance matrix (a variance, or an eigenvalue of cov_re, is {lowest:.3g}); the "
        "nearest one, with zero there, is used. Give non-negative variances to silence this warning",
        LmmcoreWarning,
        stacklevel=4,
    )
    cov_re = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return MixedLMParams.from_components(
        params.fe_params, cov_re, vcomp=np.maximum(params.vcomp, 0.0)
    )


def get_distribution(
    model: Any, params: Any, scale: float, exog: Any = None
) -> MixedLMDistribution:
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
    return MixedLMDistribution(model, params, scale, exog)

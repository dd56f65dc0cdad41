"""Confidence intervals of parameters by one of several methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .errors import OptionError
from .inference import parameters
from .resampling.bootstrap import INTERVALS, bootstrap


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
) -> pd.DataFrame | np.ndarray:
    """Return confidence limits of level 1 − alpha for `params`.

    Parameters
    ----------
    alpha : float
        One minus the level.
    method : {"wald", "profile", "boot"}
        "profile": limits from the profile likelihood (ML). "boot": from the parametric bootstrap. Both are
        for the fixed effects, standard deviations, correlations and σ; see `profile` and `bootstrap`.
    nrep : int
        Refits of "boot".
    rng : Generator, RandomState or int, optional
        The seed of "boot".
    interval : {"percentile", "basic", "normal", "bca"}
        The limits of "boot"; see `Bootstrap.conf_int`.
    ddf, vcov : optional
        As for `t_test`: degrees of freedom and covariance of the fixed effects, for "wald". Limits of
        covariance parameters have normal quantiles.

    Raises
    ------
    OptionError
        Another method or interval.
    """
    if method != "boot":
        return parameters.conf_int(results.fit, alpha, method=method, ddf=ddf, vcov=vcov)
    if interval not in INTERVALS:
        raise OptionError(f"interval={interval!r}; expected one of {', '.join(INTERVALS)}")
    drawn = bootstrap(results, nrep, rng=rng, kind="parametric", store=False)
    limits = drawn.conf_int(alpha, interval)
    return limits if results.fit.spec.labeled else limits.to_numpy()

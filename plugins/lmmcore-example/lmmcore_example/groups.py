"""Degrees of freedom: the number of groups minus the number of fixed effects."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmmcore.extension import OptionError, ReferenceDistribution


class Groups:
    """As many degrees of freedom as a regression of the group means would have.

    It is exact where each group has one value of every regressor and the groups have equal sizes.
    """

    title = "groups"
    of_design = True  # no function of the estimates: it goes with any covariance matrix

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        groups = min(factor.n_levels for factor in fit.spec.factors)
        df = groups - fit.spec.k_fe
        if df < 1:
            raise OptionError(
                f"ddf='groups' with {groups} groups and {fit.spec.k_fe} fixed effects; expected more "
                "groups. Use ddf='satterthwaite'"
            )
        return ReferenceDistribution(L @ fit.cov_beta @ L.T, float(df))


GROUPS = Groups()

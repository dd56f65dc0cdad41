"""The contract of plugins that give covariances of fixed effects and degrees of freedom of their tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class ReferenceDistribution:
    """How a test of combinations Lβ̂ of the fixed effects is referred to a t or F distribution.

    With q the rank of L and ``F = (Lβ̂)'C⁻¹(Lβ̂)/q``, the statistic ``scale · F`` is compared with an
    F distribution of q and `df` degrees of freedom; one row, its estimate divided by its standard error
    with a t distribution.

    Attributes
    ----------
    covariance : array (m, m)
        C, the covariance matrix of Lβ̂ (σ² included).
    df : float
        Denominator degrees of freedom; ``inf`` for the normal and the χ² distribution.
    scale : float
        Factor of F.
    """

    covariance: np.ndarray
    df: float
    scale: float = 1.0


class DegreesOfFreedom(Protocol):
    """The protocol of a plugin of kind "ddf": covariance of β̂ and denominator degrees of freedom.

    An implementation that needs rows also has ``bind(model, fit)``, which returns an object that follows
    this protocol. It is called once for each fit, and what it returns is kept with the fit; so it should
    keep what it needs, not the rows.

    Attributes
    ----------
    title : str
        What tables print, such as "Satterthwaite".
    of_design : bool, optional
        Whether the degrees of freedom depend on the design alone, and so go with any covariance
        matrix. False where it is missing.
    own_ddf : str, optional
        The name of what its degrees of freedom are, where ``vcov="cr2", ddf="satterthwaite"`` asks for
        them as well.
    """

    title: str

    def __call__(self, fit: Any, L: np.ndarray) -> ReferenceDistribution:
        """Return the reference distribution of the combinations L β̂.

        Parameters
        ----------
        fit : Fit
            Its attributes beta (p,), cov_beta (p, p), scale, n_eff, spec, layout, likelihood and point
            are the estimates and the likelihood there.
        L : array (m, p)
            Rows of full rank.
        """
        ...

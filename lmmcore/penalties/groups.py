"""Group lasso and sparse-group lasso.

Sources: Yuan and Lin (2006), *JRSS B* 68; Simon, Friedman, Hastie and Tibshirani (2013), *Journal of
Computational and Graphical Statistics* 22.
"""

from __future__ import annotations

import numpy as np

from ..extension import Blockwise, OptionError
from .blocks import BlockwisePenalty


class SparseGroupLasso(BlockwisePenalty):
    """Sparse-group lasso: λ Σ_g ((1 − mix) s_g ‖β_g‖ + mix Σ_j w_j |β_j|), s_g² = Σ_{j in g} w_j².

    With penalty weights of one, s_g is the square root of the size of the group.

    Parameters
    ----------
    mix : float
        1 is the lasso, 0 the group lasso.
    """

    def __init__(self, mix: float = 0.5) -> None:
        if not 0.0 <= mix <= 1.0:
            raise OptionError(f"mix={mix!r}; expected a number from 0 (groups) to 1 (lasso)")
        self.mix = float(mix)

    def blockwise(self, strength: float) -> Blockwise:
        """Return the penalty at a strength as a sum over groups."""
        of = self.bound
        size = np.sqrt(of.over_groups(of.weights**2))
        ever = np.full(of.n_groups, np.inf)
        return Blockwise(
            of.groups,
            strength * self.mix * of.weights,
            np.zeros(len(of)),
            strength * (1.0 - self.mix) * size,
            ever,
            ever,
        )


class GroupLasso(SparseGroupLasso):
    """Group lasso: λ Σ_g s_g ‖β_g‖, s_g² = Σ_{j in g} w_j².

    By default, the columns of a categorical variable form one group.
    """

    def __init__(self) -> None:
        super().__init__(0.0)

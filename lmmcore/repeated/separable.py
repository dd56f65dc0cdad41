"""Products of structures over different coordinates: R_ij = Π_f R_f(i, j) for rows i, j of a group.

Where a group has all combinations of the coordinates, R is Kronecker's product. SAS has such as
UN@AR(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..extension.residuals import BoundResidual, Positions
from ..plugin_host.guarded_residual import GuardedResidual
from ..plugin_host.manager import look_up
from ..residual.checks import refuse_ties
from .terms import ResidualProduct


@dataclass(frozen=True, eq=False)
class Separable:
    """A product of bound structures, each of which reads columns of its own of the coordinates.

    Attributes
    ----------
    factors : list of BoundResidual
    columns : list of slices
    names : list of str
        The coordinates of each factor.
    levels : list of (tuple of str or None)
        What the numbers of each column stand for.
    """

    factors: Sequence[BoundResidual]
    columns: Sequence[slice]
    names: Sequence[str]
    levels: Sequence[tuple[str, ...] | None]

    @property
    def n_parameters(self) -> int:
        return sum(f.n_parameters for f in self.factors)

    @property
    def vectorized(self) -> bool:
        """Whether all factors are."""
        return all(getattr(f, "vectorized", False) for f in self.factors)

    @property
    def starts(self) -> list[np.ndarray]:
        most = max(len(f.starts) for f in self.factors)
        return [
            np.concatenate([f.starts[min(i, len(f.starts) - 1)] for f in self.factors])
            for i in range(most)
        ]

    def matrix(self, u: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return R (…, t, t) for values (…, t, d)."""
        out, at = np.ones((*values.shape[:-1], values.shape[-2])), 0
        for factor, columns in zip(self.factors, self.columns):
            m = factor.n_parameters
            out = out * factor.matrix(u[at : at + m], values[..., columns])
            at += m
        return out

    def describe(self, u: np.ndarray) -> dict[str, float]:
        """Return the parameters by name, with the coordinate in brackets."""
        out, at = dict[str, float](), 0
        for factor, name in zip(self.factors, self.names):
            m = factor.n_parameters
            own = factor.describe(u[at : at + m])
            out.update({f"{key} [{name}]": value for key, value in own.items()})
            at += m
        return out

    def labels(self, values: np.ndarray) -> list[str]:
        """Return the coordinates of rows as text."""
        names = [n for name in self.names for n in name.split(" + ")]
        return [
            ", ".join(
                f"{name} {v:g}" if own is None else own[int(v)]
                for name, own, v in zip(names, self.levels, row)
            )
            for row in values
        ]


def bind_product(
    term: ResidualProduct, positions: Positions, levels: Sequence[tuple[str, ...] | None]
) -> Separable:
    """Return a product for the positions of the rows, the coordinates of one factor beside another's.

    Raises
    ------
    DataValueError
        Two rows of a group with the same coordinates; what a factor cannot use.
    """
    refuse_ties(replace(positions, levels=None), str(term))
    factors: list[BoundResidual] = []
    columns, names, at = [], [], 0
    for factor in term.factors:
        own = slice(at, at + len(factor.coordinates))
        keys = np.column_stack([positions.groups, positions.values[:, own]])
        _, first = np.unique(keys, axis=0, return_index=True)
        first.sort()
        of_factor = Positions(
            positions.values[first][:, own], factor.coordinates, levels[at], positions.groups[first],
            positions.group_labels, [positions.rows[i] for i in first.tolist()],
        )  # fmt: skip
        factors.append(GuardedResidual(look_up("residual", factor.name), of_factor, factor.options))
        columns.append(own)
        names.append(" + ".join(factor.coordinates))
        at = own.stop
    return Separable(factors, columns, names, levels)

"""The derivative in the cross-products of a crossed model: selected entries of K, and what β̂ and b̂ add."""

from __future__ import annotations

import numpy as np

from ...linalg.matrices import symmetric
from ..engine import Roots
from ..products import LowRank, ProductDerivative
from ..state import State
from .system import System
from .workspace import Workspace, vanish


def product_derivative(
    system: System, workspace: Workspace, factors: Roots, state: State, of_fixed: float,
    of_residual: float,
) -> ProductDerivative:  # fmt: skip
    """Return K + of_fixed · UH⁻¹U' + of_residual · cc' at the entries of the cross-products."""
    low = LowRank.at(state, of_fixed, of_residual, system.kept, system.width)
    solution = workspace.solution(factors)  # K Z'[X y], before the factorization becomes an inverse
    levels = [
        solution[at[:, None] + np.arange(f.k)] for at, f in zip(system.plan.starts, system.factors)
    ]
    if vanish(factors):
        diagonal = workspace.conditional_covariances(factors)
        pairs = {key: np.zeros_like(p.values) for key, p in system.pairs.items()}
    else:
        diagonal, pairs = workspace.inverse_blocks(factors)
    zz, zx = [], []
    for unit, k, kz in zip(system.column_maps, diagonal, levels):
        zz.append(symmetric(unit @ (k + low.zz(kz, kz)) @ unit.T))
        zx.append(unit @ low.zx(kz))
    out = {}
    for (f, g), values in pairs.items():
        pair = system.pairs[f, g]
        whole = values + low.zz(levels[f][pair.rows], levels[g][pair.cols])
        out[f, g] = system.column_maps[f] @ whole @ system.column_maps[g].T
    return ProductDerivative(low.total(), tuple(zz), tuple(zx), out)

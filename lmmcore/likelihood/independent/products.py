"""The derivative in the cross-products of independent groups: K of each group, and what β̂ and b̂ add."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...crossproducts.crossproducts import CrossProducts
from ...linalg.matrices import sandwich, symmetric
from ..products import LowRank, ProductDerivative
from ..state import State


def product_derivative(
    cp: CrossProducts,
    roots: Sequence[np.ndarray],
    state: State,
    of_fixed: float,
    of_residual: float,
) -> ProductDerivative:
    """Return K + of_fixed · UH⁻¹U' + of_residual · cc'.

    Parameters
    ----------
    roots : sequence of arrays (k, k)
        Λ of each block of groups, for the stored columns of Z.
    """
    width = len(cp.basis.order) + 1
    low = LowRank.at(state, of_fixed, of_residual, cp.basis.kept, width)
    zz, zx = [], []
    for block, root in zip(cp.blocks, roots):
        m = sandwich(root.T, symmetric(block.s)) + np.eye(root.shape[1])
        k = sandwich(root, np.linalg.inv(m))
        kz = k @ block.w[:, :, low.kept]
        zz.append(k + low.zz(kz, kz))
        zx.append(low.zx(kz))
    return ProductDerivative(low.total(), tuple(zz), tuple(zx), {})

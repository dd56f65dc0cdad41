"""The derivative in the cross-products of independent groups: K of each group, and what β̂ and b̂ add."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...crossproducts.crossproducts import CrossProducts
from ...parallel import map_chunks
from ..products import LowRank, ProductDerivative
from ..state import State
from . import _products

CHUNK = 4096  # groups that a thread takes at a time


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
    kept = low.kept.astype(np.intp)
    h, zz, zx = np.ascontiguousarray(low.inverse_h), [], []
    for block, root in zip(cp.blocks, roots):
        groups, k = block.s.shape[:2]
        of_z, of_zx = np.empty((groups, k, k)), np.zeros((groups, k, width))
        s, w = np.ascontiguousarray(block.s), np.ascontiguousarray(block.w)
        root = np.ascontiguousarray(root)

        def work(
            i: int, s: np.ndarray = s, w: np.ndarray = w, root: np.ndarray = root,
            of_z: np.ndarray = of_z, of_zx: np.ndarray = of_zx,
        ) -> None:  # fmt: skip
            _products.product_derivative(
                s, w, root, h, low.solution, of_residual, kept, i * CHUNK,
                min(len(s), (i + 1) * CHUNK), of_z, of_zx,
            )  # fmt: skip

        map_chunks(work, -(-groups // CHUNK))
        zz.append(of_z)
        zx.append(of_zx)
    return ProductDerivative(low.total(), tuple(zz), tuple(zx), {})

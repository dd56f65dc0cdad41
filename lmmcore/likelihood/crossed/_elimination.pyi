import numpy as np

from .plan import DenseArrays, NodeArrays, Numbers

class Elimination:
    n_nodes: int
    m1: int
    m2: int
    kmax: int
    longest: int
    def __init__(self, nodes: NodeArrays, rows: DenseArrays, numbers: Numbers) -> None: ...
    def node_blocks(self) -> np.ndarray: ...
    def eliminate(self, lam: np.ndarray, dense_lam: np.ndarray, first: int, last: int) -> float: ...
    def dense_rows(
        self, base: np.ndarray, unit: float, out: np.ndarray, first: int, last: int
    ) -> None: ...
    def forward(self, rhs: np.ndarray) -> None: ...
    def backward(self, rhs: np.ndarray) -> None: ...
    def multiply(self, x: np.ndarray, base: np.ndarray, out: np.ndarray) -> None: ...
    def diagonal_blocks(
        self,
        g: np.ndarray,
        inverse: np.ndarray,
        first: int,
        last: int,
        total: np.ndarray,
        cross: np.ndarray | None = None,
    ) -> bool: ...

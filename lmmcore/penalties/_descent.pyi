import numpy as np

def descend(
    h: np.ndarray,
    l1: np.ndarray,
    l2: np.ndarray,
    beta: np.ndarray,
    rest: np.ndarray,
    max_sweeps: int,
    tolerance: float,
) -> int: ...

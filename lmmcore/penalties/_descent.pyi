import numpy as np

def descend(
    h: np.ndarray,
    starts: np.ndarray,
    bound: np.ndarray,
    l1: np.ndarray,
    l2: np.ndarray,
    norm: np.ndarray,
    fall_from: np.ndarray,
    fall_to: np.ndarray,
    beta: np.ndarray,
    rest: np.ndarray,
    step: np.ndarray,
    max_sweeps: int,
    tolerance: float,
) -> int: ...

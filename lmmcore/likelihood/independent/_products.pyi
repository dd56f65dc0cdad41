import numpy as np

def product_derivative(
    s: np.ndarray,
    w: np.ndarray,
    root: np.ndarray,
    inverse_h: np.ndarray,
    solution: np.ndarray,
    of_residual: float,
    kept: np.ndarray,
    first: int,
    last: int,
    zz: np.ndarray,
    zx: np.ndarray,
) -> None: ...

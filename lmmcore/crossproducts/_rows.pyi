from collections.abc import Sequence
from typing import Any

import numpy as np

class Columns:
    n_rows: int
    n_columns: int
    def __init__(self, columns: Sequence[np.ndarray | None], n_rows: int) -> None: ...
    def typical(self, step: int) -> np.ndarray: ...

def accumulate(
    x: Columns,
    shift: np.ndarray,
    basis: np.ndarray | None,
    weights: Columns | None,
    start: int,
    stop: int,
    total: np.ndarray,
    z: Columns | None = None,
    z_shift: np.ndarray | None = None,
    codes: np.ndarray | None = None,
    s: np.ndarray | None = None,
    w: np.ndarray | None = None,
    ragged: tuple[Any, ...] | None = None,
) -> None: ...
def integer_range(values: np.ndarray) -> tuple[int, int]: ...
def code_integers(
    values: np.ndarray, low: int, high: int
) -> tuple[np.ndarray, np.ndarray, bool]: ...

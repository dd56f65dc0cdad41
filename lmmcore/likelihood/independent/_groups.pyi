import numpy as np

LANES: int

class Batch:
    k: int
    q: int
    n_blocks: int
    n_coords: int
    n_pairs: int
    def __init__(
        self,
        r: np.ndarray,
        w: np.ndarray,
        multiplicity: np.ndarray,
        pairs: tuple[np.ndarray, ...],
        n_coords: int,
    ) -> None: ...
    def criterion(self, lam: np.ndarray, start: int, stop: int, gram: np.ndarray) -> float: ...
    def derivatives(
        self,
        lam: np.ndarray,
        inverse: np.ndarray,
        reml: bool,
        weight_c: float,
        weight_e: float,
        weight_s: float,
        start: int,
        stop: int,
        trace: np.ndarray,
        quad: np.ndarray,
        outer: np.ndarray,
        c_out: np.ndarray | None = None,
        f_out: np.ndarray | None = None,
    ) -> None: ...
    def criterion_many(
        self,
        lam: np.ndarray,
        y: np.ndarray,
        first: int,
        last: int,
        gram: np.ndarray,
        logdet: np.ndarray,
    ) -> None: ...
    def derivatives_many(
        self,
        lam: np.ndarray,
        inverse: np.ndarray,
        y: np.ndarray,
        reml: bool,
        weight_c: float,
        weight_e: float,
        weight_s: float,
        first: int,
        last: int,
        trace: np.ndarray,
        quad: np.ndarray,
        outer: np.ndarray,
    ) -> None: ...

def assemble(
    trace: np.ndarray,
    quad: np.ndarray,
    outer: np.ndarray,
    p: int,
    reml: bool,
    of_q: float,
    on_x: float,
    on_w: float,
    on_q: float,
) -> tuple[np.ndarray, np.ndarray]: ...
def chain_rule(
    g: np.ndarray, h: np.ndarray, factors: list[np.ndarray], slopes: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]: ...
def pack(a: np.ndarray) -> np.ndarray: ...
def whiten(
    s: np.ndarray,
    w: np.ndarray,
    unit: np.ndarray,
    tolerance: float,
    start: int,
    stop: int,
    r: np.ndarray,
    out: np.ndarray,
    seen: np.ndarray,
) -> None: ...

"""p-values adjusted for several tests.

Sources: Holm (1979) for the step-down forms, Hochberg (1988) for the step-up form of Bonferroni,
Benjamini and Hochberg (1995) and Benjamini and Yekutieli (2001) for the false discovery rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import OptionError, suggest


def _bonferroni(p: np.ndarray, left: np.ndarray) -> np.ndarray:
    return p * left


def _sidak(p: np.ndarray, left: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # a p-value of one
        return -np.expm1(left * np.log1p(-p))


def _false_discovery(p: np.ndarray, left: np.ndarray) -> np.ndarray:
    return p * len(p) / (len(p) + 1 - left)


def _false_discovery_dependent(p: np.ndarray, left: np.ndarray) -> np.ndarray:
    return np.sum(1.0 / left) * _false_discovery(p, left)


def _one_step(price: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda p: price(p, np.full(len(p), len(p)))


def _step(price: Callable[..., np.ndarray], down: bool) -> Callable[[np.ndarray], np.ndarray]:
    def adjust(p: np.ndarray) -> np.ndarray:
        order = np.argsort(p, kind="stable")
        paid = price(p[order], np.arange(len(p), 0, -1))
        if down:
            paid = np.maximum.accumulate(paid)
        else:
            paid = np.minimum.accumulate(paid[::-1])[::-1]
        out = np.empty(len(p))
        out[order] = paid
        return out

    return adjust


_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bonferroni": _one_step(_bonferroni),
    "sidak": _one_step(_sidak),
    "holm": _step(_bonferroni, down=True),
    "holm-sidak": _step(_sidak, down=True),
    "simes-hochberg": _step(_bonferroni, down=False),
    "fdr_bh": _step(_false_discovery, down=False),
    "fdr_by": _step(_false_discovery_dependent, down=False),
}
_SHORT = {
    "b": "bonferroni", "s": "sidak", "h": "holm", "hs": "holm-sidak", "sh": "simes-hochberg",
    "fdr_i": "fdr_bh", "fdr_n": "fdr_by",
}  # fmt: skip


def adjust(p: np.ndarray, method: str) -> np.ndarray:
    """Return adjusted p-values (m,).

    Parameters
    ----------
    p : array (m,)
    method : str
        bonferroni (b), sidak (s), holm (h), holm-sidak (hs), simes-hochberg (sh), fdr_bh, fdr_by.

    Raises
    ------
    OptionError
        Another method.
    """
    name = _SHORT.get(method, method)
    if name not in _METHODS:
        raise OptionError(
            f"method={method!r}{suggest(method, _METHODS)}; expected one of {', '.join(_METHODS)}"
        )
    return np.minimum(_METHODS[name](np.asarray(p, dtype=float)), 1.0)

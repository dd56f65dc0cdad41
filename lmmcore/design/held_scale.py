"""The argument ``sigma=``: a residual standard deviation that is held, not estimated."""

from __future__ import annotations

from typing import Any

from ..arguments import number
from ..errors import OptionError

FORMS = 'a positive number, or "known" with weights=1/v, for residuals of the known variances v (σ² is 1)'


def held_scale(sigma: Any, weights: Any) -> float | None:
    """Return the held σ² that ``sigma=`` stands for; None where σ² is estimated.

    Raises
    ------
    OptionError
        No positive number; "known" without weights.
    """
    if sigma is None:
        return None
    if isinstance(sigma, str):
        if sigma != "known":
            raise OptionError(f"sigma={sigma!r}; expected {FORMS}")
        if weights is None:
            raise OptionError(f'sigma="known" without weights=; expected {FORMS}')
        return 1.0
    if isinstance(sigma, bool):
        raise OptionError(f"sigma={sigma!r}; expected {FORMS}")
    value = number(sigma, "sigma", FORMS)
    if not 0.0 < value < float("inf"):
        raise OptionError(f"sigma={sigma!r}; expected {FORMS}")
    return value**2


def refuse_held(scale: float | None, what: str) -> None:
    """Raise an OptionError where σ² is held, for methods that estimate it.

    Raises
    ------
    OptionError
    """
    if scale is not None:
        raise OptionError(
            f"{what} needs an estimated residual variance, and this model holds it at {scale:g}; expected a "
            "model without sigma= and known variances"
        )

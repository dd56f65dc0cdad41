"""The choice of degrees of freedom and covariance of β̂, where it may need the rows of a model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .delegation import as_method
from .errors import OptionError
from .fitting.fit import Fit
from .inference.choice import Choice, chosen_choice

P = ParamSpec("P")
R = TypeVar("R")


def bound_choice(model: Any, fit: Any, ddf: Any, vcov: Any) -> Choice | None:
    """Return the choice of `ddf` and `vcov`, bound to the rows of a model; None if both are None."""
    if ddf is None and vcov is None:
        return None
    if not fit.is_plain:
        raise OptionError(
            f"ddf={ddf!r}, vcov={vcov!r}: a penalized fit has no such inference; expected neither. Its tests "
            "use the normal distribution"
        )
    return chosen_choice(ddf, vcov, getattr(fit, "inference", None)).bound(model, fit)


def with_inference(model: Any, fit: Fit, ddf: Any, vcov: Any) -> Fit:
    """Return a fit whose tests use `ddf` and `vcov`; it shares all else with the fit."""
    choice = bound_choice(model, fit, ddf, vcov)
    if choice is None:
        return fit
    new = copy.copy(fit)
    new.__dict__.update(inference=choice, kept=dict(fit.kept))
    return new


def of_inference(
    function: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Return a method that calls ``function(self.fit, …)``, `ddf` and `vcov` bound to the model's rows."""
    return _method(function, "fit")


def of_rows_and_inference(
    function: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    """Return a method that calls ``function(self, …)``, `ddf` and `vcov` bound to the model's rows."""
    return _method(function, "")


def _method(
    function: Callable[Concatenate[Any, P], R], attribute: str
) -> Callable[Concatenate[Any, P], R]:
    @wraps(function)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        ddf, vcov = kwargs.pop("ddf", None), kwargs.pop("vcov", None)
        choice = bound_choice(self.model, self.fit, ddf, vcov)
        if choice is not None:
            kwargs["ddf"] = choice
        return function(getattr(self, attribute) if attribute else self, *args, **kwargs)

    as_method(method, function)
    return method

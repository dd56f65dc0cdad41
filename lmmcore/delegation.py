"""Methods and attributes of a class that are functions of something it holds.

``t_test = of_fit(tests.t_test)`` makes a method that calls ``tests.t_test(self.fit, …)`` with the docstring
and the types of the function. So a class can be a table of its methods, and functions need not know it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def as_method(method: Any, function: Callable[..., Any]) -> None:
    """Give a method the signature of a function, whose first parameter is called self."""
    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    method.__signature__ = signature.replace(
        parameters=[first.replace(name="self", annotation=first.empty), *others]
    )


def method_of(
    attribute: str = "",
) -> Callable[[Callable[Concatenate[Any, P], R]], Callable[Concatenate[Any, P], R]]:
    """Return what makes a method of a function of ``self.<attribute>``, or of ``self`` itself."""

    def of(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
        @wraps(function)
        def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
            return function(getattr(self, attribute) if attribute else self, *args, **kwargs)

        as_method(method, function)
        return method

    return of


class Value(Generic[T]):
    """A read-only attribute that is a function of what an object holds.

    Parameters
    ----------
    function : callable
    attribute : str
        What the function is given; "" is the object itself.
    """

    def __init__(self, function: Callable[[Any], T], attribute: str = "") -> None:
        self.function, self.attribute = function, attribute
        self.__doc__ = function.__doc__
        self.name = function.__name__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Value[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Value[T] | T:
        if instance is None:
            return self
        return self.function(getattr(instance, self.attribute) if self.attribute else instance)

    def __set__(self, instance: object, value: Any) -> None:
        raise AttributeError(f"results are frozen; {self.name!r} cannot be set. Copy what you need")

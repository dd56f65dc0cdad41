"""The arguments `method` and ``**options`` of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from ..arguments import whole_number
from ..errors import OptionError, UnusedArgumentWarning, users_line
from ..plugin_host.guarded_optimizer import guarded_optimizer

DEFAULT_METHOD = "newton"
# Arguments of the fits of other classes of statsmodels.
UNUSED = frozenset({"cov_type", "cov_kwds", "use_t", "retall", "skip_hessian", "warn_convergence"})


def chosen_optimizers(
    method: str | Sequence[str] | None, options: dict[str, Any]
) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Return the optimizers of the argument `method`, and the options that they may be given."""
    if not options:
        return optimizers_of(method), options
    if options.get("maxiter") is not None:
        options = {**options, "maxiter": whole_number(options["maxiter"], "maxiter", 1)}
    return optimizers_of(method), used_options(options)


def optimizers_of(method: str | Sequence[str] | None) -> list[tuple[str, Any]]:
    """Return the optimizers of the argument `method`."""
    if method is None:
        return [(DEFAULT_METHOD, guarded_optimizer(DEFAULT_METHOD))]
    if isinstance(method, str):
        names = [method]
    else:
        names = list(method) if isinstance(method, Sequence) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise OptionError(f"method={method!r}; expected the name of an optimizer or several names")
    for name in names:
        if name.lower() in ("ml", "reml"):
            raise OptionError(
                f"method={name!r} is not an optimizer; did you mean reml={name.lower() == 'reml'}?"
            )
    return [(name, guarded_optimizer(name)) for name in names]


def used_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that fits of other statsmodels classes take."""
    unused = [name for name in options if name in UNUSED]
    for name in unused:
        warnings.warn(
            f"Argument {name} not used by MixedLM.fit; leave it out",
            UnusedArgumentWarning,
            stacklevel=users_line(),
        )
    return {name: value for name, value in options.items() if name not in unused}

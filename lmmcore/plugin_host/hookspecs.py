"""The hooks that an extension implements: one for each kind of plugin. Each gets a function `register`.

The names of the hooks are version 1 of the contract. A change that would break plugins comes as a new hook
(``lmmcore_optimizers_2``), and the old hook stays. So the hooks of a plugin tell which contract it follows.
"""

from __future__ import annotations

from typing import Any, Protocol

import pluggy

GROUP = "lmmcore"
VERSION = 1
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Register(Protocol):
    """The argument of a hook."""

    def __call__(self, name: str, implementation: Any, help: str = "") -> None:
        """Register one plugin.

        Parameters
        ----------
        name : str
            What users write, in lower case. A name that ends in ``{n}``, such as ``"fa{n}"``, stands for
            a family: the implementation is then called with the number (``fa3`` with 3).
        implementation : object or str
            The plugin itself, or its location ``"package.module:attribute"``. A location is imported
            only when somebody asks for the name.
        help : str
            One line for listings; by default the first line of the docstring.
        """
        ...


@hookspec
def lmmcore_optimizers(register: Register) -> None:
    """Call ``register(name, optimizer)`` for every `Optimizer`."""


@hookspec
def lmmcore_covariances(register: Register) -> None:
    """Call ``register(name, structure)`` for every `CovarianceStructure`."""


@hookspec
def lmmcore_penalties(register: Register) -> None:
    """Call ``register(name, penalty)`` for every `Penalty` of ``fit_regularized``."""


@hookspec
def lmmcore_ddf(register: Register) -> None:
    """Call ``register(name, method)`` for every `DegreesOfFreedom`."""


@hookspec
def lmmcore_residuals(register: Register) -> None:
    """Call ``register(name, structure)`` for every `ResidualStructure`."""

"""The hooks that an extension implements: one per kind, each handed a `register` callable.

The names of the hooks are version 1 of the contract. A change that breaks plugins comes as a hook of
another name (``lmmcore_optimizers_2``) beside the old one, so that a plugin says by its hooks which
contract it keeps.
"""

from __future__ import annotations

from typing import Any, Protocol

import pluggy

GROUP = "lmmcore"
VERSION = 1
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Register(Protocol):
    """What a hook is handed."""

    def __call__(self, name: str, implementation: Any, help: str = "") -> None:
        """Register one plugin.

        Parameters
        ----------
        name : str
            What users write, in lower case. A name that ends in ``{n}``, such as ``"fa{n}"``, stands for
            a family: the implementation is then called with the number (``fa3`` with 3).
        implementation : object or str
            The plugin itself or, so that nothing heavy is imported before somebody asks for
            the name, where it is: ``"package.module:attribute"``.
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

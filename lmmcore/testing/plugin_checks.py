"""All checks of all plugins of a distribution, for one parametrized test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..extension import Plugin, find, plugins
from .check_covariance import check_covariance
from .check_ddf import check_ddf
from .check_optimizer import check_optimizer
from .check_penalty import check_penalty
from .check_residual import check_residual

_CHECKS: dict[str, Callable[..., None]] = {
    "optimizer": check_optimizer,
    "covariance": check_covariance,
    "penalty": check_penalty,
    "ddf": check_ddf,
    "residual": check_residual,
}


@dataclass(frozen=True)
class Check:
    """The check of one plugin. Call it to run the check."""

    plugin: Plugin
    name: str

    def __str__(self) -> str:
        return f"{self.plugin.kind}-{self.name}"

    def __call__(self, **options: Any) -> None:
        """Run the check. The options are those of ``check_optimizer`` and so on."""
        _CHECKS[self.plugin.kind](find(self.plugin.kind, self.name), **options)


def plugin_checks(distribution: str, numbers: tuple[int, ...] = (1, 2)) -> list[Check]:
    """Return a check for every plugin that a distribution registers.

    Parameters
    ----------
    distribution : str
        Name of the distribution, as in ``pip install``.
    numbers : tuple of int
        The members of families such as ``"fa{n}"`` to check.

    Returns
    -------
    list of Check
        Callables with a readable ``str``.

    Raises
    ------
    LookupError
        The distribution registers no plugin, because it is not installed or its entry point is missing.

    Examples
    --------
    A complete test of a distribution::

        import pytest
        from lmmcore.testing import plugin_checks

        @pytest.mark.parametrize("check", plugin_checks("lmmcore-example"), ids=str)
        def test_rules(check):
            check()
    """
    wanted = distribution.lower().replace("_", "-")
    mine = [p for p in plugins() if p.distribution.lower().replace("_", "-") == wanted]
    if not mine:
        known = ", ".join(sorted({p.distribution for p in plugins()}))
        raise LookupError(
            f"{distribution!r} registers no plugin; expected one of {known}. Install it, and check the "
            "entry point in its pyproject.toml: [project.entry-points.lmmcore]"
        )
    return [
        Check(plugin, name)
        for plugin in mine
        for name in (
            [plugin.name.replace("{n}", str(n)) for n in numbers]
            if "{n}" in plugin.name
            else [plugin.name]
        )
    ]

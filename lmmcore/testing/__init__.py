"""Tools to test mixed models and plugins: a dense reference, strategies, conformance checks.

`DenseModel` is a dense reference. `check_optimizer`, `check_covariance`, `check_penalty`, `check_ddf` and
`check_residual` check a plugin, and `plugin_checks` all plugins of a distribution. They raise `RuleBroken`.
``lmmcore.testing.twins`` has NumPy twins of the kernels, ``lmmcore.testing.strategies`` draws models, and
``lmmcore.testing.objectives`` has functions with a known minimum. The checks and the strategies need
hypothesis (the extra ``test``).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from .dense import DenseModel

if find_spec("hypothesis"):
    from .check_covariance import RuleBroken, check_covariance
    from .check_ddf import check_ddf
    from .check_optimizer import check_optimizer
    from .check_penalty import check_penalty
    from .check_residual import check_residual
    from .plugin_checks import plugin_checks

__all__ = [
    "DenseModel",
    "RuleBroken",
    "check_covariance",
    "check_ddf",
    "check_optimizer",
    "check_penalty",
    "check_residual",
    "plugin_checks",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        raise ImportError(
            f"lmmcore.testing.{name} needs hypothesis, which is not installed; pip install "
            "'lmmcore[test]'"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""For people who test mixed models: a dense reference, readable twins of the kernels, strategies.

``lmmcore.testing.strategies`` needs hypothesis (the extra ``test``).
"""

from .dense import DenseModel

__all__ = ["DenseModel"]

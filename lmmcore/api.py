"""The formula interface under the name that statsmodels users import.

``import lmmcore.api as smf`` in place of ``import statsmodels.formula.api as smf`` for mixed models.
"""

from .model import MixedLM, mixedlm
from .params import MixedLMParams

__all__ = ["MixedLM", "MixedLMParams", "mixedlm"]

"""lmmcore: linear mixed-effects models, exact, fast and extensible."""

try:
    from .linalg import _dense as _compiled  # noqa: F401
except ImportError as exc:
    raise ImportError(
        "lmmcore is imported from its source folder, where the compiled routines are missing; "
        "run from another folder, or build them in place: pip install -e ."
    ) from exc

from . import datasets
from .api import mixedlm
from .compare import compare_optimizers
from .comparison import anova
from .covariance.linear import KnownMatrix
from .crossproducts.crossproducts import CrossProducts
from .design.components import VCSpec
from .display.side_by_side import table
from .errors import LmmcoreError, LmmcoreWarning
from .fitting.certificate import Convergence
from .inference.robust import cluster_robust
from .meta.analysis import MetaAnalysis
from .meta.door import meta
from .model import MixedLM
from .parallel import get_threads, set_threads
from .params import MixedLMParams
from .plugin_host.manager import plugins
from .repeated.known import known
from .repeated.model import RepeatedLM, gls, mmrm
from .repeated.results import RepeatedResults
from .repeated.terms import structure as residual_structure
from .repeated.terms import variance_function
from .results import MixedLMResults
from .version import __version__ as __version__

__all__ = [
    "Convergence",
    "CrossProducts",
    "KnownMatrix",
    "LmmcoreError",
    "LmmcoreWarning",
    "MetaAnalysis",
    "MixedLM",
    "MixedLMParams",
    "MixedLMResults",
    "RepeatedLM",
    "RepeatedResults",
    "VCSpec",
    "anova",
    "cluster_robust",
    "compare_optimizers",
    "datasets",
    "get_threads",
    "gls",
    "known",
    "meta",
    "mixedlm",
    "mmrm",
    "plugins",
    "residual_structure",
    "set_threads",
    "table",
    "variance_function",
]


def __dir__() -> list[str]:
    """Return what users find here, without the modules behind it."""
    return [*__all__, "__version__", "api", "extension", "penalties", "testing"]

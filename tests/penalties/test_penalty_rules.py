"""Every built-in penalty keeps the rules."""

import numpy as np
import pytest

from lmmcore.errors import DataValueError, OptionError
from lmmcore.extension import Coefficients, plugins
from lmmcore.penalties.elastic_net import ElasticNet, Lasso
from lmmcore.testing import check_penalty

BUILT_IN = [p for p in plugins() if p.kind == "penalty" and p.distribution == "lmmcore"]


@pytest.mark.parametrize("plugin", BUILT_IN, ids=[p.name for p in BUILT_IN])
def test_built_in(plugin):
    check_penalty(plugin.implementation)


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"weights": [1.0]}, "weights has shape"),
        ({"weights": [1.0, -1.0]}, "zero or more"),
        ({"weights": [1.0, np.nan]}, "zero or more"),
        ({"curvature": [1.0, np.inf]}, "zero or more"),
        ({"groups": [0, 2]}, "without a gap"),
        ({"groups": [0]}, "groups has shape"),
    ],
)
def test_coefficients_refuse(keywords, match):
    with pytest.raises(DataValueError, match=match):
        Coefficients(("a", "b"), **keywords)


def test_penalties_refuse():
    with pytest.raises(OptionError, match="mix=2"):
        ElasticNet(2)
    with pytest.raises(OptionError, match="is not bound to coefficients"):
        Lasso().value(np.ones(2), 1.0)

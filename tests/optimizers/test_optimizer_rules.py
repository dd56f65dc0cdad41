"""Every built-in optimizer keeps the rules."""

import numpy as np
import pytest
from drawn import count

from lmmcore.extension import find
from lmmcore.plugin_host.manager import names
from lmmcore.testing import check_optimizer, plugin_checks
from lmmcore.testing.check_optimizer import EXAMPLE
from lmmcore.testing.objectives import TestObjective, TooMany

SLOW = {"basinhopping": 2, "differential-evolution": 3, "cobyla": 4, "cobyqa": 4}


@pytest.mark.parametrize("name", names("optimizer"))
def test_built_in(name):
    check_optimizer(find("optimizer", name), max_examples=count(SLOW.get(name, 15)))


def test_the_objectives_have_their_derivatives_and_minimum():
    rng = np.random.default_rng(5)
    for curved in (False, True):
        f = TestObjective([0.3, -0.2], np.array([3.0, 1.0]), 2, curved, limit=100)
        assert f.value(f.minimum) == pytest.approx(0.0, abs=1e-15)
        theta = rng.standard_normal(2)
        _, gradient, hessian = f.value_gradient_hessian(theta)
        for i in range(2):
            h = 1e-5 * np.eye(2)[i]
            slope = (f.value(theta + h) - f.value(theta - h)) / 2e-5
            assert gradient[i] == pytest.approx(slope, rel=1e-7)
            up, down = f.value_and_gradient(theta + h)[1], f.value_and_gradient(theta - h)[1]
            np.testing.assert_allclose(hessian[i], (up - down) / 2e-5, rtol=1e-6)
        assert f.value(f.em_step(theta)) < f.value(theta)
        f.limit = f.evaluations
        with pytest.raises(TooMany):
            f.value(theta)
    edge = TestObjective([0.0], np.array([1.0]), radius=1.0)
    assert edge.value(np.array([2.0])) == np.inf
    assert edge.value(np.array([np.nan])) == np.inf
    assert EXAMPLE.objective().evaluations == 0


def test_the_checks_of_a_distribution():
    checks = plugin_checks("lmmcore", numbers=(2,))
    shown = [str(check) for check in checks]
    assert {"optimizer-newton", "covariance-fa2", "penalty-l1"} <= set(shown)
    checks[shown.index("optimizer-newton")](max_examples=count(2))
    checks[shown.index("covariance-fa2")](max_examples=count(2))
    checks[shown.index("penalty-l1")](max_examples=count(2))
    with pytest.raises(LookupError, match="'nobody' registers no plugin; expected one of lmmcore"):
        plugin_checks("nobody")

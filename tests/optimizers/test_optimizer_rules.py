"""Every built-in optimizer keeps the rules; broken ones are caught by the right rule."""

import contextlib
import threading

import numpy as np
import pytest

from lmmcore.extension import OptimizeOutcome, find, take_options
from lmmcore.extension.manager import names
from lmmcore.testing import RuleBroken, check_optimizer, plugin_checks
from lmmcore.testing.check_optimizer import EXAMPLE
from lmmcore.testing.objectives import TestObjective, TooMany

SLOW = {"basinhopping": 2, "differential-evolution": 3, "cobyla": 4, "cobyqa": 4}


@pytest.mark.parametrize("name", names("optimizer"))
def test_built_in(name):
    check_optimizer(find("optimizer", name), max_examples=SLOW.get(name, 15))


class Newton:
    """Newton's method with halved steps, in a form that is easy to break."""

    def options(self, given):
        return take_options("broken", given, {"maxiter": 200, "tol": 1e-10})

    def minimize(self, objective, start, *, options, callback=None):
        chosen = self.options(options)
        theta = start.copy()
        value, gradient, hessian = objective.value_gradient_hessian(theta)
        if not np.isfinite(value):
            return OptimizeOutcome(theta, False, "not finite at the start", 0)
        for iteration in range(1, chosen["maxiter"] + 1):
            step = np.linalg.solve(hessian + 1e-12 * np.eye(len(theta)), -gradient)
            for _ in range(60):
                new = objective.value_gradient_hessian(theta + step)
                if new[0] < value:
                    break
                step = step / 2
            if not new[0] < value or -gradient @ step < chosen["tol"]:
                return OptimizeOutcome(theta, True, "no descent", iteration)
            theta, (value, gradient, hessian) = theta + step, new
            self.report(callback, iteration, value)
        return OptimizeOutcome(theta, False, "maxiter", chosen["maxiter"])

    def report(self, callback, iteration, value):
        if callback is not None:
            callback(iteration, value)


class Raises(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        raise ZeroDivisionError


class Loops(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        while True:
            objective.value(start)


class ReturnsTheta(Newton):
    def minimize(self, *args, **keywords):
        return super().minimize(*args, **keywords).theta


class ReturnsMatrix(Newton):
    def minimize(self, *args, **keywords):
        found = super().minimize(*args, **keywords)
        return OptimizeOutcome(found.theta[None], found.converged, found.message, 1)


class ReturnsText(Newton):
    def minimize(self, *args, **keywords):
        found = super().minimize(*args, **keywords)
        return OptimizeOutcome(found.theta, "yes", found.message, 1)


class GoesUp(Newton):
    def minimize(self, objective, start, **keywords):
        return OptimizeOutcome(start + 3.0, False, "uphill", 1)


class Lies(Newton):
    def minimize(self, objective, start, **keywords):
        return OptimizeOutcome(start.copy(), True, "all is well", 1)


class GivesUp(Newton):
    def minimize(self, objective, start, **keywords):
        return OptimizeOutcome(start.copy(), False, "tired", 1)


class Mutates(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        found = super().minimize(objective, start, options=options, callback=callback)
        start[:] = found.theta
        return found


class TakesOptions(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        found = super().minimize(objective, start, options=options, callback=callback)
        options.clear()
        return found


class Random(Newton):
    def minimize(self, objective, start, **keywords):
        found = super().minimize(objective, start, **keywords)
        moved = found.theta + 1e-7 * np.random.default_rng().standard_normal(len(start))
        return OptimizeOutcome(
            found.theta if objective.value(moved) > objective.value(start) else moved,
            found.converged, found.message, found.iterations,
        )  # fmt: skip


class NeverCalls(Newton):
    def report(self, callback, iteration, value):
        pass


class CallsWithTheta(Newton):
    def report(self, callback, iteration, value):
        if callback is not None:
            callback(iteration, [value])


class SwallowsErrors(Newton):
    def report(self, callback, iteration, value):
        with contextlib.suppress(Exception):
            super().report(callback, iteration, value)


class AnyOption(Newton):
    def options(self, given):
        return {"maxiter": 200, "tol": 1e-10}


class NoTol(Newton):
    def options(self, given):
        if "tol" in given:
            raise TypeError("unexpected keyword tol")
        return super().options(given)


class BlindToInf(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        self.options(options)
        if not np.isfinite(objective.value(start)):
            return OptimizeOutcome(start, True, "nothing to do", 0)
        return super().minimize(objective, start, options=options, callback=callback)


class StepsIntoNothing(Newton):
    """Ends at NaN where a step leaves the region in which the function is finite."""

    def minimize(self, objective, start, *, options, callback=None):
        found = super().minimize(objective, start, options=options, callback=callback)
        beyond = objective.value(start + 100.0)
        theta = found.theta if np.isfinite(beyond) else found.theta * np.nan
        return OptimizeOutcome(theta, found.converged, found.message, found.iterations)


class Local(Newton):
    def __init__(self):
        self.lock = threading.Lock()


class SharesState(Newton):
    """Keeps the start in the object, where another thread overwrites it."""

    def minimize(self, objective, start, *, options, callback=None):
        self.start = start
        for _ in range(3):
            objective.value(start)
        return super().minimize(objective, self.start, options=options, callback=callback)


def test_the_sound_one_passes():
    check_optimizer(Newton())


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        (Raises(), "raises"),
        (Loops(), "ends"),
        (ReturnsTheta(), "outcome"),
        (ReturnsMatrix(), "outcome"),
        (ReturnsText(), "outcome"),
        (GoesUp(), "descent"),
        (Lies(), "honesty"),
        (GivesUp(), "minimum"),
        (Mutates(), "purity"),
        (TakesOptions(), "purity"),
        (Random(), "purity"),
        (StepsIntoNothing(), "edge"),
        (NeverCalls(), "callback"),
        (CallsWithTheta(), "callback"),
        (SwallowsErrors(), "callback"),
        (AnyOption(), "options"),
        (NoTol(), "options"),
        (BlindToInf(), "nan"),
        (Local(), "pickling"),
        (SharesState(), "threads"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_broken_optimizers_are_caught(optimizer, rule):
    with pytest.raises(RuleBroken) as caught:
        check_optimizer(optimizer)
    assert caught.value.rule == rule, caught.value


def test_the_message_shows_the_smallest_counterexample():
    with pytest.raises(
        RuleBroken, match=r"converged is True at \[.*\] with value .*Problem\("
    ) as caught:
        check_optimizer(Lies())
    # Hypothesis has shrunk it to one parameter with simple numbers.
    assert "eigenvalues=(1.0,)" in str(caught.value)


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
    checks[shown.index("optimizer-newton")](max_examples=2)
    checks[shown.index("covariance-fa2")](max_examples=2)
    checks[shown.index("penalty-l1")](max_examples=2)
    with pytest.raises(LookupError, match="'nobody' registers no plugin; expected one of lmmcore"):
        plugin_checks("nobody")

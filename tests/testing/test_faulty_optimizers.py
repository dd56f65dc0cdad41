"""Optimizers with one planted fault each: the check names the rule that is broken, and says how."""

import contextlib
import threading
import warnings

import numpy as np
import pytest
from planting import planting

from lmmcore.extension import OptimizeOutcome, take_options
from lmmcore.testing import RuleBroken, check_optimizer

FAULTS, planted = planting()


class Newton:
    """Newton's method with halved steps, in a form that is easy to break."""

    def options(self, given):
        return take_options("broken", given, {"maxiter": 200, "tol": 1e-10})

    def minimize(self, objective, start, *, options, callback=None):
        chosen = self.options(options)
        theta = start.copy()
        value, gradient, hessian = objective.value_gradient_hessian(theta)
        path = [(0, value)]
        if not np.isfinite(value):
            return OptimizeOutcome(theta, False, "not finite at the start", 0)
        self.report(callback, 0, value)
        for iteration in range(1, chosen["maxiter"] + 1):
            step = np.linalg.solve(hessian + 1e-12 * np.eye(len(theta)), -gradient)
            for _ in range(60):
                new = objective.value_gradient_hessian(theta + step)
                if new[0] < value:
                    break
                step = step / 2
            if not new[0] < value or -gradient @ step < chosen["tol"]:
                return OptimizeOutcome(theta, True, "no descent", iteration, path)
            theta, (value, gradient, hessian) = theta + step, new
            path.append((iteration, value))
            self.report(callback, iteration, value)
        return OptimizeOutcome(theta, False, "maxiter", chosen["maxiter"], path)

    def report(self, callback, iteration, value):
        if callback is not None:
            callback(iteration, value)


class Changed(Newton):
    """Newton's outcome, with a change."""

    def minimize(self, objective, start, **keywords):
        found = super().minimize(objective, start, **keywords)
        return OptimizeOutcome(*self.change(found, objective, start))

    def change(self, found, objective, start):
        return found.theta, found.converged, found.message, found.iterations, found.path


@pytest.mark.parametrize("sound", [Newton, Changed])
def test_the_sound_ones_pass(sound):
    check_optimizer(sound())


# Ends, form


@planted("methods", "has no minimize")
class Unfinished:
    pass


@planted("raises", "ZeroDivisionError")
class Raises(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        raise ZeroDivisionError


@planted("raises", "IndexError", "start=(1.25,)")
class NeedsTwo(Newton):
    def minimize(self, objective, start, **keywords):
        start[1]
        return super().minimize(objective, start, **keywords)


@planted("ends", "more than 100000 evaluations")
class Loops(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        while True:
            objective.value(start)


@planted("ends", "more than 100000 evaluations")
class HoldsExceptions(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        while True:
            with contextlib.suppress(Exception):
                objective.value(start)


@planted("ends", "swallowed the order to stop")
class HoldsEverything(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        while True:
            with contextlib.suppress(BaseException):
                objective.value(start)


@planted("outcome", "expected an OptimizeOutcome")
class ReturnsTheta(Newton):
    def minimize(self, *args, **keywords):
        return super().minimize(*args, **keywords).theta


@planted("outcome", "finite floats")
class ReturnsMatrix(Changed):
    def change(self, found, objective, start):
        return found.theta[None], found.converged, found.message, 1


@planted("outcome", "'yes'")
class ConvergedInWords(Changed):
    def change(self, found, objective, start):
        return found.theta, "yes", found.message, 1


@planted("outcome", "why it stopped")
class SaysNothing(Changed):
    def change(self, found, objective, start):
        return found.theta, found.converged, "", 1


@planted("iterations", "iterations is -1")
class NegativeIterations(Changed):
    def change(self, found, objective, start):
        return found.theta, found.converged, found.message, -1


@planted("iterations", "iterations is 2.0")
class IterationsInFloats(Changed):
    def change(self, found, objective, start):
        return found.theta, found.converged, found.message, 2.0


@planted("iterations", "away from the start")
class CountsNothing(Changed):
    def change(self, found, objective, start):
        return found.theta, found.converged, found.message, 0


@planted("path", "which the criterion never had")
class ImpossiblePath(Changed):
    def change(self, found, objective, start):
        return *super().change(found, objective, start)[:4], [(1, -5.0)]


@planted("path", "do not fall")
class PathBackwards(Changed):
    def change(self, found, objective, start):
        return *super().change(found, objective, start)[:4], found.path[::-1]


@planted("path", "pairs (iteration, value)")
class PathOfValues(Changed):
    def change(self, found, objective, start):
        return *super().change(found, objective, start)[:4], [value for _, value in found.path]


@planted("path", "the lowest value of path is")
class ReturnsNotTheBest(Changed):
    def change(self, found, objective, start):
        return start, False, "went back", 1, found.path


@planted("start", "never asked for at the start")
class StartsElsewhere(Newton):
    def minimize(self, objective, start, **keywords):
        return super().minimize(objective, start * 0.999 - 1e-3, **keywords)


@planted("purity", "start and options were changed")
class MutatesStart(Newton):
    def minimize(self, objective, start, **keywords):
        found = super().minimize(objective, start, **keywords)
        start[:] = found.theta
        return found


@planted("purity", "start and options were changed")
class TakesOptions(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        found = super().minimize(objective, start, options=options, callback=callback)
        options.clear()
        return found


# The same again


@planted("repeatable", "the same call ended at")
class Random(Changed):
    def change(self, found, objective, start):
        moved = found.theta + 1e-7 * np.random.default_rng().standard_normal(len(start))
        return moved, found.converged, found.message, found.iterations


@planted("repeatable", "remember nothing")
class WarmStart(Newton):
    latest = None

    def minimize(self, objective, start, **keywords):
        at = start
        if self.latest is not None and len(self.latest) == len(start):
            at = start if objective.value(start) < objective.value(self.latest) else self.latest
        found = super().minimize(objective, at, **keywords)
        objective.value(start)
        if len(start) > 1:
            self.latest = found.theta + 0.1
        return found


@planted("memory", "after another problem")
class RemembersSize(Newton):
    size = None

    def minimize(self, objective, start, **keywords):
        found = super().minimize(objective, start, **keywords)
        same = self.size in (None, len(start))
        self.size = len(start)
        return found if same else OptimizeOutcome(found.theta + 1e-8, True, "later", 1)


# Where it ends


@planted("descent", "above the start's")
class GoesUp(Newton):
    def minimize(self, objective, start, **keywords):
        objective.value(start)
        return OptimizeOutcome(start + 3.0, False, "uphill", 1)


@planted("honesty", "converged is True")
class Lies(Newton):
    def minimize(self, objective, start, **keywords):
        objective.value(start)
        return OptimizeOutcome(start.copy(), True, "all is well", 1)


@planted("minimum", "'tired'")
class GivesUp(Newton):
    def minimize(self, objective, start, **keywords):
        objective.value(start)
        return OptimizeOutcome(start.copy(), False, "tired", 1)


@planted("converged", "False at the minimum")
class NeverConverged(Changed):
    def change(self, found, objective, start):
        return found.theta, False, "one never knows", found.iterations


@planted("edge", "not finite beyond")
class StepsIntoNothing(Changed):
    """Ends at NaN where a step leaves the region in which the function is finite."""

    def change(self, found, objective, start):
        beyond = objective.value(start + 100.0)
        theta = found.theta if np.isfinite(beyond) else found.theta * np.nan
        return theta, found.converged, found.message, found.iterations


# The callback


@planted("callback", "never called")
class NeverCalls(Newton):
    def report(self, callback, iteration, value):
        pass


@planted("callback", "pairs (iteration, value)")
class CallsWithAList(Newton):
    def report(self, callback, iteration, value):
        super().report(callback, iteration, [value])


@planted("callback", "which the criterion never had")
class CallsWithFalseValues(Newton):
    def report(self, callback, iteration, value):
        super().report(callback, iteration, -0.5 * value - 1.0)


@planted("callback", "do not fall")
class CallsBackwards(Newton):
    def report(self, callback, iteration, value):
        super().report(callback, 100 - iteration, value)


@planted("callback", "the lowest is")
class CallsWithTheStart(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        report = callback and (lambda i, value: callback(i, float(objective.value(start))))
        return super().minimize(objective, start, options=options, callback=report)


@planted("callback", "(0, ", "first: the start")
class SilentAtTheStart(Newton):
    def report(self, callback, iteration, value):
        if iteration:
            super().report(callback, iteration, value)


@planted("callback", "after each iteration")
class ReportsOnlyEnds(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        value = objective.value(start)
        found = super().minimize(objective, start, options=options)
        self.report(callback, 0, value)
        if np.isfinite(value):
            self.report(callback, found.iterations, objective.value(found.theta))
        return found


@planted("interrupt", "raised by the callback, was swallowed")
class SwallowsErrors(Newton):
    def report(self, callback, iteration, value):
        with contextlib.suppress(Exception):
            super().report(callback, iteration, value)


@planted("interrupt", "KeyboardInterrupt, raised by the callback, was swallowed")
class SwallowsTheKeyboard(Newton):
    def report(self, callback, iteration, value):
        with contextlib.suppress(KeyboardInterrupt):
            super().report(callback, iteration, value)


@planted("interrupt", "raised by the callback in its second call, was swallowed")
class SwallowsInTheLoop(Newton):
    """The call at the start stands outside."""

    def minimize(self, objective, start, *, options, callback=None):
        value = objective.value(start)
        if callback is not None and np.isfinite(value):
            callback(0, value)
        return super().minimize(objective, start, options=options, callback=callback)

    def report(self, callback, iteration, value):
        with contextlib.suppress(Exception):
            super().report(callback, iteration, value)


@planted("interrupt", "raised by the callback, came out as RuntimeError")
class Renames(Newton):
    def report(self, callback, iteration, value):
        try:
            super().report(callback, iteration, value)
        except Exception as exc:
            raise RuntimeError("callback failed") from exc


@planted("interrupt", "raised by the criterion, was swallowed")
class SwallowsTheCriterion(Newton):
    def minimize(self, objective, start, **keywords):
        try:
            return super().minimize(objective, start, **keywords)
        except ValueError:
            raise
        except Exception as exc:
            if exc.__traceback__.tb_next.tb_next.tb_frame.f_code.co_name == "report":
                raise
            return OptimizeOutcome(start, False, "failed", 0)


# Options


@planted("options", "an unknown option was accepted")
class AnyOption(Newton):
    def options(self, given):
        return {"maxiter": 200, "tol": 1e-10} | dict(given)


@planted("options", "KeyError")
class RefusesByAnotherError(Newton):
    def options(self, given):
        chosen = {"maxiter": 200, "tol": 1e-10}
        for name in given:
            chosen[name]
        return chosen | dict(given)


@planted("options", "were refused")
class NoTol(Newton):
    def options(self, given):
        if "tol" in given:
            raise TypeError("unexpected keyword tol")
        return super().options(given)


@planted("maxiter", "with maxiter=1")
class IgnoresMaxiter(Newton):
    def options(self, given):
        return super().options(given) | {"maxiter": 200}


@planted("maxiter", "converged is True with maxiter=1")
class LiesAtMaxiter(Changed):
    def change(self, found, objective, start):
        return found.theta, True, found.message, found.iterations


@planted("tol", "an effect")
class IgnoresTol(Newton):
    def options(self, given):
        return super().options(given) | {"tol": 1e-10}


# The rest


@planted("nan", "converged = False")
class BlindToInf(Newton):
    def minimize(self, objective, start, *, options, callback=None):
        self.options(options)
        if not np.isfinite(objective.value(start)):
            return OptimizeOutcome(start, True, "nothing to do", 0)
        return super().minimize(objective, start, options=options, callback=callback)


@planted("nan", "LinAlgError")
class FailsAtInf(Newton):
    def minimize(self, objective, start, **keywords):
        if not np.isfinite(objective.value(start)):
            raise np.linalg.LinAlgError("singular")
        return super().minimize(objective, start, **keywords)


@planted("pickling", "pickle")
class Local(Newton):
    def __init__(self):
        self.lock = threading.Lock()


@planted("threads", "threads at once")
class SharesState(Newton):
    """Keeps the start in the object, where another thread overwrites it."""

    def minimize(self, objective, start, *, options, callback=None):
        self.start = start
        for _ in range(3):
            objective.value(start)
        return super().minimize(objective, self.start, options=options, callback=callback)


@planted("global state", "np.random")
class SeedsEverybody(Newton):
    def minimize(self, objective, start, **keywords):
        np.random.seed(1)  # noqa: NPY002
        return super().minimize(objective, start, **keywords)


@planted("global state", "warnings.filters")
class SilencesWarnings(Newton):
    def minimize(self, objective, start, **keywords):
        warnings.simplefilter("ignore")
        return super().minimize(objective, start, **keywords)


@pytest.mark.parametrize(("optimizer", "rule", "words"), FAULTS)
def test_caught(optimizer, rule, words):
    with pytest.raises(RuleBroken) as caught:
        check_optimizer(optimizer())
    assert caught.value.rule == rule, caught.value
    for word in (*words, "expected"):
        assert word in str(caught.value)


def test_a_seed_is_seen_whatever_the_state_was_before():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(RuleBroken, match=r"np\.random"):
        check_optimizer(SeedsEverybody())
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_message_shows_the_smallest_counterexample():
    with pytest.raises(
        RuleBroken, match=r"converged is True at \[.*\] with value .*expected False.*Problem\("
    ) as caught:
        check_optimizer(Lies())
    # Hypothesis has shrunk it to one parameter with simple numbers.
    assert "eigenvalues=(1.0,)" in str(caught.value)

"""Penalties with one planted fault each: the check names the rule that is broken, and says how."""

import copy
import time

import numpy as np
import pytest
from planting import planting

from lmmcore.errors import DataValueError
from lmmcore.penalties.concave import MCP
from lmmcore.penalties.elastic_net import Lasso, Ridge
from lmmcore.testing import RuleBroken, check_penalty

FAULTS, planted = planting()


class Plain:
    """A lasso from nothing but the protocol."""

    concavity = 0.0

    def bind(self, coefficients):
        out = type(self)()
        out.weights = coefficients.weights
        return out

    def value(self, beta, strength):
        return float(strength * self.weights @ np.abs(beta))

    def prox(self, point, step, strength):
        return np.sign(point) * np.maximum(np.abs(point) - step * strength * self.weights, 0.0)

    def derivative(self, size, strength):
        return strength * self.weights * np.ones_like(size)

    def degrees_of_freedom(self, beta, h, strength):
        return float(np.count_nonzero(beta))


def test_a_penalty_written_from_the_protocol_alone():
    check_penalty(Plain())


# Form


@planted("methods", "has no prox")
class Unfinished(Plain):
    prox = None


@planted("raises", "prox raised IndexError")
class NeedsTwo(Plain):
    def prox(self, point, step, strength):
        point[1]
        return super().prox(point, step, strength)


@planted("raises", "bind raised TypeError")
class BindsNothing(Plain):
    def bind(self, coefficients):
        return super().bind(coefficients["weights"])


@planted("concavity", "concavity is None")
class Unsaid(Plain):
    concavity = None


@planted("concavity", "concavity is -1.0")
class NegativeConcavity(Plain):
    concavity = -1.0


@planted("shape", "value returned array", "a number")
class Vector(Plain):
    def value(self, beta, strength):
        return strength * self.weights * np.abs(beta)


@planted("shape", "value returned None")
class Nothing(Plain):
    def value(self, beta, strength):
        return None


@planted("shape", "an array of shape (4,)")
class Short(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength)[:1]


@planted("finite", "finite numbers")
class Infinite(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength) / np.float64(0.0)


@planted("purity", "prox changed its argument")
class Mutates(Plain):
    def prox(self, point, step, strength):
        out = super().prox(point, step, strength)
        point[:] = out
        return out


@planted("purity", "returned its argument")
class ReturnsThePoint(Plain):
    def prox(self, point, step, strength):
        return point if strength == 0.0 else super().prox(point, step, strength)


@planted("repeatable", "the same calls gave")
class Draws(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength) + 1e-12 * np.random.default_rng().random()


@planted("memory", "nothing is remembered")
class RemembersStrength(Plain):
    def value(self, beta, strength):
        self.strength = strength
        return super().value(beta, strength)

    def derivative(self, size, strength):
        return super().derivative(size, self.strength)


@planted("bind", "bind changed the object")
class BindsItself(Plain):
    def bind(self, coefficients):
        self.weights = coefficients.weights
        return self


@planted("bind", "bind changed the object")
class BindLeavesATrace(Plain):
    def bind(self, coefficients):
        self.names = coefficients.names
        return super().bind(coefficients)


SHARED = {}


@planted("bind", "what was bound before")
class BindShares(Plain):
    def bind(self, coefficients):
        SHARED["weights"] = coefficients.weights
        return type(self)()

    def value(self, beta, strength):
        self.weights = np.resize(SHARED["weights"], len(beta))
        return super().value(beta, strength)

    def prox(self, point, step, strength):
        self.weights = np.resize(SHARED["weights"], len(point))
        return super().prox(point, step, strength)


@planted("weights", "weights of zero and one to be taken")
class RefusesZeroWeights(Plain):
    def bind(self, coefficients):
        if not coefficients.weights.all():
            raise DataValueError("a weight is zero")
        return super().bind(coefficients)


# Values


@planted("zero", "P(0) is")
class Offset(Plain):
    def value(self, beta, strength):
        return super().value(beta, strength) + strength


@planted("zero", "0 or more")
class Negative(Plain):
    def value(self, beta, strength):
        return -super().value(beta, strength)


@planted("strength", "at strength 0")
class Constant(Plain):
    def value(self, beta, strength):
        return super().value(beta, 1.0)


@planted("strength", "prox at strength 0 moves")
class AlwaysShrinks(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, max(strength, 0.01))


@planted("strength", "when the strength grows")
class FallsWithStrength(Plain):
    def value(self, beta, strength):
        return super().value(beta, min(strength, max(2.0 - strength, 0.0)))


@planted("weights", "weight 0")
class Weightless(Plain):
    def value(self, beta, strength):
        return float(strength * np.abs(beta).sum())

    def prox(self, point, step, strength):
        return np.sign(point) * np.maximum(np.abs(point) - step * strength, 0.0)


@planted("weights", "prox moves a coefficient of weight 0")
class ShrinksAll(Plain):
    def prox(self, point, step, strength):
        return np.sign(point) * np.maximum(np.abs(point) - step * strength, 0.0)


@planted("weights", "with twice all weights")
class ZeroOrOne(Plain):
    """Takes any weights, but knows only zero and others."""

    def bind(self, coefficients):
        out = super().bind(coefficients)
        out.weights = (coefficients.weights > 0).astype(float)
        return out


@planted("concavity", "not convex between")
class Rooted(Plain):
    def value(self, beta, strength):
        return float(strength * self.weights @ np.sqrt(np.abs(beta)))


@planted("concavity", "not convex between")
class Understated(MCP):
    concavity = 0.0


@planted("concavity", "never more concave than 0")
class Overstated(Plain):
    concavity = 1.0


@planted("concavity", "never more concave than 0.3")
class TenTimesOverstated(MCP):
    def bind(self, coefficients):
        return copy.copy(super().bind(coefficients))

    @property
    def concavity(self):
        return 10.0 * super().concavity


# The prox


@planted("prox", "expected its minimum")
class NoStep(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, 1.0, strength)


@planted("prox", "expected its minimum")
class TwiceTheStep(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, 2.0 * step, strength)


@planted("prox", "expected its minimum")
class WrongFarAway(Plain):
    """Right up to 3, all that coefficients of scaled columns should ever be."""

    def prox(self, point, step, strength):
        found = super().prox(point, step, strength)
        return np.where(np.abs(point) > 3.5, point, found)


@planted("prox", "expected its minimum")
class Clips(Plain):
    def prox(self, point, step, strength):
        return np.clip(super().prox(point, step, strength), -100.0, 100.0)


@planted("prox", "expected its minimum")
class WrongForShortSteps(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, max(step, 0.05), strength)


@planted("prox", "expected its minimum")
class WrongForLargeStrengths(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength if strength < 8.0 else 0.5 * strength)


@planted("prox", "expected its minimum")
class HardThreshold(Plain):
    def prox(self, point, step, strength):
        return np.where(np.abs(point) > step * strength * self.weights, point, 0.0)


@planted("prox", "expected its minimum")
class PositiveOnly(Plain):
    def prox(self, point, step, strength):
        found = super().prox(point, step, strength)
        return np.where(self.weights * strength == 0.0, found, np.abs(found))


# Optional methods


@planted("derivative", "by differences of value")
class WrongSlope(Plain):
    def derivative(self, size, strength):
        return 2.0 * super().derivative(size, strength)


@planted("derivative", "by differences of value")
class WrongSlopeFarAway(Plain):
    def derivative(self, size, strength):
        return np.where(size > 4.0, 0.0, super().derivative(size, strength))


@planted("shape", "derivative returned")
class ShortSlope(Plain):
    def derivative(self, size, strength):
        return np.float64(strength)


@planted("kkt", "no more than them at zero")
class WrongSlopeAtZero(Plain):
    def derivative(self, size, strength):
        return np.where(size == 0, 0.0, super().derivative(size, strength))


@planted("blockwise", "the value of the blockwise form")
class WrongForm(Lasso):
    def blockwise(self, strength):
        return super().blockwise(2.0 * strength)

    def value(self, beta, strength):
        return super().value(beta, 0.5 * strength)

    def prox(self, point, step, strength):
        return super().prox(point, step, 0.5 * strength)


@planted("blockwise", "expected a Blockwise")
class NoForm(Plain):
    def blockwise(self, strength):
        return None


@planted("degrees of freedom", "a number from 0")
class NegativeFreedom(Plain):
    def degrees_of_freedom(self, beta, h, strength):
        return -1.0


@planted("degrees of freedom", "where all coefficients are 0")
class CountsAll(Plain):
    def degrees_of_freedom(self, beta, h, strength):
        return float(len(beta))


@planted("degrees of freedom", "a number from 0")
class TraceOfTheWrongMatrix(Ridge):
    def degrees_of_freedom(self, beta, h, strength):
        return float(np.trace(h)) * float(np.any(beta))


@planted("degrees of freedom", "the trace of the derivative of the fitted values")
class CountsLargeOnes(Plain):
    def degrees_of_freedom(self, beta, h, strength):
        return float((np.abs(beta) > 0.5).sum())


@planted("strength", "at strength 0 moves the point")
class NoMoreThanFive(Plain):
    def prox(self, point, step, strength):
        x = super().prox(point, step, strength)
        x[5:] *= 0.999
        return x


@planted("shape", "degrees_of_freedom returned")
class FreedomOfEach(Plain):
    def degrees_of_freedom(self, beta, h, strength):
        return (beta != 0).astype(float)


# The rest


@planted("pickling", "pickle")
class Local(Plain):
    def __init__(self):
        self.f = lambda: 0


@planted("threads", "threads at once")
class SharesState(Plain):
    def prox(self, point, step, strength):
        self.point = point
        time.sleep(1e-5)
        return super().prox(self.point, step, strength)


@planted("bad input", "NaN")
class Swallows(Plain):
    def prox(self, point, step, strength):
        return super().prox(np.nan_to_num(point), step, strength)

    def value(self, beta, strength):
        return super().value(np.nan_to_num(beta), strength)


@planted("bad input", "of 5 coefficients")
class AnyLength(Plain):
    def value(self, beta, strength):
        return float(strength * self.weights @ np.abs(beta[: len(self.weights)]))


@planted("global state", "np.random")
class SeedsEverybody(Plain):
    def prox(self, point, step, strength):
        np.random.seed(3)  # noqa: NPY002
        return super().prox(point, step, strength)


@pytest.mark.parametrize(("penalty", "rule", "words"), FAULTS)
def test_caught(penalty, rule, words):
    with np.errstate(all="ignore"), pytest.raises(RuleBroken) as caught:
        check_penalty(penalty())
    assert caught.value.rule == rule, caught.value
    for word in (*words, "expected"):
        assert word in str(caught.value)

"""Structures with one planted fault each: the check names the rule that is broken, and says how.

Here those of form, derivatives and parameters; test_faulty_descriptions.py has the others.
"""

import numpy as np
import pytest
from planting import planting
from sound_structures import One, Open, Placed, Plain, Reduced

from lmmcore.covariance.correlation import Autoregressive
from lmmcore.covariance.scaled import Homogeneous
from lmmcore.testing import RuleBroken, check_covariance

FAULTS, planted = planting()


@pytest.mark.parametrize("sound", [Plain, Open, One, Reduced, Placed])
def test_the_sound_ones_pass(sound):
    check_covariance(sound())


# Form


@planted("methods", "has no describe")
class Unfinished(One):
    describe = None


@planted("raises", "IndexError", "k = 1")
class NeedsTwo(One):
    def factor(self, theta, k):
        out = super().factor(theta, k)
        out[1, 1] = theta[0]  # no second column for k = 1
        return out


@planted("raises", "describe raised KeyError", "k = 1")
class NeedsNames(One):
    def describe(self, theta, names, sigma):
        return {"sd": {"a": 1.0}[names[0]]}


@planted("shape", "n_parameters(1) returned 1.0")
class CountsInFloats(One):
    def n_parameters(self, k):
        return 1.0


@planted("shape", "factor_derivative has shape (1, 1)")
class FlatDerivative(Plain):
    def factor_derivative(self, theta, k):
        return super().factor_derivative(theta, k)[0]


@planted("shape", "factor has shape (1,)")
class FlatFactor(One):
    def factor(self, theta, k):
        return super().factor(theta, k).ravel()


@planted("finite", "<U1")
class Text(Plain):
    def factor(self, theta, k):
        return np.full((k, k), "a")


@planted("finite", "nan")
class DividesByTheta(One):
    def factor(self, theta, k):
        with np.errstate(all="ignore"):
            return theta[0] ** 2 / theta[0] * np.eye(k)


@planted("purity", "factor changed its argument")
class Mutates(Plain):
    def factor(self, theta, k):
        out = super().factor(theta.copy(), k)
        theta *= 1.0 + 1e-12
        return out


@planted("purity", "parameters changed its argument")
class MutatesG(Plain):
    def parameters(self, g):
        g += 1e-9 * np.eye(len(g))
        return super().parameters(g)


@planted("purity", "second call of factor changed")
class Reuses(Plain):
    def factor(self, theta, k):
        if not hasattr(self, "buffer") or self.buffer.shape != (k, k):
            self.buffer = np.zeros((k, k))
        self.buffer[:] = super().factor(theta, k)
        return self.buffer


@planted("purity", "returned its argument or a view")
class ReturnsAView(One):
    def factor(self, theta, k):
        return theta[:, None] if k == 1 and theta.dtype == float else super().factor(theta, k)


@planted("repeatable", "the same calls gave")
class Draws(Plain):
    def parameters(self, g):
        found = super().parameters(g)
        return found * (1.0 + 1e-9 * np.random.default_rng().standard_normal(len(found)))


@planted("memory", "factor_derivative", "remembered")
class RemembersTheta(One):
    def factor(self, theta, k):
        self.latest = np.array(theta.real)
        return super().factor(theta, k) * theta[0]

    def factor_derivative(self, theta, k):
        return 2.0 * self.latest[0] * np.eye(k)[None]

    def factor_second_derivative(self, theta, k):
        return 2.0 * np.eye(k)[None, None]

    def parameters(self, g):
        return super().parameters(g) ** 0.5

    def describe(self, theta, names, sigma):
        return {"sd": float(sigma * theta[0] ** 2)}


@planted("memory", "calls at another point (k = 2")
class RemembersK(One):
    def n_parameters(self, k):
        self.k = k
        return 1

    def factor(self, theta, k):
        self.k = k
        return super().factor(theta, k)

    def describe(self, theta, names, sigma):
        return super().describe(theta, names, sigma) | {"columns": float(self.k)}


# Derivatives


@planted("derivative", "by differences of factor")
class WrongSlope(Plain):
    def factor_derivative(self, theta, k):
        return 2.0 * super().factor_derivative(theta, k)


@planted("derivative")
class OneSlopeABitOff(Plain):
    def factor_derivative(self, theta, k):
        out = super().factor_derivative(theta, k).copy()
        out[-1] *= 1.0 + 1e-4
        return out


@planted("second derivative", "None (Λ linear in θ)")
class NotLinear(Plain):
    def factor(self, theta, k):
        return super().factor(np.sin(theta), k)

    def factor_derivative(self, theta, k):
        return super().factor_derivative(theta, k) * np.cos(theta)[:, None, None]


@planted("second derivative", "by differences of factor_derivative")
class StraightFarAway(Open):
    def factor_second_derivative(self, theta, k):
        second = super().factor_second_derivative(theta, k)
        far = np.abs(theta).max() > 2.5
        return 0.0 * second if far and second is not None else second


@planted("second derivative", "by differences of factor_derivative")
class WrongBend(Open):
    def factor_second_derivative(self, theta, k):
        return 0.5 * super().factor_second_derivative(theta, k)


# parameters, closed_under, boundary, non-members


@planted("parameters", "whose G is")
class Forgets(Plain):
    def parameters(self, g):
        return np.ones(self.n_parameters(len(g)))


@planted("parameters", "whose G is")
class VarianceForSD(Plain):
    def parameters(self, g):
        return super().parameters(g) ** 2 if len(g) == 1 else super().parameters(g)


@planted("parameters", "whose G is")
class TenPercentOff(Open):
    def parameters(self, g):
        return 1.1 * super().parameters(g)


@planted("parameters", "whose G is")
class AngleTenPercentOff(Open):
    def parameters(self, g):
        found = super().parameters(g)
        found[1:] *= 1.1
        return found


@planted("parameters", "in the median")
class AngleABitOff(Open):
    def parameters(self, g):
        found = super().parameters(g)
        found[1:] *= 1.03
        return found


@planted("parameters", "whose G is")
class NoCorrelationToStartFrom(Open):
    def parameters(self, g):
        found = super().parameters(g)
        found[1:] = np.arcsin(np.sqrt(1.0 / len(g)))
        return 0.99 * found


@planted("parameters", "expected 1 finite numbers")
class TooMany(One):
    def parameters(self, g):
        return np.append(super().parameters(g), 0.0)


@planted("boundary", "finite θ", "log sd")
class LogSD(One):
    def parameters(self, g):
        with np.errstate(all="ignore"):
            return np.log(super().parameters(g))

    def factor(self, theta, k):
        return super().factor(np.exp(theta), k)

    def describe(self, theta, names, sigma):
        return super().describe(np.exp(theta), names, sigma)


@planted("boundary", "one unit away")
class LogSDCutOff(LogSD):
    def parameters(self, g):
        return np.log(np.maximum(One.parameters(self, g), 1e-300))


@planted("parameters", "whose G is [[1e-06]]")
class NeverZero(One):
    def parameters(self, g):
        return np.maximum(super().parameters(g), 1e-3)


@planted("closed_under", "'everything'")
class Overstates(Plain):
    closed_under = "everything"


@planted("closed_under", "a member with columns changed")
class NotClosed(One):
    closed_under = "scaling"


@planted("closed_under", "'shifting'")
class ShiftsNot(Homogeneous):
    closed_under = "shifting"

    def __init__(self):
        super().__init__(Autoregressive(), "ar1")


@planted("non-member", "not a member")
class Refuses(One):
    def parameters(self, g):
        if np.abs(g - g[0, 0] * np.eye(len(g))).max() > 1e-9:
            raise ValueError("not a member")
        return super().parameters(g)


@planted("non-member", "of the same size")
class Zeroes(One):
    def parameters(self, g):
        member = np.abs(g - g[0, 0] * np.eye(len(g))).max() < 1e-9
        return super().parameters(g) * member


@planted("non-member", "nan")
class NotANumberForOthers(One):
    def parameters(self, g):
        member = np.abs(g - g[0, 0] * np.eye(len(g))).max() < 1e-9
        return super().parameters(g) * (1.0 if member else np.nan)


@planted("non-member", "of the same size")
class CutsLargeSDs(One):
    def parameters(self, g):
        return np.minimum(super().parameters(g), 5.0)


@planted("non-member", "of the same size")
class ZeroesSmallSDs(One):
    def parameters(self, g):
        sd = super().parameters(g)
        return np.where(sd < 0.01, 0.0, sd)


# A family as a whole


@planted("idle", "parameter 1 of 2 changes nothing", "k = 1")
class IdleParameter(One):
    def n_parameters(self, k):
        return 2

    def parameters(self, g):
        return np.append(super().parameters(g), 0.0)

    def describe(self, theta, names, sigma):
        return super().describe(theta, names, sigma) | {"other": float(theta[1])}


@planted("idle", "some of them do the same")
class TwoDoTheSame(IdleParameter):
    def factor(self, theta, k):
        return super().factor(theta[:1] + theta[1:], k)


@planted("rank", "rank(2) is 2", "which is 1")
class RankTooLarge(Reduced):
    def rank(self, k):
        return k


@planted("rank", "rank(2) is 1", "which is 2")
class RankTooSmall(Plain):
    def rank(self, k):
        return 1


@planted("rank", "whole number from 0 to 1")
class RankOfText(Reduced):
    def rank(self, k):
        return "full"


@planted("rank", "there is no method rank")
class RankUnsaid(One):
    def factor(self, theta, k):
        return theta[0] * np.ones((k, 1), dtype=np.asarray(theta).dtype)


@pytest.mark.parametrize(("structure", "rule", "words"), FAULTS)
def test_caught(structure, rule, words):
    with np.errstate(), pytest.raises(RuleBroken) as caught:
        check_covariance(structure())
    assert caught.value.rule == rule, caught.value
    for word in (*words, "expected"):
        assert word in str(caught.value)

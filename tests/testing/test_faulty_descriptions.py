"""Structures whose description, binding, copies or manners have one planted fault each."""

import time

import numpy as np
import pytest
from planting import planting
from sound_structures import One, Open, Placed, Plain

from lmmcore.testing import RuleBroken, check_covariance

FAULTS, planted = planting()


# describe


@planted("describe", "returned None")
class Silent(Plain):
    def describe(self, theta, names, sigma):
        return None


@planted("describe", "1 entries for 2 parameters")
class SaysTooLittle(Open):
    def describe(self, theta, names, sigma):
        return {"sd": float(sigma * abs(theta[0]))}


@planted("describe", "'sd(x[0])' is")
class DescribesTheVariance(Plain):
    def describe(self, theta, names, sigma):
        said = super().describe(theta, names, sigma)
        return {key: v * v if key.startswith("sd") else v for key, v in said.items()}


@planted("describe", "'sd(x[0])' is")
class ForgetsSigma(Plain):
    def describe(self, theta, names, sigma):
        return super().describe(theta, names, 1.0)


@planted("describe", "with σ = 0.001")
class NoSmallSigma(One):
    def describe(self, theta, names, sigma):
        return {"sd": float(max(sigma, 0.1) * abs(theta[0]))}


@planted("describe", "'corr' is")
class WrongSign(Open):
    def describe(self, theta, names, sigma):
        said = super().describe(theta, names, sigma)
        return said | {key: -value for key, value in said.items() if key == "corr"}


@planted("describe", "zero or more")
class NegativeSD(One):
    def describe(self, theta, names, sigma):
        return {"sd": float(sigma * theta[0])}


@planted("describe", "'sd(x[1])' is")
class SwappedNames(Plain):
    def describe(self, theta, names, sigma):
        return super().describe(theta, names[::-1], sigma)


@planted("describe", "standard deviations of ['x[0]', 'x[1]']")
class NumbersForNames(Plain):
    def describe(self, theta, names, sigma):
        return super().describe(theta, [str(i) for i in range(len(names))], sigma)


@planted("describe", "for columns ['a column no. 0 <of mine>']")
class CutsNames(Plain):
    def describe(self, theta, names, sigma):
        return super().describe(theta, [name[:4] for name in names], sigma)


@planted("describe", "where G differs")
class SaysTheSameAlways(Open):
    def describe(self, theta, names, sigma):
        said = super().describe(theta, names, sigma)
        return {"sd": said["sd"]} | ({"rho": 0.5} if len(names) > 1 else {})


# bind, pickling, threads, NaN, what belongs to everybody


@planted("bind", "bind changed the object it is called on")
class BindsItself(Placed):
    def bind(self, names):
        self.weights = super().bind(names).weights
        return self


@planted("bind", "bind changed the object it is called on")
class BindLeavesATrace(Placed):
    def bind(self, names):
        self.names = tuple(names)
        return super().bind(names)


SHARED = {}


@planted("bind", "what was bound before")
class BindShares(Placed):
    def bind(self, names):
        SHARED["weights"] = super().bind(names).weights
        return type(self)()

    def factor(self, theta, k):
        return theta[0] * np.diag(np.resize(SHARED["weights"], k))

    def parameters(self, g):
        size = np.sum(np.resize(SHARED["weights"], len(g)) ** 2)
        return np.array([np.sqrt(max(np.trace(g), 0.0) / size)])


@planted("pickling", "AttributeError")
class Local(Plain):
    def __init__(self):
        self.f = lambda: 0


@planted("pickling", "a copy by pickle gives")
class LosesItsSetting(One):
    def __init__(self):
        self.unit = 2.0

    def __reduce__(self):
        return _half_unit, ()

    def factor(self, theta, k):
        return super().factor(theta, k) * self.unit

    def parameters(self, g):
        return super().parameters(g) / self.unit

    def describe(self, theta, names, sigma):
        return {"sd(unit)": float(sigma * abs(theta[0]) * self.unit)}


def _half_unit():
    found = LosesItsSetting()
    found.unit = 1.0
    return found


@planted("threads", "threads at once")
class SharesState(One):
    def factor(self, theta, k):
        self.theta = theta
        time.sleep(1e-5)
        return super().factor(self.theta, k)


@planted("nan", "factor of NaN is")
class Swallows(Plain):
    def factor(self, theta, k):
        return super().factor(np.nan_to_num(theta), k)


@planted("global state", "np.random")
class SeedsEverybody(Plain):
    def parameters(self, g):
        np.random.seed(1)  # noqa: NPY002
        return super().parameters(g)


@planted("global state", "np.geterr()")
class SilencesEverybody(Plain):
    def parameters(self, g):
        np.seterr(all="ignore")
        return super().parameters(g)


@pytest.mark.parametrize(("structure", "rule", "words"), FAULTS)
def test_caught(structure, rule, words):
    with np.errstate(), pytest.raises(RuleBroken) as caught:
        check_covariance(structure())
    assert caught.value.rule == rule, caught.value
    for word in (*words, "expected"):
        assert word in str(caught.value)

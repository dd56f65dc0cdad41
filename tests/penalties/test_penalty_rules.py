"""Every built-in penalty keeps the rules; broken ones are caught by the right rule."""

import numpy as np
import pytest

from lmmcore.errors import DataValueError, OptionError
from lmmcore.extension import Coefficients, plugins
from lmmcore.penalties.elastic_net import ElasticNet, Lasso
from lmmcore.testing import RuleBroken, check_penalty

BUILT_IN = [p for p in plugins() if p.kind == "penalty" and p.distribution == "lmmcore"]


@pytest.mark.parametrize("plugin", BUILT_IN, ids=[p.name for p in BUILT_IN])
def test_built_in(plugin):
    check_penalty(plugin.implementation)


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


def test_a_penalty_written_from_the_protocol_alone():
    check_penalty(Plain())


class Vector(Plain):
    def value(self, beta, strength):
        return strength * self.weights * np.abs(beta)


class Short(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength)[:1]


class Infinite(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, step, strength) / np.float64(0.0)


class Offset(Plain):
    def value(self, beta, strength):
        return super().value(beta, strength) + strength


class Negative(Plain):
    def value(self, beta, strength):
        return -super().value(beta, strength)


class Constant(Plain):
    def value(self, beta, strength):
        return super().value(beta, 1.0)


class Weightless(Plain):
    def value(self, beta, strength):
        return float(strength * np.abs(beta).sum())

    def prox(self, point, step, strength):
        return np.sign(point) * np.maximum(np.abs(point) - step * strength, 0.0)


class NoStep(Plain):
    def prox(self, point, step, strength):
        return super().prox(point, 1.0, strength)


class Rooted(Plain):
    def value(self, beta, strength):
        return float(strength * self.weights @ np.sqrt(np.abs(beta)))


class WrongSlope(Plain):
    def derivative(self, size, strength):
        return 2.0 * super().derivative(size, strength)


class WrongSlopeAtZero(Plain):
    def derivative(self, size, strength):
        return np.where(size == 0, 0.0, super().derivative(size, strength))


class WrongForm(Lasso):
    def blockwise(self, strength):
        return super().blockwise(2.0 * strength)

    def value(self, beta, strength):
        return super().value(beta, 0.5 * strength)

    def prox(self, point, step, strength):
        return super().prox(point, step, 0.5 * strength)


class Mutates(Plain):
    def prox(self, point, step, strength):
        out = super().prox(point, step, strength)
        point[:] = out
        return out


class BindsItself(Plain):
    def bind(self, coefficients):
        self.weights = coefficients.weights
        return self


class Local(Plain):
    def __init__(self):
        self.f = lambda: 0


class Swallows(Plain):
    def prox(self, point, step, strength):
        return super().prox(np.nan_to_num(point), step, strength)

    def value(self, beta, strength):
        return super().value(np.nan_to_num(beta), strength)


class AnyLength(Plain):
    def value(self, beta, strength):
        return float(strength * self.weights @ np.abs(beta[: len(self.weights)]))


class Unsaid(Plain):
    concavity = None


@pytest.mark.parametrize(
    ("penalty", "rule"),
    [
        (Vector(), "shape"),
        (Short(), "shape"),
        (Infinite(), "finite"),
        (Offset(), "zero"),
        (Negative(), "zero"),
        (Constant(), "strength"),
        (Weightless(), "weights"),
        (NoStep(), "prox"),
        (Rooted(), "concavity"),
        (Unsaid(), "concavity"),
        (WrongSlope(), "derivative"),
        (WrongSlopeAtZero(), "kkt"),
        (WrongForm(), "blockwise"),
        (Mutates(), "purity"),
        (BindsItself(), "bind"),
        (Local(), "pickling"),
        (Swallows(), "bad input"),
        (AnyLength(), "bad input"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_broken_penalties_are_caught(penalty, rule):
    with np.errstate(all="ignore"), pytest.raises(RuleBroken) as caught:
        check_penalty(penalty)
    assert caught.value.rule == rule


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
    with pytest.raises(OptionError, match="knows no coefficients"):
        Lasso().value(np.ones(2), 1.0)

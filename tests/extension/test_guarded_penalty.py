"""A penalty behind its guard does what it does; a hostile one ends in one error that names it."""

import pickle

import numpy as np
import pytest
from drawn import count

from lmmcore.errors import DataValueError, PluginError
from lmmcore.extension import Coefficients, find
from lmmcore.plugin_host.guarded_penalty import GuardedPenalty, guarded_penalty
from lmmcore.testing import check_penalty

POINT = np.array([1.5, -0.2, 0.7])


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_a_sound_penalty_is_the_same_behind_the_guard(name):
    bound = find("penalty", name).bind(Coefficients.plain(3))
    guarded = guarded_penalty(name).bind(Coefficients.plain(3))
    assert guarded.value(POINT, 0.5) == bound.value(POINT, 0.5)
    np.testing.assert_array_equal(guarded.prox(POINT, 0.3, 0.5), bound.prox(POINT, 0.3, 0.5))
    for method in ("derivative", "blockwise", "degrees_of_freedom"):
        assert hasattr(guarded, method) == hasattr(bound, method)
    check_penalty(guarded_penalty(name), max_examples=count(5))
    again = pickle.loads(pickle.dumps(guarded))
    assert again.value(POINT, 0.5) == bound.value(POINT, 0.5)


class Plain:
    concavity = 0.0

    def bind(self, coefficients):
        return self

    def value(self, beta, strength):
        return float(strength * np.abs(beta).sum())

    def prox(self, point, step, strength):
        return np.sign(point) * np.maximum(np.abs(point) - step * strength, 0.0)


def mutates(self, point, step, strength):
    point[:] = 0.0
    return point


BROKEN = {
    "raises": ({"prox": lambda s, *a: 1 / 0}, "raised ZeroDivisionError in prox"),
    "shape": ({"prox": lambda s, *a: np.ones(2)}, "prox returned .*expected 3 finite numbers"),
    "text": ({"prox": lambda s, *a: "abc"}, "prox returned 'abc'; expected 3 finite numbers"),
    "ragged": ({"prox": lambda s, *a: [[1], 2, 3]}, "prox returned .*expected 3 finite"),
    "nan": ({"prox": lambda s, p, *a: p * np.nan}, "prox returned .*nan.*expected 3 finite"),
    "value": ({"value": lambda s, *a: "much"}, "value returned 'much'; expected a number"),
    "value-nan": ({"value": lambda s, *a: np.nan}, "value returned nan; expected a number"),
    "negative": ({"value": lambda s, *a: -1.0}, "value returned -1.0; expected zero or more"),
    "slope": ({"derivative": lambda s, *a: 1.0}, "derivative returned 1.0; expected 3 finite"),
    "form": ({"blockwise": lambda s, *a: None}, "blockwise returned None; expected a Blockwise"),
    "df": ({"degrees_of_freedom": lambda s, *a: None}, "degrees_of_freedom returned None"),
    "df-negative": (
        {"degrees_of_freedom": lambda s, *a: -1.0},
        "degrees_of_freedom returned -1.0; expected zero or more",
    ),
    "bind": ({"bind": lambda s, of: None}, "has no bind, value, prox; expected a Penalty"),
    "concavity": ({"concavity": -1.0}, "has concavity -1.0; expected a number of zero or more"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_hostile_penalties(name):
    changes, words = BROKEN[name]
    penalty = GuardedPenalty(type("Hostile", (Plain,), changes)(), "'hostile' (somebody 1.0)")

    def use():
        bound = penalty.bind(Coefficients.plain(3))
        bound.value(POINT, 1.0)
        bound.prox(POINT, 0.5, 1.0)
        if hasattr(bound, "derivative"):
            bound.derivative(np.abs(POINT), 1.0)
        if hasattr(bound, "blockwise"):
            bound.blockwise(1.0)
        if hasattr(bound, "degrees_of_freedom"):
            bound.degrees_of_freedom(POINT, np.eye(3), 1.0)

    with pytest.raises(PluginError, match=r"penalty 'hostile' \(somebody 1.0\) " + words):
        use()


def test_arguments_are_copies():
    point = POINT.copy()
    penalty = GuardedPenalty(type("Hostile", (Plain,), {"prox": mutates})(), "'hostile'")
    penalty.bind(Coefficients.plain(3)).prox(point, 0.5, 1.0)
    np.testing.assert_array_equal(point, POINT)


def test_what_a_penalty_says_in_the_house_errors_is_said_as_it_stands():
    def refuse(self, coefficients):
        raise DataValueError("weights must be one")

    penalty = GuardedPenalty(type("Hostile", (Plain,), {"bind": refuse})(), "'hostile'")
    with pytest.raises(DataValueError, match=r"^weights must be one$"):
        penalty.bind(Coefficients.plain(3))

"""The door of extensions: register, find, list, and what goes wrong."""

import numpy as np
import pytest

import lmmcore
from lmmcore import extension
from lmmcore.errors import OptionError, PluginError
from lmmcore.extension import OptimizeOutcome, hookimpl


class Halving:
    """Coordinate search by halving steps."""

    def minimize(self, objective, start, *, options, callback=None):
        theta, step = start.copy(), 1.0
        value = objective.value(theta)
        while step > 1e-9:
            moved = False
            for i in range(len(theta)):
                for sign in (-1, 1):
                    trial = theta.copy()
                    trial[i] += sign * step
                    new = objective.value(trial)
                    if new < value:
                        theta, value, moved = trial, new, True
            step = step if moved else step / 2
        return OptimizeOutcome(theta, True, "small step", 1)


class Broken:
    def minimize(self, objective, start, *, options, callback=None):
        return OptimizeOutcome(np.full(7, np.nan), True, "", 1)


def plugin(**optimizers):
    class Plugin:
        @hookimpl
        def lmmcore_optimizers(self, register):
            for name, optimizer in optimizers.items():
                register(name, optimizer)

    return Plugin()


@pytest.fixture
def registered():
    added = []

    def add(what):
        extension.register(what)
        added.append(what)

    yield add
    for what in added:
        extension.unregister(what)


def model():
    return lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff())


def test_a_third_party_optimizer_works_by_name(registered):
    with pytest.raises(OptionError, match="'halving' is not known"):
        model().fit(method="halving")
    registered(plugin(halving=Halving()))
    fit = model().fit(method="halving")
    assert fit.criterion == pytest.approx(model().fit().criterion, abs=1e-6)
    assert fit.converged
    listed = [p for p in lmmcore.plugins() if p.name == "halving"]
    assert listed[0].help == "Coordinate search by halving steps."


def test_two_of_one_name_are_an_error(registered):
    registered(plugin(newton=Halving()))
    with pytest.raises(PluginError, match=r"registered by lmmcore .* and "):
        model().fit()


def test_a_broken_optimizer_is_named(registered):
    registered(plugin(broken=Broken()))
    with pytest.raises(PluginError, match=r"'broken' .* returned theta .* expected 1 finite"):
        model().fit(method="broken")


def test_a_plugin_that_cannot_register_is_named(registered):
    class Bad:
        @hookimpl
        def lmmcore_optimizers(self, register):
            raise ZeroDivisionError("no")

    registered(Bad())
    with pytest.raises(PluginError, match="failed while registering"):
        model().fit(method="newton")


def test_built_ins_come_through_the_same_door():
    names = {(p.kind, p.name) for p in lmmcore.plugins()}
    assert {("optimizer", "newton"), ("optimizer", "em"), ("covariance", "unstructured"),
            ("covariance", "diagonal")} <= names  # fmt: skip
    assert all(p.help for p in lmmcore.plugins())
    assert all(p.distribution == "lmmcore" for p in lmmcore.plugins())

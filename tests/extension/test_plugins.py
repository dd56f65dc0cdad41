"""The door of extensions: register, find, list, and what goes wrong."""

import sys
from types import SimpleNamespace

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
    ours = [p for p in lmmcore.plugins() if p.distribution == "lmmcore"]
    names = {(p.kind, p.name) for p in ours}
    assert {("optimizer", "newton"), ("optimizer", "em"), ("covariance", "unstructured"),
            ("covariance", "diagonal")} <= names  # fmt: skip
    assert all(p.help for p in ours)
    assert all(p.version == lmmcore.__version__ for p in ours)


def test_a_plugin_named_by_its_place_is_imported_when_it_is_asked_for(
    registered, tmp_path, monkeypatch
):
    (tmp_path / "heavy_optimizers.py").write_text("HALVING = 3\nraise MemoryError('too heavy')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Lazy:
        @hookimpl
        def lmmcore_optimizers(self, register):
            register("heavy", "heavy_optimizers:HALVING", help="Heavy.")
            register("nowhere", "heavy_optimizers_2:HALVING", help="Nowhere.")
            register("silent", "heavy_optimizers_2:HALVING")

    registered(Lazy())
    model().fit()
    assert [p.help for p in lmmcore.plugins() if p.name == "heavy"] == ["Heavy."]
    assert next(p.source for p in lmmcore.plugins() if p.name == "heavy").endswith(
        "in this process"
    )
    (silent,) = [p.help for p in lmmcore.plugins() if p.name == "silent"]
    assert "cannot be imported" in silent
    assert "heavy_optimizers" not in sys.modules
    with pytest.raises(
        PluginError, match=r"'heavy' .* cannot be imported from .*MemoryError: too heavy"
    ):
        model().fit(method="heavy")
    with pytest.raises(PluginError, match=r"'nowhere' .*ModuleNotFoundError"):
        model().fit(method="nowhere")


def test_families(registered):
    class Family:
        @hookimpl
        def lmmcore_optimizers(self, register):
            register("step{n}", lambda n: Halving() if n < 9 else 1 / 0)
            register("fixed7", Halving())
            register("fixed{n}", lambda n: Halving())

    registered(Family())
    assert model().fit(method="step3").converged
    assert extension.look_up("optimizer", "step3").name == "step3"
    with pytest.raises(PluginError, match="failed to make member 9: ZeroDivisionError"):
        model().fit(method="step9")
    with pytest.raises(PluginError, match="'fixed7' is registered by"):
        model().fit(method="fixed7")
    with pytest.raises(OptionError, match="'step' is not known"):
        model().fit(method="step")


def test_names_are_text_in_lower_case(registered):
    for bad in ("Halving", "", 3):

        class Bad:
            @hookimpl
            def lmmcore_optimizers(self, register, bad=bad):
                register(bad, Halving())

        what = Bad()
        extension.register(what)
        try:
            with pytest.raises(PluginError, match="expected text in lower case"):
                model().fit()
        finally:
            extension.unregister(what)


def test_what_is_not_installed_is_suggested():
    names = {(p.kind, p.name) for p in lmmcore.plugins()}
    if ("optimizer", "bobyqa") in names or ("covariance", "exp") in names:
        pytest.skip("the distributions of plugins/ are installed")
    with pytest.raises(
        OptionError, match=r"'bobyqa' is not installed; .*pip install \./plugins/lmmcore-nlopt"
    ):
        model().fit(method="bobyqa")
    with pytest.raises(OptionError, match=r"pip install \./plugins/lmmcore-spatial"):
        lmmcore.mixedlm("Yield ~ exp(1 | Batch)", lmmcore.datasets.load_dyestuff()).fit()


class FakeEntryPoint:
    """An installed distribution as importlib.metadata shows it."""

    group, name, value = "lmmcore", "plugin", "somewhere"

    def __init__(self, distribution, what):
        self.dist = SimpleNamespace(name=distribution, version="9.9")
        self.what = what

    def load(self):
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


@pytest.fixture
def installed(monkeypatch):
    """Make a manager see entry points, and forget it afterwards."""
    from lmmcore.plugin_host import manager as module

    def see(*entries):
        monkeypatch.setattr(module, "entry_points", lambda group: list(entries))
        module.manager.cache_clear()
        module.forget()

    yield see
    monkeypatch.undo()
    module.manager.cache_clear()
    module.forget()


def test_two_distributions_of_one_entry_point_name_are_both_seen(installed):
    installed(
        FakeEntryPoint("first", plugin(a=Halving())), FakeEntryPoint("second", plugin(a=Halving()))
    )
    with pytest.raises(PluginError, match=r"registered by first \(9.9\) and second \(9.9\)"):
        model().fit(method="a")
    assert model().fit().converged


def test_errors_name_distribution_and_version(installed):
    installed(FakeEntryPoint("first", plugin(broken=Broken())))
    with pytest.raises(PluginError, match=r"optimizer 'broken' \(first 9.9\) returned theta"):
        model().fit(method="broken")
    installed(FakeEntryPoint("second", ImportError("no module named x")))
    with pytest.raises(
        PluginError, match=r"second 9.9, a plugin of lmmcore, cannot be imported: Imp"
    ):
        model().fit()

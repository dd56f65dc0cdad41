"""Residual structures as plugins: the built-in ones keep the rules, and a broken one is named."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import PluginError
from lmmcore.extension import find, hookimpl, register, unregister
from lmmcore.testing import RuleBroken, check_residual, plugin_checks

CHECKS = [c for c in plugin_checks("lmmcore") if c.plugin.kind == "residual"]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_built_in_structures_keep_the_rules(check):
    check(max_examples=25)


@pytest.mark.parametrize(("name", "options"), [("arma", {"p": 2, "q": 2}), ("exp", {"nugget": True}),
                                               ("matern", {"nu": 2.5, "nugget": True})])  # fmt: skip
def test_options(name, options):
    check_residual(find("residual", name), max_examples=25, **options)


class Bound:
    n_parameters = 1
    starts = [np.full(1, 0.5)]

    def __init__(self, broken):
        self.broken = broken
        if broken == "starts":
            self.starts = [np.zeros(2)]

    def matrix(self, u, values):
        distance = np.abs(values[:, None, 0] - values[None, :, 0])
        scale = np.exp(u[0])
        if self.broken == "derivative":
            scale = np.exp(abs(u[0]) + 0.1)  # a complex step does not see abs
        found = 1.0 / (1.0 + scale * distance)
        if self.broken == "symmetric":
            found = found + np.triu(np.ones_like(distance), 1)
        if self.broken == "shape":
            found = found[:-1]
        if self.broken == "raises":
            raise ZeroDivisionError("nothing")
        return found

    def describe(self, u):
        return (
            {"decay": "fast"} if self.broken == "describe" else {"decay": float(np.exp(u[0]).real)}
        )


class Structure:
    title = "broken"

    def __init__(self, broken):
        self.broken = broken

    def bind(self, positions, **options):
        return Bound(self.broken)


@pytest.mark.parametrize(
    "broken", ["starts", "symmetric", "shape", "raises", "describe", "derivative"]
)
def test_a_broken_plugin_is_named(broken):
    class Plugin:
        @hookimpl
        def lmmcore_residuals(self, register):
            register("broken", Structure(broken))

    plugin = Plugin()
    register(plugin)
    try:
        rng = np.random.default_rng(0)
        data = pd.DataFrame({"g": np.repeat(np.arange(9), 4), "t": np.tile(np.arange(4), 9)})
        data["y"] = rng.standard_normal(36)
        with pytest.raises(PluginError, match="broken"):
            lmmcore.gls("y ~ t", data, "broken(t | g)").fit().summary()
    finally:
        unregister(plugin)
    if broken != "describe":
        with pytest.raises(RuleBroken):
            check_residual(Structure(broken), max_examples=20)


def test_arma_at_a_unit_root_is_out_of_range():
    """The recursion has no stationary solution there; a search that gets so far turns back."""
    from lmmcore.residual.arma import autocorrelations

    found = autocorrelations(np.array([1.0]), np.zeros(0), 4)
    assert np.isnan(found).all()

"""A hostile plugin ends in one error that names it, and the model fits right afterwards."""

import numpy as np
import pytest

import lmmcore
from lmmcore import extension
from lmmcore.covariance.unstructured import Unstructured
from lmmcore.errors import ConvergenceWarning, OptionError, PluginError
from lmmcore.extension import DataValueError, OptimizeOutcome, hookimpl

CRITERION = 1743.6282719584906


@pytest.fixture
def model():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)


@pytest.fixture
def registered():
    added = []

    def add(kind, **implementations):
        def hook(self, register):
            for name, implementation in implementations.items():
                register(name, implementation)

        plugin = type("Plugin", (), {f"lmmcore_{kind}": hookimpl(hook)})()
        hook.__name__ = f"lmmcore_{kind}"
        extension.register(plugin, "hostile-dist")
        added.append(plugin)

    yield add
    for plugin in added:
        extension.unregister(plugin)


def outcome(theta, **changes):
    return OptimizeOutcome(
        **{"theta": theta, "converged": True, "message": "", "iterations": 1} | changes
    )


def loops_on_nan(objective, start):
    while not objective.value(start * np.nan) < 0.0:
        pass


def loops_for_ever(objective, start):
    while True:
        try:
            objective.value(start)
        except Exception:  # swallows what it can
            continue


def mutates(objective, start):
    """Ruins every array that it can reach, then stops anywhere."""
    _, gradient, hessian = objective.value_gradient_hessian(start)
    objective.value_and_gradient(start)[1][:] = np.nan
    gradient[:] = hessian[:] = np.nan
    objective.em_step(start)[:] = np.nan
    theta = start + 1.0
    objective.value(theta)
    theta[:] = np.nan
    start[:] = np.nan
    return outcome(np.ones(3))


OPTIMIZERS = {
    "raises": (lambda f, x: 1 / 0, "raised ZeroDivisionError: division by zero"),
    "nothing": (lambda f, x: None, "returned None; expected an OptimizeOutcome"),
    "nan": (lambda f, x: outcome(x * np.nan), "returned theta .*expected 3 finite numbers"),
    "shape": (lambda f, x: outcome(np.ones((3, 1))), "returned theta .*expected 3 finite numbers"),
    "text": (lambda f, x: outcome("abc"), "returned theta 'abc'; expected 3 finite numbers"),
    "numerals": (lambda f, x: outcome(["1", "2", "3"]), "returned theta .*expected 3 finite"),
    "ragged": (lambda f, x: outcome([[1.0], 2.0, 3.0]), "returned theta .*expected 3 finite"),
    "iterations": (lambda f, x: outcome(x, iterations="many"), "returned iterations=.many.; expected"),
    "path": (lambda f, x: outcome(x, path=[1, 2]), r"returned path=\[1, 2\]; expected a list of"),
    "asks-text": (lambda f, x: f.value("abc"), "evaluated the criterion at 'abc'; expected 3 numbers"),
    "asks-shape": (lambda f, x: f.value(x[:2]), "evaluated the criterion at .*; expected 3 numbers"),
    "loops-on-nan": (loops_on_nan, "evaluated the criterion 1000 times in a row at a theta that "
    "is not finite"),
}  # fmt: skip


class By:
    """An optimizer made of a function."""

    def __init__(self, function):
        self.function = function

    def minimize(self, objective, start, *, options, callback=None):
        options["maxiter"] = -1  # its own copy
        return self.function(objective, start)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hostile_optimizers(model, registered, name):
    function, words = OPTIMIZERS[name]
    registered("optimizers", hostile=By(function))
    options = {"tol": 1e-8}
    named = r"optimizer 'hostile' \(hostile-dist registered in this process\) "
    with pytest.raises(PluginError, match=named + words) as caught:
        model.fit(method="hostile", **options)
    assert "Choose another method, or report this to its authors" in str(caught.value)
    assert options == {"tol": 1e-8}
    assert model.fit().criterion == pytest.approx(CRITERION, abs=1e-9)


def test_an_optimizer_that_ruins_its_arrays(model, registered):
    registered("optimizers", hostile=By(mutates))
    with pytest.warns(ConvergenceWarning):
        fit = model.fit(method="hostile")
    # The certificate knows that this is no optimum, and the next optimizer goes on from it.
    assert not fit.converged
    assert np.isfinite(fit.criterion)
    fit = model.fit(method=["hostile", "newton"])
    assert fit.converged
    assert fit.criterion == pytest.approx(CRITERION, abs=1e-9)
    assert model.fit().criterion == pytest.approx(CRITERION, abs=1e-9)


def test_a_loop_without_end_is_stopped_at_the_lowest_point(model, registered):
    registered("optimizers", hostile=By(loops_for_ever))
    with pytest.warns(ConvergenceWarning, match="stopped after max_evaluations=50 evaluations"):
        fit = model.fit(method="hostile", max_evaluations=50, start_params=[0.5, 0.0, 0.1])
    assert not fit.converged
    for bad in (0, 2.5, True, "many"):
        with pytest.raises(OptionError, match="max_evaluations"):
            model.fit(max_evaluations=bad)


def test_an_object_that_is_no_optimizer(model, registered):
    registered("optimizers", hostile=3)
    with pytest.raises(PluginError, match=r"'hostile' .* has no method minimize"):
        model.fit(method="hostile")


def test_errors_of_the_user_are_shown_as_they_are(model):
    """What a callback raises is not the optimizer's fault."""

    def stop(iteration, value):
        raise RuntimeError("enough")

    for method in ("newton", "nelder-mead"):
        with pytest.raises(RuntimeError, match="enough"):
            model.fit(method=method, callback=stop, start_params=[0.5, 0.0, 0.1])
    assert model.fit().criterion == pytest.approx(CRITERION, abs=1e-9)


class Plain(Unstructured):
    """Unstructured, to be broken."""

    closed_under = "scaling"


def broken(**methods):
    return type("Hostile", (Plain,), methods)()


def wrong_at_second_call(self, theta, k):
    self.calls = getattr(self, "calls", 0) + 1
    root = Plain.factor(self, theta, k)
    return root if self.calls < 3 else root * np.nan


def changes_theta(self, theta, k):
    theta += 1.0
    return Plain.factor(self, theta, k)


STRUCTURES = {
    "raises": ({"factor": lambda s, t, k: 1 / 0}, "raised ZeroDivisionError in factor"),
    "raises-early": ({"n_parameters": lambda s, k: 1 / 0}, "raised ZeroDivisionError in n_param"),
    "count": ({"n_parameters": lambda s, k: 2.5}, r"n_parameters\(2\) returned 2.5; expected a whole"),
    "start": ({"parameters": lambda s, g: np.ones(2)}, r"parameters\(g\) returned .*expected 3 finite"),
    "start-nan": ({"parameters": lambda s, g: np.full(3, np.nan)}, r"parameters\(g\) returned .*nan"),
    "shape": ({"factor": lambda s, t, k: np.ones((3, 3))}, r"factor returned shape \(3, 3\)"),
    "text": ({"factor": lambda s, t, k: np.full((2, 2), "a")}, "expected an array of floats"),
    "words": ({"factor": lambda s, t, k: "no"}, "factor returned 'no'; expected an array of floats"),
    "nan": ({"factor": wrong_at_second_call}, r"factor is not finite at theta = \["),
    "slope-shape": (
        {"factor_derivative": lambda s, t, k: np.zeros((2, 2, 2))},
        r"factor_derivative returned shape \(2, 2, 2\); expected \(3, 2, columns",
    ),
    "slope-nan": (
        {"factor_derivative": lambda s, t, k: np.full((3, 2, 2), np.nan)},
        "factor_derivative is not finite",
    ),
    "slope-lies": (
        {"factor_derivative": lambda s, t, k: -Plain.factor_derivative(s, t, k)},
        "factor_derivative is not the derivative of factor",
    ),
    "not-linear": (
        {
            "factor": lambda s, t, k: Plain.factor(s, np.sin(t), k),
            "factor_derivative": lambda s, t, k: Plain.factor_derivative(s, t, k)
            * np.cos(t)[:, None, None],
        },
        "factor_second_derivative is None and factor is not linear",
    ),
    "second-lies": (
        {
            "factor": lambda s, t, k: Plain.factor(s, np.sin(t), k),
            "factor_derivative": lambda s, t, k: Plain.factor_derivative(s, t, k)
            * np.cos(t)[:, None, None],
            "factor_second_derivative": lambda s, t, k: np.ones((3, 3, 2, 2)),
        },
        "factor_second_derivative is not the derivative of factor_derivative",
    ),
    "rank": ({"rank": lambda s, k: 3}, r"rank\(2\) returned 3; expected a whole number from 0 to 2"),
    "rank-text": ({"rank": lambda s, k: "full"}, r"rank\(2\) returned 'full'; expected a whole"),
    "mutates": ({"factor": changes_theta}, "raised ValueError in factor: .*read-only"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_hostile_structures(model, registered, name):
    methods, words = STRUCTURES[name]
    registered("covariances", hostile=broken(**methods))
    named = r"covariance 'hostile' \(hostile-dist registered in this process\) .*"
    data = lmmcore.datasets.load_sleepstudy()
    models = []

    def fit():
        if not models:
            models.append(lmmcore.mixedlm("Reaction ~ Days + hostile(Days | Subject)", data))
        return models[0].fit()

    for _ in range(2):  # the second fit of the same model says the same; some end when it is built
        with pytest.raises(PluginError, match=named + words) as caught:
            fit()
        assert "Choose another structure" in str(caught.value)
    assert model.fit().criterion == pytest.approx(CRITERION, abs=1e-9)


def test_a_structure_given_as_an_object_is_named_by_its_class():
    data = lmmcore.datasets.load_sleepstudy()
    given = broken(factor=lambda s, t, k: 1 / 0)
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data, covariance=given)
    with pytest.raises(PluginError, match=r"covariance structure Hostile of .*test_hostile raised"):
        model.fit()


def test_a_description_that_is_none(registered):
    registered("covariances", hostile=broken(describe=lambda s, t, n, sigma: None))
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + hostile(Days | Subject)", data).fit()
    assert fit.criterion == pytest.approx(CRITERION, abs=1e-9)
    with pytest.raises(PluginError, match=r"'hostile' .* describe returned None; expected \{text"):
        fit.covariance_parameters  # noqa: B018


def test_what_a_structure_says_in_the_house_errors_is_said_as_it_stands(registered):
    def refuse(self, theta, k):
        raise DataValueError("positions must be numbers")

    registered("covariances", hostile=broken(factor=refuse))
    data = lmmcore.datasets.load_sleepstudy()
    with pytest.raises(DataValueError, match=r"^positions must be numbers$"):
        lmmcore.mixedlm("Reaction ~ Days + hostile(Days | Subject)", data).fit()

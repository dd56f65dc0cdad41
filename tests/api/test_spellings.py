"""Arguments under names that other packages have for them."""

import inspect

import numpy as np
import pytest

import lmmcore
from lmmcore import spellings
from lmmcore.errors import LmmcoreError, OptionError, UnknownArgumentError

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def data():
    return lmmcore.datasets.load_sleepstudy()


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"REML": False}, "'reml'"), ({"optimizer": "bfgs"}, "'method'"), ({"control": {}}, "fit(maxiter="),
        ({"max_iter": 3}, "'maxiter'"), ({"start": [1.0]}, "'start_params'"), ({"raml": True}, "'reml'"),
        ({"calback": print}, "'callback'"), ({"family": "gaussian"}, "Gaussian"), ({"nAGQ": 2}, "quadrature"),
        ({"method": "ML"}, "reml=False"), ({"method": "REML"}, "reml=True"),
        ({"do_cg": False, "REML": True}, "'reml'"), ({"method": "lbfgs", "REML": True}, "'reml'"),
        ({"na_action": "omit"}, "missing="), ({"weights": "w"}, "mixedlm(formula, data, weights"),
    ],
)  # fmt: skip
def test_arguments_of_fits(data, arguments, meant):
    model = lmmcore.mixedlm(FORMULA, data)
    with pytest.raises(OptionError) as caught:
        model.fit(**arguments)
    assert meant in str(caught.value)
    if "method" not in arguments and "do_cg" not in arguments:
        with pytest.raises(LmmcoreError) as caught:
            model.fit_regularized(alpha=1.0, **arguments)
        assert meant in str(caught.value) or "weights" in arguments


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"wieghts": "Days"}, "'weights'"), ({"family": "poisson"}, "Gaussian"),
        ({"na_action": "omit"}, "missing="), ({"na.action": "omit"}, "missing="),
        ({"REML": False}, "fit(reml=False)"), ({"random": "~1|g"}, "re_formula"),
        ({"offset": "Days"}, "offset(z)"), ({"contrasts": {}}, "C(f, Sum)"),
        ({"control": {}}, "fit(maxiter="), ({"correlation": "ar1"}, "residuals"),
        ({"groupes": "Subject"}, "'groups'"), ({"group": "x"}, "'groups'"),
    ],
)  # fmt: skip
def test_arguments_of_models(data, arguments, meant):
    for build in (
        lambda: lmmcore.mixedlm(FORMULA, data, **arguments),
        lambda: lmmcore.MixedLM.from_formula(FORMULA, data, **arguments),
        lambda: lmmcore.MixedLM(data["Reaction"], data[["Days"]], data["Subject"], **arguments),
    ):
        with pytest.raises(UnknownArgumentError) as caught:
            build()
        assert meant in str(caught.value)
        assert isinstance(caught.value, TypeError)


def test_the_lists_are_those_of_the_functions():
    def names(function):
        kinds = (inspect.Parameter.VAR_KEYWORD,)
        found = inspect.signature(function).parameters.values()
        return {p.name for p in found if p.kind not in kinds} - {"self", "_depth"}

    assert names(lmmcore.MixedLM.from_formula) == set(spellings.FORMULA_ARGUMENTS)
    assert names(lmmcore.MixedLM.__init__) == set(spellings.INIT_ARGUMENTS)
    assert names(lmmcore.MixedLM.fit) | {"maxiter"} == set(spellings.FIT_ARGUMENTS)


def test_no_argument_that_exists_is_called_another_name():
    assert not set(spellings.FIT) & set(spellings.FIT_ARGUMENTS)
    assert not set(spellings.MODEL) & {*spellings.FORMULA_ARGUMENTS, *spellings.INIT_ARGUMENTS}


def test_options_that_exist_still_work(data):
    fit = lmmcore.mixedlm(FORMULA, data).fit(maxiter=50, tol=1e-10)
    assert np.isclose(fit.criterion, 1743.6282719584906)

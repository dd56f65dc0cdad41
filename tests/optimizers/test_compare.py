"""One model by all optimizers, in a table."""

import numpy as np
import pytest

import lmmcore
from lmmcore import extension
from lmmcore.errors import OptionError
from lmmcore.extension import hookimpl


@pytest.fixture(scope="module")
def model():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)


def test_all_optimizers_agree(model):
    started = []
    table = lmmcore.compare_optimizers(model, reml=False, callback=started.append)
    assert started == table.index.tolist()
    assert {"newton", "em", "bfgs", "nelder-mead", "newton-cg", "cobyla"} <= set(started)
    # One row for each optimizer, not for each name.
    assert not {"nm", "ncg"} & set(started)
    assert table["converged"].all()
    assert not table["singular"].any()
    assert table["difference"].between(0.0, 1e-5).all()
    assert (table["evaluations"] >= 1).all()
    assert (table["evaluations"] > 1).sum() > 5
    assert (table["seconds"] > 0).all()
    fit = model.fit(reml=False)
    expected = [*fit.fe_params, *fit.cov_re.to_numpy()[[0, 1, 1], [0, 0, 1]], fit.scale]
    names = ["Intercept", "Days", "Subject Var", "Subject x Days Cov", "Days Var", "scale"]
    assert table.columns[-6:].tolist() == names
    np.testing.assert_allclose(table[names].loc["newton"].astype(float), expected, rtol=1e-6)
    np.testing.assert_allclose(
        table[names].astype(float), np.tile(expected, (len(table), 1)), rtol=2e-3, atol=1e-3
    )


def test_what_fails_is_a_row_with_its_error(model):
    class Bad:
        def minimize(self, objective, start, *, options, callback=None):
            raise RuntimeError("no luck")

    class Plugin:
        @hookimpl
        def lmmcore_optimizers(self, register):
            register("bad", Bad())

    plugin = Plugin()
    held = model.reml
    extension.register(plugin, "somebody")
    try:
        table = lmmcore.compare_optimizers(
            model, ["bad", "newton", "nelder-mead"], maxiter=24, start_params=[3.0, 0.0, 3.0]
        )
    finally:
        extension.unregister(plugin)
    assert np.isnan(table.loc["bad", "criterion"])
    assert "RuntimeError: no luck" in table.loc["bad", "message"]
    assert "somebody" in table.loc["bad", "message"]
    assert table["converged"].tolist() == [False, True, False]
    assert table.loc["newton", "difference"] == 0.0
    assert table.loc["nelder-mead", "difference"] > 1e-3
    assert "aximum number of iterations" in table.loc["nelder-mead", "message"]
    assert model.reml is held


def test_bad_arguments(model):
    for methods in ("newton", [], ()):
        with pytest.raises(OptionError, match="expected a sequence of names"):
            lmmcore.compare_optimizers(model, methods)
    with pytest.raises(OptionError, match="'newtn' is not known; did you mean 'newton'"):
        lmmcore.compare_optimizers(model, ["newtn"])

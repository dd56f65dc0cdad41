"""Results without the rows of the data."""

import pickle

import numpy as np
import pytest

import lmmcore
from lmmcore.errors import DataRemovedError


def fitted():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(50), 200)
    data = {"x": rng.standard_normal(10_000), "g": g}
    data["y"] = data["x"] + rng.standard_normal(50)[g] + rng.standard_normal(10_000)
    return lmmcore.mixedlm("y ~ x + (1 | g)", data).fit(), data


def test_small_and_whole_but_for_the_rows(tmp_path):
    fit, data = fitted()
    summary, effects = fit.summary().as_text(), fit.random_effects_frame
    large = len(pickle.dumps(fit))
    fit.fittedvalues  # noqa: B018 — computed before, gone after
    fit.save(tmp_path / "fit.pickle", remove_data=True)
    again = lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")
    assert (tmp_path / "fit.pickle").stat().st_size < large / 10
    for one in (fit, again):
        assert one.summary().as_text() == summary
        np.testing.assert_array_equal(one.random_effects_frame, effects)
        np.testing.assert_array_equal(one.bse, fit.bse)
        new = {"x": data["x"][:3], "g": data["g"][:3]}
        assert one.predict(new).shape == (3,)
        assert one.model.loglike(one.params_object) == pytest.approx(one.llf)
        assert one.model.fit().criterion == pytest.approx(one.criterion)


@pytest.mark.parametrize(
    "use",
    [
        lambda f: f.fittedvalues,
        lambda f: f.resid,
        lambda f: f.predict(),
        lambda f: f.model.endog,
        lambda f: f.model.exog,
        lambda f: f.model.exog_re,
        lambda f: f.model.groups,
        lambda f: f.model.row_indices,
        lambda f: f.bootstrap(3),
        lambda f: f.bootstrap(3, kind="parametric", fun=lambda r: r.params),
        lambda f: f.refit(fitted()[1]),
        lambda f: f.hat_values,
    ],
)
def test_what_needs_the_rows_says_so(use):
    fit, _ = fitted()
    fit.remove_data()
    with pytest.raises(DataRemovedError, match="remove_data"):
        use(fit)


def test_the_parametric_bootstrap_of_independent_groups_needs_no_rows():
    fit, whole = (fitted()[0] for _ in range(2))
    fit.remove_data()
    one, other = (f.bootstrap(20, kind="parametric", rng=1)[2] for f in (fit, whole))
    np.testing.assert_array_equal(one, other)

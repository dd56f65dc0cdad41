"""The bootstrap: resampled groups, drawn responses, reproducibility, failures."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import (
    ConvergenceWarning,
    DataTypeError,
    DataValueError,
    LmmcoreError,
    OptionError,
)


def drawn(q=80, m=6, seed=5):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(q), m)
    x = np.column_stack([np.ones(q * m), rng.standard_normal(q * m)])
    y = x @ [1.0, 0.5] + rng.standard_normal(q)[g] + rng.standard_normal(q * m)
    return lmmcore.MixedLM(y, x, g)


@pytest.mark.parametrize("kind", ["groups", "parametric"])
def test_spread_is_that_of_the_estimates(kind):
    fit = drawn().fit()
    mean, std, values = fit.bootstrap(300, rng=1, kind=kind)
    assert values.shape == (300, 3)
    np.testing.assert_array_equal(fit.bootstrap_results, values)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(std, values.std(axis=0))
    # 300 replications know a standard deviation to some 4 %; 25 % is six of these.
    np.testing.assert_allclose(std, fit.bse, rtol=0.25)
    np.testing.assert_allclose(mean, fit.params, atol=5 * fit.bse.max() / np.sqrt(300) + 0.05)


def test_a_group_drawn_twice_is_two_groups():
    model = drawn(20)
    fit = model.fit()
    groups = []
    fit.bootstrap(5, rng=2, fun=lambda f: groups.append((f.model.n_groups, f.nobs)) or 1.0)
    assert groups == [(20, 120)] * 6


def test_same_seed_same_draws_and_the_model_is_untouched():
    fit = drawn(15).fit()
    before = fit.model.endog.copy()
    again = [fit.bootstrap(4, rng=np.random.default_rng(3), store=False)[2] for _ in range(2)]
    np.testing.assert_array_equal(*again)
    np.testing.assert_array_equal(fit.model.endog, before)
    assert not hasattr(fit, "bootstrap_results")
    fit.bootstrap(4, rng=np.random.RandomState(3))
    seen = []
    fit.bootstrap(3, rng=1, callback=lambda i, n: seen.append((i, n)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_statistic_weights_and_components():
    data = lmmcore.datasets.load_pastes()
    fit = lmmcore.MixedLM.from_formula(
        "strength ~ 1", data, "1", {"cask": "0 + C(cask)"}, groups="batch"
    ).fit()
    mean, _, values = fit.bootstrap(30, rng=1, fun=lambda f: np.sqrt(f.scale))
    assert values.shape == (30, 1)
    assert mean[0] == pytest.approx(0.82, abs=0.15)
    _, std, _ = fit.bootstrap(30, rng=1, kind="parametric")
    assert np.all(std > 0)


def test_failures_are_told():
    """A level that occurs in one group alone is missing from many resamples."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(8), 5)
    rare = (g == 0) * rng.standard_normal(40)
    x = np.column_stack([np.ones(40), rare])
    fit = lmmcore.MixedLM(rng.standard_normal(40) + (g % 3), x, g).fit()
    with pytest.warns(ConvergenceWarning, match="refits failed"):
        mean, _, values = fit.bootstrap(40, rng=1)
    failed = np.isnan(values).any(axis=1)
    assert 0 < failed.sum() < 40
    np.testing.assert_allclose(mean, values[~failed].mean(axis=0))


def test_bad_arguments():
    fit = drawn(10).fit()
    for arguments, match in (
        ({"nrep": 1}, "nrep=1"),
        ({"nrep": 2.5}, "nrep=2.5"),
        ({"kind": "rows"}, "kind='rows'"),
        ({"nrep": 3, "method": "newtn"}, "newtn"),
    ):
        with pytest.raises(LmmcoreError, match=match):
            fit.bootstrap(**arguments)
    assert issubclass(OptionError, LmmcoreError)


def test_held_values_stay_where_they_were():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    components = lmmcore.MixedLMParams.from_components
    start = components(np.zeros(2), np.array([[0.9, 0.2], [0.2, 0.1]]))
    free = components(np.ones(2), np.array([[1.0, 0.0], [0.0, 1.0]]))
    fit = model.fit(start, free=free)
    held = np.linalg.cholesky(start.cov_re)[1, 0]
    _, _, values = fit.bootstrap(4, rng=2, kind="parametric")
    for packed in values:
        g = np.array([[packed[2], packed[3]], [packed[3], packed[4]]])
        assert np.linalg.cholesky(g)[1, 0] == pytest.approx(held, rel=1e-8)


def test_wrong_generator_function_and_subset():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit()
    with pytest.raises(OptionError, match="rng='x'; expected None, a seed"):
        fit.bootstrap(3, rng="x")
    with pytest.raises(OptionError, match="did you mean kind='parametric'"):
        fit.bootstrap(3, method="parametric")
    penalized = [fit.model.fit_regularized(alpha=0.1, variances=v) for v in ("held", "joint")]
    for kind in ("groups", "parametric"):  # not a failure of each refit
        for found in (fit, *penalized):
            with pytest.raises(OptionError, match="optimizer 'nowton' is not known"):
                found.bootstrap(3, "nowton", kind=kind)
    with pytest.raises(DataTypeError, match="what fun returned is the text 'a'"):
        fit.bootstrap(3, fun=lambda _: "a")
    with pytest.raises(DataValueError, match="subset='zz' does not select rows of data"):
        lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data, subset="zz")


def test_offset_and_rows_follow_the_groups_that_were_drawn():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), rng.integers(3, 7, 12))})
    data["x"], data["o"] = rng.standard_normal((2, len(data)))
    data["y"] = data["x"] + 5 * data["o"] + rng.standard_normal(12)[data["g"]]
    data["y"] += rng.standard_normal(len(data))
    fit = lmmcore.mixedlm("y ~ x + offset(5 * o) + (1 | g)", data).fit()
    drawn = []
    fit.bootstrap(4, rng=1, fun=lambda f: drawn.append(f) or 1.0)
    for again in drawn[1:]:
        rows = again.model.rows_used
        np.testing.assert_allclose(again.model.endog, data["y"].to_numpy()[rows])
        np.testing.assert_allclose(again.model.exog[:, 1], data["x"].to_numpy()[rows])
        beta = again.fe_params.to_numpy()
        expected = beta[0] + beta[1] * data["x"].to_numpy()[rows] + 5 * data["o"].to_numpy()[rows]
        np.testing.assert_allclose(again.predict(), expected)
        pd.testing.assert_frame_equal(again.model.data.frame, data.iloc[rows])

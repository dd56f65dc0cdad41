"""The bootstrap: resampled groups, drawn responses, reproducibility, failures."""

import inspect

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


# Kinds


def test_groups_of_one_crossed_factor():
    """Levels of the named factor become new ones, those nested in it too; crossed ones stay."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"school": np.repeat(np.arange(10), 12), "item": np.tile(np.arange(6), 20)})
    data["pupil"] = np.repeat(np.arange(20), 6)
    data["x"] = rng.standard_normal(120)
    data["y"] = data.x + rng.standard_normal(10)[data.school] + rng.standard_normal(20)[data.pupil]
    data["y"] += rng.standard_normal(6)[data["item"]] + rng.standard_normal(120)
    fit = lmmcore.mixedlm("y ~ x + (1 | school) + (1 | pupil) + (1 | item)", data).fit()
    seen = []
    fit.bootstrap(5, rng=1, level="school", fun=lambda f: seen.append(f.model) or 1.0)
    for model in seen[1:]:
        school, pupil, item = model.design.groupings
        assert (school.n_levels, pupil.n_levels, item.n_levels) == (10, 20, 6)
        rows = model.rows_used
        np.testing.assert_array_equal(item.labels[item.codes], data["item"].to_numpy()[rows])
        drawn = pd.DataFrame({"copy": school.codes, "was": data.school.to_numpy()[rows]})
        assert (drawn.groupby("copy").was.nunique() == 1).all()
        inside = pd.DataFrame({"pupil": pupil.codes, "school": school.codes})
        assert (inside.groupby("pupil").school.nunique() == 1).all()
        np.testing.assert_allclose(model.endog, data.y.to_numpy()[rows])
    seen.clear()
    fit.bootstrap(2, rng=1, level="item", fun=lambda f: seen.append(f.model) or 1.0)
    assert seen[1].design.groupings[0].n_levels == 10
    with pytest.raises(OptionError, match="expected level='school'"):
        fit.bootstrap(3)
    with pytest.raises(OptionError, match="level='class'; expected one of 'school'"):
        fit.bootstrap(3, level="class")
    with pytest.raises(OptionError, match="with kind='groups' only"):
        fit.bootstrap(3, level="school", kind="parametric")


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 + x | g)", "y ~ x + (1 | g)", "y ~ x + (1 | g) + (1 | h)"]
)
def test_residuals_have_the_estimated_variances(formula):
    from lmmcore.resampling.replicates import drawing_residuals

    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(200), 5), "h": np.tile(np.arange(20), 50)})
    data["x"], data["w"] = rng.standard_normal(1000), rng.uniform(0.5, 2.0, 1000)
    b = rng.standard_normal((200, 2))
    data["y"] = b[data.g, 0] + b[data.g, 1] * data.x + rng.standard_normal(20)[data.h]
    data["y"] += rng.standard_normal(1000) / np.sqrt(data.w)
    fit = lmmcore.mixedlm(formula, data, weights="w").fit()
    draw = drawing_residuals(fit)
    again = np.array([draw(rng) for _ in range(400)])
    expected = fit.model.exog @ fit.fe_params.to_numpy()
    assert np.abs(again.mean(axis=0) - expected).max() < 6 * again.std(axis=0).max() / 20
    cov = np.asarray(fit.cov_re)
    z = fit.model.exog_re
    variance = np.einsum("ia,ab,ib->i", z, cov, z) + fit.scale / data.w
    assert again.var(axis=0).mean() == pytest.approx(variance.mean(), rel=0.05)
    mean, std, _ = fit.bootstrap(100, kind="residual", rng=2)
    assert (np.abs(mean - fit.params) <= 4 * fit.bse).all()
    assert (std[:3] > 0).all()
    with pytest.raises(OptionError, match="kind='residual' with variance components"):
        lmmcore.MixedLM.from_formula(
            "strength ~ 1",
            lmmcore.datasets.load_pastes(),
            "1",
            {"cask": "0 + C(cask)"},
            groups="batch",
        ).fit().bootstrap(3, kind="residual")


# Intervals


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


def test_named_parameters_and_simple_intervals(sleep):
    found = sleep.bootstrap(400, kind="parametric", rng=4)
    assert set(found.frame.columns) == set(sleep.profile(["sigma"]).curves) | {
        *sleep.fe_params.index,
        "sd(Intercept | Subject)", "sd(Days | Subject)", "corr(Intercept, Days | Subject)",
    }  # fmt: skip
    cov = sleep.cov_re.to_numpy()
    assert found.estimate["sd(Days | Subject)"] == pytest.approx(np.sqrt(cov[1, 1]))
    assert found.estimate["sigma"] == pytest.approx(np.sqrt(sleep.scale))
    assert found.estimate["corr(Intercept, Days | Subject)"] == pytest.approx(
        cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    )
    scale = found.frame["sigma"].to_numpy() ** 2
    np.testing.assert_allclose(found.frame["sd(Days | Subject)"] ** 2, found.values[:, 4] * scale)
    low, high = np.quantile(found.frame["Days"], [0.05, 0.95])
    t = sleep.fe_params["Days"]
    limits = {
        m: found.conf_int(0.1, m).loc["Days"].tolist() for m in ("percentile", "basic", "normal")
    }
    assert limits["percentile"] == pytest.approx([low, high])
    assert limits["basic"] == pytest.approx([2 * t - high, 2 * t - low])
    se, bias = found.frame["Days"].std(), found.frame["Days"].mean() - t
    z = 1.6448536269514722
    assert limits["normal"] == pytest.approx([t - bias - z * se, t - bias + z * se])
    assert found.se["Days"] == pytest.approx(se)
    assert found.bias["Days"] == pytest.approx(bias)
    assert "Bootstrap (parametric), 400 refits" in str(found)
    with pytest.raises(OptionError, match="method='t'"):
        found.conf_int(method="t")
    boot = sleep.conf_int(0.1, method="boot", nrep=400, rng=4)
    pd.testing.assert_frame_equal(boot, found.conf_int(0.1))
    with pytest.raises(OptionError, match="interval='x'"):
        sleep.conf_int(method="boot", interval="x")


def test_bca_beside_scipy():
    """In a balanced one-way design β̂ is the mean of the group means: SciPy's bootstrap of these."""
    from scipy import stats

    rng = np.random.default_rng(0)
    means = rng.gamma(1.0, 2.0, 25)
    g = np.repeat(np.arange(25), 4)
    within = rng.standard_normal((25, 4)) * 0.3
    y = np.repeat(means, 4) + (within - within.mean(axis=1, keepdims=True)).ravel()
    fit = lmmcore.mixedlm("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g})).fit()
    found = fit.bootstrap(4000, rng=1)
    seed = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    options = {"n_resamples": 20_000, "method": "BCa", seed: np.random.default_rng(2)}
    known = stats.bootstrap((means,), np.mean, **options).confidence_interval
    limits = found.conf_int(method="bca").loc["Intercept"]
    assert limits.to_numpy() == pytest.approx(
        [known.low, known.high], abs=0.1 * found.se["Intercept"]
    )
    plain = found.conf_int().loc["Intercept"]
    assert (limits - plain > 0.05 * found.se["Intercept"]).all()  # skewed to the right


def test_acceleration_of_a_function_is_that_of_the_parameter(sleep):
    from lmmcore.resampling.jackknife import acceleration

    plain = sleep.bootstrap(3, kind="parametric", rng=1)
    own = sleep.bootstrap(3, kind="parametric", rng=1, fun=lambda f: f.fe_params)
    assert list(own.frame.columns) == ["Intercept", "Days"]
    one = acceleration(plain.origin, plain.frame.columns)[:2]
    np.testing.assert_allclose(acceleration(own.origin, own.frame.columns), one, rtol=1e-4)


# Workers, files, progress


def _root_of_scale(fit):
    return np.sqrt(fit.scale)


def test_any_number_of_workers_gives_the_same(sleep):
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing import get_context

    plain = {}
    for kind, fun in (("parametric", None), ("groups", None), ("residual", _root_of_scale)):
        plain[kind] = sleep.bootstrap(60, rng=7, kind=kind, fun=fun).values
        with ThreadPoolExecutor(3) as threads:
            found = sleep.bootstrap(60, rng=7, kind=kind, fun=fun, executor=threads).values
        np.testing.assert_array_equal(found, plain[kind])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        found = sleep.bootstrap(60, rng=7, kind="groups", executor=processes).values
    np.testing.assert_array_equal(found, plain["groups"])
    with pytest.raises(OptionError, match=r"expected a concurrent\.futures\.Executor"):
        sleep.bootstrap(3, executor=3)


def test_an_interrupted_run_goes_on(sleep, tmp_path):
    whole = sleep.bootstrap(80, rng=5, kind="groups").values
    path = tmp_path / "boot.npz"
    calls = []

    def stop(done, total):
        calls.append(done)
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sleep.bootstrap(80, rng=5, kind="groups", resume=path, callback=stop)
    refits = []

    def count(i, n):
        refits.append(i)

    again = sleep.bootstrap(80, kind="groups", resume=path, callback=count)
    np.testing.assert_array_equal(again.values, whole)
    assert refits == list(range(1, 81))
    assert not list(tmp_path.glob(".*part"))
    more = sleep.bootstrap(105, rng=5, kind="groups", resume=path)
    np.testing.assert_array_equal(more.values[:75], whole[:75])
    for arguments, words in (
        ({"rng": 6, "kind": "groups"}, "begun with the seed 5"),
        ({"rng": 5, "kind": "parametric"}, "with another kind"),
        ({"rng": 5, "kind": "groups", "fun": _root_of_scale}, "with another statistic"),
    ):
        with pytest.raises(DataValueError, match=words):
            sleep.bootstrap(80, resume=path, **arguments)
    other = sleep.model.fit(reml=False)
    with pytest.raises(DataValueError, match="with another model"):
        other.bootstrap(80, rng=5, kind="groups", resume=path)
    path.write_text("x")
    with pytest.raises(DataValueError, match="is no file of a bootstrap"):
        sleep.bootstrap(80, resume=path)


def test_progress(sleep, capsys):
    sleep.bootstrap(20, kind="parametric", rng=1, progress=True)
    assert "20" in capsys.readouterr().err
    with pytest.raises(OptionError, match="progress='x'"):
        sleep.bootstrap(3, progress="x")


def test_a_model_without_fixed_effects():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6)})
    data["y"] = rng.standard_normal(20)[data.g] + rng.standard_normal(120)
    fit = lmmcore.mixedlm("y ~ 0 + (1 | g)", data).fit()
    for kind in ("parametric", "residual", "groups"):
        found = fit.bootstrap(60, kind=kind, rng=1)
        assert list(found.frame.columns) == ["sd(Intercept | g)", "sigma"]
        assert found.frame.mean()["sigma"] == pytest.approx(np.sqrt(fit.scale), rel=0.1)
    assert found.conf_int(method="bca").notna().all().all()

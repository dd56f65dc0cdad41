"""Models with several grouping factors through the front door."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM
from lmmcore.crossproducts.crossed import crossed_products
from lmmcore.design.build import from_formula
from lmmcore.design.factors import crossed_factors
from lmmcore.errors import DataValueError, LmmcoreWarning, OptionError
from lmmcore.likelihood.coordinates import Coordinates
from lmmcore.likelihood.crossed.engine import CrossedEngine
from lmmcore.likelihood.independent.engine import IndependentEngine

FOLDER = Path(__file__).parents[1] / "reference"
MAXIMAL = json.loads((FOLDER / "maximal.json").read_text())


def ratings(seed=1, n=400, users=40, items=25):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "user": rng.integers(0, users, n),
            "item": rng.integers(0, items, n),
            "x": rng.standard_normal(n),
            "cond": rng.choice(["a", "b", "c"], n),
        }
    )
    data["shop"] = data["item"] % 5
    b, c = rng.standard_normal((users, 2)), 0.7 * rng.standard_normal(items)
    data["y"] = (
        1 + 0.5 * data["x"] + b[data["user"], 0] + 0.5 * b[data["user"], 1] * data["x"]
        + c[data["item"]] + rng.standard_normal(n)
    )  # fmt: skip
    return data


@pytest.mark.parametrize("stored", MAXIMAL, ids=[f"{m['name']}-{m['reml']}" for m in MAXIMAL])
def test_maximal_models(stored):
    """20 and 26 covariance parameters, regular and singular: never above lme4's criterion."""
    data = pd.read_csv(FOLDER / "data" / "maximal.csv")
    fit = lmmcore.mixedlm(stored["formula"], data).fit(reml=stored["reml"])
    assert fit.converged
    best = stored["criterion"]
    assert fit.criterion <= best + 1e-7 + 1e-10 * abs(best)
    assert fit.criterion >= best - 1e-5
    assert np.sqrt(fit.scale) == pytest.approx(stored["sigma"], rel=1e-4)
    np.testing.assert_allclose(fit.fe_params, stored["beta"], atol=1e-4)
    assert bool(fit.convergence.boundary) == stored["singular"]
    shares = fit.convergence.components
    assert len(shares) == stored["formula"].count("|")
    assert all(sum(s) == pytest.approx(1.0) for s in shares.values())
    assert "Principal components of (1 + a + b + a:b | subject)" in str(fit.summary())


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        ("y ~ x + (1 | shop/item)", "y ~ x + (1 | shop) + (1 | shop:item)"),
        ("y ~ x + (1 | shop/item)", "y ~ x + (1 | item) + (1 | shop)"),
        ("y ~ x + (x || user) + (1 | item)", "y ~ x + (1 | user) + (1 | item) + (0 + x | user)"),
        ("y ~ x + diag(x | user) + (1 | item)", "y ~ x + (x || user) + (1 | item)"),
        ("y ~ x + (I(x * 1000) | user) + (1 | item)", "y ~ x + (x | user) + (1 | item)"),
        ("y ~ x + (I(x + 50) | user) + (1 | item)", "y ~ x + (x | user) + (1 | item)"),
        ("y ~ x + (0 + C(cond) | item) + (1 | user)", "y ~ x + (C(cond) | item) + (1 | user)"),
        ("y ~ x + cs(0 + C(cond) | item) + (1 | user)",
         "y ~ x + id(0 + C(cond) | item) + (1 | item) + (1 | user)"),
    ],
)  # fmt: skip
def test_spellings_of_one_model(formula, same):
    data = ratings()
    if "id(0" in same:  # a correlation below zero is no intercept's variance
        data["y"] += np.random.default_rng(2).standard_normal(25)[data["item"]]
    a, b = (lmmcore.mixedlm(f, data).fit() for f in (formula, same))
    assert isinstance(a.model.equations.engine, CrossedEngine)
    assert a.converged
    assert a.criterion == pytest.approx(b.criterion, abs=1e-7)
    np.testing.assert_allclose(a.fittedvalues, b.fittedvalues, atol=1e-4)


def test_statsmodels_spelling_reaches_the_same_engine():
    data = ratings().assign(one=1)
    bars = lmmcore.mixedlm("y ~ x + (1 | user) + (1 | item) + (0 + x | user)", data).fit()
    spelled = MixedLM.from_formula(
        "y ~ x", data, groups="one",
        vc_formula={"user": "0 + C(user)", "item": "0 + C(item)", "slope": "0 + C(user):x"},
    ).fit()  # fmt: skip
    assert isinstance(spelled.model.equations.engine, CrossedEngine)
    assert spelled.criterion == pytest.approx(bars.criterion, abs=1e-7)
    assert spelled.vcomp == pytest.approx(
        [
            bars.cov_re.loc["item", "item"],
            bars.cov_re.loc["x", "x"],
            bars.cov_re.loc["user", "user"],
        ],
        rel=1e-5,
    )
    (label,) = spelled.random_effects
    series = spelled.random_effects[label]
    frame = bars.random_effects["item"]
    mine = series[[f"item[C(item)[{i}]]" for i in frame.index]]
    np.testing.assert_allclose(mine, frame["Intercept"], atol=1e-6)
    # The whole conditional covariance matrix, as statsmodels has it; its diagonal blocks by factor.
    joint = spelled.random_effects_cov[label]
    assert joint.shape == (len(series),) * 2
    variances = bars.random_effects_cov["item"]["Intercept"]
    np.testing.assert_allclose(np.diag(joint.loc[mine.index, mine.index]), variances, atol=1e-6)
    np.testing.assert_allclose(spelled.fittedvalues, bars.fittedvalues, atol=1e-5)


def test_nested_bars_equal_the_grouped_engine():
    data = lmmcore.datasets.load_pastes()
    bars = lmmcore.mixedlm("strength ~ 1 + (1 | batch/cask)", data).fit(reml=False)
    grouped = MixedLM.from_formula(
        "strength ~ 1", data, "1", {"cask": "0 + C(cask)"}, groups="batch"
    ).fit(reml=False)
    assert isinstance(grouped.model.equations.engine, IndependentEngine)
    assert bars.criterion == pytest.approx(grouped.criterion, abs=1e-9)
    np.testing.assert_allclose(bars.fittedvalues, grouped.fittedvalues, rtol=1e-6)
    np.testing.assert_allclose(bars.bse_variances[["batch Var", "batch:cask Var", "Residual Var"]],
                               grouped.bse_variances, rtol=1e-5)  # fmt: skip
    params = np.array([60.0, 1.3, 0.0, 4.0])  # β, batch, their covariance (no parameter), cask
    theirs = grouped.model.loglike(lmmcore.MixedLMParams.from_packed(
        params[[0, 1, 3]], 1, 1, False, True), profile_fe=False)  # fmt: skip
    mine = bars.model.loglike(
        lmmcore.MixedLMParams.from_components([60.0], np.diag([1.3, 4.0])), profile_fe=False
    )
    assert mine == pytest.approx(theirs, rel=1e-11)


def test_score_and_hessian_at_any_parameters():
    model = lmmcore.mixedlm("y ~ x + (x | user) + (1 | item)", ratings(n=150))
    rng = np.random.default_rng(5)
    g = np.zeros((3, 3))
    root = np.tril(rng.standard_normal((2, 2)))
    g[:2, :2], g[2, 2] = root @ root.T, 0.6
    params = lmmcore.MixedLMParams.from_components(np.array([0.9, 0.4]), g)
    fe, re, _ = model.score_full(params)
    hessian, _ = model.hessian(params)
    packed = params.get_packed(use_sqrt=False, has_fe=True)

    def moved(i, h):
        x = packed.copy()
        x[i] += h
        return lmmcore.MixedLMParams.from_packed(x, 2, 3, False, True)

    inside = [0, 1, 2, 3, 4, 7]  # those between the two factors are no parameters
    for i in inside:
        up, down = moved(i, 1e-5), moved(i, -1e-5)
        slope = (model.loglike(up, False) - model.loglike(down, False)) / 2e-5
        assert np.concatenate([fe, re])[i] == pytest.approx(slope, rel=1e-6, abs=1e-5)
        ends = [np.concatenate(model.score_full(p)) for p in (up, down)]
        np.testing.assert_allclose(hessian[i], (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-4)


def test_results_by_factor():
    fit = lmmcore.mixedlm("y ~ x + (x | user) + (x | item)", ratings()).fit()
    effects = fit.random_effects
    assert list(effects) == ["user", "item"]
    assert effects["user"].shape == (40, 2)
    assert list(effects["user"].columns) == ["Intercept", "x"]
    assert effects["item"].index.name == "item"
    assert fit.model.exog_re_names == ["user", "x | user", "item", "x | item"]
    one = fit.random_effects_cov["user"].loc[3]
    assert one.shape == (2, 2)
    np.testing.assert_allclose(one, one.T, atol=1e-12)
    table = fit.varcorr
    assert table["term"].tolist() == ["user"] * 3 + ["item"] * 3 + ["Residual"]
    pair = table.iloc[2]
    assert pair["correlation"] == pytest.approx(
        pair["variance"] / np.sqrt(table["variance"][0] * table["variance"][1])
    )
    with pytest.raises(OptionError, match="random_effects has a frame for each of user, item"):
        _ = fit.random_effects_frame
    assert fit.model.n_levels == {"user": 40, "item": 25}
    text = str(fit.summary())
    for part in ("Levels of user:", "Levels of item:", "x | item Var", "user: Intercept"):
        assert part in text
    assert "user x item Cov" not in text
    assert fit.profile_re("user", "re", num_low=1, dist_low=0.2, num_high=1, dist_high=0.2)[
        1, 1
    ] == pytest.approx(fit.llf, abs=1e-6)


def test_predictions():
    data = ratings()
    fit = lmmcore.mixedlm("y ~ x + (x | user) + (1 | item:cond)", data).fit()
    np.testing.assert_allclose(fit.predict(data, random_effects=True), fit.fittedvalues, rtol=1e-9)
    part = data.iloc[5:9]
    np.testing.assert_allclose(
        fit.predict(part, random_effects=True), fit.fittedvalues[5:9], rtol=1e-9
    )
    new = part.assign(user=999)
    with pytest.raises(DataValueError, match="1 group of 'user' is not in the model, such as 999"):
        fit.predict(new, random_effects=True)
    expected = (
        fit.predict(new)
        + fit.random_effects["item:cond"]["Intercept"]
        .loc[[f"{i}:{c}" for i, c in zip(new["item"], new["cond"])]]
        .to_numpy()
    )
    found = fit.predict(new, random_effects=True, new_groups="zero")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    given = {"user": np.full(4, data["user"][0])}
    assert len(fit.predict(part.drop(columns="user"), random_effects=True, groups=given)) == 4
    with pytest.raises(OptionError, match=r"expected groups=\{name: labels\}"):
        fit.predict(part, random_effects=True, groups=[1, 2, 3, 4])
    with pytest.raises(OptionError, match="'usr', which is not a grouping factor"):
        fit.predict(part, random_effects=True, groups={"usr": [1, 2, 3, 4]})


def test_offset():
    data = ratings().assign(z=lambda d: np.sin(np.arange(len(d))))
    formula = "y ~ x + (1 | user) + (1 | item)"
    plain = lmmcore.mixedlm(formula, data.assign(y=data["y"] - 2 * data["z"] - 1)).fit()
    fit = lmmcore.mixedlm(
        "y ~ x + offset(2 * z) + offset(z ** 0) + (1 | user) + (1 | item)", data
    ).fit()
    assert fit.criterion == pytest.approx(plain.criterion, abs=1e-9)
    shift = 2 * data["z"] + 1
    np.testing.assert_allclose(fit.fittedvalues, plain.fittedvalues + shift, rtol=1e-8)
    np.testing.assert_allclose(fit.resid, plain.resid, atol=1e-8)
    np.testing.assert_allclose(fit.model.endog, data["y"])
    np.testing.assert_allclose(fit.predict(data), plain.predict(data) + shift, rtol=1e-8)
    np.testing.assert_allclose(fit.predict(data, random_effects=True), fit.fittedvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.predict(), plain.predict() + shift, rtol=1e-8)
    drawn = fit.model.get_distribution(fit.params, fit.scale).rvs(rng=1)
    other = plain.model.get_distribution(plain.params, plain.scale).rvs(rng=1)
    np.testing.assert_allclose(drawn, other + shift, atol=1e-5)
    minus = lmmcore.mixedlm("y ~ x - offset(z) + (1 | user)", data).fit()
    again = lmmcore.mixedlm("y ~ x + (1 | user)", data.assign(y=data["y"] + data["z"])).fit()
    assert minus.criterion == pytest.approx(again.criterion, abs=1e-9)


def test_weights_drop_and_order_of_rows():
    data = ratings().assign(w=np.linspace(0.5, 2, 400))
    formula = "y ~ x + (x | user) + (1 | item)"
    fit = lmmcore.mixedlm(formula, data, weights="w").fit()
    shuffled = data.sample(frac=1.0, random_state=3)
    again = lmmcore.mixedlm(formula, shuffled, weights="w").fit()
    assert again.criterion == pytest.approx(fit.criterion, abs=1e-8)
    pd.testing.assert_frame_equal(
        again.random_effects["user"], fit.random_effects["user"], atol=1e-6, rtol=0
    )
    # A row of weight two is two rows of weight one with half their squares lost to rounding alone.
    holes = data.copy()
    holes.loc[[3, 50], "item"] = np.nan
    holes.loc[7, "x"] = np.nan
    dropped = lmmcore.mixedlm(formula, holes, weights="w", missing="drop").fit()
    direct = lmmcore.mixedlm(formula, data.drop(index=[3, 7, 50]), weights="w").fit()
    assert dropped.nobs == 397
    assert dropped.criterion == pytest.approx(direct.criterion, abs=1e-8)


@examples(10)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_chunks_merge(seed, n_chunks):
    """Cross-products of chunks, added, give the fit of all rows; levels may be in one chunk only."""
    rng = np.random.default_rng(seed)
    data = ratings(seed)
    formula = "y ~ x + (x | user) + (1 | item) + (0 + x | shop)"
    chunk = np.sort(rng.integers(0, n_chunks, len(data)))
    parts = []
    for i in range(n_chunks):
        design = from_formula(formula, data[chunk == i])
        parts.append(crossed_products(design, crossed_factors(design)))
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part
    design = from_formula(formula, data)
    whole = crossed_products(design, crossed_factors(design))
    sizes = [2, 1, 1]
    one, two = CrossedEngine(merged, sizes), CrossedEngine(whole, sizes)
    g = [np.array([[1.0, 0.2], [0.2, 0.5]]), np.array([[0.4]]), np.array([[0.3]])]
    values = []
    for engine, cp in ((one, merged), (two, whole)):
        roots = [np.linalg.cholesky(t.to_engine(m)) for t, m in zip(engine.terms, g)]
        state = engine.state(roots)
        n_eff = engine.n - engine.p
        scale = 2 * np.log(cp.basis.map[-1, -1])
        values.append(
            state.log_det_v + state.log_det_h - Coordinates(cp.basis).log_det
            + n_eff * (np.log(state.r2) - scale)
        )  # fmt: skip
    assert merged.nbytes == whole.nbytes
    assert values[0] == pytest.approx(values[1], rel=1e-10)
    other = from_formula("y ~ x + (x | user) + (1 | item) + (0 + x | cond)", data)
    unlike = crossed_products(other, crossed_factors(other))
    with pytest.raises(DataValueError, match="factor_names"):
        merged + unlike


def test_inference_and_simulation():
    data = ratings()
    fit = lmmcore.mixedlm("y ~ x + (1 | user) + (1 | item)", data).fit()
    mean, std, values = fit.bootstrap(6, rng=3, kind="parametric")
    assert values.shape == (6, 2 + 3)
    assert np.all(std[[0, 1, 2, 4]] > 0)
    assert abs(mean[1] - fit.params["x"]) < 0.3
    with pytest.raises(OptionError, match="kind='parametric'"):
        fit.bootstrap(3, rng=1)
    assert fit.t_test("x = 0").pvalue[0] < 1e-4
    lasso = lmmcore.mixedlm("y ~ x + I(x**2) + (1 | user) + (1 | item)", data).fit_regularized(
        alpha=[0, 10.0, 10.0]
    )
    assert lasso.gap < 1e-8
    held = fit.model.fit(
        free=lmmcore.MixedLMParams.from_components(np.ones(2), np.diag([1.0, 0.0])),
        start_params=lmmcore.MixedLMParams.from_components(np.zeros(2), np.diag([0.5, 0.3])),
    )
    assert held.cov_re_unscaled.loc["item", "item"] == pytest.approx(0.3, rel=1e-9)
    for method in ("em", "bfgs", "nelder-mead", ["lbfgs", "newton"]):
        other = fit.model.fit(method=method)
        assert other.criterion == pytest.approx(fit.criterion, abs=1e-5)


def test_save_and_remove_data(tmp_path):
    fit = lmmcore.mixedlm("y ~ x + (1 | user) + (1 | item)", ratings()).fit()
    effects = fit.random_effects["user"].copy()
    fit.save(tmp_path / "fit.pickle", remove_data=True)
    again = lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")
    pd.testing.assert_frame_equal(again.random_effects["user"], effects)
    assert again.predict(ratings()[:3], random_effects=True).notna().all()
    assert "Levels of user" in str(again.summary())


def test_boundary_in_words():
    data = ratings(7)
    data["y"] = np.random.default_rng(9).standard_normal(400) + 0.8 * (data["user"] % 5)
    with np.errstate(all="raise"):
        fit = lmmcore.mixedlm("y ~ x + (1 | user) + (x | item)", data).fit()
    assert fit.converged
    assert fit.convergence.singular == bool(fit.convergence.boundary)
    zero = lmmcore.mixedlm(
        "y ~ x + (1 | user) + (1 | item)",
        data.assign(y=data["y"] - data.groupby("item")["y"].transform("mean")),
    ).fit()
    assert "the variance of the random intercept of item is zero" in zero.convergence.boundary[0]
    assert zero.cov_re.loc["item", "item"] == 0.0
    assert "boundary" in zero.cov_params_note


def test_no_warning_that_cannot_be_acted_on(recwarn):
    lmmcore.mixedlm("y ~ x + (x | user) + (x | item)", ratings(11)).fit().summary()
    assert not [w for w in recwarn if issubclass(w.category, LmmcoreWarning)]

"""Predictions of what a path has selected: formulas, offsets and transformations as of a plain fit."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError, DesignError
from lmmcore.prediction import fixed_columns


def table(n=200):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((n, 3)), columns=["z", "w", "o"])
    frame["x"] = rng.uniform(1, 5, n)
    frame["f"] = rng.choice(list("abc"), n)
    frame["g"] = np.repeat(np.arange(20), n // 20)
    frame["u"], frame["v"] = rng.integers(0, 3, n), rng.integers(0, 2, n)
    frame["y"] = 2 * np.log(frame.x) + 1.5 * (frame.f == "b") + frame.o
    frame["y"] += rng.standard_normal(20)[frame.g] + rng.standard_normal(n)
    return frame


FORMULA = "y ~ z + np.log(x) + f + w + z:f + offset(o) + (1 + z | g)"


@pytest.mark.parametrize("penalty", ["lasso", "group_lasso", "mcp"])
@pytest.mark.parametrize("variances", ["held", "joint"])
def test_refits_apply_the_formula(penalty, variances):
    frame = table()
    model = lmmcore.mixedlm(FORMULA, frame)
    path = model.fit_regularized_path(penalty, n_alphas=8, variances=variances)
    new = frame.sample(30, random_state=1)
    whole = pd.DataFrame(fixed_columns(model.spec, new), new.index, model.exog_names)
    sizes = set()
    for i in range(len(path)):
        fit = path.refit(i)
        sizes.add(fit.k_fe)
        wanted = whole[fit.model.exog_names] @ fit.fe_params + new.o
        np.testing.assert_allclose(fit.predict(new), wanted, rtol=1e-12)
        np.testing.assert_allclose(fit.predict(frame), fit.predict(), rtol=1e-12)
        np.testing.assert_allclose(
            fit.predict(frame, random_effects=True), fit.fittedvalues, rtol=1e-9
        )
        fit.remove_data()
        np.testing.assert_allclose(fit.predict(new), wanted, rtol=1e-12)
    assert len(sizes) > 2


def test_a_refit_is_the_plain_fit_of_its_columns():
    frame = table()
    model = lmmcore.mixedlm("y ~ z + np.log(x) + w + (1 | g)", frame)
    path = model.fit_regularized_path(n_alphas=30)
    at = next(i for i in range(30) if path.refit(i).model.exog_names == ["Intercept", "np.log(x)"])
    plain = lmmcore.mixedlm("y ~ np.log(x) + (1 | g)", frame).fit()
    # As many columns as the refit has coefficients are not multiplied by position.
    two = frame[["x", "z", "w"]]
    np.testing.assert_allclose(path.refit(at).predict(two), plain.predict(two), atol=1e-6)
    assert abs(path.refit(at).predict(two)[0] - (two.to_numpy()[0, :2] @ plain.fe_params)) > 0.1


def test_terms_of_a_refit():
    model = lmmcore.mixedlm("y ~ z + f + np.log(x) + w + (1 | g)", table())
    path = model.fit_regularized_path("group_lasso", n_alphas=20)
    fit = next(f for f in map(path.refit, range(20)) if "f[T.b]" in f.model.exog_names)
    tests = fit.wald_test_terms().table
    assert tests.df_constraint["f"] == 2
    assert "w" not in tests.index
    assert len(fit.t_test_pairwise("f").result_frame) == 3
    one_by_one = model.fit_regularized_path("lasso", n_alphas=40)
    partly = next(
        f for f in map(one_by_one.refit, range(40))
        if sum(n[0] == "f" for n in f.model.exog_names) == 1
    )  # fmt: skip
    with pytest.raises(DesignError, match="some of its columns are not in the fit"):
        partly.t_test_pairwise("f")
    # Refits can be penalized again.
    again = fit.model.fit_regularized(alpha=5, unpenalized="f")
    assert np.count_nonzero(again.fe_params[["f[T.b]", "f[T.c]"]]) == 2


@pytest.mark.parametrize("labeled", [False, True])
def test_arrays_and_frames_of_columns(labeled):
    frame = table()
    x = pd.DataFrame({"const": 1.0, "z": frame.z, "x": frame.x, "w": frame.w})
    columns = x if labeled else x.to_numpy()
    path = MixedLM(frame.y, columns, frame.g).fit_regularized_path(n_alphas=20)
    fit = next(f for f in map(path.refit, range(20)) if f.k_fe == 2)
    kept = [0, 2]
    wanted = x.to_numpy()[:, kept] @ np.asarray(fit.fe_params)
    for given in (columns, x.to_numpy(), x.to_numpy()[:, kept], fit.model.exog):
        np.testing.assert_allclose(fit.predict(given), wanted)
    if labeled:
        np.testing.assert_allclose(fit.predict(x[["w", "x", "const"]]), wanted)
    with pytest.raises(DataValueError, match=r"expected 2: .*, or all 4 that were given"):
        fit.predict(x.to_numpy()[:, :3])


@pytest.mark.filterwarnings("ignore::lmmcore.errors.RankDeficientWarning")
def test_arrays_of_a_model_that_has_dropped_columns():
    """The array that the model was built from is one to predict from."""
    frame = table()
    x = np.column_stack([np.ones(200), frame.z, 2 * frame.z, frame.w])
    fit = MixedLM(frame.y.to_numpy(), x, frame.g.to_numpy()).fit()
    np.testing.assert_allclose(fit.predict(x), fit.predict())
    path = fit.model.fit_regularized_path(n_alphas=5)
    np.testing.assert_allclose(path.refit(4).predict(x), path.refit(4).predict())


@pytest.mark.parametrize(
    "keywords",
    [
        {"formula": "y ~ np.log(x) + (1 + z + np.exp(w) | g)"},
        {"formula": "y ~ x + (z | g) + (1 + w | u)"},
        {
            "formula": "y ~ x", "groups": "g", "re_formula": "1 + z",
            "vc_formula": {"u": "0 + C(u)", "v": "0 + C(v)", "w": "0 + w"},
        },
    ],
)  # fmt: skip
def test_selected_random_effects(keywords):
    frame = table()
    frame["y"] += 3 * frame.z * np.random.default_rng(1).standard_normal(20)[frame.g]
    keywords = dict(keywords)
    model = lmmcore.mixedlm(keywords.pop("formula"), frame, **keywords)
    path = model.select_random_effects(n_alphas=12)
    names = set()
    for i in range(len(path.alphas)):
        try:
            fit = path.refit(i)
        except DesignError:
            continue
        names.add((*fit.model.exog_re_names, *fit.model.vcomp_names))
        np.testing.assert_allclose(
            fit.predict(frame, random_effects=True), fit.fittedvalues, atol=1e-8
        )
        np.testing.assert_allclose(
            fit.predict(frame[5:25], random_effects=True), fit.fittedvalues[5:25], atol=1e-8
        )
    assert len(names) > 1


def test_columns_that_stability_selects():
    model = lmmcore.mixedlm(FORMULA, table())
    path = model.fit_regularized_path(n_alphas=40)
    selected = path.stability(20, expected_false=3.0, rng=0).selected
    assert "np.log(x)" in selected
    chosen = path.cross_validate(4, rng=0).select()
    np.testing.assert_allclose(chosen.predict(table()), chosen.predict())

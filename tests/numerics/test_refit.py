"""Refits to other responses beside fresh models, and the parametric bootstrap that stands on them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import DataTypeError, DataValueError, DesignError, LmmcoreError, NotFiniteError


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(11)
    n = 240
    data = pd.DataFrame(
        {
            "g": rng.integers(20, size=n), "h": rng.integers(9, size=n), "c": rng.integers(4, size=n),
            "x": rng.standard_normal(n), "w": rng.uniform(0.5, 2.0, n), "z": rng.standard_normal(n),
        }
    )  # fmt: skip
    data["y"] = np.exp(
        1.0 + 0.3 * data.x + 0.5 * rng.standard_normal(20)[data.g] + 0.4 * rng.standard_normal(9)[data.h]
        + 0.3 * rng.standard_normal(20)[data.g] * data.x + 0.3 * rng.standard_normal(n)
    )  # fmt: skip
    return data


MODELS = {
    "slopes": {"formula": "np.log(y) ~ x + (x | g)"},
    "plain name": {"formula": "y ~ x + (1 | g)"},
    "weights": {"formula": "np.log(y) ~ x + (1 | g)", "weights": "w"},
    "offset": {"formula": "np.log(y) ~ x + offset(z) + (x || g)"},
    "crossed": {"formula": "np.log(y) ~ x + (x | g) + (1 | h)"},
    "structure": {"formula": "np.log(y) ~ x + cs(0 + C(c) | g)"},
    "components": {
        "formula": "np.log(y) ~ x", "groups": "g", "re_formula": "1", "vc_formula": {"c": "0 + C(c)"},
    },
}  # fmt: skip


def build(name, data):
    return lmmcore.mixedlm(MODELS[name]["formula"], data, **{
        k: v for k, v in MODELS[name].items() if k != "formula"
    })  # fmt: skip


def others(frame, count=5):
    rng = np.random.default_rng(5)
    for _ in range(count):
        effect = 0.6 * rng.standard_normal(20)
        yield frame.assign(y=np.exp(
            1 + 0.2 * frame.x + effect[frame.g] + 0.5 * rng.standard_normal(len(frame))
        ))  # fmt: skip


def same(mine, fresh):
    assert mine.converged
    assert fresh.converged
    assert mine.criterion == pytest.approx(fresh.criterion, abs=1e-8)
    for name in ("params", "scale", "fittedvalues", "resid", "bse"):
        np.testing.assert_allclose(
            np.asarray(getattr(mine, name)), np.asarray(getattr(fresh, name)), rtol=2e-5, atol=2e-6
        )
    assert list(mine.params.index) == list(fresh.params.index)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_equals_a_fresh_model(frame, name, reml):
    model = build(name, frame)
    fit = model.fit(reml=reml)
    before = fit.criterion, fit.fittedvalues.copy()
    for data in others(frame):
        fresh = build(name, data).fit(reml=reml)
        y = data.y if name == "plain name" else np.log(data.y)
        same(fit.refit(data), fresh)
        same(fit.refit(y), fresh)
        same(fit.refit(y.to_numpy()), fresh)
        same(model.refit(data, reml=reml), fresh)
        same(fit.refit(data).refit(data), fresh)
    assert fit.criterion == before[0]
    np.testing.assert_array_equal(fit.resid + before[1], np.asarray(fit.fittedvalues + fit.resid))
    np.testing.assert_array_equal(model.endog, build(name, frame).endog)


def test_arrays_and_dropped_columns(frame):
    x = np.column_stack([np.ones(len(frame)), frame.x, 2 * frame.x])
    with pytest.warns(lmmcore.errors.RankDeficientWarning):
        fit = MixedLM(np.log(frame.y), x, frame.g).fit()
    for data in others(frame, 2):
        with pytest.warns(lmmcore.errors.RankDeficientWarning):
            fresh = MixedLM(np.log(data.y), x, frame.g).fit()
        same(fit.refit(np.log(data.y)), fresh)


def test_held_values_and_penalties(frame):
    model = build("slopes", frame)
    free = MixedLMParams.from_components(np.ones(2), np.eye(2))
    held = model.fit(free=free)
    data = next(others(frame))
    mine, fresh = held.refit(data), build("slopes", data).fit(free=free)
    np.testing.assert_allclose(mine.params, fresh.params, atol=1e-6)
    assert mine.params["g x x Cov" if "g x x Cov" in mine.params else mine.params.index[3]] == 0.0
    penalized = model.fit_regularized(alpha=5.0)
    mine, fresh = penalized.refit(data), build("slopes", data).fit_regularized(alpha=5.0)
    assert type(mine) is type(fresh)
    np.testing.assert_allclose(mine.params, fresh.params, atol=1e-6)


def test_results_of_a_refit_are_results(frame):
    fit = build("slopes", frame).fit().refit(next(others(frame)))
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.params, fit.params)
    assert str(fit.summary()) == str(again.summary())
    assert not hasattr(fit.model, "no_such_thing")
    np.testing.assert_allclose(fit.predict(frame[:5]), fit.predict()[:5])


def test_what_is_refused(frame):
    model = build("slopes", frame)
    fit = model.fit()
    good = np.log(frame.y)
    for wrong, error, words in (
        (good[:-1].to_numpy(), DataValueError, "239 rows; expected 240"),
        (good[::-1], DataValueError, "index"),
        (frame[::-1], DataValueError, "index"),
        (frame.drop(columns="y"), LmmcoreError, "y"),
        (good.where(good.index != 7), NotFiniteError, "row 7"),
        (frame.assign(y=frame.y.where(frame.index > 2)), NotFiniteError, "row 0 .3 such rows"),
        (np.full(240, 2.0), DesignError, "constant"),
        (np.column_stack([good, good]), LmmcoreError, "endog"),
        (np.array(["a"] * 240), LmmcoreError, "endog"),
    ):
        with pytest.raises(error, match=words):
            fit.refit(wrong)
        with pytest.raises(error, match=words):
            model.refit(wrong)
    with pytest.raises((DataValueError, DataTypeError)):
        build("plain name", frame).fit().refit(frame.drop(columns="y"))
    some = build("slopes", frame.assign(x=frame.x.where(frame.index > 4))).fit()
    with pytest.raises(DataValueError, match="rows_used"):
        some.refit(good.to_numpy())
    rest = frame.index > 4
    same(some.refit(np.log(frame.y[rest])), some)


BOOTSTRAPS = [
    "slopes", "plain name", "weights", "offset", "crossed", "structure", "components",
]  # fmt: skip


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_parametric_bootstrap_beside_fresh_models(frame, name):
    """Drawn without rows and refitted together: the same distribution as models built anew."""
    fit = build(name, frame).fit()
    nrep, few = (1200, 250) if name != "crossed" else (250, 250)
    _, _, many = fit.bootstrap(nrep, kind="parametric", rng=3)
    assert not np.isnan(many).any()
    distribution = fit.model.get_distribution(fit.params_object, fit.scale)
    rng, column = np.random.default_rng(4), "y"
    rows = []
    for _ in range(few):
        y = distribution.rvs(rng=rng)
        y = y if name == "plain name" else np.exp(y)
        rows.append(np.asarray(build(name, frame.assign(**{column: y})).fit().params))
    fresh = np.array(rows)
    for j in range(many.shape[1]):
        assert ks_2samp(many[:, j], fresh[:, j]).pvalue > 1e-4
        spread = np.sqrt(many[:, j].var() / nrep + fresh[:, j].var() / few)
        assert abs(many[:, j].mean() - fresh[:, j].mean()) <= 4.5 * spread
    np.testing.assert_allclose(many.std(axis=0), fresh.std(axis=0), rtol=0.3)


def test_nothing_is_built_by_the_parametric_bootstrap(frame, monkeypatch):
    fits = [build(name, frame).fit() for name in ("slopes", "crossed")]

    def refuse(*_, **__):
        raise AssertionError("a model was built")

    monkeypatch.setattr(MixedLM, "_from_design", refuse)
    monkeypatch.setattr(MixedLM, "_setup", refuse)
    seen = []
    for fit in fits:
        _, _, values = fit.bootstrap(
            6, kind="parametric", rng=1, callback=lambda i, n: seen.append((i, n))
        )
        assert values.shape == (6, len(fit.params))
        assert not np.isnan(values).any()
    assert seen == 2 * [(i, 6) for i in range(1, 7)]


def test_readers_do_not_keep_models_alive(frame):
    import gc
    import weakref

    model = build("slopes", frame)
    model.refit(next(others(frame)))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None

"""Leverages, effective degrees of freedom and derivatives in the weights beside refits and n × n algebra."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import DataRemovedError


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    n = 150
    data = pd.DataFrame(
        {
            "g": rng.integers(14, size=n), "h": rng.integers(8, size=n), "c": rng.integers(3, size=n),
            "x": 5 + rng.standard_normal(n), "w": rng.uniform(0.5, 2.0, n),
        }
    )  # fmt: skip
    data["y"] = (
        data.x + rng.standard_normal(14)[data.g] * (1 + data.x / 4) + 0.8 * rng.standard_normal(8)[data.h]
        + rng.standard_normal(n)
    )  # fmt: skip
    return data


MODELS = {
    "intercepts": {"formula": "y ~ x + (1 | g)"},
    "slopes": {"formula": "y ~ x + C(c) + (x | g)"},
    "weights": {"formula": "y ~ x + (x | g)", "weights": "w"},
    "crossed": {"formula": "y ~ x + (x | g) + (1 | h)"},
    "crossed with weights": {"formula": "y ~ x + (x || g) + (1 | h)", "weights": "w"},
    "components": {
        "formula": "y ~ x", "groups": "g", "re_formula": "1", "vc_formula": {"c": "0 + C(c)"},
        "weights": "w",
    },
}  # fmt: skip


def dense(model, fit):
    """V, relative to σ², from the covariances that statsmodels' interface gives."""
    n = model.nobs
    w = np.ones(n) if model.design.weights is None else model.design.weights
    design = model.design
    v = np.diag(1 / w)
    blocks = iter(fit.fit.relative)
    columns = iter(design.random)
    for term in design.terms:
        z = np.column_stack(
            [np.ones(n) if c is None else c for c in (next(columns) for _ in term.names)]
        )
        codes = design.groupings[term.factor].codes
        v += (z @ next(blocks) @ z.T) * (codes[:, None] == codes)
    if design.components is not None:
        codes = design.grouping.codes
        c = model.data.frame.c.to_numpy() if hasattr(model.data, "frame") else None
        v += next(blocks)[0, 0] * ((codes[:, None] == codes) & (c[:, None] == c))
    return v, w


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_beside_dense_algebra(frame, name, reml):
    keywords = dict(MODELS[name])
    model = lmmcore.mixedlm(keywords.pop("formula"), frame, **keywords)
    fit = model.fit(reml=reml)
    v, w = dense(model, fit)
    x = model.exog
    vi = np.linalg.inv(v)
    p = vi - vi @ x @ np.linalg.solve(x.T @ vi @ x, x.T @ vi)
    hat = 1.0 - np.diag(p) / w  # fitted values are y − W⁻¹Py
    np.testing.assert_allclose(fit.hat_values, hat, atol=1e-8)
    assert list(fit.hat_values.index) == list(frame.index)
    assert fit.effective_df == pytest.approx(hat.sum(), abs=1e-8)
    py = p @ model.endog
    used = p if reml else vi
    expected = (py**2 / fit.scale - np.diag(used)) / w**2
    np.testing.assert_allclose(fit.weight_derivative, expected, atol=1e-7)


def test_leverage_is_the_change_of_a_fitted_value(frame):
    """At fixed covariance parameters, with a response changed in one row."""
    model = lmmcore.mixedlm("y ~ x + (x | g) + (1 | h)", frame)
    fit = model.fit()
    for i in (0, 17, 149):
        moved = frame.assign(y=frame.y + (frame.index == i))
        other = lmmcore.mixedlm("y ~ x + (x | g) + (1 | h)", moved)
        again = other.fit(start_params=fit.params_object, do_cg=False)
        change = again.fittedvalues[i] - fit.fittedvalues[i]
        assert fit.hat_values[i] == pytest.approx(change, abs=1e-8)


@pytest.mark.parametrize("reml", [True, False])
def test_derivative_is_that_of_refits(frame, reml):
    """The criterion of models whose weight is moved in one row, all parameters estimated again."""

    def criterion(w):
        model = lmmcore.mixedlm("y ~ x + (x | g)", frame.assign(w=w), weights="w")
        return model.fit(reml=reml, tol=1e-12).criterion

    fit = lmmcore.mixedlm("y ~ x + (x | g)", frame, weights="w").fit(reml=reml)
    for i in (3, 80):
        step = 1e-3 * (frame.index == i)
        slope = (criterion(frame.w + step) - criterion(frame.w - step)) / 2e-3
        assert fit.weight_derivative[i] == pytest.approx(slope, abs=1e-5)


def test_rows_in_several_chunks(frame, monkeypatch):
    fit = lmmcore.mixedlm("y ~ x + (x | g) + (1 | h)", frame).fit()
    whole = np.asarray(fit.hat_values)
    monkeypatch.setattr("lmmcore.leverage.AT_ONCE", 37)
    again = lmmcore.mixedlm("y ~ x + (x | g) + (1 | h)", frame).fit()
    np.testing.assert_allclose(again.hat_values, whole, atol=1e-12)


def test_removed_rows(frame):
    fit = lmmcore.mixedlm("y ~ x + (x | g)", frame).fit()
    fit.hat_values  # noqa: B018
    df = fit.effective_df
    fit.remove_data()
    assert fit.effective_df == df
    for name in ("hat_values", "weight_derivative"):
        with pytest.raises(DataRemovedError):
            getattr(fit, name)
    with pytest.raises(DataRemovedError):
        fit.refit(frame)

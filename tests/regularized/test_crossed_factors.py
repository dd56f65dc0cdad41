"""Penalized fits of models with several grouping factors, and with an offset."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import OptionError

FORMULA = "y ~ " + " + ".join(f"x{i}" for i in range(6)) + " + (1 + x0 | a) + (1 | b)"


def data(n=400):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.standard_normal((n, 6)), columns=[f"x{i}" for i in range(6)])
    frame["a"], frame["b"] = rng.integers(0, 30, n), rng.integers(0, 20, n)
    frame["y"] = (
        frame["x0"] - 0.6 * frame["x1"] + rng.standard_normal(30)[frame["a"]]
        + 0.7 * rng.standard_normal(20)[frame["b"]] + rng.standard_normal(n)
    )  # fmt: skip
    return frame


def test_the_objective_is_that_of_the_whole_covariance_matrix():
    frame = data()
    model = lmmcore.mixedlm(FORMULA, frame)
    plain, fit = model.fit(), model.fit_regularized(alpha=15.0)
    z = [np.eye(20)[frame["b"]]]
    one = np.eye(30)[frame["a"]]
    g = np.asarray(plain.cov_re)
    v = plain.scale * np.eye(len(frame)) + g[2, 2] * z[0] @ z[0].T
    both = [one, one * frame[["x0"]].to_numpy()]
    for i in range(2):
        for j in range(2):
            v += g[i, j] * both[i] @ both[j].T
    slope = 2.0 * model.exog.T @ np.linalg.solve(v, frame["y"] - model.exog @ fit.fe_params)
    zero = np.asarray(fit.fe_params) == 0.0
    assert 0 < zero.sum() < len(zero)
    np.testing.assert_allclose(slope[~zero], 15.0 * np.sign(fit.fe_params[~zero]), rtol=1e-5)
    assert np.all(np.abs(slope[zero]) <= 15.0 * (1 + 1e-6))
    assert fit.random_effects["b"].shape == (20, 1)


def test_path_joint_variances_and_selection():
    model = lmmcore.mixedlm(FORMULA, data())
    path = model.fit_regularized_path("lasso", n_alphas=20)
    assert {"x0", "x1"} <= set(path.refit().fe_params.index)
    joint = model.fit_regularized(method="mcp", alpha=40.0, variances="joint")
    assert joint.residual < 1e-7
    assert set(model.select_random_effects().selected) >= {"a", "b"}
    for refused in (path.cross_validate, path.stability):
        with pytest.raises(OptionError, match="groups are not independent"):
            refused(5)


def test_an_offset_is_not_penalized():
    frame = data()
    with_offset = lmmcore.mixedlm(FORMULA + " + offset(x2)", frame).fit_regularized(alpha=15.0)
    shifted = lmmcore.mixedlm(FORMULA, frame.assign(y=frame["y"] - frame["x2"]))
    other = shifted.fit_regularized(alpha=15.0)
    np.testing.assert_allclose(with_offset.fe_params, other.fe_params, atol=1e-10)
    np.testing.assert_allclose(
        with_offset.fittedvalues, other.fittedvalues + frame["x2"], atol=1e-8
    )

"""All rules of all plugins in one parametrized test, and what they are for."""

import numpy as np
import pytest

import lmmcore
from lmmcore.extension import Coefficients, find
from lmmcore.testing import plugin_checks


@pytest.mark.parametrize("check", plugin_checks("lmmcore-example"), ids=str)
def test_rules(check):
    check()


def test_compass_finds_the_optimum():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit(method="compass")
    assert fit.converged
    assert fit.criterion == pytest.approx(1743.6282719584906, abs=1e-6)


def test_walk_is_what_its_known_matrix_says():
    data = lmmcore.datasets.load_sleepstudy().query("Days < 4")
    fit = lmmcore.mixedlm("Reaction ~ Days + walk(0 + C(Days) | Subject)", data).fit()
    known = np.minimum.outer(np.arange(1.0, 5.0), np.arange(1.0, 5.0))
    same = lmmcore.mixedlm(
        "Reaction ~ Days + (0 + C(Days) | Subject)", data, covariance=lmmcore.KnownMatrix(known)
    ).fit()
    assert fit.criterion == pytest.approx(same.criterion, abs=1e-8)
    assert fit.covariance_parameters["parameter"].tolist() == ["sd(step)"]


def test_nonnegative_moves_negative_coefficients_alone():
    penalty = find("penalty", "nonnegative").bind(Coefficients.plain(3))
    point = np.array([-2.0, -0.1, 1.0])
    assert penalty.prox(point, 0.5, 1.0).tolist() == [-1.5, 0.0, 1.0]
    assert penalty.value(point, 2.0) == pytest.approx(4.2)


def test_groups_is_exact_for_means_of_balanced_groups():
    rng = np.random.default_rng(1)
    x = np.repeat(rng.standard_normal(8), 4)
    frame = {"x": x, "g": np.repeat(np.arange(8), 4)}
    frame["y"] = x + np.repeat(rng.standard_normal(8), 4) + 0.3 * rng.standard_normal(32)
    model = lmmcore.mixedlm("y ~ x + (1 | g)", frame)
    ours = model.fit(ddf="groups").t_test("x")
    assert ours.df_denom == 6.0
    means = np.reshape(frame["y"], (8, 4)).mean(axis=1)
    design = np.column_stack([np.ones(8), x[::4]])
    beta, square = np.linalg.lstsq(design, means, rcond=None)[:2]
    se = np.sqrt(square[0] / 6 * np.linalg.inv(design.T @ design)[1, 1])
    assert ours.statistic[0] == pytest.approx(beta[1] / se, rel=1e-6)


def test_fading_is_found_and_fitted():
    rng = np.random.default_rng(2)
    frame = {"g": np.repeat(np.arange(30), 5), "t": np.tile(np.arange(5), 30)}
    distance = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    root = np.linalg.cholesky(1 / (1 + 0.8 * distance))
    frame["y"] = (rng.standard_normal((30, 5)) @ root.T).ravel()
    fit = lmmcore.gls("y ~ t", frame, "fading(t | g)").fit()
    assert fit.converged
    correlation = fit.residual_correlation().to_numpy()
    decay = fit.covariance_parameters.estimate[0]
    np.testing.assert_allclose(correlation, 1 / (1 + decay * distance))

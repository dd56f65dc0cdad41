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

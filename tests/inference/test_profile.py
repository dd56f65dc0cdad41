"""Profile likelihoods of variances beside the dense likelihood, for every covariance structure."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import lmmcore
from lmmcore.errors import OptionError
from lmmcore.testing.dense import DenseModel

COLUMNS = ["u", "v", "w"]


def visits():
    """Three columns of Z, five rows for each of 25 groups."""
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(25), 5)
    data = pd.DataFrame(rng.standard_normal((125, 3)), columns=COLUMNS).assign(g=g)
    root = np.array([[1.0, 0.0, 0.0], [0.7, 0.9, 0.0], [0.4, 0.5, 0.8]])
    b = rng.standard_normal((25, 3)) @ root.T
    effects = (data[COLUMNS].to_numpy() * b[g]).sum(axis=1)
    return data.assign(x=rng.standard_normal(125), y=effects + rng.standard_normal(125))


def lag():
    return np.abs(np.subtract.outer(np.arange(3), np.arange(3)))


def equal(r):
    return r + (1.0 - r) * np.eye(3)


# From parameters (k,) and the held sd of the column to G; what is held follows for the others.
MEMBERS = {
    "cs": (1, lambda p, sd, j: sd**2 * equal(np.tanh(p[0]))),
    "ar1": (1, lambda p, sd, j: sd**2 * np.tanh(p[0]) ** lag()),
    "id": (0, lambda p, sd, j: sd**2 * np.eye(3)),
    "diag": (2, lambda p, sd, j: np.diag(np.insert(np.exp(p), j, sd**2))),
    "csh": (
        3,
        lambda p, sd, j: equal(np.tanh(p[0])) * np.outer(*2 * [np.insert(np.exp(p[1:]), j, sd)]),
    ),
    "ar1h": (
        3,
        lambda p, sd, j: np.tanh(p[0]) ** lag() * np.outer(*2 * [np.insert(np.exp(p[1:]), j, sd)]),
    ),
    "fa1": (
        5,
        lambda p, sd, j: np.outer(p[:3], p[:3]) + np.diag(
            np.insert(p[3:] ** 2, j, max(sd**2 - p[j] ** 2, 0.0))
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", MEMBERS)
def test_structures(name, reml):
    data, column = visits(), 1
    fit = lmmcore.mixedlm(f"y ~ x + {name}(0 + u + v + w | g)", data).fit(reml=reml)
    dense = DenseModel.from_groups(
        data.y.to_numpy(), np.column_stack([np.ones(125), data.x]), data.g.to_numpy(),
        [data[COLUMNS].to_numpy()], reml=reml,
    )  # fmt: skip
    variance = np.asarray(fit.cov_re)[column, column]
    found = fit.profile_re(column, "re", 1, 0.4 * variance, 1, 0.7 * variance)
    assert found[1] == pytest.approx([variance, fit.llf], rel=1e-6)
    m, member = MEMBERS[name]
    for part, (value, llf) in zip((0.6, 1.7), found[[0, 2]]):
        sd = np.sqrt(part * variance / fit.scale)

        def objective(p, sd=sd):
            g = member(p, sd, column)
            inside = np.linalg.eigvalsh(g)[0] >= 0.0 and (name != "fa1" or abs(p[column]) <= sd)
            return dense.criterion([g]) if inside else 1e6

        rng = np.random.default_rng(0)
        starts = [0.5 * rng.standard_normal(m) for _ in range(6)]
        if m:
            options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000}
            ends = [minimize(objective, p, method="Nelder-Mead", options=options) for p in starts]
            best = min(ends, key=lambda end: end.fun).x
        else:
            best = np.zeros(0)
        assert llf == pytest.approx(-0.5 * objective(best), abs=1e-5)
        assert llf < fit.llf - 0.01
        sigma2 = dense.estimates([member(best, sd, column)])["sigma2"]
        assert value == pytest.approx(sd**2 * sigma2, rel=1e-3)


def test_what_is_held_fixed_stays_fixed():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2))
    fit = model.fit(free=free)
    diagonal = lmmcore.mixedlm("Reaction ~ Days + diag(Days | Subject)", data).fit()
    np.testing.assert_allclose(
        fit.profile_re(1, "re", 1, 20.0, 1, 30.0),
        diagonal.profile_re(1, "re", 1, 20.0, 1, 30.0),
        rtol=1e-7,
    )


def test_a_family_that_is_not_closed_under_multiplication():
    data = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.array([[0.0, 1.0], [1.0, 1.0]]))
    fit = model.fit(free=free)
    with pytest.raises(OptionError, match="held fixed"):
        fit.profile_re(1, "re", 1, 10.0, 1, 10.0)


@pytest.mark.parametrize("bars", ["(Days | Subject)", "(Days || Subject)", "(1 | Subject)"])
@pytest.mark.parametrize("reml", [True, False])
def test_the_profile_is_highest_at_the_estimate(bars, reml):
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm(f"Reaction ~ Days + {bars}", data).fit(reml=reml)
    values = fit.profile_re(0, "re", 1, 10.0, 1, 10.0)[:, 1]
    assert values[1] == pytest.approx(fit.llf, abs=1e-7)
    assert max(values[0], values[2]) < values[1]


def test_beside_a_structured_term():
    data = lmmcore.datasets.load_sleepstudy()
    data["half"] = data["Days"] % 2
    fit = lmmcore.mixedlm(
        "Reaction ~ Days + (1 | Subject) + cs(0 + half + Days | Subject)", data
    ).fit()
    for name in ("Subject", "Days"):
        values = fit.profile_re(name, "re", 1, 10.0, 1, 10.0)[:, 1]
        assert values[1] == pytest.approx(fit.llf, abs=1e-6)
        assert max(values[0], values[2]) < values[1]

"""Scores beside differences of a dense log-likelihood, group by group."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import OptionError


def _data():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), rng.integers(2, 7, 12))
    data = pd.DataFrame({"g": g, "x": 3.0 + rng.standard_normal(len(g))})
    data["w"] = rng.uniform(0.5, 2.0, len(g))
    b = rng.standard_normal((12, 2)) * [1.0, 0.7]
    data["y"] = b[g, 0] + (1 + b[g, 1]) * data.x + rng.standard_normal(len(g))
    return data


def _log_likelihood(data, beta, psi, sigma2, rows):
    """Return the ML log-likelihood of some rows."""
    own = data[rows]
    z = np.column_stack([np.ones(len(own)), own.x])
    e = own.y.to_numpy() - z @ beta
    v = z @ psi @ z.T + sigma2 * np.diag(1.0 / own.w)
    return -0.5 * (np.linalg.slogdet(v)[1] + e @ np.linalg.solve(v, e))


def _unpack(t):
    return t[:2], np.array([[t[2], t[3]], [t[3], t[4]]]), t[5]


def test_ml_beside_differences():
    data = _data()
    fit = lmmcore.mixedlm("y ~ x + (1 + x | g)", data, weights="w").fit(reml=False)
    cov = fit.cov_re.to_numpy()
    at = np.array([*fit.fe_params, cov[0, 0], cov[1, 0], cov[1, 1], fit.scale])
    found = fit.scores()
    assert list(found.columns[:2]) == ["Intercept", "x"]
    assert found.columns[-1] == "scale"
    for group in range(12):
        for j, h in enumerate(1e-5 * np.maximum(np.abs(at), 0.1)):
            e = np.eye(6)[j] * h
            up, down = (
                _log_likelihood(data, *_unpack(at + sign * e), data.g == group) for sign in (1, -1)
            )
            assert found.iloc[group, j] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-5)
    assert found.sum().to_numpy() == pytest.approx(np.zeros(6), abs=1e-4)


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 + x | g)", "y ~ x + (1 | g)", "y ~ x + (1 | g) + (0 + x | g)"]
)
def test_reml_sums_to_zero(formula):
    fit = lmmcore.mixedlm(formula, _data(), weights="w").fit()
    total = fit.scores().sum()
    assert total.to_numpy() == pytest.approx(np.zeros(len(total)), abs=1e-4)


def test_nested_clusters_and_refusals():
    data = _data()
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    found = fit.scores((data.g // 3).rename("school"))
    by_group = fit.scores().groupby(np.arange(12) // 3).sum()
    assert found.index.name == "school"
    assert found.to_numpy() == pytest.approx(by_group.to_numpy(), abs=1e-12)
    with pytest.raises(OptionError, match="divides groups of 'g'"):
        fit.scores("row")
    data["h"] = np.arange(len(data)) % 5
    crossed = lmmcore.mixedlm("y ~ x + (1 | g) + (1 | h)", data).fit()
    with pytest.raises(OptionError, match="expected one, whose groups are independent"):
        crossed.scores()


def test_components_of_vc_formula():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 6), "a": np.tile([0, 0, 1, 1, 2, 2], 20)})
    data["y"] = rng.standard_normal(20)[data.g] + rng.standard_normal(60)[data.g * 3 + data.a]
    data["y"] += rng.standard_normal(120)
    fit = lmmcore.MixedLM.from_formula(
        "y ~ 1", data, groups="g", vc_formula={"a": "0 + C(a)"}, re_formula="1"
    ).fit()
    total = fit.scores().sum()
    assert len(total) == 4
    assert total.to_numpy() == pytest.approx(np.zeros(4), abs=1e-4)

"""What must not depend on how the data are written down."""

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import assume, given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM
from lmmcore.testing.strategies import grouped_models


def value_of(y, x, g, z, weights, theta, reml=True, units=None):
    """The criterion at a fixed G (a fit may stop anywhere on a flat ridge)."""
    model = MixedLM(y, x, g, exog_re=z, weights=weights)
    likelihood = model.equations.likelihood(reml)
    (term,) = likelihood.terms
    k = z.shape[1]
    root = np.zeros((k, k))
    root[np.tril_indices(k)] = theta[: k * (k + 1) // 2]
    covariance = root @ root.T
    if units is not None:
        covariance = covariance / np.outer(units, units)
    return likelihood.value(likelihood.parameters([term.to_engine(covariance)]))


@examples(100)
@given(grouped_models(decades=2.0), st.booleans(), st.integers(0, 2**32 - 1))
def test_criterion(problem, reml, seed):
    rng = np.random.default_rng(seed)
    y, x, z, g, w = problem.y, problem.x, problem.z, problem.groups, problem.weights
    n, p = x.shape
    theta = rng.standard_normal(10) / np.abs(z).max()
    base = value_of(y, x, g, z, w, theta, reml)
    assume(np.isfinite(base))
    order = rng.permutation(n)
    permuted = value_of(
        y[order], x[order], g[order], z[order], None if w is None else w[order], theta, reml
    )
    assert permuted == pytest.approx(base, rel=1e-9, abs=1e-8)
    labels = np.array([f"group {i}" for i in rng.permutation(g.max() + 1)])
    assert value_of(y, x, labels[g], z, w, theta, reml) == pytest.approx(base, rel=1e-9, abs=1e-8)
    # A shift of y along X changes nothing; a scale adds to the criterion only.
    n_eff = n - p if reml else n
    shifted = value_of(y + x @ (rng.standard_normal(p) / np.abs(x).max()), x, g, z, w, theta, reml)
    assert shifted == pytest.approx(base, rel=1e-7, abs=1e-6)
    scaled = value_of(1024.0 * y, x, g, z, w, theta, reml)
    assert scaled - 2 * n_eff * np.log(1024.0) == pytest.approx(base, rel=1e-9, abs=1e-8)
    # Another basis of X changes REML by its determinant only.
    change = np.triu(rng.standard_normal((p, p))) + 3 * np.eye(p)
    other = value_of(y, x @ change, g, z, w, theta, reml)
    extra = 2 * np.linalg.slogdet(change)[1] if reml else 0.0
    assert other - extra == pytest.approx(base, rel=1e-7, abs=1e-6)
    # Units of Z go into G.
    units = 10.0 ** rng.uniform(-4, 4, z.shape[1])
    assert value_of(y, x, g, z * units, w, theta, reml, units) == pytest.approx(
        base, rel=1e-8, abs=1e-7
    )


def sleepstudy():
    data = lmmcore.datasets.load_sleepstudy()
    return data, lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_shift_and_scale_of_y_and_x(shift, scale):
    data, base = sleepstudy()
    changed = data.assign(
        Reaction=scale * (data["Reaction"] + shift), Days=data["Days"] / scale + shift
    )
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", changed).fit()
    plain = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit()
    slope = plain.fe_params["Days"] * scale**2
    # The data themselves lose about log10(shift / spread) digits.
    rel = 1e-9 * (1 + shift * max(scale, 1.0 / 100))
    assert fit.fe_params["Days"] == pytest.approx(slope, rel=rel)
    assert fit.bse_fe["Days"] == pytest.approx(plain.bse_fe["Days"] * scale**2, rel=max(rel, 1e-8))
    assert fit.scale == pytest.approx(plain.scale * scale**2, rel=max(rel, 1e-8))
    assert fit.cov_re.iloc[0, 0] == pytest.approx(
        plain.cov_re.iloc[0, 0] * scale**2, rel=max(rel, 1e-6)
    )
    assert base.converged


def test_leading_digits_are_not_lost():
    """Timestamps as a covariate with a random slope: the same slope, variance and residual."""
    data, base = sleepstudy()
    stamps = data.assign(Days=1.7e9 + 86400.0 * data["Days"])
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", stamps).fit()
    assert fit.converged
    # REML depends on the units of X through its determinant.
    assert fit.criterion - 2 * np.log(86400.0) == pytest.approx(base.criterion, rel=1e-9)
    assert fit.fe_params["Days"] * 86400 == pytest.approx(base.fe_params["Days"], rel=1e-8)
    assert fit.cov_re.loc["Days", "Days"] * 86400**2 == pytest.approx(
        base.cov_re.loc["Days", "Days"], rel=1e-5
    )
    assert fit.scale == pytest.approx(base.scale, rel=1e-6)


@pytest.mark.parametrize("offset", [1e3, 1e9])
def test_a_shifted_slope_is_the_same_model(offset):
    """With a random intercept the origin of a slope is a matter of taste, singular fits included."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"y": rng.standard_normal(300), "x": rng.standard_normal(300), "g": np.arange(300) // 10}
    )
    data["y"] += rng.standard_normal(30)[data["g"]]
    for y in (data["y"], data["y"] + rng.standard_normal(30)[data["g"]] * data["x"]):
        here = lmmcore.mixedlm("y ~ x + (x | g)", data.assign(y=y)).fit()
        there = lmmcore.mixedlm("y ~ x + (x | g)", data.assign(y=y, x=data["x"] + offset)).fit()
        assert there.converged
        assert there.criterion == pytest.approx(here.criterion, abs=1e-5)
        assert there.cov_re.iloc[1, 1] == pytest.approx(here.cov_re.iloc[1, 1], rel=1e-4)
        assert len(there.convergence.boundary) == len(here.convergence.boundary)
        np.testing.assert_allclose(there.fittedvalues, here.fittedvalues, atol=1e-4)


def test_number_of_threads_changes_no_digit():
    """Several chunks of rows, sorted and not, and several chunks of groups."""
    rng = np.random.default_rng(1)
    n, q = 200_000, 20_000
    g = np.sort(rng.integers(0, q, n))
    x = np.column_stack([np.ones(n), rng.standard_normal(n)])
    y = rng.standard_normal(n) + rng.standard_normal(q)[g]
    few = rng.integers(0, 7, n)
    try:
        for groups in (g, few, rng.permutation(g)):
            results = []
            for threads in (1, 2, 5):
                lmmcore.set_threads(threads)
                assert lmmcore.get_threads() == threads
                fit = MixedLM(y, x, groups, exog_re=x).fit()
                results.append((fit.criterion, *fit.fe_params, *fit.theta, *fit.bse_fe))
            assert results[0] == results[1] == results[2]
    finally:
        lmmcore.set_threads(None)


def test_bad_number_of_threads(monkeypatch):
    with pytest.raises(lmmcore.LmmcoreError, match="set_threads got 0"):
        lmmcore.set_threads(0)
    monkeypatch.setenv("LMMCORE_NUM_THREADS", "two")
    with pytest.raises(lmmcore.LmmcoreError, match="LMMCORE_NUM_THREADS is 'two'"):
        lmmcore.get_threads()
    monkeypatch.setenv("LMMCORE_NUM_THREADS", "3")
    assert lmmcore.get_threads() == 3

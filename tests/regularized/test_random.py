"""Selection of random effects by a penalty on the rows of their Cholesky factors."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import DesignError, OptionError
from lmmcore.penalties import GroupLasso
from lmmcore.penalties.problem import PenaltyTerms
from lmmcore.regularized.random_effects import _Walk


def data(seed=0, q=60, m=12, sds=(1.0, 0.8, 0.0, 0.0), unit=1.0):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(q), m)
    x = rng.standard_normal((q * m, len(sds) - 1))
    z = np.column_stack([np.ones(q * m), x])
    b = rng.standard_normal((q, len(sds))) * sds
    y = 1 + x[:, 0] + np.sum(z * b[g], axis=1) + rng.standard_normal(q * m)
    frame = pd.DataFrame(x * unit, columns=list("abc")[: len(sds) - 1])
    return frame.assign(y=y, g=g)


MAXIMAL = "y ~ a + b + c + (1 + a + b + c | g)"


@pytest.fixture(scope="module")
def path():
    return lmmcore.mixedlm(MAXIMAL, data()).select_random_effects()


def test_a_maximal_model_shrinks_to_the_true_one(path):
    assert path.selected == ["g", "a"]
    fit = path.refit()
    assert fit.model.exog_re_names == ["g", "a"]
    own = lmmcore.mixedlm("y ~ a + b + c + (1 + a | g)", data()).fit()
    assert fit.criterion == pytest.approx(own.criterion, abs=1e-7)
    assert np.all(path.residuals <= 1e-4)
    # A row that is gone stays gone, and the last weight leaves none.
    on = path.sds.to_numpy() > 0
    assert (on[1:] <= on[:-1]).all()
    assert path.df[0] == 10
    assert path.alphas[0] == 0.0
    full = path.model.fit()
    np.testing.assert_allclose(path.sds.iloc[0], np.sqrt(np.diag(full.cov_re)), rtol=1e-5)
    assert path.values[path.best] < path.values[0]


def test_units_of_the_columns_do_not_matter(path):
    other = lmmcore.mixedlm(MAXIMAL, data(unit=np.array([1e-2, 1.0, 30.0]))).select_random_effects()
    np.testing.assert_allclose(other.alphas, path.alphas, rtol=1e-4)
    assert other.selected == path.selected
    plain = [
        lmmcore.mixedlm(MAXIMAL, data(unit=unit)).select_random_effects(adaptive=False, n_alphas=8)
        for unit in (1.0, 3.0)
    ]
    np.testing.assert_allclose(plain[0].sds["g"], plain[1].sds["g"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(plain[0].sds["a"], 3 * plain[1].sds["a"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("strength", [1.0, 10.0])
def test_nothing_nearby_is_lower(strength):
    """The objective ½ d(θ) + λ Σ ‖row of Λ‖ at the result and around it."""
    model = lmmcore.mixedlm("y ~ a + b + (1 + a + b | g)", data(sds=(1.0, 0.8, 0.3)))
    likelihood = model.equations.likelihood(True, None, model.equations.plain_engine)
    row = np.array([0, 1, 1, 2, 2, 2])
    weights = 1.0 / np.sqrt(np.bincount(row))[row]
    terms = PenaltyTerms(tuple("abcdef"), weights, row, np.ones(6))
    start = likelihood.parameters([np.eye(3)])
    theta, residual = _Walk(likelihood, terms, GroupLasso(), row).down(strength, start)
    assert residual <= 1e-4

    def objective(x):
        return 0.5 * likelihood.value(x) + strength * np.sqrt(np.bincount(row, x**2)).sum()

    rng, value = np.random.default_rng(0), objective(theta)
    for _ in range(100):
        step = rng.standard_normal(6) * 10.0 ** rng.uniform(-5, -1)
        assert objective(theta + step) >= value - 1e-9 * abs(value)
    assert value < objective(start)


def test_keep_components_diagonal_and_other_penalties():
    frame = data(q=40)
    frame["v"] = np.tile(np.arange(4), len(frame) // 4)
    model = lmmcore.mixedlm(
        "y ~ a + b + c", frame, groups="g", re_formula="1 + a + b", vc_formula={"v": "0 + C(v)"}
    )
    path = model.select_random_effects(n_alphas=15)
    assert path.selected == ["g", "a"]
    assert "v" in path.sds.columns
    kept = model.select_random_effects(n_alphas=8, keep=["b"])
    assert (kept.sds["b"].to_numpy() > 0).all()
    diagonal = lmmcore.mixedlm("y ~ a + b + c + (1 + a + b + c || g)", frame)
    assert diagonal.select_random_effects(n_alphas=15).selected == ["g", "a"]
    concave = lmmcore.mixedlm(MAXIMAL, frame).select_random_effects("group_mcp", n_alphas=12)
    assert concave.selected == ["g", "a"]


def test_nothing_left():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.standard_normal(200), "a": rng.standard_normal(200)})
    frame["g"] = np.repeat(np.arange(20), 10)
    path = lmmcore.mixedlm("y ~ a + (1 + a | g)", frame).select_random_effects(n_alphas=6)
    assert (path.sds.iloc[-1] == 0).all()
    with pytest.raises(DesignError, match="no random effect is left"):
        path.refit(len(path.alphas) - 1)


def test_bad_arguments():
    model = lmmcore.mixedlm("y ~ a + (1 + a | g)", data(q=20))
    for arguments, match in (
        ({"criterion": "cv"}, "criterion='cv'"),
        ({"n_alphas": 1}, "n_alphas=1"),
        ({"keep": "zz"}, "keep has 'zz'"),
        ({"alphas": [-1.0]}, "alphas="),
        ({"penalty": "group_lass"}, "did you mean 'group_lasso'"),
    ):
        with pytest.raises(OptionError, match=match):
            model.select_random_effects(**arguments)
    structured = lmmcore.mixedlm("y ~ a + cs(1 + a | g)", data(q=20))
    with pytest.raises(OptionError, match="entries of a Cholesky factor"):
        structured.select_random_effects()


def test_plot(path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = path.plot()
    assert ax.get_ylabel() == "standard deviation of the random effect"
    assert len(ax.lines) == 5

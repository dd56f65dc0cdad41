"""Coefficients and variances that hold at once: acceleration, and what is said where there are none."""

import numpy as np
import pytest
from scipy import optimize

from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import ConvergenceError
from lmmcore.regularized.anderson import Anderson

PENALTIES = ["lasso", "ridge", "elastic_net", "slope", "fused", "mcp"]


def draw(seed):
    """90 rows, 7 columns: correlated, varying between groups or not, with much or little noise."""
    rng = np.random.default_rng(seed)
    q, n, p = int(rng.choice([6, 9, 10, 15, 18, 30])), 90, 6
    g = np.repeat(np.arange(q), n // q)
    shared, rho = rng.standard_normal((n, 1)), rng.choice([0, 0.5, 0.9])
    x = np.sqrt(1 - rho) * rng.standard_normal((n, p)) + np.sqrt(rho) * shared
    if rng.random() < 0.5:
        x[:, :3] = rng.standard_normal((q, 3))[g]
    x = np.column_stack([np.ones(n), x])
    beta = np.r_[rng.normal(0, 5), rng.normal(0, 3, p) * (rng.random(p) < 0.6)]
    y = x @ beta + rng.choice([0, 0.3, 1, 2, 5]) * rng.standard_normal(q)[g]
    y += rng.choice([0.1, 0.3, 1]) * rng.standard_normal(n)
    alpha = 10 ** np.random.default_rng(seed + 1).uniform(-1, 3)
    return y, x, g, float(alpha)


def dense_variances(rest, x, g, reml):
    """Ratio and σ² of an ordinary fit with a random intercept, by a search in one dimension."""
    same = 1.0 * (g[:, None] == g)
    m = len(rest) - (x.shape[1] if reml else 0)

    def parts(ratio):
        v = np.eye(len(rest)) + ratio * same
        vx = np.linalg.solve(v, x)
        beta = np.linalg.solve(vx.T @ x, vx.T @ rest) if x.shape[1] else np.zeros(0)
        e = rest - x @ beta
        scale = e @ np.linalg.solve(v, e) / m
        value = np.linalg.slogdet(v)[1] + m * np.log(scale)
        return value + (np.linalg.slogdet(vx.T @ x)[1] if reml else 0.0), scale

    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1e7, 80)])
    values = [parts(r)[0] for r in grid]
    i = int(np.argmin(values))
    low, high = grid[max(i - 1, 0)], grid[min(i + 1, 80)]
    found = optimize.minimize_scalar(
        lambda r: parts(r)[0], bounds=(low, high), method="bounded", options={"xatol": 1e-10}
    )
    ratio = found.x if found.fun < values[i] else grid[i]
    return ratio, parts(ratio)[1]


def test_easy_problems_converge_in_few_rounds():
    rounds = []
    for seed in range(120):
        y, x, g, alpha = draw(seed)
        reml = bool(seed % 2)
        unpenalized = "constant" if seed % 3 else ()
        fit = MixedLM(y, x, g).fit_regularized(
            method=PENALTIES[seed % 6], alpha=alpha, unpenalized=unpenalized, variances="joint",
            reml=reml,
        )  # fmt: skip
        rounds.append(fit.rounds)
        assert fit.residual < 1e-7
        beta = np.asarray(fit.fe_params)
        free = [0] if unpenalized else []
        others = np.setdiff1d(np.arange(7), free)
        rest = y - x[:, others] @ beta[others]
        ratio, scale = dense_variances(rest, x[:, free], g, reml)
        assert fit.scale == pytest.approx(scale, rel=1e-4)
        mine = float(np.asarray(fit.cov_re)[0, 0]) / fit.scale
        assert mine == pytest.approx(ratio, rel=2e-3, abs=1e-5)
        if seed % 6 == 0:  # the lasso, by its conditions
            v = fit.scale * (np.eye(90) + mine * (g[:, None] == g))
            slope = x.T @ np.linalg.solve(v, y - x @ beta)
            limit = alpha / 2 / np.sqrt(fit.scale)
            size = np.sqrt(np.einsum("ij,ij->j", x, np.linalg.solve(v, x)))
            on = others[beta[others] != 0]
            assert np.all(np.abs(slope[on] - limit * np.sign(beta[on])) < 1e-3 * size[on])
            assert np.all(np.abs(slope[others]) < limit + 1e-3 * size[others])
    assert max(rounds) <= 40
    assert np.mean(rounds) < 10


@pytest.mark.parametrize(
    ("seed", "penalty", "unpenalized"),
    [(41, "mcp", ()), (26, "slope", ()), (38, "ridge", "constant")],
)
def test_slow_ones(seed, penalty, unpenalized):
    """Alternation alone takes 59 and more than 200 rounds on the first two."""
    y, x, g, alpha = draw(seed)
    for reml in (False, True):
        fit = MixedLM(y, x, g).fit_regularized(
            method=penalty, alpha=alpha, unpenalized=unpenalized, variances="joint", reml=reml
        )
        assert fit.rounds <= 50
        assert fit.residual < 1e-7


def test_where_nothing_holds_the_error_says_so(monkeypatch):
    y, x, g, _ = draw(2)
    monkeypatch.setattr("lmmcore.regularized.variances.ROUNDS", 2)
    with pytest.raises(ConvergenceError, match="did not converge in 2 rounds: at the last variances") as e:
        MixedLM(y, x, g).fit_regularized(alpha=5, variances="joint")
    assert "many columns" not in str(e.value)
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    wide = np.column_stack([x[:40], rng.standard_normal((40, 100))])
    with pytest.raises(ConvergenceError, match=r"many columns and the penalty is weak. Increase alpha"):
        MixedLM(y[:40], wide, g[:40]).fit_regularized(alpha=0.5, variances="joint")


def test_patterns_hold_in_joint_fits():
    y, x, g, _ = draw(5)
    z = x[:, :2]
    free = MixedLMParams.from_components(np.ones(7), np.eye(2))
    fit = MixedLM(y, x, g, exog_re=z).fit_regularized(
        alpha=5, variances="joint", unpenalized="constant", free=free
    )
    assert np.asarray(fit.cov_re)[0, 1] == 0.0
    assert fit.k_constr == 1


def test_acceleration_is_a_secant_method_and_takes_bad_steps_back():
    matrix = np.diag([0.99, 0.9, -0.95])
    x = np.ones(3)
    memory = Anderson()
    for _ in range(12):
        x = memory.next(x, matrix @ x + 1.0, np.ones(3))
    np.testing.assert_allclose(x, 1 / (1 - np.diag(matrix)), rtol=1e-6)
    # Steps that grow are not extrapolated: the fixed point behind is left, the one ahead is found.
    x, memory = np.array([0.1]), Anderson()
    for _ in range(60):
        x = memory.next(x, x + 0.5 * x * (1 - x), np.ones(1))
    assert x[0] == pytest.approx(1.0)

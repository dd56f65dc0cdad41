"""Solvers of penalized quadratics: kernels beside their twins, certificates, other packages."""

from types import SimpleNamespace

import numpy as np
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso as SklearnLasso

from lmmcore.errors import ConvergenceError, DesignError, OptionError, PluginError
from lmmcore.extension import Blockwise, find, plugins
from lmmcore.penalties import Fused, GroupLasso, Lasso, Ridge, descent
from lmmcore.penalties._descent import descend
from lmmcore.penalties._prox import fused, isotonic_decreasing
from lmmcore.penalties.problem import PenalizedQuadratic, PenaltyTerms
from lmmcore.penalties.quadratic import Whitened
from lmmcore.testing import twins

NAMES = sorted({p.name for p in plugins() if p.kind == "penalty" and p.distribution == "lmmcore"})


def rows(seed, n=60, p=12, common=1.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) + common * rng.standard_normal((n, 1))
    y = x[:, : min(3, p)] @ np.array([1.0, -2.0, 0.7])[: min(3, p)] + rng.standard_normal(n)
    return x, y


def terms(p, weights=None, size=1, scales=None):
    return PenaltyTerms(
        tuple(f"x{j}" for j in range(p)), np.ones(p) if weights is None else np.asarray(weights, float),
        np.arange(p) // size, np.ones(p) if scales is None else scales,
    )  # fmt: skip


def problem(x, y, penalty, **keywords):
    penalty = find("penalty", penalty) if isinstance(penalty, str) else penalty
    return PenalizedQuadratic(Whitened(x, y), terms(x.shape[1], **keywords), penalty)


@examples(15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
def test_descent_beside_its_twin(seed, n_groups, size, shape):
    rng = np.random.default_rng(seed)
    p = n_groups * size
    x = rng.standard_normal((p + 5, p))
    h, c = x.T @ x, x.T @ rng.standard_normal(p + 5)
    norm = rng.uniform(0, 2, n_groups)
    ends = [(np.inf, np.inf), (0.0, 3.0), (1.0, 3.7)][shape]
    top = np.array(
        [np.linalg.eigvalsh(h[g : g + size, g : g + size])[-1] for g in range(0, p, size)]
    )
    groups = np.arange(p) // size
    l2 = np.repeat(rng.uniform(0, 1, n_groups), size)
    form = Blockwise(
        groups, rng.uniform(0, 1, p), l2, norm, ends[0] * norm / top, ends[1] * norm / top
    )
    start = rng.standard_normal(p)
    beta, rest = start.copy(), c - h @ start
    starts = np.arange(0, p + 1, size).astype(np.intp)
    descend(
        h, starts, top, form.l1, form.l2, form.norm, form.fall_from, form.fall_to, beta, rest,
        np.empty(p), 1, np.inf,
    )  # fmt: skip
    np.testing.assert_allclose(beta, twins.descend(h, c, form, start, 1), atol=2e-5)
    np.testing.assert_allclose(rest, c - h @ beta, atol=1e-9 * np.abs(c).max())


@examples(30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_isotonic_beside_its_twin(seed, n):
    y = np.random.default_rng(seed).integers(-3, 6, n).astype(float)
    out = np.empty(n)
    isotonic_decreasing(y, out)
    np.testing.assert_allclose(out, twins.isotonic_decreasing(y), atol=1e-12)


@examples(30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_fused_beside_its_twin(seed, n):
    rng = np.random.default_rng(seed)
    y = rng.integers(-3, 4, n) + rng.choice([0.0, 0.3]) * rng.standard_normal(n)
    l1 = rng.uniform(0, 1, n) * rng.integers(0, 2, n)
    tv, step = rng.uniform(0, 2, n - 1) * rng.integers(0, 2, n - 1), rng.uniform(0.2, 2)
    out = np.empty(n)
    fused(np.ascontiguousarray(y, dtype=float), step, l1, tv, out)
    np.testing.assert_allclose(out, twins.fused(y, step, l1, tv), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wide", [False, True])
def test_every_penalty_is_certified_along_a_path(name, wide):
    x, y = rows(3, *((30, 60) if wide else (60, 24)))
    found = problem(x, y, name, weights=np.r_[0.0, np.full(x.shape[1] - 1, 1.0)], size=3)
    top = found.largest_strength()
    strengths = np.geomspace(top, (0.05 if wide else 0.005) * top, 12)
    solutions = found.path(strengths)
    for strength, solution in zip(strengths, solutions):
        beta = found.coefficients(solution)
        if found.penalty.concavity == 0:
            assert solution.gap <= 1e-9 * solution.objective
        else:
            assert solution.residual < 1e-7
            assert found.residual(beta, strength) < 1e-7
        # The unpenalized coefficient is at its best.
        assert abs(x[:, 0] @ (y - x @ beta)) < 1e-8 * np.abs(x.T @ y).max()
    assert name in ("l2", "ridge") or not solutions[0].beta.any()
    assert solutions[-1].beta.any()
    # Nothing nearby is lower.
    rng = np.random.default_rng(0)
    last, strength = solutions[-1], strengths[-1]

    def objective(b):
        return 0.5 * np.sum((y - x @ b) ** 2) + found.penalty.value(b[1:], strength)

    beta = found.coefficients(last)
    value = objective(beta)
    assert value == pytest.approx(last.objective, rel=1e-10)
    for _ in range(50):
        step = rng.standard_normal(len(beta)) * 10.0 ** rng.uniform(-6, -2)
        assert objective(beta + step) >= value - 1e-10 * value


@pytest.mark.parametrize("strength", [0.5, 5.0, 50.0])
def test_beside_scikit_learn(strength):
    for seed, shape in ((0, (80, 20)), (1, (40, 70))):
        x, y = rows(seed, *shape)
        n = len(y)
        theirs = SklearnLasso(alpha=strength / n, fit_intercept=False, tol=1e-14, max_iter=10**6)
        mine = problem(x, y, "lasso")
        beta = mine.coefficients(mine.solve(strength))
        np.testing.assert_allclose(beta, theirs.fit(x, y).coef_, atol=1e-8)
        other = SklearnElasticNet(
            alpha=strength / n, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=10**6
        )
        mine = problem(x, y, "elastic_net")
        beta = mine.coefficients(mine.solve(strength))
        np.testing.assert_allclose(beta, other.fit(x, y).coef_, atol=1e-8)


def group_lasso_reference(x, y, groups, strength, steps=20_000):
    """Plain proximal gradient."""
    beta = np.zeros(x.shape[1])
    top = np.linalg.norm(x, 2) ** 2
    for _ in range(steps):
        z = beta + x.T @ (y - x @ beta) / top
        for g in set(groups):
            on = groups == g
            size = np.linalg.norm(z[on])
            z[on] *= max(0.0, 1 - strength * np.sqrt(on.sum()) / top / size)
        beta = z
    return beta


@pytest.mark.parametrize("strength", [2.0, 20.0])
def test_group_lasso_beside_a_reference(strength):
    x, y = rows(5, 60, 12, 0.5)
    mine = problem(x, y, "group_lasso", size=3)
    beta = mine.coefficients(mine.solve(strength))
    reference = group_lasso_reference(x, y, np.arange(12) // 3, strength)
    np.testing.assert_allclose(beta, reference, atol=1e-8)


def test_special_cases():
    x, y = rows(1, 40, 4)
    full = np.linalg.lstsq(x, y, rcond=None)[0]
    for name in ("lasso", "group_lasso", "scad", "slope", "fused"):
        found = problem(x, y, name)
        np.testing.assert_allclose(found.coefficients(found.solve(0.0)), full, atol=1e-7)
    found = problem(x, y, Ridge())
    expected = np.linalg.solve(x.T @ x + 3 * np.eye(4), x.T @ y)
    np.testing.assert_allclose(found.coefficients(found.solve(3.0)), expected, rtol=1e-9)
    q, _ = np.linalg.qr(x)
    found = problem(q, y, Lasso())
    soft = np.sign(q.T @ y) * np.maximum(np.abs(q.T @ y) - 0.5, 0)
    np.testing.assert_allclose(found.coefficients(found.solve(0.5)), soft, atol=1e-12)
    # SCAD and MCP leave what is large as it is, in any unit of the columns.
    unit = np.array([1.0, 10.0, 0.1, 3.0])
    for name in ("scad", "mcp"):
        found = problem(q * unit, y, name)
        top = found.largest_strength()
        weights = np.sqrt(np.diag((q * unit).T @ (q * unit)))
        scaled = problem(q * unit, y, name, weights=weights)
        beta = scaled.coefficients(scaled.solve(0.01)) * unit
        large = np.abs(q.T @ y) > 0.1
        np.testing.assert_allclose(beta[large], (q.T @ y)[large], rtol=1e-9)
        assert top > 0
    # All zero from the largest strength on, and not before.
    found = problem(x, y, Lasso())
    top = found.largest_strength()
    assert top == pytest.approx(np.abs(x.T @ y).max(), rel=1e-12)
    assert not found.solve(top).beta.any()
    assert found.solve(0.999 * top).beta.any()


def test_weights_units_and_free_columns():
    x, y = rows(2, 50, 6)
    weights = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 1.0])
    found = problem(x, y, Lasso(), weights=weights)
    beta = found.coefficients(found.solve(4.0))
    slope = x.T @ (y - x @ beta)
    assert abs(slope[0]) < 1e-9
    on = beta != 0
    np.testing.assert_allclose(slope[on], (4.0 * weights * np.sign(beta))[on], atol=1e-9)
    assert np.all(np.abs(slope[~on]) <= 4.0 * weights[~on] + 1e-9)
    unit = np.array([1.0, 2.0, 3.0, 0.5, 1.0, 7.0])
    scaled = problem(x, y, Lasso(), scales=unit)
    other = problem(x / unit, y, Lasso())
    np.testing.assert_allclose(
        scaled.coefficients(scaled.solve(4.0)),
        other.coefficients(other.solve(4.0)) / unit,
        atol=1e-10,
    )
    nothing = problem(x, y, Lasso(), weights=np.zeros(6))
    full = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(nothing.coefficients(nothing.solve(1.0)), full, atol=1e-9)


def test_columns_twice_constant_and_dependent():
    x, y = rows(7, 50, 5)
    twice = np.column_stack([x, x[:, 0], np.zeros(50)])
    for name in ("lasso", "elastic_net", "group_lasso", "ridge"):
        found, once = problem(twice, y, name), problem(x, y, name)
        solution = found.solve(3.0)
        beta = found.coefficients(solution)
        assert solution.gap <= 1e-9 * solution.objective
        assert beta[-1] == 0.0
        if name == "lasso":
            other = once.coefficients(once.solve(3.0))
            np.testing.assert_allclose(beta[0] + beta[5], other[0], atol=1e-8)
        if name == "ridge":
            np.testing.assert_allclose(beta[0], beta[5], rtol=1e-6)
    # What unpenalized columns determine has a coefficient of zero.
    weights = np.r_[np.zeros(5), 1.0, 1.0]
    found = problem(twice, y, "lasso", weights=weights)
    np.testing.assert_array_equal(found.coefficients(found.solve(1.0))[5:], 0.0)
    assert found.dead.tolist() == [5, 6]
    with pytest.raises(DesignError, match="linearly dependent"):
        problem(twice, y, "lasso", weights=np.r_[0.0, np.ones(4), 0.0, 1.0])


def test_nearly_collinear_columns_are_certified():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 30)) + 300 * rng.standard_normal((60, 1))
    y = x[:, 0] + rng.standard_normal(60)
    for name in ("lasso", "group_lasso", "mcp"):
        found = problem(x, y, name, size=3)
        solution = found.solve(0.1)
        assert solution.residual < 1e-7
        assert np.isnan(solution.gap) or solution.gap < 1e-9 * solution.objective


def test_what_is_not_reached_is_an_error():
    x, y = rows(0, 60, 30, 30.0)
    with pytest.raises(
        ConvergenceError, match=r"did not converge in maxit=1 sweeps.*a duality gap"
    ):
        problem(x, y, GroupLasso(), size=5).solve(0.1, maxit=1)
    with pytest.raises(ConvergenceError, match=r"maxit=1 proximal steps.*a duality gap"):
        problem(x, y, Fused()).solve(0.1, maxit=1)


def test_many_columns_without_their_products():
    """More columns than are stored: the same solution, from the rows."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 2500))
    y = x[:, :4] @ np.array([3.0, -2.0, 2.0, 1.0]) + rng.standard_normal(80)
    for name in ("lasso", "scad", "ridge"):
        found = problem(x, y, name)
        assert isinstance(found.inner, Whitened)
        strength = 0.5 * found.largest_strength() if name != "ridge" else 10.0
        beta = found.coefficients(found.solve(strength))
        if name == "lasso":
            theirs = SklearnLasso(
                alpha=strength / 80, fit_intercept=False, tol=1e-13, max_iter=10**5
            )
            np.testing.assert_allclose(beta, theirs.fit(x, y).coef_, atol=1e-8)
        assert found.residual(beta, strength) < 1e-7


class Broken(Lasso):
    def bind(self, coefficients):
        raise KeyError("no")


class Unbounded(Lasso):
    concavity = np.nan


def test_what_is_no_penalty():
    x, y = rows(0)
    with pytest.raises(OptionError, match="has no bind, value, prox"):
        problem(x, y, 3)
    with pytest.raises(PluginError, match="penalty Broken raised KeyError in bind"):
        problem(x, y, Broken())
    with pytest.raises(PluginError, match="concavity nan"):
        problem(x, y, Unbounded())


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
def test_maxit_counts_sweeps(limit, monkeypatch):
    """Not one sweep over all coefficients more than `maxit` is done: the kernel is told so each time."""
    x, y = rows(0, 60, 30, 300.0)
    done, allowed = [], []

    def counted(*arguments):
        allowed.append(arguments[-2])
        done.append(descend(*arguments))
        return done[-1]

    monkeypatch.setattr(descent, "descend", counted)
    # Without Newton steps, sweeps alone must reach the minimum.
    monkeypatch.setattr(descent, "polished", lambda h, c, form, beta: beta)
    with pytest.raises(ConvergenceError, match=f"maxit={limit} sweeps"):
        problem(x, y, GroupLasso(), size=5).solve(0.1, maxit=limit)
    assert sum(done) == limit
    assert all(d <= a <= limit for d, a in zip(done, allowed, strict=True))


def test_maxit_counts_what_the_solution_says():
    x, y = rows(1)
    for penalty in ("lasso", "mcp", "slope"):
        free = problem(x, y, penalty)
        start = np.zeros(x.shape[1])
        needed = free.solve(0.01, start).sweeps
        assert needed > 1
        again = free.solve(0.01, start, maxit=needed)
        assert again.sweeps == needed
        with pytest.raises(ConvergenceError, match="maxit=1 "):
            free.solve(0.01, start, maxit=1)


@pytest.mark.parametrize("limit", [1, 7, 12])
def test_maxit_counts_proximal_steps(limit):
    """One proximal map for each step, and a few more: restarts, mixed steps, the certificate."""
    x, y = rows(0, 60, 30, 30.0)
    found = problem(x, y, Fused())
    prox, calls = found.penalty.prox, []
    found.penalty = SimpleNamespace(
        concavity=0.0,
        value=found.penalty.value,
        prox=lambda *arguments: (calls.append(1), prox(*arguments))[1],
    )
    with pytest.raises(ConvergenceError, match=f"maxit={limit} proximal steps"):
        found.solve(0.1, maxit=limit)
    assert limit <= len(calls) <= 2 * limit + 5

"""The crossed engine against dense algebra, its twin, and the grouped engine."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM
from lmmcore.crossproducts.crossed import crossed_products
from lmmcore.design.design import Design, RandomTerm
from lmmcore.design.factors import factors_of_terms
from lmmcore.design.groups import code_groups
from lmmcore.errors import DesignError
from lmmcore.likelihood.coordinates import Coordinates
from lmmcore.likelihood.crossed import derivatives as crossed_derivatives
from lmmcore.likelihood.crossed import planning, structure
from lmmcore.likelihood.crossed import system as crossed_system
from lmmcore.likelihood.crossed.engine import CrossedEngine
from lmmcore.linalg.matrices import lower_indices
from lmmcore.testing import twins
from lmmcore.testing.strategies import CrossedProblem, crossed_models, factor_roots


def design_of(problem: CrossedProblem) -> Design:
    groupings = [code_groups(c, f"f{i}") for i, c in enumerate(problem.factors)]
    terms = [
        RandomTerm(tuple(f"t{t}c{j}" for j in range(c.shape[1])), factor=f)
        for t, (c, f) in enumerate(zip(problem.columns, problem.factor_of))
    ]
    random = [
        None if np.all(z == 1.0) else z for c in problem.columns for z in np.ascontiguousarray(c.T)
    ]
    fixed = [None, *np.ascontiguousarray(problem.x.T[1:])]
    names = tuple(f"x{j}" for j in range(problem.x.shape[1]))
    return Design(
        problem.y, "y", tuple(fixed), names, groupings[0], tuple(terms), tuple(random),
        weights=problem.weights, others=tuple(groupings[1:]),
    )  # fmt: skip


def engine_of(problem, centered=False):
    design = design_of(problem)
    cp = crossed_products(design, factors_of_terms(design))
    return CrossedEngine(cp, [c.shape[1] for c in problem.columns], centered), cp


def patterns(engine, dense):
    """V_c = ∂V/∂γ_c (n, n) of every coordinate."""
    out = []
    for term, z in zip(engine.terms, dense.z):
        for a, b in zip(*lower_indices(term.k)):
            e = np.zeros((term.k, term.k))
            e[a, b] = e[b, a] = 1.0
            out.append(z @ np.kron(np.eye(z.shape[1] // term.k), term.to_user(e)) @ z.T)
    return out


def dense_derivatives(engine, dense, covariances, reml, exact):
    """Gradient and Hessian (exact, or average information) in γ by n × n algebra."""
    vs = patterns(engine, dense)
    vi = np.linalg.inv(dense.covariance(covariances))
    vx = vi @ dense.x
    p = vi - vx @ np.linalg.solve(dense.x.T @ vx, vx.T)
    of_traces = p if reml else vi
    py = p @ dense.y
    n_eff = dense.n_eff
    s2 = dense.y @ py / n_eff
    q = np.array([py @ v @ py for v in vs]) / s2
    gradient = np.array([np.trace(of_traces @ v) for v in vs]) - q
    forms = np.array([[py @ v @ p @ w @ py for w in vs] for v in vs]) / s2
    if not exact:
        return gradient, forms - np.outer(q, q) / n_eff
    traces = np.array([[np.sum((of_traces @ v) * (of_traces @ w).T) for w in vs] for v in vs])
    return gradient, 2 * forms - traces - np.outer(q, q) / n_eff


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "average information"])
def test_against_dense_algebra(exact, monkeypatch):
    """Criterion, gradient and Hessian on drawn designs, at regular and singular Λ, to 1e-8."""
    monkeypatch.setattr(crossed_system, "EXACT", 10**9 if exact else -1)
    seen = {"peeled": 0, "chain": 0, "dense": 0, "one level": 0}

    @examples(200)
    @given(crossed_models(), st.data(), st.booleans(), st.booleans())
    def run(problem, data, reml, centered):
        engine, cp = engine_of(problem, centered)
        roots = data.draw(factor_roots([c.shape[1] for c in problem.columns]))
        state = engine.state(roots)
        dense = problem.dense(reml)
        covariances = [t.to_user(r @ r.T) for t, r in zip(engine.terms, roots)]
        n_eff = dense.n_eff
        value = (
            state.log_det_v
            - cp.log_weights
            + n_eff * (1 + np.log(2 * np.pi * state.r2 / n_eff / cp.basis.map[-1, -1] ** 2))
        )
        if reml:
            value += state.log_det_h - Coordinates(cp.basis).log_det
        assert value == pytest.approx(dense.criterion(covariances), rel=1e-10, abs=1e-8)
        gradient, hessian = dense_derivatives(engine, dense, covariances, reml, exact)
        mine = engine.gradient_hessian(roots, state, reml)
        size = 1.0 + np.abs(gradient).max()
        np.testing.assert_allclose(mine[0], gradient, atol=1e-8 * size)
        np.testing.assert_allclose(engine.gradient(roots, state, reml), gradient, atol=1e-8 * size)
        np.testing.assert_allclose(mine[1], hessian, atol=1e-8 * (1.0 + np.abs(hessian).max()))
        seen["peeled"] += engine.system.plan.peeled > 0
        seen["chain"] += len(engine.system.plan.chain) > 1
        seen["dense"] += engine.system.plan.m2 > 0
        seen["one level"] += any(len(f.labels) == 1 for f in engine.system.factors)

    run()
    assert min(seen.values()) > 10, seen


@examples(40)
@given(crossed_models(), st.data())
def test_the_twin(problem, data):
    """log-determinant, solutions, diagonal blocks of C and of K as by one dense factorization."""
    engine, _ = engine_of(problem)
    roots = data.draw(factor_roots([c.shape[1] for c in problem.columns]))
    dense = problem.dense(True)
    # The order and the units of the engine.
    z = np.zeros((len(problem.y), engine.system.columns))
    lam = np.zeros((engine.system.columns, engine.system.columns))
    weights = np.ones(len(problem.y)) if problem.weights is None else problem.weights
    for term, at, zt, root in zip(engine.terms, engine.system.index, dense.z, roots):
        q, k = at.shape
        columns = zt.reshape(len(z), q, k) @ term.basis
        z[:, at.ravel()] = columns.reshape(len(z), q * k)
        for level in at:
            lam[np.ix_(level, level)] = root
    zz = z.T @ (weights[:, None] * z)
    log_det, t, solution, c = twins.crossed(zz, lam, engine.system.zxy)
    state = engine.state(roots)
    assert state.log_det_v == pytest.approx(log_det, rel=1e-10, abs=1e-10)
    size = 1.0 + np.abs(engine.total).max()
    np.testing.assert_allclose(engine.total - t.T @ t, np.tril(state.root) @ np.tril(state.root).T,
                               atol=1e-9 * size)  # fmt: skip
    size = 1e-3 + np.abs(solution).max()
    np.testing.assert_allclose(engine.solution(roots), solution, atol=1e-9 * size)
    k = lam @ np.linalg.solve(lam.T @ zz @ lam + np.eye(len(lam)), lam.T)
    np.testing.assert_allclose(engine.joint(roots), k, atol=1e-9 * (1e-3 + np.abs(k).max()))
    if any(np.any(r) for r in roots):
        engine.state(roots)
        for (f, first), term, at in zip(engine.system.place, engine.terms, engine.system.index):
            blocks = engine.conditional_covariances(roots)[f]
            part = blocks[:, first : first + term.k, first : first + term.k]
            expected = np.array([k[np.ix_(level, level)] for level in at])
            np.testing.assert_allclose(part, expected, atol=1e-7 * (1e-3 + np.abs(k).max()))
        engine.state(roots)
        for block, at in zip(engine._derivatives._blocks(roots), engine.system.index):
            expected = sum(c[np.ix_(level, level)] for level in at)
            np.testing.assert_allclose(block, expected, atol=1e-8 * (1.0 + np.abs(expected).max()))


@examples(20)
@given(crossed_models(max_factors=1), st.booleans())
def test_one_factor_is_the_grouped_engine(problem, reml):
    """Criterion and derivatives at a point equal those of the grouped engine to 1e-10."""
    codes = problem.factors[0]
    if len(np.unique(codes)) == 1:
        return
    z = np.hstack(problem.columns)
    if np.bincount(codes).max() < z.shape[1] or len(np.unique(codes)) == len(codes):
        return
    engine, _ = engine_of(problem)
    model = MixedLM(problem.y, problem.x, codes, exog_re=z, weights=problem.weights)
    grouped = model.equations.plain_engine
    sizes = [c.shape[1] for c in problem.columns]
    if len(sizes) > 1:
        return  # arrays have one term
    g = np.eye(sizes[0]) + 0.3
    roots = [[np.linalg.cholesky(e.terms[0].to_engine(g))] for e in (engine, grouped)]
    states = [e.state(r) for e, r in zip((engine, grouped), roots)]
    assert states[0].log_det_v == pytest.approx(states[1].log_det_v, rel=1e-10)
    assert states[0].r2 == pytest.approx(states[1].r2, rel=1e-10)
    one, two = (e.gradient_hessian(r, s, reml) for e, r, s in zip((engine, grouped), roots, states))
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, atol=1e-10 * (1.0 + np.abs(b).max()))


def penicillin():
    return lmmcore.datasets.load_penicillin()


def test_traces_by_differences(monkeypatch):
    """Exact derivatives of a large model, whose traces are differences, equal those of all of C."""
    data = penicillin()
    data["x"] = np.sin(np.arange(len(data)))
    model = lmmcore.mixedlm("diameter ~ x + (1 + x | plate) + (1 | sample)", data)
    fit = model.fit()
    engine, roots = model.equations.engine, [1.1 * f + 0.1 for f in fit.fit.point.factors]
    roots = [np.tril(r) for r in roots]
    state = engine.state(roots)
    weights = (-1.0, 2.0, 7.0)
    whole = engine.derivatives(roots, state, True, weights)
    monkeypatch.setattr(crossed_system, "EXACT", -1)
    monkeypatch.setattr(crossed_derivatives, "WHOLE", -1)
    for a, b in zip(engine.derivatives(roots, state, True, weights), whole):
        np.testing.assert_allclose(a, b, atol=1e-7 * np.abs(b).max())


def test_threads_change_no_digit(monkeypatch):
    monkeypatch.setattr(planning, "NODE_WORK", 2_000)
    monkeypatch.setattr(planning, "ROW_WORK", 5_000)
    rng = np.random.default_rng(3)
    n = 10_000
    a, b = rng.integers(0, 1000, n), rng.integers(0, 200, n)
    y = rng.standard_normal(n) + rng.standard_normal(1000)[a] + rng.standard_normal(200)[b]
    model = lmmcore.mixedlm("y ~ (1 | a) + (1 | b)", {"y": y, "a": a, "b": b})
    engine = model.equations.engine
    assert min(len(engine.system.plan.row_chunks), len(engine.system.plan.stages[0])) > 4
    roots = [np.array([[0.8]]), np.array([[1.2]])]
    found = []
    before = lmmcore.get_threads()
    for threads in (1, 2, 3):
        lmmcore.set_threads(threads)
        engine.workspace._held = None
        state = engine.state(roots)
        found.append((state.log_det_v, *engine.gradient_hessian(roots, state, True)))
    lmmcore.set_threads(before)
    for other in found[1:]:
        assert other[0] == found[0][0]
        assert np.array_equal(other[1], found[0][1])
        assert np.array_equal(other[2], found[0][2])


def test_memory_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(structure, "available_memory", lambda: 100)
    monkeypatch.setattr(structure, "SMALL", 0)
    with pytest.raises(DesignError, match=r"100 B are available: sample has 6 levels .* plate"):
        lmmcore.mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin()).fit()


def test_structure_in_words():
    model = lmmcore.mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin())
    text = str(model.structure)
    for part in ("plate", "24 levels", "level by level", "dense triangle", "Workspace", "Cholesky"):
        assert part in text
    nested = lmmcore.mixedlm(
        "strength ~ 1 + (1 | batch/cask)", lmmcore.datasets.load_pastes()
    ).structure
    assert not any(b.storage == "dense triangle" for b in nested.blocks)
    assert nested.flops["dense Cholesky"] == 0


def test_fits_of_one_model_in_several_threads(monkeypatch):
    """Each thread has a workspace of its own: fits run side by side, and no digit changes."""
    monkeypatch.setattr(crossed_system, "EXACT", -1)
    rng = np.random.default_rng(0)
    n = 4000
    data = {"a": rng.integers(0, 400, n), "b": rng.integers(0, 60, n), "x": rng.standard_normal(n)}
    data["y"] = rng.standard_normal(n) + rng.standard_normal(400)[data["a"]]
    data["y"] += rng.standard_normal(60)[data["b"]]
    model = lmmcore.mixedlm("y ~ x + (1 | a) + (1 | b)", data)
    alone = {reml: model.fit(reml=reml).criterion for reml in (True, False)}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: model.fit(reml=i % 2 == 0).criterion, range(12)))
    assert found == [alone[i % 2 == 0] for i in range(12)]

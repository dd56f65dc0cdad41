"""The derivative of the criterion in the cross-products, against dense algebra and differences."""

from dataclasses import replace

import numpy as np
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st
from test_crossed import design_of, engine_of

from lmmcore import MixedLM
from lmmcore.crossproducts.accumulate import cross_products
from lmmcore.likelihood.crossed.engine import CrossedEngine
from lmmcore.likelihood.independent.engine import IndependentEngine
from lmmcore.likelihood.products import quadratic_forms
from lmmcore.testing.strategies import crossed_models, factor_roots


def stored_rows(problem, design, cp):
    """The rows as the cross-products have them: codes and stored columns of each factor, [X y]."""
    codes = [g.codes for g in design.groupings]
    z = []
    for f, factor in enumerate(cp.factors):
        columns = np.hstack([c for c, own in zip(problem.columns, problem.factor_of) if own == f])
        z.append(columns @ np.linalg.inv(factor.z_map))
    xy = np.column_stack([problem.x[:, cp.basis.order], problem.y]) @ cp.basis.map
    places = {
        (f, g): np.array([
            np.flatnonzero((pair.rows == a) & (pair.cols == b))[0]
            for a, b in zip(codes[f], codes[g])
        ])
        for (f, g), pair in cp.pairs.items()
    }  # fmt: skip
    return codes, z, xy, places


def dense_parts(problem, engine, roots, reml):
    """V⁻¹, P, the conditional residual map and σ̂² by n × n algebra, in the user's units."""
    dense = problem.dense(reml)
    v = dense.covariance([t.to_user(r @ r.T) for t, r in zip(engine.terms, roots)])
    vi = np.linalg.inv(v)
    vx = vi @ dense.x
    p = vi - vx @ np.linalg.solve(dense.x.T @ vx, vx.T)
    weights = np.ones(len(v)) if problem.weights is None else problem.weights
    py = p @ dense.y
    return v, vi, p, weights, py, dense.y @ py / dense.n_eff


@examples(50)
@given(crossed_models(), st.data(), st.booleans(), st.booleans())
def test_rows_of_crossed_models(problem, data, reml, centered):
    """Leverages, squared residuals and derivatives in the row weights."""
    engine, cp = engine_of(problem, centered)
    roots = data.draw(factor_roots([c.shape[1] for c in problem.columns]))
    state = engine.state(roots)
    codes, z, xy, places = stored_rows(problem, design_of(problem), cp)
    _, vi, p, weights, py, sigma2 = dense_parts(problem, engine, roots, reml)
    leverage = quadratic_forms(
        engine.product_derivative(roots, state, 1.0, 0.0), codes, z, xy, places
    )
    # The hat matrix of the conditional fit is I − W⁻¹P.
    expected = 1.0 - np.diag(p) / weights
    np.testing.assert_allclose(weights * leverage, expected, atol=1e-8)
    residual = quadratic_forms(
        engine.product_derivative(roots, state, 0.0, 1.0), codes, z, xy, places
    )
    alone = quadratic_forms(engine.product_derivative(roots, state, 0.0, 0.0), codes, z, xy, places)
    scale = cp.basis.map[-1, -1]
    squared = (py / weights) ** 2 * scale**2
    np.testing.assert_allclose(residual - alone, squared, atol=1e-8 * (1 + squared.max()))
    n_eff = engine.n - (engine.p if reml else 0)
    derivative = engine.product_derivative(roots, state, float(reml), n_eff / state.r2)
    in_weights = quadratic_forms(derivative, codes, z, xy, places) - 1.0 / weights
    used = p if reml else vi
    # ∂V/∂w_i = −1/w_i² at (i, i).
    dense = (np.diag(used) - py**2 / sigma2) * -1.0 / weights**2
    np.testing.assert_allclose(in_weights, dense, atol=1e-8 * (1 + np.abs(dense).max()))


@examples(30)
@given(crossed_models(), st.data(), st.booleans())
def test_any_change_of_the_products(problem, data, reml):
    """tr(Ω dA) is the derivative of the criterion along cross-products of other weights."""
    engine, cp = engine_of(problem)
    roots = data.draw(factor_roots([c.shape[1] for c in problem.columns]))
    state = engine.state(roots)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    direction = rng.standard_normal(len(problem.y))
    w0 = np.ones(len(problem.y)) if problem.weights is None else problem.weights
    codes, z, xy, places = stored_rows(problem, design_of(problem), cp)

    def products(weights):
        factors = []
        for f, (factor, code) in enumerate(zip(cp.factors, codes)):
            s, w = np.zeros_like(factor.s), np.zeros_like(factor.w)
            np.add.at(s, code, weights[:, None, None] * z[f][:, :, None] * z[f][:, None, :])
            np.add.at(w, code, weights[:, None, None] * z[f][:, :, None] * xy[:, None, :])
            factors.append(replace(factor, s=s, w=w))
        pairs = {}
        for (f, g), pair in cp.pairs.items():
            values = np.zeros_like(pair.values)
            np.add.at(
                values, places[f, g], weights[:, None, None] * z[f][:, :, None] * z[g][:, None, :]
            )
            pairs[f, g] = replace(pair, values=values)
        total = xy.T @ (weights[:, None] * xy)
        return replace(cp, factors=tuple(factors), pairs=pairs, total=total)

    sizes = [c.shape[1] for c in problem.columns]
    n_eff = engine.n - (engine.p if reml else 0)
    # Λ in the stored columns, as units depend on the weights.
    fixed = [t.basis @ r for t, r in zip(engine.terms, roots)]

    def value(step):
        moved = CrossedEngine(products(w0 + step * direction), sizes)
        at = moved.state([np.linalg.solve(t.basis, r) for t, r in zip(moved.terms, fixed)])
        return at.log_det_v + n_eff * np.log(at.r2) + (at.log_det_h if reml else 0.0)

    derivative = engine.product_derivative(roots, state, float(reml), n_eff / state.r2)
    h = 1e-5
    numeric = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    exact = derivative.trace(products(direction))
    assert exact == pytest.approx(numeric, rel=1e-6, abs=1e-6 * (1 + np.abs(direction).sum()))


@examples(20)
@given(crossed_models(max_factors=1), st.data(), st.booleans())
def test_rows_of_independent_groups(problem, data, weighted):
    """Leverages of the engine of independent groups equal those of n × n algebra."""
    codes = problem.factors[0]
    if len(np.unique(codes)) in (1, len(codes)) or len(problem.columns) > 1:
        return
    z = problem.columns[0]
    if np.bincount(codes).max() < z.shape[1]:
        return
    model = MixedLM(problem.y, problem.x, codes, exog_re=z, weights=problem.weights)
    engine, cp = model.equations.engine, cross_products(model.design)
    assert isinstance(engine, IndependentEngine)
    roots = data.draw(factor_roots([z.shape[1]]))
    state = engine.state(roots)
    _, _, p, weights, _, _ = dense_parts(problem, engine, roots, True)
    stored = z @ np.linalg.inv(cp.z_map)
    xy = np.column_stack([problem.x[:, cp.basis.order], problem.y]) @ cp.basis.map
    derivative = engine.product_derivative(roots, state, 1.0, 0.0)
    leverage = quadratic_forms(derivative, [model.design.grouping.codes], [stored], xy)
    np.testing.assert_allclose(weights * leverage, 1.0 - np.diag(p) / weights, atol=1e-8)
    assert derivative.trace(cp) == pytest.approx(np.sum(weights * leverage), rel=1e-8)

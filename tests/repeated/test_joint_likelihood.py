"""Value, gradient and Hessian of models with residual structures beside dense algebra."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmmcore
from lmmcore.influence.deletions import Rows
from lmmcore.likelihood.crossed import system
from lmmcore.repeated import structure as structures
from lmmcore.repeated.crossed_products import CrossedResidualProducts
from lmmcore.repeated.fit import products_of
from lmmcore.repeated.likelihood import JointLikelihood

RESIDUALS = (
    "ar1(t | g)", "ar1h(visit | g)", "cs(1 | g)", "csh(visit | g)", "toep(visit | g)", "toeph(visit | g)",
    "ante(visit | g)", "anteh(visit | g)", "un(visit | g)", "car1(time | g)", "arma(t | g, p=1, q=1)",
    "arma(t | g, p=2, q=0)", "exp(time | g)", "gau(time + z | g, nugget=True)", "ratio(time | g)",
    "sph(time + z | g)", "matern(time | g, nu=2.5)", "toep(visit | g, bands=2)", "un(visit | g, bands=3)",
    "toeph(visit | g, bands=2)", "diag(visit | g)", "un(o) * ar1(s) | g", "exp(z) * cs(o) | g", None,
)  # fmt: skip
VARIANCES = (
    None,
    "by(sex)",
    "power(p)",
    "exp(p)",
    "constpower(p)",
    "fixed(p)",
    "by(sex) * power(p)",
)
FORMULAS = (
    "y ~ x + (1 + x | g)", "y ~ x + (1 | school / g)", "y ~ x", "y ~ x + (1 + x | g) + (1 | item)",
    "y ~ x + (1 + x | item)", "y ~ x + (1 | item) + (1 | g) + (1 | school)",
)  # fmt: skip


def drawn(seed):
    rng = np.random.default_rng(seed)
    groups, visits = 10, 5
    g, t = np.repeat(np.arange(groups), visits), np.tile(np.arange(visits), groups)
    keep = rng.random(len(g)) < 0.8
    g, t = g[keep], t[keep]
    n = len(g)
    data = pd.DataFrame({"g": g, "t": t, "visit": pd.Categorical(t, categories=range(visits))})
    data["time"], data["z"] = t + rng.uniform(0, 0.4, n), rng.standard_normal(n)
    data["x"], data["p"] = rng.standard_normal(n) + 4, rng.uniform(1.1, 3, n)
    data["school"], data["sex"] = g // 3, np.where(np.arange(n) % 2, "m", "f")
    data["item"] = rng.integers(0, 6, n)
    data["o"], data["s"] = np.where(t % 2, "u", "v"), t // 2
    data["w"] = rng.uniform(0.5, 2.0, n)
    data["y"] = data.x + rng.standard_normal(groups)[g] + rng.standard_normal(n)
    return data.sample(frac=1.0, random_state=seed)  # rows of a group need not be neighbors


def joint_of(seed, formula, residual, variance, reml, weighted):
    data = drawn(seed)
    weights = "w" if weighted else None
    build = lmmcore.mixedlm if "|" in formula else lmmcore.gls
    model = build(formula, data, residual=residual, variance=variance, weights=weights)
    structure = model.residual_structure
    products = products_of(model, structure)
    return JointLikelihood(model.equations, products, reml), structure, model, data


def dense(joint, structure, model, data, psi, weighted):
    """Return −2 log-likelihood, from V (n, n)."""
    theta, u = joint.split(psi)
    n, v = len(data), np.zeros((len(data), len(data)))
    for pattern in structure.patterns:
        for rows in pattern.rows:
            v[np.ix_(rows, rows)] = structure.matrix(u, pattern)
    log_sd = structure.log_sd(u)
    sd = np.ones(n) if log_sd is None else np.exp(log_sd)
    sd = sd / np.sqrt(data.w.to_numpy()) if weighted else sd
    v = sd[:, None] * v * sd
    likelihood = joint.inner(u).likelihood
    for term, g, own in zip(likelihood.terms, likelihood.covariances(theta), model.design.terms):
        codes = model.design.groupings[own.factor].codes
        z = np.column_stack([np.ones(n), data.x])[:, : term.k]
        v += (z @ term.to_user(g) @ z.T) * (codes[:, None] == codes[None, :])
    x, y, inverse = model.exog, np.asarray(model.endog), np.linalg.inv(v)
    h = x.T @ inverse @ x
    e = y - x @ np.linalg.solve(h, x.T @ inverse @ y)
    m = n - (x.shape[1] if joint.reml else 0)
    value = np.linalg.slogdet(v)[1] + m * (1 + np.log(2 * np.pi * (e @ inverse @ e) / m))
    return value + (np.linalg.slogdet(h)[1] if joint.reml else 0.0)


@settings(max_examples=120)
@given(
    st.integers(0, 10_000), st.sampled_from(FORMULAS), st.sampled_from(RESIDUALS),
    st.sampled_from(VARIANCES), st.booleans(), st.booleans(),
)  # fmt: skip
def test_beside_dense_algebra(seed, formula, residual, variance, reml, weighted):
    if residual is None and variance is None:
        variance = "by(sex)"
    joint, structure, model, data = joint_of(seed, formula, residual, variance, reml, weighted)
    rng = np.random.default_rng(seed)
    psi = np.concatenate([rng.uniform(0.3, 1.0, joint.m_theta), structure.starts[0]])
    psi[joint.m_theta :] += rng.uniform(-0.3, 0.3, len(psi) - joint.m_theta)
    value, gradient, hessian = joint.value_gradient_hessian(psi)
    assert value == pytest.approx(dense(joint, structure, model, data, psi, weighted), abs=1e-8)
    # Differences of fourth order; a spherical correlation has a corner where a distance is the range.
    if residual is not None and residual.startswith("sph"):
        return
    for j in range(len(psi)):
        e = np.eye(len(psi))[j] * 1e-3
        near, far = (joint.value(psi + s * e) - joint.value(psi - s * e) for s in (1, 2))
        slope = (8 * near - far) / 12e-3
        assert gradient[j] == pytest.approx(
            slope, rel=1e-6, abs=1e-6 * max(1.0, abs(gradient).max())
        )
        near, far = (
            (joint.value_and_gradient(psi + s * e)[1] - joint.value_and_gradient(psi - s * e)[1])
            for s in (1, 2)
        )
        column = (8 * near - far) / 12e-3
        np.testing.assert_allclose(
            hessian[:, j], column, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(hessian).max())
        )


@pytest.mark.parametrize("residual", ["ar1(t | g)", "cs(1 | g)", "exp(time | g)"])
@pytest.mark.parametrize("formula", FORMULAS[3:])
def test_crossed_factors_of_many_levels(monkeypatch, formula, residual):
    """As above, where the engine works with selected inverses and average information."""
    monkeypatch.setattr(system, "EXACT", 0)
    joint, structure, model, data = joint_of(3, formula, residual, None, True, False)
    psi = np.concatenate([np.linspace(0.4, 0.9, joint.m_theta), structure.starts[0]])
    value, gradient, hessian = joint.exact(psi)
    assert value == pytest.approx(dense(joint, structure, model, data, psi, False), abs=1e-8)
    for j in range(len(psi)):
        e = np.eye(len(psi))[j] * 1e-3
        near, far = (joint.value(psi + s * e) - joint.value(psi - s * e) for s in (1, 2))
        assert gradient[j] == pytest.approx((8 * near - far) / 12e-3, rel=1e-6, abs=1e-6)
        ends = [joint.value_and_gradient(psi + s * e)[1] for s in (1, -1, 2, -2)]
        column = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / 12e-3
        np.testing.assert_allclose(
            hessian[:, j], column, rtol=1e-5, atol=1e-5 * np.abs(hessian).max()
        )


@pytest.mark.parametrize("variance", [None, "exp(p)"])
def test_the_two_ways_to_form_products(variance):
    """Nested groups of residuals, by patterns and row by row."""
    formula, residual = "y ~ x + (1 + x | g) + (1 | school)", "ar1h(visit | g)"
    joint, structure, model, _ = joint_of(4, formula, residual, variance, True, True)
    nested = joint.products
    by_rows = CrossedResidualProducts(
        model.crossproducts, Rows(model, model.crossproducts), structure
    )
    psi = np.concatenate([np.linspace(0.4, 0.9, joint.m_theta), structure.starts[0] + 0.1])
    again = JointLikelihood(model.equations, by_rows, True)
    one, two = joint.value_and_gradient(psi), again.value_and_gradient(psi)
    assert one[0] == pytest.approx(two[0], rel=1e-12)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-9, atol=1e-9)
    theta, u = joint.split(psi)
    likelihood = joint.inner(u).likelihood
    effects = likelihood.engine.effects_of_columns(likelihood.point(theta).factors)
    kept = model.crossproducts.basis.kept
    np.testing.assert_allclose(
        nested.moved(u, effects, kept), by_rows.moved(u, effects, kept), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("variance", [None, "exp(p)"])
@pytest.mark.parametrize(
    "residual",
    ["car1(time | g)", "gau(time + z | g, nugget=True)", "exp(time) * cs(o) | g", "un(visit | g)"],
)
def test_groups_with_times_of_their_own_are_computed_together(monkeypatch, residual, variance):
    monkeypatch.setattr(structures, "FEW_GROUPS", 2)
    joint, structure, model, _ = joint_of(6, "y ~ x + (1 + x | g)", residual, variance, True, True)
    assert any(p.values.ndim == 3 for p in structure.batches)
    one_by_one = replace(structure)
    one_by_one.__dict__["batches"] = structure.patterns
    again = JointLikelihood(model.equations, products_of(model, one_by_one), True)
    psi = np.concatenate([np.linspace(0.4, 0.9, joint.m_theta), structure.starts[0] + 0.1])
    one, two = joint.value_and_gradient(psi), again.value_and_gradient(psi)
    assert one[0] == pytest.approx(two[0], rel=1e-12)
    np.testing.assert_allclose(one[1], two[1], rtol=1e-9, atol=1e-9)

"""Many responses at once: the same numbers as one at a time; draws without rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.crossproducts.responses import ResponseReader
from lmmcore.likelihood.independent.draws import draw_responses
from lmmcore.likelihood.independent.many import ManyResponses
from lmmcore.likelihood.lockstep import LockStep
from lmmcore.likelihood.profiled import ProfiledLikelihood


def models():
    sleep = lmmcore.datasets.load_sleepstudy()
    rng = np.random.default_rng(2)
    n = 240
    d = pd.DataFrame(
        {
            "g": np.sort(rng.integers(0, 30, n)),
            "c": rng.integers(0, 3, n),
            "x": rng.standard_normal(n),
            "w": rng.uniform(0.3, 3.0, n),
        }
    )
    d["y"] = rng.standard_normal(n) + rng.standard_normal(30)[d["g"]] * (1 + 0.5 * d["x"])
    return {
        "sleepstudy": lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", sleep),
        "unbalanced": lmmcore.mixedlm("y ~ x + (1 + x | g)", d, weights="w"),
        "diagonal": lmmcore.mixedlm("y ~ x + (1 + x || g)", d),
        "nested": lmmcore.mixedlm(
            "y ~ x", d, groups="g", re_formula="1", vc_formula={"c": "0 + C(c)"}
        ),
        "no slope": lmmcore.mixedlm("y ~ 1 + (1 | g)", d),
    }


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("reml", [True, False])
def test_criterion_and_derivatives(name, reml):
    model = models()[name]
    fit = model.fit(reml=reml)
    rng = np.random.default_rng(5)
    new = rng.standard_normal((model.nobs, 6)) + np.asarray(fit.fittedvalues)[:, None]
    block = ResponseReader(model.design, model.crossproducts).read(new)
    likelihood, engine = fit.fit.likelihood, model.equations.engine
    many = ManyResponses(engine, model.crossproducts)
    lock = LockStep(many, likelihood)
    assert LockStep.serves(likelihood)
    responses = many.whiten(block)
    theta = fit.fit.point.theta + 0.2 * rng.random((6, likelihood.n_parameters))
    states = many.states(lock.factors(theta), responses)
    values = lock.values(states)
    gradient, hessian = lock.derivatives(theta, states, responses)
    for j in range(6):
        cp = block.products(model.crossproducts, j)
        one = ProfiledLikelihood(
            cp, likelihood.structures, [t.k for t in engine.terms], reml, engine.with_response(cp)
        )
        value, g, h = one.value_gradient_hessian(theta[j])
        assert values[j] + one._constant == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(gradient[j], g, atol=1e-8 * (1 + np.abs(g).max()))
        np.testing.assert_allclose(hessian[j], h, atol=1e-8 * (1 + np.abs(h).max()))


@pytest.mark.parametrize("name", models())
def test_optima_are_those_of_single_fits(name):
    model = models()[name]
    fit = model.fit()
    rng = np.random.default_rng(6)
    distribution = model.get_distribution(fit.params_object, fit.scale)
    new = np.column_stack([distribution.rvs(rng=rng) for _ in range(40)])
    block = ResponseReader(model.design, model.crossproducts).read(new)
    likelihood, engine = fit.fit.likelihood, model.equations.engine
    many = ManyResponses(engine, model.crossproducts)
    optima = LockStep(many, likelihood).minimize(fit.fit.point.theta, many.whiten(block))
    assert optima.clear.mean() > 0.3
    for j in np.flatnonzero(optima.clear)[:12]:
        cp = block.products(model.crossproducts, j)
        one = ProfiledLikelihood(
            cp, likelihood.structures, [t.k for t in engine.terms], True, engine.with_response(cp)
        )
        again = MixedLM._from_design(replace(model.design, endog=new[:, j]), None, True).fit()
        assert one.value(optima.theta[j]) == pytest.approx(again.criterion, abs=1e-8)
        assert abs(one.value_and_gradient(optima.theta[j])[1]).max() < 1e-4


def test_draws_have_the_moments_of_the_model():
    """Means and covariances of (Q'y, X'y, y'y) over 20,000 draws, against those of drawn rows."""
    model = models()["unbalanced"]
    fit = model.fit()
    many = ManyResponses(model.equations.engine, model.crossproducts)
    sigma = fit.fit.likelihood.sigma2(fit.fit.state) ** 0.5
    drawn = draw_responses(many, fit.fit.point.factors, sigma, 20_000, np.random.default_rng(1))
    scale = float(model.crossproducts.basis.map[-1, -1])
    rng = np.random.default_rng(3)
    params = fit.params_object.copy()
    params.fe_params = np.zeros(model.k_fe)
    distribution = model.get_distribution(params, fit.scale)
    rows = scale * np.column_stack([distribution.rvs(rng=rng) for _ in range(4000)])
    root = np.sqrt(model.design.weights)
    x = model.exog[:, model.crossproducts.basis.order] @ model.crossproducts.basis.map[:-1, :-1]
    xy = (root[:, None] * rows).T @ (root[:, None] * x)
    yy = np.sum((root[:, None] * rows) ** 2, axis=0)

    def within(a, b, rtol):
        """Means of two samples agree within five standard errors."""
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 5 * error).all()
        np.testing.assert_allclose(a.var(axis=0), b.var(axis=0), rtol=rtol)

    within(drawn.xy, xy, 0.12)
    within(drawn.yy[:, None], yy[:, None], 0.15)
    # Products with single groups: their sums of squares.
    squares = np.einsum("rgk,rgk->rg", drawn.y[0], drawn.y[0])
    z = np.column_stack([np.ones(len(rows)), model.exog_re[:, 1]]) * root[:, None]
    codes = model.design.grouping.codes
    for g in range(6):
        q = np.linalg.qr(z[codes == g])[0]
        own = np.sum((q.T @ (root[codes == g, None] * rows[codes == g])) ** 2, axis=0)
        within(squares[:, g : g + 1], own[:, None], 0.25)
    assert (drawn.yy >= squares.sum(axis=1)).all()

"""Models with a held residual variance beside dense algebra: likelihood, inference, what is refused."""

import numpy as np
import pandas as pd
import pytest
from dense_inference import covariance_matrices, kenward_roger
from hypothesis import given, settings
from hypothesis import strategies as st

import lmmcore
from lmmcore.errors import DataTypeError, DataValueError, OptionError
from lmmcore.likelihood.crossed import system

FORMULAS = ("y ~ x + (1 + x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | g)")


def drawn(seed):
    rng = np.random.default_rng(seed)
    n = 40
    data = pd.DataFrame({"g": rng.integers(0, 8, n), "h": rng.integers(0, 6, n)})
    data["x"], data["v"] = rng.standard_normal(n), rng.uniform(0.2, 2.0, n)
    b, c = rng.standard_normal((8, 2)), rng.standard_normal(6)
    data["y"] = 1 + data.x + b[data.g, 0] + b[data.g, 1] * data.x + c[data.h]
    data["y"] += np.sqrt(data.v) * rng.standard_normal(n)
    return data


def dense_v(model, g_of_terms, of_rows):
    """Return V (n, n) for matrices G_t times σ²; `of_rows` is the covariance matrix of the residuals."""
    v, design = of_rows.copy(), model.design
    for t, (term, g) in enumerate(zip(design.terms, g_of_terms)):
        z = np.column_stack([np.ones(len(v)) if c is None else c for c in design.columns_of(t)])
        codes = design.groupings[term.factor].codes
        v += (z @ g @ z.T) * (codes[:, None] == codes)
    return v


def dense_value(model, v, reml):
    x, y = np.asarray(model.exog), np.asarray(model.endog)
    inverse = np.linalg.inv(v)
    h = x.T @ inverse @ x
    e = y - x @ np.linalg.solve(h, x.T @ inverse @ y)
    m = len(y) - (len(h) if reml else 0)
    value = np.linalg.slogdet(v)[1] + m * np.log(2 * np.pi) + e @ inverse @ e
    return value + (np.linalg.slogdet(h)[1] if reml else 0.0)


@settings(max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from(FORMULAS),
    st.booleans(),
    st.sampled_from(["known", 0.7]),
)
def test_likelihood(seed, formula, reml, sigma):
    data = drawn(seed)
    weights = 1.0 / data.v if sigma == "known" else None
    model = lmmcore.mixedlm(formula, data, weights=weights, sigma=sigma)
    likelihood = model.equations.likelihood(reml)
    rng = np.random.default_rng(seed)
    theta = rng.uniform(0.3, 1.0, likelihood.n_parameters)
    value, gradient, hessian = likelihood.value_gradient_hessian(theta)
    scale = 1.0 if sigma == "known" else 0.49
    g = [scale * t.to_user(c) for t, c in zip(likelihood.terms, likelihood.covariances(theta))]
    rows = np.diag(data.v) if sigma == "known" else scale * np.eye(len(data))
    assert value == pytest.approx(dense_value(model, dense_v(model, g, rows), reml), abs=1e-8)
    for j in range(len(theta)):
        e = np.eye(len(theta))[j] * 1e-3
        near, far = (
            likelihood.value(theta + s * e) - likelihood.value(theta - s * e) for s in (1, 2)
        )
        assert gradient[j] == pytest.approx((8 * near - far) / 12e-3, rel=1e-6, abs=1e-6)
        ends = [likelihood.value_and_gradient(theta + s * e)[1] for s in (1, -1, 2, -2)]
        column = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / 12e-3
        np.testing.assert_allclose(
            hessian[:, j], column, rtol=1e-5, atol=1e-5 * np.abs(hessian).max()
        )


def test_many_levels(monkeypatch):
    """The average information leads to the optimum of the exact Hessian."""
    data = drawn(1)
    arguments = (FORMULAS[1], data)
    exact = lmmcore.mixedlm(*arguments, weights=1 / data.v, sigma="known").fit()
    monkeypatch.setattr(system, "EXACT", 0)
    again = lmmcore.mixedlm(*arguments, weights=1 / data.v, sigma="known").fit()
    assert again.llf == pytest.approx(exact.llf, abs=1e-7)
    np.testing.assert_allclose(again.bse_fe, exact.bse_fe, rtol=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([*FORMULAS, None]), st.booleans())
def test_a_known_matrix(seed, formula, reml):
    data = drawn(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data))
    v = np.zeros((len(data), len(data)))
    for rows in np.array_split(order, 12):  # blocks cross the groups
        half = rng.standard_normal((len(rows), len(rows) + 2))
        v[np.ix_(rows, rows)] = half @ half.T / len(rows)
    known = lmmcore.known(v)
    if formula is None:
        model = lmmcore.gls("y ~ x", data, known)
    else:
        model = lmmcore.mixedlm(formula, data, residual=known)
    found = model.fit(reml=reml)
    g = [] if formula is None else found.fit.relative
    assert found.scale == 1.0
    assert found.fit.criterion == pytest.approx(
        dense_value(model, dense_v(model, g, v), reml), abs=1e-8
    )


def inference_of(formula):
    data = drawn(5)
    found = lmmcore.mixedlm(formula, data, weights=1 / data.v, sigma="known").fit()
    columns = [np.ones(len(data)), data.x.to_numpy()]
    if "x | g" in formula:
        terms = [(columns, data.g.to_numpy())]
    else:
        terms = [([columns[0]], data[c].to_numpy()) for c in ("g", "h") if f"| {c}" in formula]
    return found, np.column_stack(columns), *covariance_matrices(found, data, terms)


@pytest.mark.parametrize("formula", FORMULAS)
def test_kenward_roger(formula):
    found, x, v, slopes = inference_of(formula)
    for L in (np.eye(2)[1:], np.eye(2)):
        adjusted, df, scale = kenward_roger(x, v, slopes[:-1], L)
        choice = found.f_test(L, ddf="kenward-roger")
        assert choice.df_denom == pytest.approx(df, rel=1e-6)
        own = found.t_test(np.eye(2), ddf="kenward-roger")
        np.testing.assert_allclose(own.sd, np.sqrt(np.diag(adjusted)), rtol=1e-7)
        wald = L @ found.fe_params @ np.linalg.solve(L @ adjusted @ L.T, L @ found.fe_params)
        assert choice.fvalue == pytest.approx(scale * wald / len(L), rel=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_satterthwaite(formula):
    """Var(f) from the observed information of the variances alone, by differences of dense algebra."""
    found, x, _, slopes = inference_of(formula)
    model, sizes = found.model, [len(g) for g in found.fit.relative]
    entries = [(t, a, b) for t, k in enumerate(sizes) for a in range(k) for b in range(a + 1)]
    whole = np.concatenate([g[np.tril_indices(len(g))] for g in found.fit.relative])
    rows = np.diag(1.0 / model.design.weights)

    def v_of(phi):
        return rows + sum(value * s for value, s in zip(phi, slopes[: len(entries)]))

    def f(phi):
        return np.linalg.inv(x.T @ np.linalg.solve(v_of(phi), x))[1, 1]

    def criterion(phi):
        return dense_value(model, v_of(phi), True)

    m, steps = len(whole), 1e-3 * np.eye(len(whole))
    slope = np.array([(f(whole + h) - f(whole - h)) / 2e-3 for h in steps])
    hessian = np.array([
        [
            (criterion(whole + a + b) - criterion(whole + a - b) - criterion(whole - a + b)
             + criterion(whole - a - b)) / 4e-6
            for b in steps
        ]
        for a in steps
    ]).reshape(m, m)  # fmt: skip
    spread = slope @ (2.0 * np.linalg.inv(hessian)) @ slope
    df = 2.0 * f(whole) ** 2 / spread
    assert found.t_test(np.eye(2)[1:], ddf="satterthwaite").df_denom == pytest.approx(df, rel=1e-3)
    cov = 2.0 * np.linalg.inv(hessian)
    own = found.bse_variances.to_numpy()
    np.testing.assert_allclose(own[own > 0.0], np.sqrt(np.diag(cov)), rtol=1e-3)
    assert own[-1] == 0.0


def test_results():
    data = drawn(5)
    found = lmmcore.mixedlm(FORMULAS[0], data, weights=1 / data.v, sigma="known").fit(reml=False)
    assert found.fit.n_variances == 3
    assert "Residual (held)" in str(found.summary())
    assert "sigma" not in found.profile().curves
    assert found.model.loglike(found.params_object) == pytest.approx(found.llf, abs=1e-9)
    np.testing.assert_allclose(found.model.score(found.params_object), 0.0, atol=1e-2)
    drawn_y = found.simulate(400, rng=1)
    expected = dense_v(found.model, found.fit.relative, np.diag(data.v))
    assert np.var(drawn_y, axis=1).mean() == pytest.approx(np.diag(expected).mean(), rel=0.1)
    again = found.bootstrap(20, kind="parametric", rng=1)
    assert np.isfinite(again.values).all()


def test_profile_limits_are_those_of_held_variances():
    data = drawn(5)
    found = lmmcore.mixedlm(FORMULAS[2], data, weights=1 / data.v, sigma="known").fit(reml=False)
    limits = found.profile("sd(Intercept | g)").frame().iloc[0]
    for sd in (limits.lower, limits.upper):
        v = dense_v(found.model, [np.array([[sd**2]])], np.diag(data.v))
        rise = dense_value(found.model, v, False) - found.fit.criterion
        assert rise == pytest.approx(3.841459, abs=1e-4)


def test_influence_is_a_refit():
    data = drawn(5)
    found = lmmcore.mixedlm(FORMULAS[0], data, weights=1 / data.v, sigma="known").fit()
    table = found.get_influence("g")
    for level in table.dfbeta.index[:3]:
        rest = data[data.g != level]
        other = lmmcore.mixedlm(FORMULAS[0], rest, weights=1 / rest.v, sigma="known").fit()
        change = found.fe_params - other.fe_params
        np.testing.assert_allclose(table.dfbeta.loc[level], change, atol=1e-6)
        assert table.parameters.loc[level, "scale"] == 1.0


def test_refit_and_comparison():
    data = drawn(5)
    model = lmmcore.mixedlm(FORMULAS[0], data, weights=1 / data.v, sigma="known")
    found = model.fit()
    again = found.refit(data.y + data.x)
    assert again.fe_params["x"] == pytest.approx(found.fe_params["x"] + 1.0, abs=1e-6)
    small = lmmcore.mixedlm(FORMULAS[2], data, weights=1 / data.v, sigma="known").fit()
    table = lmmcore.anova(small, found)
    assert "npar" in str(table)
    free = lmmcore.mixedlm(FORMULAS[2], data, weights=1 / data.v).fit()
    with pytest.raises(DataValueError, match="held at different values"):
        lmmcore.anova(free, found)


QUESTIONS = {
    "known without weights": (lambda d: lmmcore.mixedlm(FORMULAS[0], d, sigma="known"), "without weights"),
    "another word": (lambda d: lmmcore.mixedlm(FORMULAS[0], d, sigma="fixed"), "a positive number"),
    "a negative number": (lambda d: lmmcore.mixedlm(FORMULAS[0], d, sigma=-1.0), "a positive number"),
    "known beside weights": (
        lambda d: lmmcore.mixedlm(FORMULAS[0], d, residual=lmmcore.known("v"), weights=d.v),
        "weights= were given"),
    "known beside sigma": (
        lambda d: lmmcore.mixedlm(FORMULAS[0], d, residual=lmmcore.known("v"), sigma=2.0),
        "sigma= were given"),
    "known beside variance": (
        lambda d: lmmcore.gls("y ~ x", d, lmmcore.known("v"), "by(g)"), "variance= were given"),
    "lasso": (lambda d: held(d).fit_regularized(alpha=1.0), "estimated residual variance"),
    "path": (lambda d: held(d).fit_regularized_path(), "estimated residual variance"),
    "selection": (lambda d: held(d).select_random_effects(), "estimated residual variance"),
    "rlrt": (lambda d: held(d).fit().rlrt(), "estimated residual variance"),
    "icc": (lambda d: held(d).fit().icc(), "estimated residual variance"),
}  # fmt: skip


def held(data):
    return lmmcore.mixedlm(FORMULAS[2], data, weights=1 / data.v, sigma="known")


@pytest.mark.parametrize("question", QUESTIONS)
def test_bad_input(question):
    ask, words = QUESTIONS[question]
    with pytest.raises(OptionError, match=words):
        ask(drawn(5))


def test_arrays_and_one_row_for_each_group():
    data = drawn(5)
    rows = np.arange(len(data))
    found = lmmcore.MixedLM(
        data.y,
        np.column_stack([np.ones(len(data)), data.x]),
        rows,
        weights=1 / data.v,
        sigma="known",
    ).fit(reml=False)
    v = np.diag(data.v + found.cov_re.iloc[0, 0])
    assert -2 * found.llf == pytest.approx(dense_value(found.model, v, False), abs=1e-8)


def test_random_effects_that_reproduce_every_row_are_identified():
    """With σ² held there is no limit of a vanishing residual variance, and no warning of one."""
    data = drawn(5).assign(row=np.arange(40))
    found = lmmcore.mixedlm(
        "y ~ x + (1 | row) + (1 | g)", data, weights=1 / data.v, sigma="known"
    ).fit()
    assert found.converged
    assert found.convergence.identified


def test_what_is_no_number_is_refused_in_words():
    data = drawn(0)
    with pytest.raises(OptionError, match="sigma=True"):
        lmmcore.mixedlm("y ~ x + (1 | g)", data, weights=1 / data.v, sigma=True)
    with pytest.raises(DataTypeError, match="V is text"):
        lmmcore.meta(data.y, ["a"] * len(data))


def test_prediction_intervals_of_a_held_variance_need_the_new_variances():
    data = drawn(1)
    model = lmmcore.mixedlm("y ~ x + (1 | g)", data, weights=1 / data.v, sigma="known")
    results = model.fit()
    with pytest.raises(OptionError, match="weights="):
        results.predict(data[:3], interval="prediction")

"""Fits with smooth penalties: the same starts, boundary test and certificate as all others."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.testing import DenseModel


class Ridge:
    """Σ w_j β_j²."""

    def __init__(self, weights):
        self.weights = np.asarray(weights, dtype=float)

    def func(self, beta):
        return float(np.sum(self.weights * beta**2))

    def deriv(self, beta):
        return 2.0 * self.weights * beta


class Huber(Ridge):
    """Σ w_j (√(1 + β_j²) − 1)."""

    def func(self, beta):
        return float(np.sum(self.weights * (np.sqrt(1 + beta**2) - 1)))

    def deriv(self, beta):
        return self.weights * beta / np.sqrt(1 + beta**2)


class Trace:
    """A multiple of the trace of G: finite on the boundary."""

    def __init__(self, weight):
        self.weight = weight

    def func(self, g, inverse):
        return self.weight * float(np.trace(g))

    def deriv(self, g, inverse):
        return self.weight * np.eye(len(g))[np.tril_indices(len(g))]


def draw(seed, k):
    """A model whose random effects are mostly absent; half of the time with a column of groups."""
    rng = np.random.default_rng(seed)
    q, m, p = rng.integers(6, 15), rng.integers(3, 7), rng.integers(1, 4)
    n = q * m
    g = np.repeat(np.arange(q), m)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, p))])
    if rng.random() < 0.5:
        x[:, 1] = rng.standard_normal(q)[g]
    z = np.column_stack([np.ones(n), rng.standard_normal(n)])[:, :k]
    sd = rng.choice([0.0, 0.0, 0.3, 1.0])
    effects = sd * np.sum(z * rng.standard_normal((q, k))[g], axis=1)
    y = x @ rng.normal(0, 3, p + 1) + effects + rng.standard_normal(n)
    weights = np.zeros(p + 1)
    weights[rng.integers(0, p + 1)] = 10 ** rng.uniform(-2, 3)
    if rng.random() < 0.4:
        weights = 10 ** rng.uniform(-2, 2, p + 1)
    return y, x, g, z, Ridge(weights), bool(rng.random() < 0.5)


def dense_objective(y, x, z, k, penalty, reml, weights=None):
    """−2 penalized log-likelihood in (β, root of G), from n × n matrices; z (n, q k)."""
    n, p = x.shape
    m = n - (p if reml else 0)
    noise = np.eye(n) if weights is None else np.diag(1 / weights)
    lower = np.tril_indices(k)

    def objective(at):
        root = np.zeros((k, k))
        root[lower] = at[p:]
        v = noise + z @ np.kron(np.eye(z.shape[1] // k), root @ root.T) @ z.T
        rest = y - x @ at[:p]
        square = rest @ np.linalg.solve(v, rest)
        value = np.linalg.slogdet(v)[1] + m * (1 + np.log(2 * np.pi * square / m))
        if reml:
            value += np.linalg.slogdet(x.T @ np.linalg.solve(v, x))[1]
        return value + 2 * penalty.func(at[:p])

    return objective


def columns(g, z):
    """Z with one block of columns for each group."""
    out = np.zeros((len(g), g.max() + 1, z.shape[1]))
    out[np.arange(len(g)), g] = z
    return out.reshape(len(g), -1)


def lowest(objective, y, x, size, seed, starts=8):
    """The lowest of several descents."""
    rng = np.random.default_rng(seed)
    ols = np.linalg.lstsq(x, y)[0]
    best = np.inf
    for _ in range(starts):
        start = np.concatenate(
            [ols * rng.choice([0, 0.1, 0.5, 1], size=len(ols)),
             rng.normal(0, 1, size) * rng.choice([0.3, 1, 3])]
        )  # fmt: skip
        best = min(best, optimize.minimize(objective, start, method="BFGS").fun)
    return best


def value_of(fit, objective):
    """The dense objective at the estimates of a fit."""
    g = np.atleast_2d(fit.cov_re_unscaled)
    values, vectors = np.linalg.eigh(g)
    root = np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0))).T)[1].T
    lower = np.tril_indices(len(g))
    return objective(np.concatenate([np.asarray(fit.fe_params), root[lower]]))


@pytest.mark.parametrize("k", [1, 2])
def test_fits_are_as_low_as_the_lowest_of_many_descents(k):
    """A start at the unpenalized factor, zero in most of these, is stationary for any data."""
    moved = 0
    for seed in [
        *range(20 if k == 1 else 8),
        *([195] if k == 1 else []),
    ]:  # 195: two valleys in the variance
        y, x, g, z, penalty, reml = draw(seed, k)
        model = MixedLM(y, x, g, exog_re=z)
        fit = model.fit(fe_pen=penalty, reml=reml)
        objective = dense_objective(y, x, columns(g, z), k, penalty, reml)
        assert value_of(fit, objective) <= lowest(objective, y, x, k * (k + 1) // 2, seed) + 1e-5
        assert fit.converged
        plain = model.fit(reml=reml)
        moved += plain.convergence.singular and not fit.convergence.singular
        smallest = np.linalg.eigvalsh(np.asarray(fit.cov_re_unscaled))[0]
        assert (smallest < 1e-7) == bool(fit.convergence.boundary) == fit.convergence.singular
    assert moved >= 2 or k == 2


def test_a_variance_that_is_zero_without_the_penalty():
    """What a shrunken coefficient of groups leaves is explained by the variance."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 6)
    x = np.column_stack([np.ones(72), np.linspace(-2, 2, 12)[g]])
    noise = rng.standard_normal(72)
    noise -= pd.Series(noise).groupby(g).transform("mean")
    y = x @ [1.0, 2.0] + noise
    model = MixedLM(y, x, g)
    assert model.fit(reml=False).convergence.boundary
    fit = model.fit(fe_pen=Ridge([0, 1000]), reml=False)
    other = model.fit_regularized(method=Weighted([0, 1000]), alpha=1.0, reml=False)
    objective = dense_objective(y, x, columns(g, x[:, :1]), 1, Ridge([0, 1000]), False)
    best = lowest(objective, y, x, 1, 0)
    for found in (fit, other):
        assert found.convergence.boundary == ()
        assert np.asarray(found.cov_re_unscaled)[0, 0] > 3
        assert value_of(found, objective) == pytest.approx(best, abs=1e-6)
    assert "interior optimum" in str(fit.convergence)


class Weighted(Ridge):
    """Ridge with the attribute that `fit_regularized` sets."""

    alpha = 1.0

    def func(self, beta):
        return self.alpha * super().func(beta)

    def deriv(self, beta):
        return self.alpha * super().deriv(beta)


@pytest.mark.parametrize("reml", [False, True])
def test_a_boundary_is_certified_and_reported(reml):
    """On the null space of G the slope of the dense criterion is not negative at the penalized β."""
    for seed in range(30):
        y, x, g, z, penalty, _ = draw(seed, 2)
        fit = MixedLM(y, x, g, exog_re=z).fit(fe_pen=penalty, reml=reml)
        if fit.convergence.boundary:
            break
    assert "a boundary optimum" in str(fit.convergence)
    assert np.isnan(fit.bse[-1])
    assert "lies on the boundary" in fit.cov_params_note
    objective = dense_objective(y, x, columns(g, z), 2, penalty, reml)
    best = value_of(fit, objective)
    root = np.linalg.eigh(np.asarray(fit.cov_re_unscaled))
    root = root[1] * np.sqrt(np.maximum(root[0], 0))
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = root + 0.02 * rng.standard_normal((2, 2))
        lower = np.linalg.qr(moved.T)[1].T[np.tril_indices(2)]
        assert objective(np.concatenate([np.asarray(fit.fe_params), lower])) >= best - 1e-9


def crossed_table(n=240):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.standard_normal((n, 3)), columns=list("abc")).assign(
        g=rng.integers(0, 20, n), h=rng.integers(0, 12, n), w=rng.uniform(0.5, 2, n),
        o=rng.standard_normal(n),
    )  # fmt: skip
    y = frame.a - 2 * frame.b + rng.standard_normal(20)[frame.g]
    frame["y"] = y + 0.5 * rng.standard_normal(12)[frame.h] + rng.standard_normal(n) + frame.o
    return frame


MODELS = [
    "y ~ a + b + c + (1 + a | g)",
    "y ~ a + b + c + cs(0 + a + b | g)",
    "y ~ a + b + c + (1 | g) + (1 + a | h)",
    "y ~ a + b + c + offset(o) + (1 | g) + (0 + a | g)",
    "y ~ a + b + c + fa1(1 + a + b | g)",
]


@pytest.mark.parametrize("formula", MODELS)
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("penalty", [Ridge([0, 5, 20, 1]), Huber([0, 5, 20, 1])], ids=type)
def test_derivatives_are_those_of_differences(formula, reml, weights, penalty):
    """In θ, and in the entries of G at the penalized β (the envelope theorem)."""
    model = lmmcore.mixedlm(formula, crossed_table(), weights=weights)
    fit = model.fit(fe_pen=penalty, cov_pen=Trace(0.3), reml=reml)
    likelihood = fit.fit.likelihood
    theta = fit.fit.point.theta + 0.1 * np.random.default_rng(0).standard_normal(
        len(fit.fit.point.theta)
    )
    _, gradient, hessian = likelihood.value_gradient_hessian(theta)
    h = 1e-4
    slope, curvature = np.empty_like(gradient), np.empty_like(hessian)
    for i, e in enumerate(h * np.eye(len(theta))):
        slope[i] = (likelihood.value(theta + e) - likelihood.value(theta - e)) / (2 * h)
        ends = [likelihood.value_and_gradient(x)[1].copy() for x in (theta + e, theta - e)]
        curvature[i] = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(gradient, slope, atol=1e-4 * np.abs(gradient).max())
    np.testing.assert_allclose(hessian, curvature, atol=1e-4 * np.abs(hessian).max())


def test_crossed_factors_weights_and_offset_beside_dense_descents():
    frame = crossed_table(90)
    model = lmmcore.mixedlm("y ~ a + b + c + offset(o) + (1 | g) + (1 | h)", frame, weights="w")
    penalty = Ridge([0, 2, 50, 0.1])
    y, x, w = (frame.y - frame.o).to_numpy(), model.exog, frame.w.to_numpy()
    g, h = (pd.get_dummies(frame[c]).to_numpy(float) for c in "gh")
    for reml in (False, True):
        fit = model.fit(fe_pen=penalty, reml=reml)

        def objective(at, reml=reml):
            z = np.column_stack([at[-2] * g, at[-1] * h])
            return dense_objective(y, x, z, 1, penalty, reml, w)(np.append(at[:4], 1.0))

        best = min(
            optimize.minimize(objective, np.append(b * np.ones(4), [s, t]), method="BFGS").fun
            for b, s, t in ((0, 1, 1), (1, 0.3, 3), (-1, 3, 0.3))
        )
        ratios = np.diag(np.asarray(fit.cov_re_unscaled))
        at = np.concatenate([fit.fe_params, np.sqrt(ratios)])
        assert objective(at) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("structure", ["cs", "ar1", "diag"])
def test_structures_stay_what_they_are(structure):
    frame = crossed_table()
    model = lmmcore.mixedlm(f"y ~ a + b + c + {structure}(0 + a + b + c | g)", frame)
    penalty = Ridge([0, 5, 20, 1])
    fit = model.fit(fe_pen=penalty, reml=False)
    g = np.asarray(fit.cov_re_unscaled)
    if structure == "diag":
        np.testing.assert_array_equal(g, np.diag(np.diag(g)))
    else:
        np.testing.assert_allclose(np.diag(g), g[0, 0], rtol=1e-9)
        assert g[0, 2] == pytest.approx(
            g[0, 1] if structure == "cs" else g[0, 1] ** 2 / g[0, 0], rel=1e-6, abs=1e-9
        )
    z = columns(frame.g.to_numpy(), frame[list("abc")].to_numpy())
    objective = dense_objective(frame.y.to_numpy(), model.exog, z, 3, penalty, False)
    best = value_of(fit, objective)
    for change in (-1e-3, 1e-3):
        near = lmmcore.mixedlm(f"y ~ a + b + c + {structure}(0 + a + b + c | g)", frame)
        theta = fit.fit.point.theta.copy()
        theta[0] += change
        assert near.fit(fe_pen=penalty, reml=False).fit.likelihood.value(theta) >= best - 1e-9
    assert fit.fit.point.value == pytest.approx(best, rel=1e-10)
    weak = model.fit(fe_pen=Ridge(1e-9 * np.ones(4)), reml=False)
    plain = model.fit(reml=False)
    np.testing.assert_allclose(weak.bse, plain.bse, rtol=1e-4)
    np.testing.assert_allclose(
        weak.covariance_parameters.std_err, plain.covariance_parameters.std_err, rtol=1e-4
    )


def test_a_penalty_of_the_covariance_matrix_may_end_on_the_boundary():
    y, x, g, z, _, _ = draw(3, 2)
    model = MixedLM(y, x, g, exog_re=z)
    fit = model.fit(cov_pen=Trace(1e4))
    assert fit.converged
    assert len(fit.convergence.boundary) == 2
    assert not np.asarray(fit.cov_re).any()
    weak = model.fit(cov_pen=Trace(1e-12))
    np.testing.assert_allclose(weak.cov_re, model.fit().cov_re, atol=1e-4)


@pytest.mark.parametrize("method", ["em", "lbfgs", "newton"])
def test_optimizers_options_patterns_and_starts(method):
    frame = crossed_table()
    model = lmmcore.mixedlm("y ~ a + b + c + (1 | g)", frame)
    penalty = Huber([0, 30, 30, 30])
    best = model.fit(fe_pen=penalty)
    calls = []
    fit = model.fit(fe_pen=penalty, method=method, callback=lambda *at: calls.append(at))
    assert fit.convergence.optimizer == method
    assert calls
    np.testing.assert_allclose(fit.params, best.params, atol=2e-3)
    other = lmmcore.mixedlm("y ~ a + b + c + (1 + h | g)", frame)
    free = MixedLMParams.from_components(np.ones(4), np.eye(2))
    assert other.fit(fe_pen=penalty, free=free).cov_re.iloc[0, 1] == 0.0
    there = model.fit(fe_pen=penalty, start_params=best.params_object, do_cg=False)
    np.testing.assert_allclose(there.params, best.params, atol=1e-6)


def test_a_penalty_with_another_shape_is_refused():
    y, x, g, _z, penalty, _ = draw(0, 1)
    model = MixedLM(y, x, g)
    penalty.deriv = lambda beta: np.zeros(1 + len(beta))
    with pytest.raises(lmmcore.errors.DataValueError, match=r"fe_pen.deriv returned shape"):
        model.fit(fe_pen=penalty)
    wrong = Trace(1.0)
    wrong.deriv = lambda g, inverse: np.eye(3)
    with pytest.raises(lmmcore.errors.DataValueError, match=r"cov_pen.deriv returned shape"):
        model.fit(cov_pen=wrong)


def test_the_gradient_in_g_is_that_of_the_dense_model():
    """At weight zero D_t is the dense one of the plain likelihood."""
    y, x, g, z, _, _ = draw(2, 2)
    fit = MixedLM(y, x, g, exog_re=z).fit(fe_pen=Ridge(np.zeros(x.shape[1])))
    likelihood = fit.fit.likelihood
    term = likelihood.terms[0]
    theta = likelihood.parameters([term.to_engine(np.array([[0.5, 0.1], [0.1, 0.3]]))])
    point = likelihood.point(theta, order=2)
    dense = DenseModel.from_groups(y, x, g, [z], None, True)
    wanted = dense.gradient([np.array([[0.5, 0.1], [0.1, 0.3]])])[0]
    mine = term.matrix(point.gamma_gradient)
    back = np.linalg.inv(term.basis)
    np.testing.assert_allclose(back.T @ mine @ back, wanted, rtol=1e-7, atol=1e-7)

"""Robust covariances, influence, bootstrap and profiles of models with residual structures."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import OptionError
from lmmcore.repeated.deviance import JointDeviance

CASES = {
    "ar1": ("distance ~ age * Sex", "ar1(visit | Subject)", None),
    "mixed": ("distance ~ age + (1 | Subject)", "ar1(visit | Subject)", "by(Sex)"),
    "un": ("distance ~ age + Sex", "un(visit | Subject)", None),
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    found = lmmcore.datasets.load_orthodont()
    return found.assign(visit=found.age.astype("category"), w=1.0 + 0.5 * (found.age > 10))


def model_of(case, data, **keywords):
    formula, residual, variance = CASES[case]
    build = lmmcore.mixedlm if "|" in formula else lmmcore.gls
    return build(formula, data, residual=residual, variance=variance, **keywords)


@pytest.fixture(scope="module", params=CASES)
def fit(request, data):
    found = model_of(request.param, data, weights="w").fit()
    return request.param, found


def dense(found, data):
    """Return X, y, V (n, n) at the estimates, and the groups."""
    x, y = np.asarray(found.model.exog), np.asarray(found.model.endog)
    codes = data.Subject.cat.codes.to_numpy()
    n, root = len(y), np.sqrt(data.w.to_numpy())
    v = found.scale * found.fit.residual.covariance_of(np.arange(n)) / root / root[:, None]
    if found.fit.layout.terms:
        v = v + found.cov_re.iloc[0, 0] * (codes[:, None] == codes)
    return x, y, v, codes


def test_rows_have_the_covariance_of_their_group(fit, data):
    _, found = fit
    covariance = found.residual_covariance("M05").to_numpy()
    rows = np.flatnonzero(data.Subject == "M05")
    own = found.scale * found.fit.residual.covariance_of(rows)
    np.testing.assert_allclose(own, covariance, rtol=1e-12)
    shuffled = found.scale * found.fit.residual.covariance_of(rows[::-1])
    np.testing.assert_allclose(shuffled, covariance[::-1, ::-1], rtol=1e-12)


@pytest.mark.parametrize("kind", ["cr0", "cr1", "cr2", "cr3"])
def test_robust_covariances_are_their_definition(fit, data, kind):
    _, found = fit
    x, y, v, codes = dense(found, data)
    inverse = np.linalg.inv(v)
    m = np.linalg.inv(x.T @ inverse @ x)
    e = y - x @ m @ x.T @ inverse @ y
    meat = np.zeros_like(m)
    for j in range(27):
        at = np.flatnonzero(codes == j)
        own, xj = v[np.ix_(at, at)], x[at]
        a = np.eye(len(at))
        if kind == "cr2":
            d = np.linalg.cholesky(own).T
            values, vectors = np.linalg.eigh(d @ (own - xj @ m @ xj.T) @ d.T)
            a = d.T @ (vectors / np.sqrt(values)) @ vectors.T @ d
        if kind == "cr3":
            a = np.linalg.inv(np.eye(len(at)) - xj @ m @ xj.T @ np.linalg.inv(own))
        score = xj.T @ np.linalg.solve(own, a @ e[at])
        meat += np.outer(score, score)
    expected = m @ meat @ m * (27 / 26 if kind == "cr1" else 1.0)
    test = found.t_test(np.eye(len(m)), vcov=kind)
    np.testing.assert_allclose(test.sd, np.sqrt(np.diag(expected)), rtol=1e-8)


def test_clusters_must_hold_the_groups_of_the_residuals(data):
    found = model_of("ar1", data).fit()
    with pytest.raises(OptionError, match="not nested in the clusters"):
        found.t_test("age", vcov=lmmcore.cluster_robust("cr2", "age"))
    with pytest.raises(OptionError, match="not nested in the clusters"):
        found.get_influence("age")
    with pytest.raises(OptionError, match="'exact' or 'fixed'"):
        found.get_influence(method="one-step")


def test_influence_with_fixed_covariances(fit, data):
    _, found = fit
    table = found.get_influence(method="fixed")
    x, y, v, codes = dense(found, data)
    labels = list(data.Subject.cat.categories)
    for j in (0, 5, 20):
        kept = codes != j
        inverse = np.linalg.inv(v[np.ix_(kept, kept)])
        cov = np.linalg.inv(x[kept].T @ inverse @ x[kept])
        beta = cov @ x[kept].T @ inverse @ y[kept]
        change = np.asarray(found.fe_params) - beta
        np.testing.assert_allclose(table.dfbeta.loc[labels[j]], change, rtol=1e-6, atol=1e-9)
        cook = change @ np.linalg.solve(np.asarray(found.cov_fe), change) / len(beta)
        assert table.cooks_distance[labels[j]] == pytest.approx(cook, rel=1e-6)
    assert table.parameters.nunique().max() == 1


def test_influence_is_a_refit(fit, data):
    case, found = fit
    table = found.get_influence()
    for label in ("M05", "F10"):
        other = model_of(case, data[data.Subject != label], weights="w").fit()
        change = np.asarray(found.fe_params - other.fe_params)
        np.testing.assert_allclose(table.dfbeta.loc[label], change, atol=1e-6)
        own = other.covariance_parameters.estimate
        np.testing.assert_allclose(table.parameters.loc[label], own, rtol=1e-3)


def test_refit_and_bootstrap(fit, data):
    _, found = fit
    again = found.refit(np.asarray(data.distance) + 2.0 * np.asarray(data.age))
    assert again.fe_params["age"] == pytest.approx(found.fe_params["age"] + 2.0, abs=1e-5)
    np.testing.assert_allclose(
        again.covariance_parameters.estimate, found.covariance_parameters.estimate, rtol=1e-4
    )
    drawn = found.bootstrap(12, rng=1)
    assert np.isfinite(drawn.values).all()
    np.testing.assert_array_equal(drawn.values, found.bootstrap(12, rng=1).values)
    of_groups = found.bootstrap(12, kind="groups", rng=2)
    assert of_groups.values.std(axis=0).min() > 0.0
    assert list(of_groups.frame.columns[:2]) == list(found.fe_params.index[:2])
    with pytest.raises(OptionError, match="'parametric' or 'groups'"):
        found.bootstrap(5, kind="residual")


def test_resampled_groups_are_groups_of_their_own(data):
    """Twice every group is the same likelihood twice, not groups of eight rows."""
    found = model_of("ar1", data).fit(reml=False)
    from lmmcore.resampling.groups import of_rows

    design = found.model.design
    rows = np.tile(np.arange(108), 2)
    grouping = design.grouping.take(rows)
    twice = found._refit(found.model._rebuilt(of_rows(design, rows, [grouping])), None)
    assert len(set(twice.model.residual_structure.positions.groups)) == 54
    assert twice.llf == pytest.approx(2.0 * found.llf, abs=1e-6)


def test_intervals_of_all_parameters(data):
    found = model_of("ar1", data).fit(reml=False)
    table = found.conf_int(method="profile")
    assert list(table.index) == ["rho", "sigma", *found.fe_params.index]
    boot = found.conf_int(method="boot", nrep=10, rng=1)
    assert set(boot.index) == set(table.index)
    with pytest.raises(OptionError, match="'wald', 'profile' or 'boot'"):
        found.conf_int(method="bca")
    text = str(found.summary(intervals="profile"))
    assert f"{table.loc['rho', 0]:.4g}" in text
    with pytest.raises(OptionError, match="'wald' or 'profile'"):
        found.summary(intervals="boot")
    with pytest.raises(OptionError, match="which has 'rhoo'"):
        found.profile("rhoo")


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_the_deviance(case, data):
    deviance = JointDeviance(model_of(case, data).fit(reml=False).fit)
    psi = deviance.best + 0.03
    gradient = deviance.value_and_gradient(psi)[1]
    for j in range(len(psi)):
        e = np.eye(len(psi))[j] * 1e-3
        near, far = (
            deviance.value_and_gradient(psi + s * e)[0]
            - deviance.value_and_gradient(psi - s * e)[0]
            for s in (1, 2)
        )
        assert gradient[j] == pytest.approx((8 * near - far) / 12e-3, rel=1e-6, abs=1e-6)


def ml_of_ar1(x, y, groups, rho, sigma):
    """Return −2 log-likelihood of AR(1) at ρ and σ, β at its optimum, from dense algebra."""
    lag = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    v = np.kron(np.eye(groups), sigma**2 * rho**lag)
    inverse = np.linalg.inv(v)
    e = y - x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    return np.linalg.slogdet(v)[1] + len(y) * np.log(2 * np.pi) + e @ inverse @ e


def test_profile_limits_by_brute_force(data):
    data = data.sort_values(["Subject", "age"])
    found = model_of("ar1", data).fit(reml=False)
    x, y = np.asarray(found.model.exog), np.asarray(found.model.endog)
    frame = found.profile(["rho", "sigma", "age"]).frame()
    sigmas = np.linspace(1.2, 4.5, 331)
    for rho in frame.loc["rho", ["lower", "upper"]]:
        least = min(ml_of_ar1(x, y, 27, rho, s) for s in sigmas)
        assert least - found.fit.criterion == pytest.approx(3.841459, abs=2e-2)
    rhos = np.linspace(0.2, 0.9, 281)
    for sigma in frame.loc["sigma", ["lower", "upper"]]:
        least = min(ml_of_ar1(x, y, 27, r, sigma) for r in rhos)
        assert least - found.fit.criterion == pytest.approx(3.841459, abs=2e-2)
    j = list(found.fe_params.index).index("age")
    rest = np.delete(x, j, axis=1)
    for value in frame.loc["age", ["lower", "upper"]]:
        least = min(
            ml_of_ar1(rest, y - value * x[:, j], 27, r, s)
            for r in np.linspace(0.5, 0.75, 51) for s in np.linspace(1.9, 2.9, 51)
        )  # fmt: skip
        assert least - found.fit.criterion == pytest.approx(3.841459, abs=3e-2)


def test_a_profile_that_begins_at_zero():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(15), 4), "t": np.tile(np.arange(4), 15)})
    data["y"] = rng.standard_normal(60)
    found = lmmcore.mixedlm("y ~ 1 + (1 | g)", data, residual="ar1(t | g)").fit(reml=False)
    name = "sd(Intercept) (1 | g)"
    assert found.covariance_parameters.estimate.iloc[0] == pytest.approx(0.0, abs=1e-4)
    curve = found.profile(name)[name]
    assert curve.lower == 0.0
    assert 0.05 < curve.upper < 2.0

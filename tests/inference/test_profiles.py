"""Profile intervals beside lme4 and beside brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_models import frame, inference_reference
from scipy import optimize, stats

import lmmcore
from lmmcore.errors import LmmcoreError, OptionError

REFERENCE = inference_reference("profile")
# Here lme4 follows a local optimum: an SD of zero is inside of its interval, where any correlation has the
# same likelihood, and its interval of σ is 0.01 wide.
LOCAL = {("orthodont_age_reml", "cor"), ("orthodont_age_reml", "sigma")}


@pytest.mark.parametrize("name", list(REFERENCE))
def test_lme4(name):
    known = REFERENCE[name]
    model = lmmcore.mixedlm(known["formula"], frame(known["data"]), weights=known["weights"])
    found = model.fit(reml=known["method"] == "REML").profile().frame()
    limits = found[["lower", "upper"]].to_numpy()
    assert len(limits) == len(known["names"])
    for label, lower, upper in zip(known["names"], known["lower"], known["upper"]):
        if (name, label.partition("_")[0]) in LOCAL:
            continue
        size = (upper - lower) / 4.0
        # In another coding, or of the other order of two columns, a limit changes its sign.
        both = np.vstack([limits, -limits[:, ::-1]])
        assert np.abs(both - [lower, upper]).max(axis=1).min() < 1e-4 * size, (lower, upper)


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_brute_force(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), 5)
    data = pd.DataFrame({"g": g, "x": rng.standard_normal(60)})
    b = rng.standard_normal((12, 2)) @ np.array([[1.2, 0.3], [0.0, 0.8]])
    data["y"] = b[g, 0] + b[g, 1] * data.x + rng.standard_normal(60)
    fit = lmmcore.mixedlm("y ~ x + (1 + x | g)", data).fit(reml=False)
    if fit.convergence.boundary:
        return
    profiles = fit.profile()
    x = np.column_stack([np.ones(60), data.x])
    y = data.y.to_numpy()
    same = g[:, None] == g[None, :]

    def deviance(sds, r, sigma):
        cov = np.outer(sds, sds) * np.array([[1.0, r], [r, 1.0]])
        v = (x @ cov @ x.T) * same + sigma**2 * np.eye(60)
        sign, logdet = np.linalg.slogdet(v)
        if sign <= 0:
            return np.inf
        inverse = np.linalg.inv(v)
        e = y - x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
        return 60 * np.log(2 * np.pi) + logdet + e @ inverse @ e

    best = np.array([p.estimate for p in list(profiles.curves.values())[:4]])
    scale = [np.log, np.log, np.arctanh, np.log]
    back = [np.exp, np.exp, np.tanh, np.exp]
    z = stats.norm.ppf(0.975)
    for held, curve in enumerate(list(profiles.curves.values())[:4]):
        for limit in (curve.lower, curve.upper):
            if limit in (0.0, -1.0, 1.0):
                continue
            free = [i for i in range(4) if i != held]
            start = np.array([scale[i](best[i]) for i in free])

            def value(t, free=free, held=held, limit=limit):
                full = np.empty(4)
                full[held] = limit
                full[free] = [back[i](u) for i, u in zip(free, t)]
                return deviance(full[:2], full[2], full[3])

            options = {"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000}
            found = optimize.minimize(value, start, method="Nelder-Mead", options=options)
            assert found.fun + 2 * fit.llf == pytest.approx(z**2, abs=2e-4), curve.name


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


def test_curves_and_levels(sleep):
    profiles = sleep.profile(level=0.9)
    curve = profiles["sd(Days | Subject)"]
    assert (np.diff(curve.values) > 0).all()
    assert (np.diff(curve.zeta) > 0).all()
    z = stats.norm.ppf(0.95)
    assert np.interp(curve.lower, curve.values, curve.zeta) == pytest.approx(-z, abs=1e-5)
    assert np.interp(curve.upper, curve.values, curve.zeta) == pytest.approx(z, abs=1e-5)
    limits = sleep.conf_int(0.1, method="profile")
    assert limits.loc["sigma"].tolist() == pytest.approx(
        [profiles["sigma"].lower, profiles["sigma"].upper]
    )
    assert limits.index[-1] == "Days"


def test_a_limit_at_the_edge_is_the_edge():
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff()).fit()
    data = lmmcore.datasets.load_dyestuff().copy()
    means = data.groupby("Batch", observed=True).Yield.transform("mean")
    data["Yield"] = data.Yield - 0.45 * (means - means.mean())
    close = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit(reml=False)
    assert not close.convergence.boundary
    assert close.profile().frame().lower["sd(Intercept | Batch)"] == 0.0
    assert fit.profile().frame().lower["sd(Intercept | Batch)"] > 0.0


def test_errors(sleep):
    with pytest.raises(OptionError, match=r"which has 'days'.*did you mean 'Days'"):
        sleep.profile("days")
    with pytest.raises(OptionError, match="'x' has no profile"):
        sleep.profile("sigma")["x"]
    with pytest.raises(OptionError, match="method='boots'"):
        sleep.conf_int(method="boots")
    singular = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff2()).fit()
    assert np.isfinite(singular.profile("Intercept").frame().to_numpy()).all()
    for function, words in (
        (3, "expected a function of a dict"),
        (lambda p: p["sd"], "asks for 'sd'; expected some of sd"),
        (lambda p: np.inf, "is inf at the estimates"),
        (lambda p: "x", "expected a finite number"),
    ):
        with pytest.raises(LmmcoreError, match=words):
            sleep.profile(functions={"f": function})
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2))
    held = sleep.model.fit(free=free)
    with pytest.raises(OptionError, match="that are held fixed"):
        held.profile()


def _deviance(x, z, y, same):
    n = len(y)

    def deviance(cov, sigma2):
        v = (z @ cov @ z.T) * same + sigma2 * np.eye(n)
        sign, logdet = np.linalg.slogdet(v)
        if sign <= 0:
            return np.inf
        inverse = np.linalg.inv(v)
        e = y - x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
        return n * np.log(2 * np.pi) + logdet + e @ inverse @ e

    return deviance


def test_a_variance_at_zero_has_a_half_open_interval():
    data = lmmcore.datasets.load_dyestuff2()
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit()
    profiles = fit.profile()
    curve = profiles["sd(Intercept | Batch)"]
    assert (curve.estimate, curve.lower) == (0.0, 0.0)
    codes = data.Batch.astype("category").cat.codes.to_numpy()
    ones = np.ones((len(data), 1))
    deviance = _deviance(ones, ones, data.Yield.to_numpy(), codes[:, None] == codes[None, :])
    best = fit.model.fit(reml=False)
    z = stats.norm.ppf(0.975)

    def drop(cov, log_sigma2):
        return deviance(np.array([[cov]]), np.exp(log_sigma2)) + 2 * best.llf

    upper = optimize.minimize_scalar(
        lambda s: drop(curve.upper**2, s), bounds=(0, 6), method="bounded"
    )
    assert upper.fun == pytest.approx(z**2, abs=1e-4)
    sigma = profiles["sigma"]
    for limit in (sigma.lower, sigma.upper):
        s = np.log(limit**2)
        found = optimize.minimize_scalar(
            lambda v, s=s: drop(v**2, s), bounds=(0, 20), method="bounded"
        )
        assert min(found.fun, drop(0.0, s)) == pytest.approx(z**2, abs=1e-4)


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_singular_fits_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(9), 4)
    data = pd.DataFrame({"g": g, "x": rng.standard_normal(36)})
    b = rng.standard_normal(9)
    data["y"] = b[g] * (1.0 + 0.6 * data.x) + rng.standard_normal(36)
    fit = lmmcore.mixedlm("y ~ x + (1 + x | g)", data).fit(reml=False)
    if not fit.convergence.boundary:
        return
    x = np.column_stack([np.ones(36), data.x])
    deviance = _deviance(x, x, data.y.to_numpy(), g[:, None] == g[None, :])
    z = stats.norm.ppf(0.975)
    curves = list(fit.profile().curves.values())[:4]
    back = [np.exp, np.exp, np.tanh, np.exp]
    for held, curve in enumerate(curves):
        assert curve.lower <= curve.estimate <= curve.upper or np.isnan(curve.estimate)
        for limit in (curve.lower, curve.upper):
            if limit in (0.0, -1.0, 1.0):
                continue

            def value(t, held=held, limit=limit):
                p = np.insert(
                    [back[i](u) for i, u in zip([i for i in range(4) if i != held], t)], held, limit
                )
                cov = np.outer(p[:2], p[:2]) * np.array([[1.0, p[2]], [p[2], 1.0]])
                return deviance(cov, p[3] ** 2)

            starts = [
                (a, b_, c) for a in (-3.0, 0.0) for b_ in (-2.0, 0.0, 2.0) for c in (-0.5, 0.2)
            ]
            options = {"xatol": 1e-6, "fatol": 1e-8, "maxiter": 2000}
            found = min(
                optimize.minimize(value, t, method="Nelder-Mead", options=options).fun
                for t in starts
            )
            assert found + 2 * fit.llf == pytest.approx(z**2, abs=2e-3), (curve.name, limit)


def test_functions_of_parameters(sleep):
    profiles = sleep.profile(
        functions={
            "variance": lambda p: p["sigma"] ** 2,
            "ratio": lambda p: p["sigma"] / p["sd(Days | Subject)"],
        }
    )
    assert list(profiles.curves) == ["variance", "ratio"]
    sigma = sleep.profile("sigma")["sigma"]
    assert profiles["variance"].lower == pytest.approx(sigma.lower**2, rel=1e-6)
    assert profiles["variance"].upper == pytest.approx(sigma.upper**2, rel=1e-6)
    assert profiles["variance"].estimate == pytest.approx(sigma.estimate**2)


def test_icc_by_brute_force():
    data = lmmcore.datasets.load_dyestuff()
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit(reml=False)

    def icc(p):
        between = p["sd(Intercept | Batch)"] ** 2
        return between / (between + p["sigma"] ** 2)

    curve = fit.profile(functions={"icc": icc})["icc"]
    codes = data.Batch.astype("category").cat.codes.to_numpy()
    ones = np.ones((len(data), 1))
    deviance = _deviance(ones, ones, data.Yield.to_numpy(), codes[:, None] == codes[None, :])
    z = stats.norm.ppf(0.975)
    for limit in (curve.lower, curve.upper):
        found = optimize.minimize_scalar(
            lambda s, limit=limit: deviance(np.array([[limit * np.exp(s)]]), (1 - limit) * np.exp(s)),
            bounds=(4, 14), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        assert found.fun + 2 * fit.llf == pytest.approx(z**2, abs=1e-4)

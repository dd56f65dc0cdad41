"""Covariance parameters that the data cannot tell apart are said to be so, and only these."""

import warnings

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore import MixedLM
from lmmcore.errors import DataValueError, DesignError, LmmcoreWarning, NotIdentifiedWarning
from lmmcore.testing.dense import DenseModel


def visits(q=14, m=4, seed=0, times=None):
    """Rows of q groups at the same m times; labels again under other names."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(q), m)
    n = len(g)
    data = pd.DataFrame(
        {
            "g": [f"g{i:02d}" for i in g],
            "h": [f"h{i:02d}" for i in g],
            "x": rng.normal(size=n),
            "t": np.tile(np.arange(m, dtype=float), q) if times is None else times,
            "day": np.tile([f"d{i}" for i in range(m)], q),
            "one": 1.0,
        }
    )
    effects = rng.normal(size=(q, 2))[g] * [1.0, 0.5]
    data["y"] = effects[:, 0] + effects[:, 1] * data.t + 0.5 * data.x + rng.normal(size=n)
    return data


def cells(q=60, seed=4):
    """Two rows for each of four conditions in each group, conditions correlated 1/3."""
    rng = np.random.default_rng(seed)
    data = visits(q, 8, seed)
    data["cond"] = np.tile(list("aabbccdd"), q)
    effects = rng.normal(size=(q, 4)) @ np.linalg.cholesky(np.eye(4) + 0.5).T
    data["y"] = data.x + effects[np.repeat(np.arange(q), 8), np.tile([0, 0, 1, 1, 2, 2, 3, 3], q)]
    data["y"] += rng.normal(size=8 * q)
    return data


FOUR, TWO, CELLS = visits(), visits(40, 2, 1), cells()
INTERCEPT = "the variance of the random intercept of g"


def bars(formula, data=FOUR):
    return lambda: lmmcore.mixedlm(formula, data)


def statsmodels(formula, data=FOUR, **arguments):
    return lambda: MixedLM.from_formula(formula, data, **arguments)


# Name: model, REML only (under ML the variance is at zero), parts of what is said.
NOT_IDENTIFIED = {
    "group fixed too": (bars("y ~ C(g) + x + (1 | g)"), True, [INTERCEPT, "fixed effects"]),
    "slopes too": (bars("y ~ g * x + (x | g)"), True, ["(1 + x | g)", "fixed effects"]),
    "intercepts of two": (bars("y ~ g + x + (t || g)"), True, [INTERCEPT, "fixed effects"]),
    "groups=": (statsmodels("y ~ g + x", groups="g"), True, [INTERCEPT, "fixed effects"]),
    "a component fixed too": (
        statsmodels("y ~ g + x", groups="one", vc_formula={"v": "0 + C(g)"}), True,
        ["the variance of v", "fixed effects"],
    ),
    "a crossed factor fixed too": (
        bars("y ~ day + x + (1 | g) + (1 | day)"), True, ["intercept of day", "fixed effects"],
    ),
    "two times": (bars("y ~ t + (t | g)", TWO), False, ["(1 + t | g)", "residual variance"]),
    "two indicators": (
        bars("y ~ t + (0 + C(t) | g)", TWO), False, ["C(t)[0.0] | g", "residual variance"],
    ),
    "re_formula": (
        statsmodels("y ~ t", TWO, groups="g", re_formula="t"), False,
        ["(1 + t | g)", "residual variance"],
    ),
    "four indicators": (
        bars("y ~ t + (0 + C(t) | g)"), False, ["C(t)[3.0] | g", "residual variance"],
    ),
    "cs": (bars("y ~ t + cs(0 + C(t) | g)"), False, ["C(t)[3.0] | g", "residual variance"]),
    "csh": (bars("y ~ t + csh(0 + C(t) | g)", TWO), False, ["C(t)", "residual variance"]),
    "toep": (bars("y ~ t + toep(0 + C(t) | g)"), False, ["C(t)", "residual variance"]),
    "a component that is constant": (
        statsmodels("y ~ x", groups="g", re_formula="1", vc_formula={"v": "0 + one"}), False,
        [INTERCEPT, "the variance of v | g"],
    ),
    "a component that is the group": (
        statsmodels("y ~ x", groups="g", re_formula="1", vc_formula={"v": "0 + C(h)"}), False,
        [INTERCEPT, "the variance of v | g"],
    ),
    "a component of single rows": (
        statsmodels("y ~ x", groups="g", re_formula="1", vc_formula={"v": "0 + C(day)"}), False,
        ["the variance of v | g", "residual variance"],
    ),
    "an intercept twice": (
        bars("y ~ x + (1 | g) + (0 + one | g)"), False, [INTERCEPT, "one | g"],
    ),
    "an intercept beside all dummies": (
        bars("y ~ x + (cond || g)", CELLS), False, [INTERCEPT, "cond[d] | g"],
    ),
    "the same, compound symmetry": (
        bars("y ~ x + (1 | g) + cs(0 + cond | g)", CELLS), False, [INTERCEPT, "cond[d] | g"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_IDENTIFIED)
@pytest.mark.parametrize("reml", [True, False])
def test_what_the_data_cannot_tell_is_said(name, reml):
    make, reml_only, parts = NOT_IDENTIFIED[name]
    if reml_only and not reml:
        fit = make().fit(reml=False)  # the maximum is at zero, which is one point
        assert fit.convergence.identified
        assert fit.convergence.boundary
        return
    with pytest.warns(NotIdentifiedWarning, match="the data cannot tell") as caught:
        fit = make().fit(reml=reml)
    assert caught[0].filename == __file__
    convergence = fit.convergence
    assert not convergence.identified
    said = " ".join(convergence.not_identified)
    if "cond[d] | g" in parts:
        parts = [INTERCEPT, "cond[d]"]
    assert all(part in said for part in parts), said
    assert said in str(caught[0].message)
    assert str(convergence).startswith("Not identified")
    assert said in str(fit.summary())
    assert "do not identify" in fit.cov_params_note


IDENTIFIED = {
    "one row per level, slopes": ("y ~ x + (0 + x | row)", TWO.assign(row=range(len(TWO)))),
    "two times of their own": (
        "y ~ t + (t | g)", visits(60, 2, 3, np.random.default_rng(3).uniform(0, 3, 120)),
    ),
    "ar1 beside a nugget": ("y ~ t + ar1(0 + C(t) | g)", FOUR),
    "dummies without intercept": ("y ~ x + (0 + cond | g)", CELLS),
    "independent dummies": ("y ~ x + diag(1 + cond | g)", CELLS),
    "crossed": ("y ~ x + (x | g) + (1 | day)", FOUR),
    "many digits of time": ("y ~ x + (year || g)", FOUR.assign(year=2010 + FOUR.t)),
    "slope fixed within groups": ("y ~ g:x + (1 | g)", FOUR),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTIFIED)
def test_no_false_alarm(name):
    formula, data = IDENTIFIED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotIdentifiedWarning)
        fit = lmmcore.mixedlm(formula, data).fit()
    assert fit.convergence.identified
    assert fit.convergence.not_identified == ()


def null_part(fit, reml):
    """How near the matrices M V_c M and M are to linear dependence, relative to the V_c."""
    design, x = fit.model.design, fit.model.exog
    n = len(x)
    projection = np.eye(n)
    if reml:
        q, _ = np.linalg.qr(x)
        projection -= q @ q.T
    columns = []
    for t, term in enumerate(design.terms):
        codes = design.groupings[term.factor].codes
        z = np.column_stack([np.ones(n) if c is None else c for c in design.columns_of(t)])
        for a in range(z.shape[1]):
            for b in range(a + 1):
                v = np.outer(z[:, a], z[:, b])
                v = (v + v.T) * (codes[:, None] == codes)
                if np.any(v):
                    columns.append((projection @ v @ projection).ravel() / np.linalg.norm(v))
    columns.append(projection.ravel() / np.sqrt(n))
    return np.linalg.svd(np.array(columns), compute_uv=False)[-1]


BARS = [
    "(1 | g)", "(x | g)", "(x || g)", "(x + z | g)", "(1 | g) + (1 | h)", "(x | g) + (1 | h)",
    "(1 | g) + (1 | h) + (1 | k)", "(1 | h) + (1 | h:g)", "cs(0 + C(k) | g)", "csh(0 + C(k) | g)",
    "ar1(0 + C(k) | g)", "(1 | g) + cs(0 + C(k) | h)", "(0 + C(k) | g)",
]  # fmt: skip


@pytest.mark.parametrize("bar", BARS)
def test_drawn_models(bar):
    """Small drawn data sets: what is called not identified is so by the rank of a dense matrix."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng([seed, len(bar)])
        sizes = rng.integers(2, 7, int(rng.integers(5, 14)))
        g = np.repeat(np.arange(len(sizes)), sizes)
        n = len(g)
        data = pd.DataFrame({"g": g, "h": rng.integers(0, 5, n), "k": rng.integers(0, 3, n)})
        data["x"], data["z"] = rng.normal(size=(2, n))
        data["y"] = rng.normal(size=len(sizes))[g] * rng.choice([0.0, 1.0, 3.0])
        data["y"] += rng.normal(size=n)
        fixed = rng.choice(["1", "x", "C(h) + x", "C(k)"])
        for reml in (True, False):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    fit = lmmcore.mixedlm(f"y ~ {fixed} + {bar}", data).fit(reml=reml)
            except (lmmcore.errors.DesignError, lmmcore.errors.ConvergenceError):
                continue
            if not fit.convergence.identified:
                found += 1
                assert null_part(fit, reml) < 1e-12, (seed, fixed, fit.convergence)
    assert found or "| h)" not in bar


def test_standard_errors_of_what_is_identified():
    """A component of single rows is the residual: everything else is as without it."""
    make, _, _ = NOT_IDENTIFIED["a component of single rows"]
    with pytest.warns(NotIdentifiedWarning):
        fit = make().fit()
    plain = MixedLM.from_formula("y ~ x", FOUR, groups="g").fit()
    assert fit.criterion == pytest.approx(plain.criterion, abs=1e-8)
    np.testing.assert_allclose(fit.fe_params, plain.fe_params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse_fe, plain.bse_fe, rtol=1e-6)
    np.testing.assert_allclose(
        fit.bse[["Intercept", "x"]], plain.bse[["Intercept", "x"]], rtol=1e-5
    )
    assert fit.bse_variances["g Var"] == pytest.approx(plain.bse_variances["g Var"], rel=1e-5)
    assert fit.cov_re.iloc[0, 0] == pytest.approx(plain.cov_re.iloc[0, 0], rel=1e-6)
    assert fit.scale + fit.vcomp[0] == pytest.approx(plain.scale, rel=1e-6)
    assert np.isnan(fit.bse_variances[["v Var", "Residual Var"]]).all()
    assert np.isnan(fit.bse[["g Var", "v Var"]]).all()  # both are relative to σ²
    sds = fit.covariance_parameters.set_index("parameter")["std_err"]
    assert np.isfinite(sds["sd(Intercept)"])
    assert np.isnan(sds["sd(v)"])
    assert np.isfinite(fit.t_test("x = 0").sd).all()


def test_standard_errors_where_the_group_is_fixed_too():
    with pytest.warns(NotIdentifiedWarning):
        fit = lmmcore.mixedlm("y ~ g + x + (1 | g) + (1 | day)", FOUR).fit()
    # The dense likelihood agrees that it is flat, and that the rest does not move.
    day = lmmcore.mixedlm("y ~ g + x + (1 | day)", FOUR).fit()
    assert fit.criterion == pytest.approx(day.criterion, abs=1e-8)
    assert fit.bse_fe["x"] == pytest.approx(day.bse_fe["x"], rel=1e-6)
    assert fit.fe_params["x"] == pytest.approx(day.fe_params["x"], rel=1e-6)
    assert np.isnan(fit.bse_fe.drop("x")).all()
    assert np.isnan(fit.bse.drop(["x", "day Var", "g x day Cov"])).all()
    z = fit.t_test("x = 0")
    assert z.sd[0] == pytest.approx(fit.bse_fe["x"])
    assert fit.wald_test("x = 0").statistic == pytest.approx(float(z.statistic[0]) ** 2)
    with pytest.raises(lmmcore.errors.DataValueError, match="standard errors"):
        fit.wald_test("g[T.g01] = 0")


def test_a_dense_likelihood_is_constant_along_the_direction():
    make, _, _ = NOT_IDENTIFIED["four indicators"]
    with pytest.warns(NotIdentifiedWarning):
        fit = make().fit()
    (direction,) = fit.convergence.null_directions
    columns = np.eye(4)[FOUR.t.astype(int)]
    x = np.column_stack([np.ones(len(FOUR)), FOUR.t])
    dense = DenseModel.from_groups(FOUR.y.to_numpy(), x, FOUR.g.to_numpy(), [columns])
    g = np.asarray(fit.cov_re_unscaled)
    change = direction.relative[0] / np.abs(direction.relative[0]).max()
    values = [dense.criterion([g + s * change]) for s in (0.0, 0.3, -0.1)]
    np.testing.assert_allclose(values, values[0], atol=1e-9)


def test_many_columns_of_crossed_factors():
    """Beyond the size at which the exact information is formed."""
    rng = np.random.default_rng(0)
    n = 4000
    data = pd.DataFrame({"a": rng.integers(0, 1400, n), "b": rng.integers(0, 150, n)})
    data["u"], data["x"] = rng.integers(0, 6, n), rng.normal(size=n)
    data["y"] = rng.normal(size=1400)[data.a] + rng.normal(size=150)[data.b] + rng.normal(size=n)
    with pytest.warns(NotIdentifiedWarning, match="intercept of u from the fixed effects"):
        lmmcore.mixedlm("y ~ x + C(u) + (1 | a) + (1 | b) + (1 | u)", data).fit()
    assert lmmcore.mixedlm("y ~ x + (1 | a) + (1 | b) + (1 | u)", data).fit().convergence.identified


def test_optimizers_say_the_same():
    for method in ("newton", "bfgs"):
        with pytest.warns(NotIdentifiedWarning, match="from the residual variance"):
            lmmcore.mixedlm("y ~ t + (t | g)", TWO).fit(method=method)


def test_words_of_tests_without_standard_errors():
    """Coefficients that depend on what is not identified are not called zero by a penalty."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(6), 10)
    data = pd.DataFrame({"g": g, "x": rng.standard_normal(60)})
    data["y"] = data["x"] + rng.standard_normal(6)[g] + rng.standard_normal(60)
    with pytest.warns(NotIdentifiedWarning):
        fit = lmmcore.mixedlm("y ~ C(g) + x + (1 | g)", data).fit()
    with pytest.warns(
        LmmcoreWarning, match=r"the data do not identify the standard errors of Intercept"
    ):
        fit.t_test("C(g)[T.1] = 0")
    terms = fit.wald_test_terms()
    assert list(terms.table.index) == ["x"]
    assert "the data do not identify" in str(terms)
    assert "penal" not in str(terms)
    with pytest.raises(
        DataValueError, match=r"C\(g\)\[T.1\], .* have no standard error, as the data do"
    ):
        fit.t_test_pairwise("C(g)")


def test_what_is_not_identified_is_not_selected():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(6), 10)
    data = pd.DataFrame({"g": g, "one": 1.0, "x": rng.standard_normal(60)})
    data["y"] = data["x"] + rng.standard_normal(6)[g] + rng.standard_normal(60)
    for formula in ("y ~ C(g) + x + (1 | g)", "y ~ x + (1 | g) + (0 + one | g)"):
        model = lmmcore.mixedlm(formula, data)
        with (
            pytest.warns(NotIdentifiedWarning),
            pytest.raises(DesignError, match="cannot be selected if the data cannot tell"),
        ):
            model.select_random_effects()


@pytest.mark.parametrize("reml", [True, False])
def test_two_visits_whatever_the_response(reml):
    """The optimizer may stop at the end of the line, where the covariance matrix is nearly singular."""
    for seed in (13, 15, 24, 36, 91, 129, 147, 213, 1, 2):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(3 + seed % 3), 2)
        data = pd.DataFrame({"g": g, "t": np.tile([0.0, 1.0], len(g) // 2)})
        data["y"] = rng.normal(size=len(g)) + rng.normal(size=3 + seed % 3)[g] * (2 * (seed % 2))
        with pytest.warns(NotIdentifiedWarning):
            fit = lmmcore.mixedlm("y ~ C(t) + (t | g)", data).fit(reml=reml)
        assert "residual variance" in fit.convergence.not_identified[0]


@pytest.mark.parametrize("seed", [2, 30, 34, 38, 155, 160, 331, 363, 450, 539, 586])
def test_flat_to_rounding(seed):
    """What is left of a slope where the likelihood is constant leads nowhere."""
    rng = np.random.default_rng(seed)
    q, m = int(rng.integers(3, 20)), int(rng.integers(3, 6))
    g, n = np.repeat(np.arange(q), m), q * m
    x, w = rng.normal(size=n), rng.uniform(0.5, 2, n)
    data = pd.DataFrame({"g": g, "x": x, "w": w})
    data["y"] = rng.normal(size=n) + rng.normal(size=q)[g]
    formula = ["C(g) * x + (1 | g)", "C(g) + x + (1 | g)", "C(g) * x + (x | g)", "C(g) + (1 | g)"]
    model = lmmcore.mixedlm(f"y ~ {formula[seed % 4]}", data, weights="w" if seed % 8 < 4 else None)
    with pytest.warns(NotIdentifiedWarning):
        fit = model.fit()
    assert fit.converged
    assert fit.cov_re.to_numpy().max() < 1e6

"""Fits with constraints, profiles, tests and draws beside statsmodels."""

import warnings

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression import mixed_linear_model as statsmodels

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import DataTypeError, DataValueError, FormulaError, OptionError


def data():
    rng = np.random.default_rng(11)
    n, q = 600, 60
    g = np.repeat(np.arange(q), n // q)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 2))])
    z = np.column_stack([np.ones(n), x[:, 1]])
    b = rng.standard_normal((q, 2)) * [1.0, 0.6]
    y = x @ [1.0, 0.5, -0.5] + np.sum(z * b[g], axis=1) + rng.standard_normal(n)
    return y, x, g, z


def quietly(call, *arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **keywords)


def masks(cov):
    """A mask for each package."""
    out = []
    for params in (MixedLMParams(3, 2, 0), statsmodels.MixedLMParams(3, 2, 0)):
        params.fe_params, params.cov_re, params.vcomp = np.ones(3), np.array(cov), np.zeros(0)
        out.append(params)
    return out


@pytest.mark.parametrize("reml", [True, False])
def test_independent_coefficients_by_a_mask(reml):
    y, x, g, z = data()
    mine, theirs = masks(np.eye(2))
    fit = MixedLM(y, x, g, exog_re=z).fit(reml=reml, free=mine)
    same = quietly(statsmodels.MixedLM(y, x, g, exog_re=z).fit, reml=reml, free=theirs, gtol=1e-8)
    assert fit.convergence.converged
    assert fit.llf >= same.llf - 1e-7
    assert fit.cov_re[0, 1] == 0.0
    np.testing.assert_allclose(fit.cov_re, same.cov_re, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(fit.bse[[0, 1, 2, 3, 5]], same.bse[[0, 1, 2, 3, 5]], rtol=1e-3)
    assert fit.bse[4] == 0.0
    frame = pd.DataFrame({"y": y, "x1": x[:, 1], "x2": x[:, 2], "g": g})
    bars = lmmcore.mixedlm("y ~ x1 + x2 + (x1 || g)", frame).fit(reml=reml)
    assert bars.criterion == pytest.approx(fit.criterion, rel=1e-12)


def test_constraints_are_counted_and_methods_named():
    model = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    fit = model.fit()
    assert fit.k_constr == 0
    free = MixedLMParams.from_components(np.ones(2), np.eye(2))
    assert model.fit(free=free).k_constr == 1
    for name in ("newton", "nm", "bfgs", "lbfgs", "powell", "cg", "ncg", "minimize"):
        assert model.fit(method=name, maxiter=2000).llf == pytest.approx(fit.llf, abs=1e-8)
    by_name = model.fit(method="minimize", min_method="Nelder-Mead")
    assert by_name.llf == pytest.approx(fit.llf, abs=1e-8)
    with pytest.raises(OptionError, match="min_method='Nedler'"):
        model.fit(method="minimize", min_method="Nedler")


def test_a_variance_held_fixed():
    y, x, g, z = data()
    mask, _ = masks([[0.0, 1.0], [1.0, 1.0]])
    start = MixedLMParams.from_components(np.zeros(3), np.array([[0.5, 0.0], [0.0, 1.0]]))
    model = MixedLM(y, x, g, exog_re=z)
    fit = model.fit(start_params=start, free=mask)
    assert fit.convergence.converged
    assert fit.cov_re_unscaled[0, 0] == pytest.approx(0.5)
    assert fit.criterion > model.fit().criterion
    # Everything held fixed: nothing to optimize.
    mask, _ = masks(np.zeros((2, 2)))
    fixed = model.fit(start_params=start, free=mask)
    np.testing.assert_allclose(fixed.cov_re_unscaled, start.cov_re)
    assert model.fit(start_params=start, do_cg=False).criterion == fixed.criterion
    with pytest.raises(DataValueError, match=r"free has cov_re of shape \(1, 1\)"):
        model.fit(free=MixedLMParams(3, 1, 0))
    with pytest.raises(DataValueError, match=r"expected 1 .* or 0"):
        model.fit(free=masks(0.5 * np.eye(2))[0])


@pytest.mark.parametrize(
    "held",
    [[(1, 0)], [(2, 1)], [(1, 1)], [(2, 0), (2, 2)], [(2, 0)], [(0, 0), (1, 0), (2, 0)]],
    ids=str,
)
def test_patterns_of_the_matrix_itself(held):
    """With use_sqrt=False entries of cov_re are held, in whatever order of the columns that takes."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(60), 10)
    z = np.column_stack([np.ones(600), rng.standard_normal((600, 2))])
    root = np.array([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [0.0, 0.3, 0.7]])
    b = rng.standard_normal((60, 3)) @ root.T
    y = z @ [1.0, 0.5, -0.5] + np.sum(z * b[g], axis=1) + rng.standard_normal(600)
    mask = np.ones((3, 3))
    for i, j in held:
        mask[i, j] = mask[j, i] = 0.0
    fits = []
    for package in (lmmcore, statsmodels):
        free = package.MixedLMParams(3, 3, 0)
        free.fe_params, free.cov_re, free.vcomp = np.ones(3), mask, np.zeros(0)
        model = package.MixedLM(y, z, g, exog_re=z, use_sqrt=False)
        fits.append(quietly(model.fit, reml=False, free=free, method=["bfgs", "lbfgs", "powell"]))
    mine, theirs = fits
    newton = MixedLM(y, z, g, exog_re=z, use_sqrt=False).fit(
        reml=False, free=MixedLMParams.from_components(np.ones(3), mask)
    )
    assert mine.converged
    assert newton.converged
    assert newton.llf == pytest.approx(mine.llf, abs=1e-6)
    assert mine.llf >= theirs.llf - 1e-6
    for i, j in held:
        assert newton.cov_re_unscaled[i, j] == pytest.approx(float(i == j), abs=1e-12)
    assert newton.k_constr == len(held)
    if mine.llf < theirs.llf + 1e-4:
        np.testing.assert_allclose(mine.cov_re, theirs.cov_re, atol=5e-3)
        np.testing.assert_allclose(mine.bse, theirs.bse, rtol=1e-2, atol=1e-9)


def test_a_pattern_that_no_factor_holds():
    y, x, g, z = data()
    start = MixedLMParams.from_components(np.zeros(3), np.array([[1.0, 0.3], [0.3, 1.0]]))
    mask = MixedLMParams.from_components(np.ones(3), np.array([[1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(OptionError, match=r"free holds the entries \[\(1, 0\)\]"):
        MixedLM(y, x, g, exog_re=z, use_sqrt=False).fit(start_params=start, free=mask)
    assert MixedLM(y, x, g, exog_re=z).fit(start_params=start, free=mask).converged


@pytest.mark.parametrize("index", [0, 1])
def test_profile_of_a_random_coefficient(index):
    y, x, g, z = data()
    fit = MixedLM(y, x, g, exog_re=z).fit(reml=False)
    model = statsmodels.MixedLM(y, x, g, exog_re=z)
    same = quietly(model.fit, reml=False, gtol=1e-8)
    mine = fit.profile_re(index, "re", num_low=2, dist_low=0.1, num_high=2, dist_high=0.2)
    theirs = quietly(
        same.profile_re, index, "re", num_low=2, dist_low=0.1, num_high=2, dist_high=0.2
    )
    np.testing.assert_allclose(mine[:, 0], theirs[:, 0], rtol=1e-3)
    np.testing.assert_allclose(mine[:, 1], theirs[:, 1], rtol=1e-6)
    assert mine[2, 0] == pytest.approx(fit.cov_re[index, index])
    assert mine[2, 1] == pytest.approx(fit.llf)
    assert np.all(mine[:, 1] <= fit.llf + 1e-9)


def test_profile_of_a_component_and_bad_arguments():
    pastes = lmmcore.datasets.load_pastes()
    fit = MixedLM.from_formula(
        "strength ~ 1", pastes, "1", {"cask": "0 + C(cask)"}, groups="batch"
    ).fit()
    profile = fit.profile_re("cask", "vc", num_low=1, dist_low=2.0, num_high=1, dist_high=2.0)
    assert profile.shape == (3, 2)
    assert profile[1, 1] == pytest.approx(fit.llf)
    assert max(profile[0, 1], profile[2, 1]) < fit.llf
    by_name = fit.profile_re("batch", "re", 0, 0.1, 1, 1.0)
    np.testing.assert_allclose(by_name, fit.profile_re(0, "re", 0, 0.1, 1, 1.0))
    for arguments, words in (
        ((0, "nothing"), "vtype='nothing'"),
        ((3, "re"), "re_ix=3"),
        (("cas", "vc"), "did you mean 'cask'"),
    ):
        with pytest.raises(OptionError, match=words):
            fit.profile_re(*arguments)
    with pytest.raises(OptionError, match="dist_low=99 leads below zero"):
        fit.profile_re("cask", "vc", dist_low=99)


def test_hypotheses():
    y, x, g, _ = data()
    frame = pd.DataFrame({"y": y, "x1": x[:, 1], "x2": x[:, 2], "g": g})
    fit = MixedLM.from_formula("y ~ x1 + x2", frame, "1 + x1", groups="g").fit()
    one = fit.t_test("x1 + x2 = 0")
    contrast = np.array([0.0, 1.0, 1.0])
    assert one.effect == pytest.approx([contrast @ fit.fe_params])
    assert one.sd == pytest.approx([np.sqrt(contrast @ fit.cov_fe @ contrast)])
    each = fit.t_test(np.eye(3))
    np.testing.assert_allclose(each.tvalue, fit.fe_params / fit.bse_fe)
    np.testing.assert_allclose(each.effect, fit.fe_params)
    limits = each.conf_int(0.1)
    np.testing.assert_allclose(limits.mean(axis=1), fit.fe_params)
    both = fit.wald_test("x1 = 0.5, x2 = -0.5")
    assert both.distribution == "chi2"
    assert both.df_num == 2
    d = fit.fe_params.to_numpy()[1:] - [0.5, -0.5]
    expected = d @ np.linalg.solve(fit.cov_fe.to_numpy()[1:, 1:], d)
    assert both.statistic == pytest.approx(expected)
    f = fit.f_test("x1 = 0.5, x2 = -0.5")
    assert f.fvalue == pytest.approx(expected / 2)
    assert f.df_denom == fit.df_resid
    assert f.pvalue > both.pvalue
    assert fit.t_test("x1", use_t=True).pvalue > fit.t_test("x1").pvalue
    same = quietly(
        statsmodels.MixedLM.from_formula("y ~ x1 + x2", frame, re_formula="1 + x1", groups="g").fit,
        gtol=1e-8,
    ).t_test(contrast[None])
    assert one.tvalue == pytest.approx(np.ravel(same.tvalue), rel=1e-3, abs=1e-4)
    assert list(one.summary_frame().index) == ["x1 + x2 = 0"]
    assert "Wald test" in str(both)
    assert "F test" in str(f)
    with pytest.raises(DataValueError, match="should have 3 columns"):
        fit.t_test(np.eye(4))
    with pytest.raises(FormulaError, match="cannot be read"):
        fit.t_test("x9 = 0")
    with pytest.raises(DataValueError, match="rank 1"):
        fit.wald_test("x1 = 0, 2 * x1 = 0")
    with pytest.raises(DataValueError, match="joint test has no confidence interval"):
        both.conf_int()


def test_draws_are_those_of_statsmodels():
    pastes = lmmcore.datasets.load_pastes().astype({"batch": str, "cask": str})
    arguments = {"groups": "batch", "re_formula": "1", "vc_formula": {"cask": "0 + C(cask)"}}
    mine = MixedLM.from_formula("strength ~ 1", pastes, **arguments)
    theirs = statsmodels.MixedLM.from_formula("strength ~ 1", data=pastes, **arguments)
    params = np.array([60.0, 2.4, 12.4])
    a = mine.get_distribution(params, 0.7, None).rvs(0, rng=np.random.default_rng(3))
    b = theirs.get_distribution(params, 0.7, None).rvs(0, rng=np.random.default_rng(3))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    with pytest.raises(DataValueError, match="scale=-1"):
        mine.get_distribution(params, -1)
    with pytest.raises(DataValueError, match=r"shape \(2,\); expected \(3,\)"):
        mine.get_distribution(params[:2], 1.0)


def test_drawn_responses_have_the_covariance_of_the_model():
    y, x, g, z = data()
    w = np.where(g % 2 == 0, 4.0, 1.0)
    model = MixedLM(y, x, g, exog_re=z, weights=w)
    params = np.array([0.0, 0.0, 0.0, 1.5, 0.4, 0.5])
    draws = np.array([model.get_distribution(params, 2.0).rvs(rng=i) for i in range(4000)])
    rows = np.flatnonzero(g == 3)[:3]
    cov = 2.0 * z[rows] @ [[1.5, 0.4], [0.4, 0.5]] @ z[rows].T + 2.0 * np.eye(3)
    np.testing.assert_allclose(np.cov(draws[:, rows].T), cov, atol=0.35)
    assert np.var(draws[:, g == 2]) < np.var(draws[:, g == 3])


@pytest.mark.parametrize(
    ("formula", "reml", "expected"),
    [
        ("Reaction ~ Days + (1 | Subject)", True, [505.76801616, 107.04830520]),
        (
            "Reaction ~ Days + (Days | Subject)", True,
            [288.78265500, 46.67847086, 14.78206190, 77.18554026],
        ),
        (
            "Reaction ~ Days + (Days | Subject)", False,
            [265.26609163, 42.87571969, 13.57257625, 77.18554027],
        ),
    ],
)  # fmt: skip
def test_standard_errors_of_variances(formula, reml, expected):
    """Beside the inverse Hessian of R's lmerTest 3.1-3, carried over to variances."""
    fit = lmmcore.mixedlm(formula, lmmcore.datasets.load_sleepstudy()).fit(reml=reml)
    np.testing.assert_allclose(fit.bse_variances, expected, rtol=1e-6)
    assert fit.bse_variances.index[-1] == "Residual Var"
    table = fit.summary().tables[1]
    assert table.loc["Subject Var", "Std.Err."] == f"{expected[0]:.3f}"


def test_arguments_of_the_summary():
    fit = lmmcore.mixedlm(
        "Reaction ~ Days", lmmcore.datasets.load_sleepstudy(), groups="Subject"
    ).fit()
    summary = fit.summary("RT", ["a", "b"], ["v"], "A title", 0.1)
    assert summary.title == "A title"
    assert list(summary.tables[1].index) == ["a", "b", "v"]
    assert list(summary.tables[1].columns)[-2:] == ["[0.05", "0.95]"]
    assert "RT ~ a + b" in summary.as_text()
    latex = summary.as_latex()
    assert latex.count("\\\\") == 6 + 4
    assert "\\begin{tabular}{lrrrrrr}" in latex
    with pytest.raises(OptionError, match="xname_fe has 1 names; expected 2"):
        fit.summary(xname_fe=["a"])
    with pytest.raises(OptionError, match="xname_re has 3 names; expected 1"):
        fit.summary(xname_re=["a", "b", "c"])


def test_save_and_load(tmp_path):
    fit = lmmcore.mixedlm(
        "Reaction ~ Days + (1 | Subject)", lmmcore.datasets.load_sleepstudy()
    ).fit()
    fit.save(tmp_path / "fit.pickle")
    again = lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")
    assert again.summary().as_text() == fit.summary().as_text()
    pd.to_pickle({"a": 1}, tmp_path / "other.pickle")
    with pytest.raises(DataTypeError, match="holds a dict"):
        lmmcore.MixedLMResults.load(tmp_path / "other.pickle")


def test_names_and_history():
    fit = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    ).fit(full_output=True)
    names = fit.model.data
    assert names.xnames == ["Intercept", "Days"]
    assert names.exog_re_names == ["Subject", "Days"]
    assert names.exog_re_names_full == ["Subject Var", "Subject x Days Cov", "Days Var"]
    (history,) = fit.hist
    assert history["converged"]
    assert history["fopt"] == fit.criterion
    assert fit.model.fit().hist is None


def test_arguments_that_do_nothing_here():
    model = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", lmmcore.datasets.load_sleepstudy())
    with pytest.warns(FutureWarning, match="Argument cov_type not used"):
        fit = model.fit(cov_type="hc1")
    assert model.fit(gtol=1e-3, disp=False, niter_sa=2).criterion == fit.criterion
    with pytest.raises(OptionError, match=r"fe_pen=.*expected a smooth penalty"):
        model.fit(fe_pen=object())

"""Log-likelihood, score and Hessian at any parameters, beside statsmodels and by differences."""

import warnings

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.regression import mixed_linear_model as statsmodels

import lmmcore
from lmmcore import MixedLM, MixedLMParams
from lmmcore.errors import DataValueError, LmmcoreWarning
from lmmcore.testing.strategies import grouped_models


def pair(y, x, groups, z, use_sqrt=True, reml=True):
    """The same model in both packages."""
    mine = MixedLM(y, x, groups, exog_re=z, use_sqrt=use_sqrt)
    theirs = statsmodels.MixedLM(y, x, groups, exog_re=z, use_sqrt=use_sqrt)
    for model in (mine, theirs):
        model.reml = reml
    theirs.fe_pen = theirs.cov_pen = theirs._freepat = None
    return mine, theirs


def both(fe, cov, vcomp=()):
    vcomp = np.asarray(vcomp, dtype=float)
    theirs = statsmodels.MixedLMParams.from_components(fe, cov_re=cov, vcomp=vcomp)
    return MixedLMParams.from_components(fe, cov, vcomp=vcomp), theirs


def close(mine, theirs, rel=1e-8):
    size = 1e-300 + np.abs(np.asarray(theirs)).max(initial=0.0)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=rel * size)


@examples(50)
@given(
    grouped_models(decades=1.0, max_k=3, max_groups=12, weighted=False),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_drawn_models_beside_statsmodels(problem, reml, use_sqrt, seed):
    mine, theirs = pair(problem.y, problem.x, problem.groups, problem.z, use_sqrt, reml)
    assume(mine.k_fe == theirs.k_fe)
    rng = np.random.default_rng(seed)
    k, p = problem.z.shape[1], problem.x.shape[1]
    root = rng.standard_normal((k, k)) / np.abs(problem.z).max()
    cov = root @ root.T + np.diag(0.05 * np.diag(root @ root.T))
    params, same = both(rng.standard_normal(p) * np.std(problem.y), cov)
    for profile in (True, False):
        close(mine.loglike(params, profile), theirs.loglike(same, profile))
    packed = params.get_packed(use_sqrt)
    close(mine.loglike(packed), theirs.loglike(packed))
    close(mine.score(packed), theirs.score(packed))
    close(mine.score(params, False), theirs.score(same, False))
    for name in ("score_full", "score_sqrt"):
        for a, b in zip(getattr(mine, name)(params, True), getattr(theirs, name)(same, True)):
            close(a, b)
    fe, singular = mine.get_fe_params(cov, np.zeros(0))
    close(fe, theirs.get_fe_params(cov, np.zeros(0))[0])
    assert not singular
    close(mine.get_scale(fe, cov, np.zeros(0)), theirs.get_scale(fe, cov, np.zeros(0)))
    # The block of the covariance parameters anywhere, the whole at the GLS estimate.
    ours, their = mine.hessian(params)[0], theirs.hessian(same)[0]
    close(ours[p:, p:], their[p:, p:])
    params, same = both(fe, cov)
    ours, their = mine.hessian(params)[0], theirs.hessian(same)[0]
    scale = np.sqrt(np.outer(np.abs(np.diag(their)), np.abs(np.diag(their))))
    np.testing.assert_allclose(ours / scale, their / scale, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(mine.information(params), -ours)


def dense_score(dense, beta, g):
    """The score in β and the lower triangle of G, by the n × n matrices; also at complex parameters."""
    inverse = np.linalg.inv(dense.covariance([g]))
    e = dense.y - dense.x @ beta
    ve = inverse @ e
    qf, m, k = e @ ve, dense.n_eff, len(g)
    projection = inverse
    if dense.reml:
        vx = inverse @ dense.x
        projection = inverse - vx @ np.linalg.solve(dense.x.T @ vx, vx.T)
    (z,) = dense.z
    d = np.zeros((k, k), dtype=complex)
    for at in range(0, z.shape[1], k):
        zl = z[:, at : at + k]
        s = zl.T @ ve
        d += zl.T @ projection @ zl - m * np.outer(s, s) / qf
    d = -0.5 * (2.0 - np.eye(k)) * d  # an entry off the diagonal stands for two
    return np.concatenate([dense.x.T @ ve * m / qf, d[np.tril_indices(k)]])


@examples(50)
@given(
    grouped_models(decades=1.0, max_k=2, max_p=3, max_groups=12), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_hessian_is_that_of_the_log_likelihood_at_any_beta(problem, reml, seed):
    """Also where statsmodels leaves terms out, and with weights, by complex steps of the dense score."""
    model = MixedLM(
        problem.y, problem.x, problem.groups, exog_re=problem.z, weights=problem.weights
    )
    model.reml = reml
    rng = np.random.default_rng(seed)
    k, p = problem.z.shape[1], problem.x.shape[1]
    root = rng.standard_normal((k, k)) / np.abs(problem.z).max()
    params = MixedLMParams.from_components(
        rng.standard_normal(p) * np.std(problem.y),
        root @ root.T + 0.1 * np.diag(np.diag(root @ root.T)),
    )
    at = params.get_packed(use_sqrt=False, has_fe=True)
    hessian, _ = model.hessian(params)
    dense, lower = problem.dense(reml), np.zeros((k, k), dtype=complex)
    for i in range(len(at)):
        x = at.astype(complex)
        x[i] += 1e-30j
        lower[np.tril_indices(k)] = x[p:]
        score = dense_score(dense, x[:p], lower + np.tril(lower, -1).T)
        scale = np.sqrt(np.abs(np.diag(hessian)) * abs(hessian[i, i]))
        np.testing.assert_allclose(
            hessian[i] / scale, score.imag / 1e-30 / scale, rtol=0, atol=1e-8
        )
        lower[:] = 0.0
    close(np.concatenate(model.score_full(at)), score.real)


@examples(30)
@given(
    grouped_models(decades=1.0, max_k=2, max_groups=8, weighted=False), st.booleans(),
    st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_drawn_components_beside_statsmodels(problem, reml, with_re, seed):
    """One or two components of one to three columns in each group, with random coefficients or without."""
    rng = np.random.default_rng(seed)
    labels, sizes = np.unique(problem.groups, return_counts=True)
    names = ["a", "b"][: rng.integers(1, 3)]
    widths = rng.integers(1, 4, (len(names), len(labels)))
    mats = [[rng.standard_normal((n, w)) for n, w in zip(sizes, row)] for row in widths]
    columns = [[[f"{i}.{j}" for j in range(w)] for i, w in enumerate(row)] for row in widths]
    exog_re = problem.z if with_re else None
    mine, theirs = (
        package.MixedLM(
            problem.y, problem.x, problem.groups, exog_re=exog_re,
            exog_vc=package.VCSpec(names, columns, mats),
        )
        for package in (lmmcore, statsmodels)
    )  # fmt: skip
    for model in (mine, theirs):
        model.reml = reml
    theirs.fe_pen = theirs.cov_pen = theirs._freepat = None
    k = mine.k_re
    root = rng.standard_normal((k, k)) / np.abs(problem.z).max()
    cov, vcomp = (
        root @ root.T + np.diag(0.05 * np.diag(root @ root.T)),
        rng.uniform(0.2, 2, mine.k_vc),
    )
    fe = mine.get_fe_params(cov, vcomp)[0]
    close(fe, theirs.get_fe_params(cov, vcomp)[0])
    for beta in (fe, rng.standard_normal(mine.k_fe) * np.std(problem.y)):
        params, same = both(beta, cov, vcomp)
        for profile in (True, False):
            close(mine.loglike(params, profile), theirs.loglike(same, profile))
        at_best = beta is fe  # where the score in β is zero but for rounding
        for name in ("score_full", "score_sqrt"):
            ours, their = getattr(mine, name)(params, True), getattr(theirs, name)(same, True)
            for a, b in list(zip(ours, their))[at_best:]:
                close(a, b)
        ours, their = mine.hessian(params)[0], theirs.hessian(same)[0]
        # The second derivative may pass through zero away from the optimum; its terms do not.
        score = np.concatenate(mine.score_full(params, True))
        size = np.abs(np.diag(their)) + score**2 / len(problem.y)
        scale = np.sqrt(np.outer(size, size))
        # The rows of β only there: elsewhere statsmodels leaves out terms.
        start = 0 if at_best else mine.k_fe
        part = np.s_[start:, start:]
        np.testing.assert_allclose((ours / scale)[part], (their / scale)[part], rtol=0, atol=1e-8)


def test_variance_components_beside_statsmodels():
    data = lmmcore.datasets.load_pastes().astype({"batch": str, "cask": str})
    arguments = {"groups": "batch", "re_formula": "1", "vc_formula": {"cask": "0 + C(cask)"}}
    mine = MixedLM.from_formula("strength ~ 1", data, **arguments)
    theirs = statsmodels.MixedLM.from_formula("strength ~ 1", data=data, **arguments)
    fit, same = mine.fit(), theirs.fit()
    close(fit.params, same.params, 1e-3)
    close(fit.bse, same.bse, 1e-3)
    params, at = both(np.array([55.0]), np.array([[0.7]]), [1.3])
    close(mine.loglike(params, False), theirs.loglike(at, False))
    close(np.concatenate(mine.score_full(params)), np.concatenate(theirs.score_full(at, True)))
    close(np.concatenate(mine.score_sqrt(params)), np.concatenate(theirs.score_sqrt(at)))
    close(mine.hessian(params)[0][1:, 1:], theirs.hessian(at)[0][1:, 1:])


@pytest.mark.parametrize("reml", [True, False])
def test_a_fit_beside_statsmodels(reml):
    data = lmmcore.datasets.load_orthodont().astype({"Subject": str, "Sex": str})
    arguments = {"groups": "Subject", "re_formula": "1 + age"}
    formula = "distance ~ age * C(Sex)"
    fit = MixedLM.from_formula(formula, data, **arguments).fit(reml=reml)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same = statsmodels.MixedLM.from_formula(formula, data=data, **arguments).fit(
            reml=reml, method=["lbfgs", "bfgs", "cg"]
        )
    if abs(same.llf - fit.llf) > 1e-6:
        assert fit.llf > same.llf
        start = MixedLMParams.from_components(
            fit.fe_params, fit.cov_re_unscaled.to_numpy(), vcomp=np.zeros(0)
        )
        at = statsmodels.MixedLMParams.from_components(
            start.fe_params, cov_re=start.cov_re, vcomp=np.zeros(0)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same = statsmodels.MixedLM.from_formula(formula, data=data, **arguments).fit(
                reml=reml, start_params=at
            )
    assert list(fit.params.index) == list(same.params.index)
    close(fit.llf, same.llf)
    spread = np.asarray(same.bse)
    close(fit.params / spread, same.params / spread, 1e-3)
    close(fit.bse / spread, np.ones(len(spread)), 1e-3)
    close(fit.cov_params(), same.cov_params(), 2e-3)
    close(fit.normalized_cov_params, same.normalized_cov_params, 2e-3)
    close(fit.bse_re, same.bse_re, 1e-3)
    close(fit.hess_diag, same.hess_diag if hasattr(same, "hess_diag") else fit.hess_diag, 1e-2)
    close(fit.tvalues.iloc[:4], same.tvalues.iloc[:4], 1e-3)
    close(fit.pvalues.iloc[:4], same.pvalues.iloc[:4], 1e-2)
    close(fit.conf_int(0.1).iloc[:4], same.conf_int(0.1).iloc[:4], 1e-3)
    close(fit.fittedvalues, same.fittedvalues, 1e-4)
    close(fit.resid, same.resid, 1e-3)
    close(fit.predict(), same.predict(), 1e-5)
    new = data.iloc[[3, 50, 90]]
    close(fit.predict(new), same.predict(new), 1e-5)
    for label in ("F01", "M16"):
        close(fit.random_effects[label], same.random_effects[label], 1e-2)
        close(fit.random_effects_cov[label], same.random_effects_cov[label], 1e-2)
        assert list(fit.random_effects[label].index) == list(same.random_effects[label].index)
    assert (fit.df_resid, fit.df_modelwc) == (same.df_resid, same.df_modelwc) == (104, 7)
    if not reml:
        close([fit.aic, fit.bic], [same.aic, same.bic], 1e-6)
    else:
        with pytest.warns(LmmcoreWarning, match="aic is NaN under REML"):
            assert np.isnan(fit.aic)


def test_data_attributes_beside_statsmodels():
    data = (
        lmmcore.datasets.load_sleepstudy().astype({"Subject": str}).sample(frac=1, random_state=1)
    )
    mine = MixedLM.from_formula("Reaction ~ Days", data, "1 + Days", groups="Subject")
    theirs = statsmodels.MixedLM.from_formula(
        "Reaction ~ Days", data=data, re_formula="1 + Days", groups="Subject"
    )
    for name in ("k_fe", "k_re", "k_re2", "k_vc", "n_groups", "n_totobs", "group_labels",
                 "row_indices", "endog_names", "exog_names"):  # fmt: skip
        assert getattr(mine, name) == getattr(theirs, name), name
    for name in ("endog", "exog", "exog_re"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    for name in ("endog_li", "exog_li", "exog_re_li"):
        for a, b in zip(getattr(mine, name), getattr(theirs, name)):
            np.testing.assert_array_equal(a, b)
    assert mine.group_list(None) is None
    with pytest.raises(DataValueError, match="3 rows; expected 180"):
        mine.group_list(np.zeros(3))


def test_standard_errors_on_the_boundary_say_why_they_are_nan():
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff2()).fit()
    assert fit.bse.iloc[0] == pytest.approx(fit.bse_fe.iloc[0])
    assert np.isnan(fit.bse.iloc[1])
    assert "on the boundary" in fit.cov_params_note
    assert lmmcore.mixedlm(
        "Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff()
    ).fit().cov_params_note == ""  # fmt: skip


def test_bad_parameters():
    model = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    with pytest.raises(DataValueError, match=r"shape \(2,\); expected \(3,\)"):
        model.loglike([1.0, 2.0])
    with pytest.raises(DataValueError, match=r"expected \(5,\): 2 fixed effects"):
        model.hessian([1.0, 2.0])
    bad = MixedLMParams.from_components([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(DataValueError, match="cov_re is not positive semidefinite"):
        model.loglike(bad)
    with pytest.raises(DataValueError, match="1 fixed effects; expected 2"):
        model.score_full(MixedLMParams.from_components([0.0], np.eye(2)))
    with pytest.raises(DataValueError, match=r"cov_re of shape \(1, 1\)"):
        model.loglike(MixedLMParams.from_components([0.0, 0.0], np.eye(1)))


def test_predictions_for_new_rows():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ I(Days**2) + Days + (1 | Subject)", data).fit()
    new = pd.DataFrame({"Days": [0.5, 12.0]}, index=["a", "b"])
    expected = fit.fe_params @ np.array([[1, 1], [0.25, 144], [0.5, 12]])
    close(fit.predict(new), expected)
    assert list(fit.predict(new).index) == ["a", "b"]
    close(fit.predict(np.array([[1, 0.25, 0.5]])), expected[:1])
    with pytest.raises(lmmcore.LmmcoreError, match="Days"):
        fit.predict(pd.DataFrame({"Day": [1.0]}))
    with pytest.raises(DataValueError, match="2 columns; expected 3"):
        fit.predict(np.ones((4, 2)))
    y, x = data["Reaction"].to_numpy(), np.column_stack([np.ones(180), data["Days"]])
    by_arrays = MixedLM(y, x, data["Subject"]).fit()
    close(by_arrays.predict(x[:3]), np.asarray(by_arrays.predict())[:3])

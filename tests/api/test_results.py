"""Results: names, shapes, labels, consistency, and agreement with the dense reference."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import assume, given
from hypothesis import strategies as st

import lmmcore
from lmmcore import MixedLM, MixedLMParams, VCSpec
from lmmcore.testing.strategies import grouped_models


def sleepstudy(formula="Reaction ~ Days + (Days | Subject)", **keywords):
    return lmmcore.mixedlm(formula, lmmcore.datasets.load_sleepstudy(), **keywords).fit()


@examples(30)
@given(grouped_models(decades=2.0, max_k=3), st.booleans())
def test_against_the_dense_reference(problem, reml):
    model = MixedLM(
        problem.y, problem.x, problem.groups, exog_re=problem.z, weights=problem.weights
    )
    n, p = problem.x.shape
    assume(model.equations.engine.rank < n - p - 1)
    fit = model.fit(reml=reml)
    g = np.asarray(fit.cov_re_unscaled)
    dense = problem.dense(reml)
    expected = dense.estimates([g])
    assert fit.criterion == pytest.approx(dense.criterion([g]), rel=1e-8, abs=1e-6)
    assert fit.scale == pytest.approx(float(expected["sigma2"]), rel=1e-6)
    se = np.sqrt(np.diag(expected["cov_beta"]))
    np.testing.assert_allclose(fit.fe_params / se, expected["beta"] / se, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(fit.bse_fe, se, rtol=1e-6)
    sd = np.std(problem.y)
    spread = np.sqrt(np.diag(g) * fit.scale) + 1e-12 * sd
    np.testing.assert_allclose(
        fit.random_effects_frame / spread, expected["blup0"] / spread, rtol=1e-5, atol=1e-5
    )
    fitted = problem.x @ expected["beta"] + np.sum(
        problem.z * expected["blup0"][problem.groups], axis=1
    )
    np.testing.assert_allclose(fit.fittedvalues / sd, fitted / sd, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fit.resid, problem.y - fit.fittedvalues, atol=1e-9 * sd)
    # Conditional covariance, G − G Z'V⁻¹Z G.
    v = dense.covariance([g])
    for label, cov in list(fit.random_effects_cov.items())[:3]:
        z = np.where((problem.groups == label)[:, None], problem.z, 0.0)
        c = z.T @ np.linalg.solve(v, z)
        np.testing.assert_allclose(
            cov / np.outer(spread, spread),
            fit.scale * (g - g @ c @ g) / np.outer(spread, spread),
            atol=1e-6,
        )


def test_names_and_shapes():
    fit = sleepstudy()
    assert list(fit.fe_params.index) == ["Intercept", "Days"]
    assert list(fit.bse_fe.index) == ["Intercept", "Days"]
    assert list(fit.cov_re.index) == list(fit.cov_re.columns) == ["Subject", "Days"]
    assert list(fit.params.index) == [
        "Intercept", "Days", "Subject Var", "Subject x Days Cov", "Days Var",
    ]  # fmt: skip
    assert fit.vcomp.shape == (0,)
    assert fit.llf == -0.5 * fit.criterion
    assert fit.method == "REML"
    assert fit.params.iloc[2] * fit.scale == pytest.approx(fit.cov_re.iloc[0, 0])
    assert list(fit.random_effects) == [str(s) for s in fit.model.group_labels]
    one = fit.random_effects["308"]
    assert list(one.index) == ["Subject", "Days"]
    assert fit.random_effects_cov["308"].shape == (2, 2)
    assert fit.random_effects_frame.shape == (18, 2)
    assert fit.random_effects_frame.index.name == "Subject"
    assert fit.fittedvalues.shape == fit.resid.shape == (180,)
    assert (fit.k_fe, fit.k_re, fit.k_re2, fit.k_vc) == (2, 2, 3, 0)
    model = fit.model
    assert model.exog.shape == (180, 2)
    assert model.exog_re.shape == (180, 2)
    assert model.endog.shape == (180,)
    assert (model.nobs, model.n_groups) == (180, 18)
    # θ as in lme4: the relative Cholesky factor.
    np.testing.assert_allclose(fit.theta, [0.96673295, 0.01516906, 0.2309096], atol=1e-7)


def test_variance_components_inside_groups():
    data = lmmcore.datasets.load_pastes()
    model = MixedLM.from_formula("strength ~ 1", data, "1", {"cask": "0 + C(cask)"}, groups="batch")
    fit = model.fit()
    assert model.vcomp_names == ["cask"]
    assert list(fit.random_effects["A"].index) == [
        "batch", "cask[C(cask)[a]]", "cask[C(cask)[b]]", "cask[C(cask)[c]]",
    ]  # fmt: skip
    assert fit.random_effects_cov["A"].shape == (4, 4)
    # The same by a general formula, by VCSpec and by a mapping.
    general = MixedLM.from_formula(
        "strength ~ 1", data, "1", {"cask": "0 + C(cask, Treatment)"}, groups="batch"
    ).fit()
    assert general.criterion == pytest.approx(fit.criterion, rel=1e-12)
    mats = [np.kron(np.eye(3), np.ones((2, 1)))] * 10
    spec = VCSpec(["cask"], [[["a", "b", "c"]] * 10], [mats])
    y, ones, g = data["strength"], np.ones((60, 1)), data["batch"]
    by_spec = MixedLM(y, ones, g, exog_re=ones, exog_vc=spec).fit()
    assert by_spec.criterion == pytest.approx(fit.criterion, rel=1e-12)
    mapping = {"cask": dict(zip("ABCDEFGHIJ", mats))}
    with pytest.warns(FutureWarning, match="deprecated variance components format"):
        by_mapping = MixedLM(y, ones, g, exog_re=ones, exog_vc=mapping).fit()
    assert by_mapping.criterion == pytest.approx(fit.criterion, rel=1e-12)
    np.testing.assert_allclose(by_spec.fittedvalues, fit.fittedvalues, rtol=1e-9)
    assert by_spec.vcomp == pytest.approx(fit.vcomp, rel=1e-8)


def test_components_without_random_coefficients_and_groups_without_components():
    """k_re = 0, groups of different shapes, a group with rows but no column of a component."""
    rng = np.random.default_rng(3)
    sizes = [4, 3, 5, 2, 4, 6]
    g = np.repeat(np.arange(6), sizes)
    mats = [rng.standard_normal((m, 1 + i % 3)) for i, m in enumerate(sizes)]
    mats[3] = np.zeros((2, 0))
    names = [[str(j) for j in range(m.shape[1])] for m in mats]
    y = rng.standard_normal(24)
    for i, m in enumerate(mats):
        y[g == i] += 2 * m @ rng.standard_normal(m.shape[1])
    model = MixedLM(y, np.ones((24, 1)), g, exog_vc=VCSpec(["v"], [names], [mats]))
    fit = model.fit()
    assert (fit.k_re, fit.k_vc) == (0, 1)
    v = np.eye(24)
    for i, m in enumerate(mats):
        rows = np.flatnonzero(g == i)
        v[np.ix_(rows, rows)] += fit.vcomp[0] / fit.scale * m @ m.T
    vi = np.linalg.inv(v)
    one = np.ones(24)
    beta = (one @ vi @ y) / (one @ vi @ one)
    r2 = (y - beta) @ vi @ (y - beta)
    value = (
        np.linalg.slogdet(v)[1] + np.log(one @ vi @ one) + 23 * (1 + np.log(2 * np.pi * r2 / 23))
    )
    assert fit.criterion == pytest.approx(value, rel=1e-10)
    assert fit.random_effects[3].size == 0
    b = fit.vcomp[0] / fit.scale * mats[0].T @ (vi @ (y - beta))[g == 0]
    np.testing.assert_allclose(fit.random_effects[0], b, rtol=1e-6)


def test_a_fit_changes_nothing_in_the_model():
    model = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    first = model.fit()
    model.fit(reml=False)
    assert model.fit().criterion == first.criterion
    assert first.convergence == first.convergence


def test_pickle():
    model = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    again = pickle.loads(pickle.dumps(model))
    assert again.fit().criterion == model.fit().criterion
    fit = pickle.loads(pickle.dumps(model.fit()))
    assert fit.summary().as_text() == fit.summary().as_text()
    assert fit.fe_params["Days"] == pytest.approx(10.467285959596)
    with pytest.raises(AttributeError, match="frozen"):
        fit.reml = False


def test_params_pack_and_unpack():
    rng = np.random.default_rng(2)
    root = np.tril(rng.standard_normal((3, 3)))
    params = MixedLMParams.from_components([1.0, 2.0], root @ root.T, vcomp=[0.5, 2.0])
    assert (params.k_fe, params.k_re, params.k_re2, params.k_vc) == (2, 3, 6, 2)
    for use_sqrt in (True, False):
        for has_fe in (True, False):
            packed = params.get_packed(use_sqrt, has_fe)
            assert packed.shape == (8 + 2 * has_fe,)
            again = MixedLMParams.from_packed(packed, 2, 3, use_sqrt, has_fe)
            np.testing.assert_allclose(again.cov_re, params.cov_re, rtol=1e-10)
            np.testing.assert_allclose(again.vcomp, params.vcomp)
            if has_fe:
                np.testing.assert_array_equal(again.fe_params, [1.0, 2.0])
    by_root = MixedLMParams.from_components(np.zeros(2), cov_re_sqrt=root)
    np.testing.assert_allclose(by_root.cov_re, params.cov_re)
    copy = params.copy()
    copy.cov_re[0, 0] = -1.0
    assert params.cov_re[0, 0] > 0
    with pytest.raises(lmmcore.LmmcoreError, match="length 2"):
        MixedLMParams.from_packed(np.zeros(2), 2, 3, True, True)
    with pytest.raises(lmmcore.LmmcoreError, match="square"):
        MixedLMParams.from_components(cov_re=np.zeros((2, 3)))


def test_start_params_of_every_form():
    fit = sleepstudy()
    model = fit.model
    for start in (
        fit.params_object,
        fit.params_object.get_packed(use_sqrt=True, has_fe=False),
        fit.params_object.get_packed(use_sqrt=True, has_fe=True),
    ):
        again = model.fit(start_params=start)
        assert again.criterion == pytest.approx(fit.criterion, rel=1e-12)
        assert again.nfev <= 3


def test_summary():
    fit = sleepstudy()
    text = fit.summary().as_text()
    for part in (
        "Method:                  REML", "Reaction ~ Days + (Days | Subject)", "180", "Mean group size:",
        "1743.6283", "Subject: Intercept    612.09  24.740", "0.066", "Residual", "6.825", "36.838",
        "288.783", "Converged to an interior optimum",
    ):  # fmt: skip
        assert part in text, part
    assert str(fit.summary()) == repr(fit.summary()) == text
    assert all(len(line) < 130 for line in text.splitlines())
    html = fit.summary()._repr_html_()
    assert html.count("<table>") == 4
    assert html.count("<tr>") == html.count("</tr>") == 6 + 6 + 3 + 4
    assert "[0.005  0.995]" in fit.summary(alpha=0.01).as_text()
    with pytest.raises(lmmcore.LmmcoreError, match="alpha=5"):
        fit.summary(alpha=5)
    many = sleepstudy("Reaction ~ C(Days) + (Days + I(Days > 5) | Subject)").summary().as_text()
    assert "I(Days > 5)" in many
    ml = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff2())
    text = ml.fit(reml=False).summary().as_text()
    assert re.search(r"Method: +ML\b", text)
    assert "the variance of the random intercept of Batch is zero" in text


def test_one_thousand_groups_come_back_by_label():
    rng = np.random.default_rng(0)
    g = rng.permutation(np.repeat(np.arange(1000) * 3, 4))
    y = rng.standard_normal(4000) + (g % 7)
    fit = MixedLM(y, np.ones((4000, 1)), g).fit()
    assert list(fit.random_effects) == (np.arange(1000) * 3).tolist()
    means = pd.Series(y).groupby(g).mean()
    shrunk = fit.random_effects_frame["Group"]
    assert np.corrcoef(means, shrunk)[0, 1] == pytest.approx(1.0)


def test_labels_come_out_where_labels_went_in():
    data = lmmcore.datasets.load_sleepstudy()
    y, x = data["Reaction"].to_numpy(), np.column_stack([np.ones(180), data["Days"]])
    plain = MixedLM(y, x, data["Subject"], exog_re=x).fit()
    labeled = MixedLM(data["Reaction"], pd.DataFrame(x), data["Subject"], exog_re=x).fit()
    names = [
        "params", "fe_params", "bse", "bse_fe", "bse_re", "tvalues", "pvalues", "cov_re", "cov_fe",
        "cov_re_unscaled", "fittedvalues", "resid",
    ]  # fmt: skip
    for name in names:
        assert isinstance(getattr(plain, name), np.ndarray), name
        assert isinstance(getattr(labeled, name), (pd.Series, pd.DataFrame)), name
        np.testing.assert_allclose(getattr(plain, name), getattr(labeled, name), rtol=1e-9)
    for call in ("cov_params", "conf_int", "predict"):
        assert isinstance(getattr(plain, call)(), np.ndarray)
        assert isinstance(getattr(labeled, call)(), (pd.Series, pd.DataFrame))
    assert plain.summary().tables[0][1].tolist() == labeled.summary().tables[0][1].tolist()
    assert plain.model.param_names == [
        "const", "x1", "x_re1 Var", "x_re1 x x_re2 Cov", "x_re2 Var",
    ]  # fmt: skip


def test_the_formula_interface_by_its_other_name():
    import lmmcore.api as smf

    data = lmmcore.datasets.load_sleepstudy()
    fit = smf.mixedlm("Reaction ~ Days", data, groups=data["Subject"]).fit()
    assert fit.llf == pytest.approx(-893.23254269746053)

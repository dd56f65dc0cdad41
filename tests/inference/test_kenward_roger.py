"""Kenward–Roger and Satterthwaite beside their definitions in n × n matrices, and beside R."""

import numpy as np
import pandas as pd
import pytest
from dense_inference import covariance_matrices, kenward_roger
from hypothesis import given
from hypothesis import strategies as st
from reference_models import frame as reference_frame
from reference_models import inference_reference
from scipy import stats

import lmmcore
from lmmcore.errors import DesignError, OptionError
from lmmcore.inference.kenward_roger import KENWARD_ROGER


def drawn(seed, shape):
    rng = np.random.default_rng(seed)
    q = 7
    g = np.repeat(np.arange(q), rng.integers(2, 6, q))
    n = len(g)
    frame = pd.DataFrame({"g": g, "x": rng.standard_normal(n), "w": rng.uniform(0.5, 2.0, n)})
    frame["h"] = rng.integers(0, 4, n)
    frame["f"] = np.array(list("abc"))[g % 3]
    b = rng.standard_normal((q, 2)) * [1.0, 0.7]
    frame["y"] = (
        rng.standard_normal(n) + b[g, 0] + b[g, 1] * frame.x + rng.standard_normal(4)[frame.h]
    )
    ones, x = np.ones(n), frame.x.to_numpy()
    if shape == "crossed":
        terms = [([ones], g), ([ones], frame.h.to_numpy())]
        return frame, "y ~ x + f + (1 | g) + (1 | h)", terms
    if shape in ("nested", "components"):
        inner = pd.factorize(g * 10 + frame.h.to_numpy())[0]
        return frame, "y ~ x + f + (1 | g/h)", [([ones], g), ([ones], inner)]
    if shape == "uncorrelated":
        return frame, "y ~ x + f + (1 + x || g)", [([ones], g), ([x], g)]
    return frame, "y ~ x + f + (1 + x | g)", [([ones, x], g)]


SHAPES = ("slope", "uncorrelated", "nested", "crossed", "components")


def model_of(shape, formula, frame, weighted):
    weights = "w" if weighted else None
    if shape != "components":
        return lmmcore.mixedlm(formula, frame, weights=weights)
    return lmmcore.MixedLM.from_formula(  # the same model in statsmodels' spelling
        "y ~ x + f", frame, groups="g", re_formula="1", vc_formula={"h": "0 + C(h)"},
        weights=frame.w if weighted else None,
    )  # fmt: skip


@given(st.integers(0, 10_000), st.sampled_from(SHAPES), st.booleans(), st.integers(1, 3))
def test_kenward_roger_beside_its_definition(seed, shape, weighted, m):
    frame, formula, terms = drawn(seed, shape)
    fit = model_of(shape, formula, frame, weighted).fit()
    if not fit.convergence.identified:
        return
    v, slopes = covariance_matrices(fit, frame, terms)
    x = fit.model.exog
    L = np.random.default_rng(seed).standard_normal((m, x.shape[1]))
    adjusted, df, scale = kenward_roger(x, v, slopes, L)
    exact = KENWARD_ROGER.covariance(fit.fit)
    assert exact == pytest.approx(adjusted, rel=1e-7, abs=1e-7 * np.abs(adjusted).max())
    if not 2.1 < df < 1e4:
        return
    found = fit.wald_test(L, ddf="kenward-roger")
    chi2 = (L @ fit.fe_params) @ np.linalg.solve(L @ adjusted @ L.T, L @ fit.fe_params)
    assert found.df_denom == pytest.approx(df, rel=1e-5)
    assert found.statistic == pytest.approx(scale * chi2 / m, rel=1e-5)


@given(st.integers(0, 10_000), st.sampled_from(SHAPES), st.booleans(), st.booleans())
def test_satterthwaite_beside_its_definition(seed, shape, weighted, reml):
    """The df are 2 f²/Var(f) whatever the parameters are: here entries of G and σ²."""
    frame, formula, terms = drawn(seed, shape)
    fit = model_of(shape, formula, frame, weighted).fit(reml=reml)
    if fit.convergence.boundary or not fit.convergence.identified:
        return
    v, slopes = covariance_matrices(fit, frame, terms)
    x, y = fit.model.exog, np.asarray(fit.model.endog)

    inverse = np.linalg.inv(v)
    phi = np.linalg.inv(x.T @ inverse @ x)
    projected = inverse - inverse @ x @ phi @ x.T @ inverse
    py, of_trace = projected @ y, projected if reml else inverse
    m = len(slopes)
    hessian = np.array(
        [
            [
                -np.trace(of_trace @ slopes[i] @ of_trace @ slopes[j])
                + 2 * py @ slopes[i] @ projected @ slopes[j] @ py
                for j in range(m)
            ]
            for i in range(m)
        ]
    )
    L = np.random.default_rng(seed).standard_normal((1, x.shape[1]))
    moved = phi @ x.T @ inverse
    slope = np.array([(L @ moved @ s @ moved.T @ L.T).item() for s in slopes])
    f = (L @ phi @ L.T).item()
    df = 2 * f**2 / (slope @ (2 * np.linalg.inv(hessian)) @ slope)
    # Parameters differ, so that the digits of the optimum count: mostly 1e-6.
    assert fit.t_test(L, ddf="satterthwaite").df_denom == pytest.approx(df, rel=1e-4)


REFERENCE = inference_reference("df")
EARLY = {"oats_reml": 1e-6}  # where the optimizer stops with fewer digits


@pytest.mark.parametrize("name", list(REFERENCE))
def test_r(name):
    stored = REFERENCE[name]
    model = lmmcore.mixedlm(
        stored["formula"], reference_frame(stored["data"]), weights=stored["weights"]
    )
    fit = model.fit(reml=stored["method"] == "REML")
    L = np.array(stored["L"])
    for ddf in ("satterthwaite", "kenward-roger"):
        if ddf not in stored:
            continue
        known, found = stored[ddf], fit.t_test(L, ddf=ddf)
        df = np.broadcast_to(found.df_denom, len(L))
        assert df == pytest.approx(np.array(known["df"]), rel=1e-5)
        assert found.statistic == pytest.approx(np.array(known["t"]), rel=1e-5)
        assert found.pvalue == pytest.approx(np.array(known["p"]), rel=1e-4, abs=1e-300)
        if "vcov_adj" in known:
            adjusted, theirs = (
                L @ KENWARD_ROGER.covariance(fit.fit) @ L.T,
                np.array(known["vcov_adj"]),
            )
            size = np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)))
            assert (np.abs(adjusted - theirs) < EARLY.get(name, 1e-7) * size).all()
        if "se" in known:
            assert found.sd == pytest.approx(np.array(known["se"]), rel=1e-6)


def test_balanced_designs_have_the_df_of_analysis_of_variance():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    for ddf in ("satterthwaite", "kenward-roger"):
        found = fit.t_test("Days", ddf=ddf)
        assert found.df_denom == pytest.approx(17.0, rel=1e-8)
        assert found.sd[0] == pytest.approx(fit.bse_fe["Days"], rel=1e-8)
        assert found.pvalue[0] == pytest.approx(2 * stats.t.sf(found.statistic[0], 17.0), rel=1e-10)


def test_kenward_roger_of_ml_is_refused():
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit(reml=False)
    with pytest.raises(OptionError, match="maximum likelihood; expected one by REML"):
        fit.t_test("Days", ddf="kenward-roger")


def test_a_singular_fit_has_df():
    data = lmmcore.datasets.load_dyestuff2()
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit()
    assert fit.convergence.boundary
    assert fit.t_test(np.eye(1), ddf="satterthwaite").df_denom == pytest.approx(29.0)
    assert fit.t_test(np.eye(1), ddf="kenward-roger").df_denom == pytest.approx(5.0)


def test_a_sample_too_small_for_a_joint_test_is_an_error():
    frame, formula, _ = drawn(2, "slope")
    fit = lmmcore.mixedlm(formula, frame).fit()
    with pytest.raises(
        DesignError, match="no F distribution has the moments of this test of 4 rows"
    ):
        fit.wald_test(np.eye(4), ddf="kenward-roger")
    assert fit.wald_test(np.eye(4), ddf="satterthwaite").df_denom > 0

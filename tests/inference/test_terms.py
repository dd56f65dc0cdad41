"""Tests of terms, pairwise comparisons, adjusted p-values, the delta method, cov_params."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression import mixed_linear_model as statsmodels
from statsmodels.stats.multitest import multipletests

import lmmcore
from lmmcore.errors import DataTypeError, DataValueError, DesignError, OptionError
from lmmcore.inference.multiplicity import adjust


def ergostool(formula="effort ~ C(Type)"):
    data = lmmcore.datasets.load_ergostool().astype({"Type": str, "Subject": str})
    fit = lmmcore.MixedLM.from_formula(formula, data, groups="Subject").fit()
    theirs = statsmodels.MixedLM.from_formula(formula, data, groups="Subject").fit()
    return fit, theirs


def test_terms_beside_statsmodels():
    fit, theirs = ergostool()
    mine, same = fit.wald_test_terms(), theirs.wald_test_terms()
    pd.testing.assert_frame_equal(mine.table, same.table, rtol=1e-3, check_dtype=False)
    pd.testing.assert_frame_equal(
        mine.summary_frame(), same.summary_frame(), rtol=1e-3, check_dtype=False
    )
    single = fit.wald_test_terms(skip_single=True)
    assert list(single.table.index) == ["C(Type)"]
    whole = fit.wald_test("C(Type)[T.T2] = 0, C(Type)[T.T3] = 0, C(Type)[T.T4] = 0")
    assert single.statistic[0] == pytest.approx(whole.statistic)
    assert single.pvalues[0] == pytest.approx(whole.pvalue)
    assert single.df_constraints.tolist() == [3]
    more = fit.wald_test_terms(
        combine_terms=["Type"], extra_constraints=[("T2", np.eye(4)[1:2])]
    ).table
    assert list(more.index) == ["Intercept", "C(Type)", "Type", "T2"]
    assert more.loc["T2", "statistic"] == pytest.approx(fit.wald_test(np.eye(4)[1]).statistic)
    assert "P>chi2" in str(mine)
    with pytest.raises(OptionError, match="combine_terms has 'Tipe'"):
        fit.wald_test_terms(combine_terms=["Tipe"])
    plain = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    )
    table = plain.fit().wald_test_terms().table
    assert list(table.index) == ["Intercept", "Days"]
    with pytest.raises(OptionError, match="no term is left"):
        plain.fit().wald_test_terms(skip_single=True)


@pytest.mark.parametrize("coding", ["C(Type)", "C(Type, Sum)", "C(Type, Treatment('T3'))", "0"])
def test_pairwise_differences_do_not_depend_on_the_coding(coding):
    formula = "effort ~ 0 + C(Type)" if coding == "0" else f"effort ~ {coding}"
    fit, theirs = ergostool(formula)
    name = "C(Type)" if coding == "0" else coding
    mine = fit.t_test_pairwise(name, ["hs", "bonferroni"])
    frame = mine.result_frame
    assert list(frame.index) == ["T2-T1", "T3-T1", "T4-T1", "T3-T2", "T4-T2", "T4-T3"]
    np.testing.assert_allclose(
        frame["coef"], [3.88889, 2.22222, 0.66667, -1.66667, -3.22222, -1.55556], atol=1e-5
    )
    np.testing.assert_allclose(frame["std err"], np.full(6, frame["std err"].iloc[0]), rtol=1e-8)
    # statsmodels' own method raises for mixed models; its parts are compared.
    assert list(frame.columns)[-4:] == [
        "pvalue-hs", "reject-hs", "pvalue-bonferroni", "reject-bonferroni",
    ]  # fmt: skip
    np.testing.assert_allclose(frame["pvalue-hs"], multipletests(frame["P>|z|"], method="hs")[1])
    same = theirs.t_test(mine.contrasts)
    np.testing.assert_allclose(frame["coef"], same.effect, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(frame["std err"], same.sd, rtol=2e-3)
    assert frame["reject-hs"].tolist() == [True, True, False, True, True, True]


def test_pairwise_arguments():
    fit, _ = ergostool()
    named = fit.t_test_pairwise("C(Type)", factor_labels=list("abcd"))
    assert named.contrast_labels[0] == "b-a"
    with pytest.raises(DataValueError, match="factor_labels has 2 labels; expected 4"):
        fit.t_test_pairwise("C(Type)", factor_labels=["a", "b"])
    with pytest.raises(OptionError, match=r"did you mean 'C\(Type\)'"):
        fit.t_test_pairwise("C(Tpye)")
    with pytest.raises(OptionError, match="method='tukey'"):
        fit.t_test_pairwise("C(Type)", "tukey")
    data = lmmcore.datasets.load_ergostool().assign(copy=lambda d: (d["Type"] == "T2") * 1.0)
    with pytest.warns(lmmcore.errors.RankDeficientWarning):
        model = lmmcore.mixedlm("effort ~ C(copy) + C(Type) + (1 | Subject)", data)
    with pytest.raises(DesignError, match="cannot be compared"):
        model.fit().t_test_pairwise("C(Type)")


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.sampled_from(
        ["b", "s", "h", "hs", "sh", "bonferroni", "sidak", "holm", "holm-sidak", "simes-hochberg",
         "fdr_bh", "fdr_by"]
    ),
)  # fmt: skip
def test_adjusted_p_values_are_those_of_statsmodels(p, method):
    with np.errstate(divide="ignore"):
        expected = multipletests(p, method=method)[1]
    np.testing.assert_allclose(adjust(np.array(p), method), expected, rtol=1e-10, atol=1e-12)


def test_functions_of_the_parameters():
    fit = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    ).fit()
    cov = np.asarray(fit.cov_params())
    ratio = fit.get_nlfun(lambda b: b[0] / b[1])
    a, b = fit.fe_params
    slope = np.array([1 / b, -a / b**2, 0, 0, 0])
    np.testing.assert_allclose(ratio.grad()[0], slope, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(ratio.cov()[0, 0], slope @ cov @ slope, rtol=1e-7)
    exact = fit.get_nlfun(lambda b: b[0] / b[1], lambda b: slope)
    np.testing.assert_allclose(exact.se_vectorized(), ratio.se_vectorized(), rtol=1e-7)
    # A linear function is what t_test and wald_test say, up to what cov_params adds to cov_fe.
    matrix = np.array([[1.0, 5.0], [0.0, 1.0]])
    linear = fit.get_nlfun(lambda p: matrix @ p[:2])
    np.testing.assert_allclose(linear.cov(), matrix @ cov[:2, :2] @ matrix.T, rtol=1e-7)
    statistic, p = linear.wald_test([250, 10])
    direct = fit.wald_test((matrix, [250, 10]), cov_p=cov)
    assert statistic == pytest.approx(direct.statistic, rel=1e-6)
    assert p == pytest.approx(direct.pvalue, rel=1e-6)
    assert list(linear.summary().columns)[:2] == ["coef", "std err"]
    np.testing.assert_allclose(linear.conf_int(), linear.summary().iloc[:, -2:])
    with pytest.raises(DataTypeError, match="fun=3"):
        fit.get_nlfun(3)
    with pytest.raises(DataValueError, match="finite number"), np.errstate(all="ignore"):
        fit.get_nlfun(lambda p: np.log(-p[0]))
    with pytest.raises(DataValueError, match="depend on each other"):
        fit.get_nlfun(lambda p: np.array([p[0], 2 * p[0]])).wald_test()


def test_functions_on_the_boundary():
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff2()).fit()
    square = fit.get_nlfun(lambda p: p[0] ** 2)
    assert square.se_vectorized()[0] == pytest.approx(
        2 * fit.fe_params.iloc[0] * fit.bse_fe.iloc[0], rel=1e-6
    )
    with pytest.raises(DataValueError, match="boundary"):
        fit.get_nlfun(lambda p: p[0] + p[1]).cov()


def test_arguments_of_cov_params_and_wald_test():
    fit, _ = ergostool()
    cov = np.asarray(fit.cov_params())
    k = len(cov)
    r = np.zeros((2, k))
    r[0, 1], r[1, 2] = 1, -1
    np.testing.assert_allclose(fit.cov_params(r), r @ cov @ r.T)
    np.testing.assert_allclose(fit.cov_params(r, other=np.eye(k)), r @ cov)
    np.testing.assert_allclose(fit.cov_params(r[0]), cov[1, 1])
    assert fit.cov_params(column=1) == cov[1, 1]
    np.testing.assert_allclose(fit.cov_params(column=[1, 3]), cov[np.ix_([1, 3], [1, 3])])
    np.testing.assert_allclose(fit.cov_params(scale=2 * fit.scale), 2 * cov)
    np.testing.assert_allclose(fit.cov_params(r, cov_p=np.eye(k)), r @ r.T)
    for bad in ({"column": 1, "r_matrix": r}, {"other": r}):
        with pytest.raises(OptionError):
            fit.cov_params(**bad)
    with pytest.raises(DataValueError, match="expected 5 columns"):
        fit.cov_params(np.eye(3))
    m = np.eye(4)[1:]
    plain = fit.wald_test(m)
    inverse = np.linalg.inv(m @ np.asarray(fit.cov_fe) @ m.T)
    assert fit.wald_test(m, invcov=inverse).statistic == pytest.approx(plain.statistic)
    assert fit.wald_test(m, cov_p=4 * np.asarray(fit.cov_fe)).statistic == pytest.approx(
        plain.statistic / 4
    )
    assert fit.wald_test(m, df_constraints=5).df_num == 5
    assert fit.wald_test(m, scalar=False).statistic.shape == (1, 1)
    assert fit.f_test(m).statistic == pytest.approx(plain.statistic / 3)
    with pytest.raises(DataValueError, match="invcov has shape"):
        fit.wald_test(m, invcov=np.eye(2))

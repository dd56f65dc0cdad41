"""Which degrees of freedom and which covariance tests use, and how errors say that they cannot."""

import pickle

import numpy as np
import pytest
from scipy import stats

import lmmcore
from lmmcore.errors import OptionError, PluginError
from lmmcore.extension import ReferenceDistribution, find, hookimpl, register, unregister
from lmmcore.testing import RuleBroken, check_ddf, plugin_checks

BARS = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def data():
    return lmmcore.datasets.load_sleepstudy()


@pytest.fixture(scope="module")
def bars(data):
    return lmmcore.mixedlm(BARS, data).fit()


@pytest.fixture(scope="module")
def plain(data):
    return lmmcore.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()


def test_bars_have_satterthwaite_and_groups_have_statsmodels_default(bars, plain):
    assert bars.t_test("Days").df_denom == pytest.approx(17.0, rel=1e-6)
    assert plain.t_test("Days").distribution == "norm"
    assert plain.f_test("Days").df_denom == 178.0
    assert plain.wald_test("Days").distribution == "chi2"
    assert bars.wald_test("Days").distribution == "F"
    assert "Satterthwaite" in str(bars.summary())
    assert "Satterthwaite" not in str(plain.summary())


def test_summary_p_values_and_intervals_agree(bars):
    table = bars.summary().parameters
    t = bars.t_test(np.eye(2))
    assert bars.pvalues.to_numpy()[:2] == pytest.approx(t.pvalue)
    assert bars.tvalues.to_numpy()[:2] == pytest.approx(t.statistic)
    assert bars.conf_int().to_numpy()[:2] == pytest.approx(t.conf_int())
    assert table["P>|t|"].tolist()[:2] == [f"{p:.3f}" for p in t.pvalue]
    assert table["df"].tolist()[:2] == ["17.00", "17.00"]


def test_the_choice_of_the_fit_holds_in_every_later_call(data):
    fit = lmmcore.mixedlm(BARS, data).fit(ddf="residual")
    for again in (fit, pickle.loads(pickle.dumps(fit)), fit.refit(data.Reaction)):
        assert again.t_test("Days").df_denom == 178.0
        assert again.t_test("Days", ddf="z").distribution == "norm"
        assert again.wald_test_terms().table["df_denom"].tolist() == [178.0, 178.0]
        t = again.tvalues["Days"]
        assert again.pvalues["Days"] == pytest.approx(2 * stats.t.sf(t, 178))
        assert "residual" in str(again.summary())
        assert "residual" in str(again.t_test("Days"))


def test_use_t_is_residual(bars):
    assert bars.t_test("Days", use_t=True).df_denom == 178.0
    assert bars.t_test("Days", use_t=False).distribution == "norm"
    with pytest.raises(OptionError, match="use_t=True was given together with ddf or vcov"):
        bars.t_test("Days", use_t=True, ddf="z")


@pytest.mark.parametrize("call", ["t_test", "wald_test", "f_test"])
def test_an_unknown_name_is_suggested(bars, call):
    with pytest.raises(OptionError, match=r"ddf 'satterthwait' is not known.*'satterthwaite'"):
        getattr(bars, call)("Days", ddf="satterthwait")
    with pytest.raises(OptionError, match="ddf=3; expected one of z, satterthwaite"):
        bars.summary(ddf=3)


def test_degrees_of_freedom_of_another_covariance_are_refused(bars):
    with pytest.raises(OptionError, match=r"ddf='kenward-roger' does not go with vcov='z'"):
        bars.t_test("Days", ddf="kenward-roger", vcov="z")
    assert bars.t_test("Days", ddf="residual", vcov="kenward-roger").df_denom == 178.0


def test_a_penalized_fit_refuses(data):
    model = lmmcore.mixedlm(BARS, data)
    with pytest.raises(lmmcore.LmmcoreError, match="ddf"):
        model.fit_regularized(alpha=1.0).t_test("Days", ddf="satterthwaite")


class Wrong:
    title = "wrong"

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, fit, L):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ValueError("no"), "failed in the call: ValueError: no"),
        (3.0, "returned 3.0; expected a ReferenceDistribution"),
        (ReferenceDistribution(np.eye(2), 3.0), r"covariance matrix of shape \(2, 2\)"),
        (ReferenceDistribution(np.eye(1), np.nan), "nan degrees of freedom"),
        (ReferenceDistribution(np.eye(1), 3.0, -1.0), "an F scale of -1.0"),
    ],
)
def test_a_plugin_that_breaks_its_contract_is_named(bars, answer, message):
    with pytest.raises(PluginError, match=message):
        bars.t_test("Days", ddf=Wrong(answer))


def test_a_plugin_is_found_by_name(bars):
    class Plugin:
        @hookimpl
        def lmmcore_ddf(self, register):
            register("four", Wrong(ReferenceDistribution(np.array([[4.0]]), 4.0)))

    plugin = Plugin()
    register(plugin)
    try:
        found = bars.t_test("Days", ddf="four")
        assert (found.df_denom, found.sd[0]) == (4.0, 2.0)
        with pytest.raises(RuleBroken, match=r"\[shape\]|\[rows\]"):
            check_ddf(find("ddf", "four"))
    finally:
        unregister(plugin)


DDF = [check for check in plugin_checks("lmmcore") if check.plugin.kind == "ddf"]


@pytest.mark.parametrize("check", DDF, ids=str)
def test_built_in_methods_keep_the_rules(check):
    check(max_examples=20)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ranef", "random_effects"), ("VarCorr", "varcorr"), ("fixef", "fe_params"), ("confint", "conf_int"),
        ("logLik", "llf"), ("sigma", "scale"), ("isSingular", "convergence.boundary"), ("vcov", "cov_fe"),
        ("emmeans", "means"), ("fittedvaluess", "fittedvalues"),
    ],
)  # fmt: skip
def test_names_of_r_lead_to_ours(bars, name, meant):
    with pytest.raises(AttributeError, match=meant):
        getattr(bars, name)


def test_later_degrees_of_freedom_keep_the_covariance_of_the_fit(data):
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit(vcov="cr2")
    whole = fit.t_test("Days")
    for ddf in ("residual", "z", "containment", "between-within"):
        found = fit.t_test("Days", ddf=ddf)
        assert found.sd == pytest.approx(whole.sd)
        assert found.df_denom != whole.df_denom
        both = fit.model.fit().t_test("Days", ddf=ddf, vcov="cr2")
        assert (found.sd, found.df_denom) == (both.sd, both.df_denom)
    assert fit.t_test("Days", ddf="satterthwaite").df_denom == whole.df_denom
    own = fit.t_test("Days", ddf="kenward-roger")  # which has a covariance matrix of its own
    assert own.sd == fit.model.fit().t_test("Days", ddf="kenward-roger").sd
    assert fit.t_test("Days", vcov="cr0").sd != whole.sd
    both = fit.model.fit(vcov="cr2", ddf="residual")
    assert both.t_test("Days", ddf="z").sd == pytest.approx(whole.sd)

"""drop1 and step beside refits of formulas without the term."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import DesignError, LmmcoreError, OptionError


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(30), 8)
    out = pd.DataFrame({"g": g, "x": rng.standard_normal(240), "z": rng.standard_normal(240)})
    out["f"] = rng.choice(list("abc"), 240)
    out["h"] = np.tile(np.arange(8), 30)
    b = rng.standard_normal((30, 2))
    out["y"] = 1 + out.x + 0.8 * (out.f == "b") + b[g, 0] + 0.8 * b[g, 1] * out.x
    out["y"] += rng.standard_normal(240)
    return out


def test_likelihood_ratio_tests_are_refits(data):
    fit = lmmcore.mixedlm("y ~ x * f + z + (1 | g)", data).fit()
    found = fit.drop1("chi2").table
    assert list(found.index) == ["<none>", "z", "x:f"]
    whole = lmmcore.mixedlm("y ~ x * f + z + (1 | g)", data).fit(reml=False)
    for name, formula in (("z", "y ~ x * f + (1 | g)"), ("x:f", "y ~ x + f + z + (1 | g)")):
        small = lmmcore.mixedlm(formula, data).fit(reml=False)
        row = found.loc[name]
        assert row.llf == pytest.approx(small.llf, abs=1e-7)
        assert row.aic == pytest.approx(small.aic, abs=1e-6)
        both = lmmcore.anova(small, whole).table.iloc[1]
        assert row[["chisq", "df", "pvalue"]].tolist() == pytest.approx(
            both[["chisq", "df", "pvalue"]].tolist(), rel=1e-5
        )
    assert found.llf["<none>"] == pytest.approx(whole.llf, abs=1e-8)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "residual"])
def test_f_tests_are_those_of_type_three(data, ddf):
    fit = lmmcore.mixedlm("y ~ x * f + z + (1 + x | g)", data).fit()
    found = fit.drop1(ddf=ddf)
    known = fit.anova(3, ddf=ddf).table.loc[["z", "x:f"]]
    pd.testing.assert_frame_equal(found.table.loc[["z", "x:f"]], known, rtol=1e-8)
    assert "Deletions of fixed-effects terms" in str(found)


def test_step(data):
    fit = lmmcore.mixedlm("y ~ x * f + z + (1 + x + z || g) + (1 | h)", data).fit()
    found = fit.step()
    assert found.formula == "y ~ 1 + f + x + (1 | g) + (0 + x | g)"
    gone = found.random[found.random.eliminated > 0]
    assert sorted(gone.index) == ["(1 | h)", "(z | g)"]
    assert (gone.pvalue > 0.1).all()
    rest = found.random[found.random.eliminated == 0]
    assert (rest.pvalue <= 0.1).all()
    assert list(found.fixed[found.fixed.eliminated > 0].sort_values("eliminated").index) in (
        ["z", "x:f"], ["x:f", "z"],
    )  # fmt: skip
    again = lmmcore.mixedlm(found.formula, data).fit()
    assert found.results.llf == pytest.approx(again.llf, abs=1e-7)
    np.testing.assert_allclose(found.results.fe_params, again.fe_params, rtol=1e-5)
    last = found.fixed[found.fixed.eliminated == 0]
    pd.testing.assert_frame_equal(
        last.drop(columns="eliminated").sort_index(), again.anova().table.sort_index(),
        rtol=1e-3, check_dtype=False,
    )  # fmt: skip
    new = data.iloc[:5].drop(columns="y")
    np.testing.assert_allclose(found.results.predict(new), again.predict(new), rtol=1e-5)
    assert "Model: y ~ 1 + f + x" in str(found)


def test_a_slope_of_an_unstructured_term_is_deleted(data):
    formula = "y ~ x + (1 + x + z | g)"
    found = lmmcore.mixedlm(formula, data).fit().step()
    assert found.formula == "y ~ 1 + x + (1 + x | g)"
    again = lmmcore.mixedlm(found.formula, data).fit()
    assert found.results.llf == pytest.approx(again.llf, abs=1e-7)


def test_what_is_kept(data):
    fit = lmmcore.mixedlm("y ~ x * f + z + (1 | g) + (1 | h)", data).fit()
    found = fit.step(keep=["z", "(1 | h)"], ddf="kenward-roger")
    assert found.formula == "y ~ 1 + f + x + z + (1 | g) + (1 | h)"
    assert (found.random.eliminated == 0).all()
    nothing = fit.step(alpha_random=1, alpha_fixed=1)
    assert nothing.results.llf == pytest.approx(fit.llf)
    noise = data.assign(y=np.random.default_rng(1).standard_normal(240))
    last = lmmcore.mixedlm("y ~ x + (1 | g)", noise).fit(reml=False).step()
    assert last.formula == "y ~ 1 + (1 | g)"
    assert not last.results.reml


def test_crossed_nested_and_robust(data):
    data = data.assign(s=data.g // 5)
    fit = lmmcore.mixedlm("y ~ x + z + (1 | s / g)", data).fit(vcov="cr2")
    found = fit.drop1()
    assert "CR2" in found.method
    assert fit.step().results.fit.inference.title == fit.fit.inference.title


def test_refusals(data):
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    with pytest.raises(OptionError, match="test='f'"):
        fit.drop1("f")
    with pytest.raises(DesignError, match="no fixed-effects term but the intercept"):
        lmmcore.mixedlm("y ~ 1 + (1 | g)", data).fit().drop1()
    with pytest.raises(OptionError, match="keep has 'X'"):
        fit.step(keep="X")
    with pytest.raises(OptionError, match="alpha_fixed=2"):
        fit.step(alpha_fixed=2)
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.zeros((1, 1)))
    held = fit.model.fit(fit.params_object, free=free)
    for call in (held.drop1, held.step):
        with pytest.raises(LmmcoreError, match="held covariance parameters"):
            call()


def test_components_of_vc_formula_stay():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(12), 12), "a": np.tile(np.repeat([0, 1, 2, 3], 3), 12)}
    )
    data["x"] = rng.standard_normal(144)
    data["y"] = data.x + rng.standard_normal(48)[data.g * 4 + data.a] + rng.standard_normal(144)
    fit = lmmcore.MixedLM.from_formula(
        "y ~ x", data, groups="g", re_formula="1", vc_formula={"a": "0 + C(a)"}
    ).fit()
    found = fit.step()
    assert list(found.random[found.random.eliminated > 0].index) == ["(1 | g)"]
    assert found.results.vcomp[0] == pytest.approx(fit.vcomp[0], rel=0.2)

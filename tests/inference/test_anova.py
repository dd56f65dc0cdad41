"""Analysis of variance beside R (lmerTest, pbkrtest), and its invariances."""

import numpy as np
import pytest
from reference_models import frame, inference_reference

import lmmcore
from lmmcore.errors import DesignError, OptionError

REFERENCE = inference_reference("anova")
DDF = {"satterthwaite": "satterthwaite", "kenward_roger": "kenward-roger"}


def python_name(name):
    parts = name.replace("^", "**").replace(" ", "").split(":")
    return frozenset(p.replace("log(", "np.log(") for p in parts)


@pytest.mark.parametrize("name", list(REFERENCE))
def test_r(name):
    stored = REFERENCE[name]
    model = lmmcore.mixedlm(stored["formula"], frame(stored["data"]), weights=stored["weights"])
    fit = model.fit(reml=stored["method"] == "REML")
    for key, known in stored.items():
        if not key.startswith("type") or (stored["weights"] and "kenward" in key):
            continue  # pbkrtest leaves the weights out of the residual's part
        kind, ddf = int(key[4]), DDF[key[6:]]
        table = fit.anova(kind, ddf=ddf).table
        ours = {python_name(term): row for term, row in table.iterrows()}
        assert len(ours) == len(known["terms"])
        for i, term in enumerate(known["terms"]):
            row = ours[python_name(term)]
            assert row["df_num"] == known["NumDF"][i]
            assert row["F"] == pytest.approx(known["F_value"][i], rel=2e-5)
            assert row["df_denom"] == pytest.approx(known["DenDF"][i], rel=2e-5)
            assert row["pvalue"] == pytest.approx(known["p"][i], rel=1e-3, abs=1e-300)
            if ddf == "satterthwaite":  # that of Kenward–Roger is before the scale of F
                assert row["sum_sq"] == pytest.approx(known["Sum_Sq"][i], rel=2e-5)


@pytest.mark.parametrize("coding", ["Sum", "Helmert", "Poly"])
def test_type_three_does_not_depend_on_the_contrasts(coding):
    data = lmmcore.datasets.load_machines().iloc[:-7]
    data["x"] = np.sin(np.arange(len(data)))
    usual = lmmcore.mixedlm("score ~ Machine * x + (1 | Worker)", data).fit().anova(3).table
    formula = f"score ~ C(Machine, {coding}) * x + (1 | Worker)"
    other = lmmcore.mixedlm(formula, data).fit().anova(3).table
    assert other["F"].to_numpy() == pytest.approx(usual["F"].to_numpy(), rel=1e-7)


def test_errors():
    data = lmmcore.datasets.load_dyestuff()
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit()
    with pytest.raises(DesignError, match="no fixed-effects term but the intercept"):
        fit.anova()
    with pytest.raises(OptionError, match="type=4; expected 1, 2 or 3"):
        fit.anova(4)

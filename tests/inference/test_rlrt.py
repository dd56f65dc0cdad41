"""Exact tests of a variance beside RLRsim, an exact F test and the definition."""

import numpy as np
import pytest
from reference_models import frame, inference_reference

import lmmcore
from lmmcore.errors import OptionError

REFERENCE = inference_reference("rlrt")["tests"]


def rows_of(name, data):
    if name.startswith("dyestuff_first3rows"):
        return data[data.groupby("Batch", observed=True).cumcount() < 3]
    if name.startswith("penicillin"):
        return data[data["plate"].isin(list("abcdef"))]
    if name.startswith("sleep_first3days"):
        return data[(data.Days < 3) & data.Subject.isin(list(data.Subject.cat.categories[:6]))]
    return data


@pytest.mark.parametrize("known", REFERENCE, ids=lambda known: known["id"])
def test_rlrsim(known):
    data = rows_of(known["id"], frame(known["data"]))
    fit = lmmcore.mixedlm(known["formula"], data).fit(reml=known["method"] == "REML")
    found = fit.rlrt(known["term"], nsim=40_000, rng=1)
    assert found.statistic == pytest.approx(known["statistic"], abs=1e-6)
    error = np.hypot(known["mc_error"], max(found.mc_error, 1e-5))
    assert found.pvalue == pytest.approx(known["p"], abs=5 * error)
    assert ("exact" in found.note) == (known["term"] is None)


def test_a_statistic_of_zero_has_a_p_value_of_one():
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff2()).fit()
    found = fit.rlrt()
    assert (found.statistic, found.pvalue) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_number():
    fit = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", lmmcore.datasets.load_dyestuff()).fit()
    assert fit.rlrt(rng=3).pvalue == fit.rlrt("Batch", rng=3).pvalue
    assert "exact restricted likelihood ratio test" in str(fit.rlrt(rng=3))


def test_errors():
    data = lmmcore.datasets.load_sleepstudy()
    two = lmmcore.mixedlm("Reaction ~ Days + (Days || Subject)", data).fit()
    with pytest.raises(OptionError, match="term=None names no random-effects term"):
        two.rlrt()
    with pytest.raises(OptionError, match="term='Subject' names several terms"):
        two.rlrt("Subject")
    slope = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()
    with pytest.raises(OptionError, match="has several coefficients"):
        slope.rlrt()
    with pytest.raises(OptionError, match="nsim=5"):
        lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit().rlrt(nsim=5)

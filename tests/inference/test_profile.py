"""Profile likelihoods are those of the model that was fitted."""

import numpy as np
import pytest

import lmmcore
from lmmcore.errors import OptionError

FEW = {"num_low": 1, "dist_low": 10.0, "num_high": 1, "dist_high": 10.0}


def fitted(bars, **keywords):
    data = lmmcore.datasets.load_sleepstudy()
    data["half"] = data["Days"] % 2
    return lmmcore.mixedlm(f"Reaction ~ Days + {bars}", data).fit(**keywords)


@pytest.mark.parametrize("bars", ["(Days | Subject)", "(Days || Subject)", "(1 | Subject)"])
@pytest.mark.parametrize("reml", [True, False])
def test_the_profile_is_highest_at_the_estimate(bars, reml):
    fit = fitted(bars, reml=reml)
    values = fit.profile_re(0, "re", **FEW)[:, 1]
    assert values[1] == pytest.approx(fit.llf, abs=1e-7)
    assert max(values[0], values[2]) < values[1]


def test_beside_a_structured_term():
    fit = fitted("(1 | Subject) + cs(0 + half + Days | Subject)")
    values = fit.profile_re(0, "re", **FEW)[:, 1]
    assert values[1] == pytest.approx(fit.llf, abs=1e-6)
    with pytest.raises(OptionError, match=r"half, Days \| Subject"):
        fit.profile_re("Days", "re", **FEW)


@pytest.mark.parametrize("structure", ["cs", "ar1", "toep", "fa1", "ar1h"])
def test_a_variance_of_a_structure_has_no_profile(structure):
    with pytest.raises(OptionError, match="not unstructured"):
        fitted(f"{structure}(1 + Days | Subject)").profile_re(0, "re", **FEW)


def test_held_entries_are_not_released():
    free = lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2))
    with pytest.raises(OptionError, match="held by free="):
        fitted("(Days | Subject)", free=free).profile_re(0, "re", **FEW)
    every = lmmcore.MixedLMParams.from_components(np.ones(2), np.ones((2, 2)))
    fit = fitted("(Days | Subject)", free=every)
    assert fit.profile_re(0, "re", **FEW)[1, 1] == pytest.approx(fit.llf, abs=1e-7)

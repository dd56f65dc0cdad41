"""Kenward–Roger beside SAS, JMP (observed information) and lmerTest with pbkrtest (expected), small samples.

SAS stops up to about 1e-4 of a standard error before the optimum. Satterthwaite's df are SAS' too.
"""

import numpy as np
import pytest
from reference_models import inference_reference

import lmmcore

REFERENCE = inference_reference("small_sample")
CLOSE = {"sas_kr": 2e-4, "sas_sw": 3e-4, "jmp": 2e-6, "lmertest": 5e-6}


@pytest.mark.parametrize("name", list(REFERENCE))
def test_other_programs(name):
    known = REFERENCE[name]
    data = known["data"]
    if data is None:
        data = lmmcore.datasets.load_sleepstudy().rename(columns=str.lower)
    fit = lmmcore.mixedlm(known["formula"], data).fit(reml=known.get("reml", True))
    for program, theirs in known["sets"].items():
        test = fit.t_test(np.eye(len(fit.fe_params)), ddf=theirs["ddf"])
        df = np.broadcast_to(test.df_denom, len(test.sd))
        assert len(theirs["estimate"]) == len(test.sd)
        for estimate, se, own in zip(theirs["estimate"], theirs["se"], theirs["df"]):
            j = int(np.argmin(np.abs(test.effect - estimate)))
            assert test.effect[j] == pytest.approx(estimate, rel=1e-4, abs=1e-4 * se)
            assert test.sd[j] == pytest.approx(se, rel=CLOSE[program])
            assert df[j] == pytest.approx(own, rel=CLOSE[program])

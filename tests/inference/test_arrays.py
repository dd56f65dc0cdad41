"""Tests of terms for models of arrays and of frames without a formula: a constant column is no term."""

import numpy as np
import pandas as pd
import pytest

import lmmcore


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("labeled", [True, False])
def test_the_constant_column_is_not_tested(place, labeled):
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(15), 4)
    x = rng.standard_normal((60, 2)) + 3.0
    columns = np.insert(x, place, 1.0, axis=1)
    y = x[:, 0] + rng.standard_normal(15)[g] + rng.standard_normal(60)
    exog = (
        pd.DataFrame(columns, columns=np.insert(["a", "b"], place, "one")) if labeled else columns
    )
    fit = lmmcore.MixedLM(y, exog, g).fit()
    data = pd.DataFrame({"y": y, "a": x[:, 0], "b": x[:, 1], "g": g})
    known = lmmcore.mixedlm("y ~ a + b + (1 | g)", data).fit().anova().table
    found = fit.anova().table
    np.testing.assert_allclose(found.to_numpy(), known.to_numpy(), rtol=1e-6)
    assert len(fit.drop1().table) == 2

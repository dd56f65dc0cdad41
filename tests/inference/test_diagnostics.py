"""The summary of residuals and random effects: right numbers, planted outliers, models without any."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lmmcore
from lmmcore.errors import LmmcoreError


def _planted(seed=0):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(40), 8), "x": rng.standard_normal(320)})
    data["h"] = np.tile(np.arange(8), 40)
    b = rng.standard_normal(40)
    b[7] = 9.0
    data["y"] = data.x + b[data.g] + rng.standard_normal(8)[data.h] + rng.standard_normal(320)
    data.loc[100, "y"] += 12.0
    return data


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 | g)", "y ~ x + (1 + x | g)", "y ~ x + (1 | g) + (1 | h)"]
)
def test_planted_outliers(formula):
    fit = lmmcore.mixedlm(formula, _planted()).fit()
    found = fit.diagnostics()
    assert list(found.residual_outliers.index) == [100]
    assert list(found.group_outliers.index) == [("g", 7)]
    values = fit.residuals("standardized").to_numpy()
    w, p = stats.shapiro(values)
    assert found.normality.loc["residuals", ["statistic", "p"]].tolist() == pytest.approx([w, p])
    assert found.normality.loc["residuals", "skewness"] == pytest.approx(stats.skew(values))
    assert "Outlying rows" in str(found)
    assert found.normality.index[1] == "g: Intercept"


def test_distance_beside_dense_algebra():
    data = _planted(3)
    data["y"] += np.random.default_rng(0).standard_normal(40)[data.g] * data.x
    fit = lmmcore.mixedlm("y ~ x + (1 + x | g)", data).fit()
    found = fit.diagnostics(alpha=0.9999).group_outliers
    cov, b = fit.cov_re.to_numpy(), fit.random_effects_frame
    rest = fit.random_effects_cov
    spread = cov - rest[7].to_numpy()
    own = b.loc[7].to_numpy()
    assert found.loc[("g", 7), "distance"] == pytest.approx(own @ np.linalg.solve(spread, own))
    assert found.loc[("g", 7), "df"] == 2


def test_a_variance_of_zero():
    data = lmmcore.datasets.load_dyestuff2()
    found = lmmcore.mixedlm("Yield ~ 1 + (1 | Batch)", data).fit().diagnostics()
    assert list(found.normality.index) == ["residuals"]
    assert found.group_outliers.empty
    assert "none" in str(found)


def test_components_and_errors():
    data = _planted()
    data["k"] = data.h // 2
    fit = lmmcore.MixedLM.from_formula(
        "y ~ x", data, groups="g", vc_formula={"h": "0 + C(k)"}
    ).fit()
    assert fit.diagnostics().normality.index[0] == "residuals"
    with pytest.raises(LmmcoreError, match="alpha"):
        fit.diagnostics(alpha=2.0)

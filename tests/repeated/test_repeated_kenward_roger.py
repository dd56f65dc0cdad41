"""Kenward–Roger of models with residual structures: SAS, and dense algebra."""

import numpy as np
import pandas as pd
import pytest
from dense_inference import kenward_roger_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_models import frame, repeated_reference

import lmmcore
from lmmcore.errors import OptionError
from lmmcore.inference import kenward_roger as kr
from lmmcore.repeated import kenward_roger as of_groups

NAMES = {
    "AR1": "ar1", "CS": "cs", "TOEP": "toep", "ARH1": "ar1h", "CSH": "csh", "TOEPH": "toeph",
    "ANTE1": "anteh", "UN": "un", "SPEXP": "exp",
}  # fmt: skip
VARIANTS = {
    "kr_observed": "kenward-roger-sas", "kr1_observed": "kenward-roger-sas-linear",
    "kr_expected": "kenward-roger-second", "kr1_expected": "kenward-roger",
}  # fmt: skip


@pytest.mark.parametrize("known", repeated_reference("kr"), ids=lambda r: r["type"])
def test_four_variants_and_sas(known):
    coordinates = "VISITN + VISITN2" if known["type"] == "SPEXP" else "AVISIT"
    residual = f"{NAMES[known['type']]}({coordinates} | USUBJID)"
    fit = lmmcore.gls("FEV1 ~ ARMCD", frame("fev"), residual).fit()
    for key, ddf in VARIANTS.items():
        test = fit.t_test([0, 1], ddf=ddf)
        assert test.sd[0] == pytest.approx(known["own"][key]["se"], rel=1e-6)
        assert np.ravel(test.df_denom)[0] == pytest.approx(known["own"][key]["df"], rel=1e-5)
    for key, ddf in (("kr", "kenward-roger-sas"), ("kr1", "kenward-roger-sas-linear")):
        test = fit.t_test([0, 1], ddf=ddf)  # SAS stops early for some
        assert test.sd[0] == pytest.approx(known["sas"][key]["se"], rel=2e-4)
        assert np.ravel(test.df_denom)[0] == pytest.approx(known["sas"][key]["df"], rel=5e-4)
    satterthwaite = fit.t_test([0, 1])
    own = known["satterthwaite"]
    assert satterthwaite.sd[0] == pytest.approx(own["se"], rel=1e-6)
    assert np.ravel(satterthwaite.df_denom)[0] == pytest.approx(own["df_observed"], rel=1e-5)
    means = fit.means("ARMCD", ddf="kenward-roger-sas").contrast("pairwise").frame()
    assert abs(means.iloc[0]["difference"]) == pytest.approx(
        known["sas"]["kr"]["estimate"], rel=2e-3
    )


def _ar1(psi, t, g, noise, same_arm):
    between, rho, sigma2 = psi[:3]
    lag = np.abs(t[:, None] - t[None, :])
    same = g[:, None] == g[None, :]
    r = np.power(rho + 0j, lag) * same
    if len(psi) == 4:
        sd = np.where(same_arm, np.sqrt(psi[3]), np.sqrt(sigma2))
        return between * same + sd[:, None] * r * sd
    return between * same + sigma2 * noise[:, None] * r * noise


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.booleans(), st.booleans())
def test_beside_dense_algebra(seed, weighted, by_arm):
    rng = np.random.default_rng(seed)
    q, k = 12, 5
    g, t = np.repeat(np.arange(q), k), np.tile(np.arange(k), q)
    keep = rng.random(len(g)) < 0.85
    g, t = g[keep], t[keep]
    n = len(g)
    data = pd.DataFrame(
        {"g": g, "t": t, "x": rng.standard_normal(n), "arm": np.where(g % 2, "b", "a")}
    )
    data["w"] = 1.0 if by_arm or not weighted else rng.uniform(0.5, 2.0, n)
    root = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(np.arange(k), np.arange(k))))
    e = rng.standard_normal((q, k)) @ root.T
    data["y"] = data.x + 1.2 * rng.standard_normal(q)[g] + e[g, t]
    fit = lmmcore.mixedlm(
        "y ~ x + arm + (1 | g)", data, residual="ar1(t | g)", weights="w",
        variance="by(arm)" if by_arm else None,
    ).fit()  # fmt: skip
    table = fit.covariance_parameters.set_index("parameter").estimate
    if fit.convergence.boundary or not fit.convergence.identified or abs(table["rho"]) > 0.95:
        return
    psi = [table["sd(Intercept)"] ** 2, table["rho"], fit.scale]
    if by_arm:
        psi.append(fit.scale * table["sd(b) / sd(a)"] ** 2)
    noise = 1.0 / np.sqrt(data.w.to_numpy())
    x, y = fit.model.exog, np.asarray(fit.model.endog)
    arm = (data.arm == "b").to_numpy()
    variants = {
        kr.KENWARD_ROGER: (False, False), kr.KENWARD_ROGER_BENT: (False, True),
        kr.KENWARD_ROGER_SAS: (True, True), kr.KENWARD_ROGER_SAS_LINEAR: (True, False),
    }  # fmt: skip
    for method, (observed, bent) in variants.items():
        known = kenward_roger_of(
            x, y, lambda p: _ar1(p, t, g, noise, arm), np.array(psi), observed, bent
        )
        found = method.covariance(fit.fit)
        assert found == pytest.approx(known, rel=2e-4, abs=2e-5 * np.abs(known).max()), method.title


def several(seed=0):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(24), 4), "t": np.tile(np.arange(4), 24)})
    data["s"], data["item"] = data.g // 4, rng.integers(0, 5, 96)
    data["y"] = rng.standard_normal(24)[data.g] + rng.standard_normal(6)[data.s]
    data["y"] += rng.standard_normal(5)[data["item"]] + rng.standard_normal(96)
    return data


@pytest.mark.parametrize(
    "formula", ["y ~ t + (1 | s / g)", "y ~ t + (1 | g) + (1 | item)", "y ~ t + (1 | item)"]
)
def test_several_and_crossed_factors(formula):
    data = several()
    fit = lmmcore.mixedlm(formula, data, residual="ar1(t | g)").fit()
    table = fit.covariance_parameters
    rho = float(table.set_index("parameter").estimate["rho"])
    design, sizes = fit.model.design, [len(r) for r in fit.fit.relative]
    t, g = data.t.to_numpy(), data.g.to_numpy()
    lag = np.abs(t[:, None] - t[None, :])

    def covariance(psi):
        v, at = psi[-1] * np.power(psi[-2] + 0j, lag) * (g[:, None] == g[None, :]), 0
        for own, k in zip(design.terms, sizes):
            rows, cols = np.tril_indices(k)
            matrix = np.zeros((k, k), dtype=complex)
            matrix[rows, cols] = matrix[cols, rows] = psi[at : at + len(rows)]
            at += len(rows)
            z = np.column_stack([np.ones(len(t)), t])[:, :k]
            codes = design.groupings[own.factor].codes
            v = v + (z @ matrix @ z.T) * (codes[:, None] == codes[None, :])
        return v

    entries = [(fit.scale * r)[np.tril_indices(len(r))] for r in fit.fit.relative]
    psi = np.concatenate([*entries, [rho, fit.scale]])
    x, y = fit.model.exog, np.asarray(fit.model.endog)
    for method, (observed, bent) in {
        kr.KENWARD_ROGER: (False, False), kr.KENWARD_ROGER_SAS_LINEAR: (True, False),
    }.items():  # fmt: skip
        known = kenward_roger_of(x, y, covariance, psi, observed, bent)
        found = method.covariance(fit.fit)
        np.testing.assert_allclose(found, known, rtol=5e-4, atol=1e-5 * np.abs(known).max())


def test_refusals(monkeypatch):
    data = several()
    crossed = lmmcore.mixedlm("y ~ t + (1 | item)", data, residual="ar1(t | g)").fit()
    monkeypatch.setattr(of_groups, "LARGEST", 50)
    with pytest.raises(OptionError, match="96 rows depend on each other"):
        crossed.t_test("t", ddf="kenward-roger")
    monkeypatch.undo()
    marginal = lmmcore.gls("y ~ t", data, "ar1(t | g)").fit(reml=False)
    with pytest.raises(OptionError, match="reml=True"):
        marginal.t_test("t", ddf="kenward-roger")
    arma = lmmcore.gls("FEV1 ~ 1", frame("fev"), "arma(VISITN | USUBJID, p=1, q=1)").fit()
    assert np.isfinite(arma.t_test("Intercept", ddf="kenward-roger-second").df_denom)

"""Fits with residual structures beside nlme and SAS PROC MIXED."""

import numpy as np
import pytest
from reference_models import frame, repeated_reference

import lmmcore

NLME, SAS = repeated_reference("nlme"), repeated_reference("sas")
OPPOSITES = [f for f in repeated_reference("opposites") if f["type"] != "random slope"]


def fitted(formula, data, residual, variance=None, reml=True):
    if "|" in formula:
        return lmmcore.mixedlm(formula, data, residual=residual, variance=variance).fit(reml=reml)
    return lmmcore.gls(formula, data, residual, variance).fit(reml=reml)


@pytest.mark.parametrize("name", list(NLME))
def test_nlme(name):
    known = NLME[name]
    data = frame(known["data"])
    if "visit" in str(known["residual"]):
        data = data.assign(visit=data.age.astype("category"))
    reml = known["method"] == "REML"
    fit = fitted(known["formula"], data, known["residual"], known["variance"], reml)
    assert fit.converged
    assert fit.llf == pytest.approx(known["loglik"], abs=1e-7)
    found = fit.covariance_parameters.set_index("parameter")["estimate"]
    for key, value in known["parameters"].items():
        key = {"phi": "rho"}.get(key, key) if len(known["parameters"]) == 1 else key
        if key == "corr":
            own = fit.residual_correlation().to_numpy()[np.triu_indices(4, 1)]
            assert own == pytest.approx(np.array(value), rel=1e-4)
        elif key == "variance" and "power" in value:
            assert found.filter(like="power").iloc[0] == pytest.approx(value["power"], rel=1e-4)
        elif key == "variance":
            ratios = {k: v for k, v in value.items() if v != 1}
            for level, ratio in ratios.items():
                own = [v for k, v in found.items() if "sd(" in k and "/" in k and level in k]
                assert any(
                    x == pytest.approx(ratio, rel=1e-4) or 1 / x == pytest.approx(ratio, rel=1e-4)
                    for x in own
                )
        else:
            assert found[key] == pytest.approx(value, rel=1e-4)
    for k, own in enumerate(known["sd"]):
        for value in own:
            assert np.abs(np.sqrt(np.diag(fit.cov_re)) / value - 1).min() < 1e-4, k
    # nlme has other roots of "cs" and "un", and keeps the order of rows whose times are not sorted.
    if known["resid_normalized"] and "(1|Mare" in (known["residual"] or ""):
        own = np.sort(np.abs(np.asarray(fit.residuals("normalized"))))
        theirs = np.abs(np.array(known["resid_normalized"], dtype=float))
        assert np.abs(own[:, None] - theirs).min(axis=0).max() < 1e-3


@pytest.mark.parametrize("known", SAS, ids=lambda f: f["id"])
def test_sas(known):
    reml = known["method"] == "REML"
    fit = fitted(known["formula"], frame("fev"), known["residual"], None, reml)
    assert fit.converged
    # SAS stops up to 1.3e-5 early.
    assert -2e-5 < fit.criterion - known["minus2loglik"] < 1e-6
    covariance = fit.residual_covariance()
    if known["residual"].startswith("un"):  # some with the first visit last
        diagonal = [v for name, v in known["covariance"] if len(set(name[3:-1].split(","))) == 1]
        assert np.sort(np.diag(covariance)) == pytest.approx(np.sort(diagonal), rel=1e-3)
    if "by=" in known["residual"] and known["residual"].startswith("ar1("):
        values = {(name, group): value for name, value, group in known["covariance"]}
        found = fit.covariance_parameters.set_index("parameter").estimate
        ratio = found["sd(TRT) / sd(PBO)"] ** 2
        for (name, group), value in values.items():
            arm = "TRT" if "TRT" in group else "PBO"
            scale = fit.scale * (ratio if arm == "TRT" else 1.0)
            own = found[f"{arm}: rho"] if name == "AR(1)" else scale
            assert own == pytest.approx(value, rel=1e-3)
    elif known["residual"].startswith(("ar1(", "exp", "gau")):
        values = [value for _, value in known["covariance"]]
        assert fit.scale == pytest.approx(values[-1], rel=2e-4)
        own = fit.covariance_parameters.estimate.iloc[0]
        assert own == pytest.approx(values[0], rel=5e-4)
    if known["ddfm"] != "satterthwaite" or "SEX" in known["formula"]:
        return
    test = fit.t_test(np.eye(len(fit.fe_params)))
    df = np.broadcast_to(test.df_denom, len(test.sd))
    for estimate, se, own in known["fixed"]:
        j = int(np.argmin(np.abs(test.effect - estimate)))
        assert test.sd[j] == pytest.approx(se, rel=5e-4)
        assert abs(df[j] - own) < 0.6  # printed as an integer


@pytest.mark.parametrize("known", [f for f in SAS if f.get("lsmeans")], ids=lambda f: f["id"])
def test_lsmeans(known):
    fit = fitted(known["formula"], frame("fev"), known["residual"])
    full = known["id"].startswith("un_full")
    ddf = {"kr": "kenward-roger-sas", "kr1": "kenward-roger-sas-linear"}.get(
        known["id"].split("_")[0]
    )
    by = "AVISIT" if full else None
    table = fit.means("ARMCD", by=by, ddf=ddf or "satterthwaite").frame()
    index = ["AVISIT", "ARMCD"] if full else ["ARMCD"]
    table = table.reset_index().astype(dict.fromkeys(index, str)).set_index(index)
    for *levels, estimate, se, df, lower, upper in known["lsmeans"]:
        row = table.loc[tuple(levels) if full else levels[0]]
        assert row["mean"] == pytest.approx(estimate, abs=2e-3)
        assert row["se"] == pytest.approx(se, rel=1e-3)
        assert abs(row["df"] - df) < 0.6  # printed as an integer
        assert row["lower"] == pytest.approx(lower, abs=3e-3)
        assert row["upper"] == pytest.approx(upper, abs=3e-3)


@pytest.mark.parametrize("known", OPPOSITES, ids=lambda f: f"{f['type']}-{f['method']}")
def test_opposites_naming(known):
    data = frame("opposites").assign(
        wave=lambda d: d.wave.astype("category"),
        cog=lambda d: d.baseline_cognitive_score - 113.45714285714286,
    )
    name = {"UN": "un", "CS": "cs", "CSH": "csh", "AR1": "ar1", "ARH1": "ar1h", "TOEP": "toep"}[
        known["type"]
    ]
    fit = lmmcore.mmrm("opposites_naming_score ~ time * cog", data, f"{name}(wave | id)").fit(
        reml=known["method"] == "REML"
    )
    assert fit.criterion == pytest.approx(known["minus2loglik"], abs=1e-6)
    assert np.sort(fit.bse_fe.to_numpy()) == pytest.approx(np.sort(known["fixed"]["se"]), rel=1e-4)
    if known["covariance"] is not None:
        assert fit.residual_covariance().to_numpy() == pytest.approx(
            np.array(known["covariance"]), rel=1e-3, abs=0.5
        )

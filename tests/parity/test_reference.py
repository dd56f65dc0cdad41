"""Every model with stored results of R: criterion, fixed effects, variances, BLUPs."""

import numpy as np
import pytest
from reference_models import frame, model_ids, reference

import lmmcore


def model_of(spec, spelling):
    data = frame(spec["data"])
    if spelling == "bars":
        return lmmcore.mixedlm(spec["formula"], data, weights=spec["weights"], missing="drop")
    sm = spec["statsmodels"]
    groups = np.ones(len(data)) if sm["groups"] == "@ones" else sm["groups"]
    re_formula = None if sm["re_formula"] == "0" else sm["re_formula"]
    return lmmcore.MixedLM.from_formula(
        sm["formula"], data, re_formula, sm["vc_formula"], groups=groups, missing="drop"
    )


def check_fit(fit, spec):
    assert fit.convergence.converged
    assert fit.nobs == spec["nobs"]
    assert fit.criterion <= spec["criterion"] + 1e-7 + 1e-10 * abs(spec["criterion"])
    # Nor below: a likelihood too high is as wrong as one too low.
    assert fit.criterion >= spec["criterion"] - 1e-6
    assert fit.nfev <= (15 if fit.nobs > 100 else 60)  # few rows are searched from further starts
    assert bool(fit.convergence.boundary) == bool(spec["is_singular"])
    assert np.sqrt(fit.scale) == pytest.approx(spec["sigma"], rel=1e-5)


def check_fixed(fit, fixed, names):
    se = np.array(fixed["se"])
    np.testing.assert_allclose(fit.bse_fe[names], se, rtol=1e-6)
    # An estimate near zero is held to its standard error.
    np.testing.assert_allclose(
        fit.fe_params[names], fixed["estimate"], rtol=1e-6, atol=1e-7 * se.max()
    )


def fixed_names(spec, fit):
    """The stored names as the formula's own spelling makes them: C(Sex)[T.x] or Sex[T.x]."""
    plain = {name.replace("C(", "").replace(")[", "["): name for name in fit.fe_params.index}
    return [plain[name] for name in spec["fixed"]["patsy_names"]]


@pytest.mark.parametrize("model_id", model_ids("single"))
def test_single_factor(model_id):
    spec = reference(model_id)
    fit = model_of(spec, "bars").fit(reml=spec["method"] == "REML")
    check_fit(fit, spec)
    check_fixed(fit, spec["fixed"], fixed_names(spec, fit))
    stored = np.zeros((fit.k_re, fit.k_re))
    at = 0
    for term in spec["varcorr"]:
        k = len(term["names"])
        stored[at : at + k, at : at + k] = term["cov"]
        at += k
    scale = np.sqrt(np.outer(np.diag(stored), np.diag(stored))) + 1e-12
    np.testing.assert_allclose(fit.cov_re / scale, stored / scale, atol=1e-5)
    (ranef,) = spec["ranef"] or [None]
    if ranef is not None:
        blups = np.array(ranef["values"])
        spread = np.abs(blups).max(axis=0) + 1e-9
        mine = fit.random_effects_frame
        mine.index = mine.index.astype(str)
        np.testing.assert_allclose(mine.loc[ranef["levels"]] / spread, blups / spread, atol=1e-5)
    if "cond_sd" in (ranef or {}):
        sd = [
            np.sqrt(np.diag(cov))
            for _, cov in sorted((str(g), c) for g, c in fit.random_effects_cov.items())
        ]
        order = np.argsort(ranef["levels"])
        expected = np.array(ranef["cond_sd"])[order]
        np.testing.assert_allclose(sd, expected, rtol=2e-5, atol=1e-9)
    if spec["fitted"]:
        np.testing.assert_allclose(fit.fittedvalues[:20], spec["fitted"], rtol=1e-6)


def same_factor(group, names):
    """Return the factor's name as the formula has it, and whether its parts stand in another order."""
    parts = group.split(":")
    name = next((n for n in names if sorted(n.split(":")) == sorted(parts)), None)
    if name is None:  # nlme names a nested factor by its last part
        return next(n for n in names if n.endswith(":" + group)), False
    return name, name.split(":") != parts


@pytest.mark.parametrize("model_id", model_ids("nested") + model_ids("crossed"))
def test_several_factors(model_id):
    spec = reference(model_id)
    fit = model_of(spec, "bars").fit(reml=spec["method"] == "REML")
    check_fit(fit, spec)
    check_fixed(fit, spec["fixed"], fixed_names(spec, fit))
    table = fit.varcorr
    for term in spec["varcorr"]:
        name, _ = same_factor(term["group"], fit.random_effects)
        mine = table[(table["term"] == name) & (table["with"] == "")]
        np.testing.assert_allclose(mine["variance"], np.diag(term["cov"]), rtol=1e-5, atol=1e-8)
        pairs = table[(table["term"] == name) & (table["with"] != "")]["correlation"]
        lower = np.tril_indices(len(term["names"]), -1)
        np.testing.assert_allclose(pairs, np.array(term["corr"])[lower], atol=1e-5)
    for term in spec["ranef"]:
        name, turned = same_factor(term["group"], fit.random_effects)
        levels = [x.replace("/", ":") for x in term["levels"]]
        labels = [":".join(x.split(":")[::-1]) if turned else x for x in levels]
        mine = fit.random_effects[name]
        spread = np.abs(term["values"]).max() + 1e-9
        mine.index = mine.index.astype(str)
        blups = mine.loc[labels].to_numpy()
        np.testing.assert_allclose(blups / spread, np.array(term["values"]) / spread, atol=1e-5)
        if "cond_sd" in term:
            cov = fit.random_effects_cov[name].to_numpy().reshape(len(mine), -1, mine.shape[1])
            sd = np.sqrt(np.einsum("ijj->ij", cov))[mine.index.get_indexer(labels)]
            np.testing.assert_allclose(sd, term["cond_sd"], rtol=2e-5, atol=1e-9)
    if spec["fitted"]:
        np.testing.assert_allclose(fit.fittedvalues[:20], spec["fitted"], rtol=1e-6)


@pytest.mark.parametrize(
    "model_id", [m for m in model_ids("all") if reference(m)["statsmodels"] is not None]
)
def test_spelling_of_statsmodels(model_id):
    """groups, re_formula and vc_formula: the same optimum, nested and crossed models included."""
    spec = reference(model_id)
    if spec["weights"]:
        pytest.skip("statsmodels has no prior weights")
    fit = model_of(spec, "groups").fit(reml=spec["method"] == "REML")
    check_fit(fit, spec)
    check_fixed(fit, spec["fixed"], fixed_names(spec, fit))
    stored = sorted(v for term in spec["varcorr"] for v in np.diag(term["cov"]))
    mine = sorted([*np.diag(fit.cov_re), *fit.vcomp])
    np.testing.assert_allclose(mine, stored, rtol=1e-5, atol=1e-8)
    if spec["fitted"]:
        np.testing.assert_allclose(fit.fittedvalues[:20], spec["fitted"], rtol=1e-6)


def test_all_single_factor_models_are_here():
    assert len(model_ids("single")) >= 29

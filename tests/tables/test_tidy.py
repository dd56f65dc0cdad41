"""`tidy`, `glance`, `augment` and `table` beside what R's lme4 and lmerTest have."""

import numpy as np
import pytest
from reference_models import frame, reference

import lmmcore
from lmmcore.errors import OptionError

MODELS = (
    "sleep_slope_reml", "sleep_int_ml", "penicillin_reml", "pastes_ml", "orthodont_sex_reml",
    "machines_nested_reml",
)  # fmt: skip
COLUMNS = ["effect", "group", "term", "estimate", "std.error", "statistic", "df", "p.value"]


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    known = reference(request.param)
    model = lmmcore.mixedlm(known["formula"], frame(known["data"]))
    return model.fit(reml=known["method"] == "REML"), known


def test_fixed_effects(pair):
    fit, known = pair
    table = fit.tidy("fixed")
    assert list(table.columns) == COLUMNS
    order = [int(np.argmin(np.abs(table.estimate - e))) for e in known["fixed"]["estimate"]]
    found = table.iloc[order]
    np.testing.assert_allclose(found.estimate, known["fixed"]["estimate"], rtol=1e-6)
    np.testing.assert_allclose(found["std.error"], known["fixed"]["se"], rtol=1e-5)
    np.testing.assert_allclose(found.statistic, found.estimate / found["std.error"])
    assert set(table.effect) == {"fixed"}
    assert table.group.isna().all()


def test_parameters_of_random_effects(pair):
    fit, known = pair
    table = fit.tidy("ran_pars").set_index(["group", "term"]).estimate
    assert table["Residual", "sd__Observation"] == pytest.approx(known["sigma"], rel=1e-6)
    for term in known["varcorr"]:
        names = [x.replace("(Intercept)", "Intercept") for x in term["names"]]
        group = (
            term["group"]
            if (term["group"], f"sd__{names[0]}") in table
            else term["group"].split(":")
        )
        group = group if isinstance(group, str) else ":".join(reversed(group))
        for name, sd in zip(names, term["sd"]):
            assert table[group, f"sd__{name}"] == pytest.approx(sd, rel=1e-4)
        if len(names) == 2:
            expected = term["cov"][0][1] / term["sd"][0] / term["sd"][1]
            assert table[group, f"cor__{names[0]}.{names[1]}"] == pytest.approx(expected, abs=1e-5)


def test_random_effects(pair):
    fit, known = pair
    table = fit.tidy("ran_vals", conf_int=True)
    own = {e["group"]: e for e in known["ranef"]}
    for group, part in table.groupby("group", sort=False):
        term = own.get(group) or own[":".join(reversed(group.split(":")))]
        values = np.array(term["values"])
        assert len(part) == values.size
        found = np.sort(part.estimate.to_numpy())
        np.testing.assert_allclose(found, np.sort(values.ravel()), atol=1e-3 * values.std())
        reach = part["conf.high"] - part.estimate
        np.testing.assert_allclose(reach, 1.959964 * part["std.error"], rtol=1e-6)


def test_glance(pair):
    fit, known = pair
    row = fit.glance().iloc[0]
    assert row.nobs == known["nobs"]
    assert row.sigma == pytest.approx(known["sigma"], rel=1e-6)
    assert row.logLik == pytest.approx(-0.5 * known["criterion"], abs=1e-6)
    k = len(fit.fe_params) + fit.fit.n_variances
    assert row["AIC"] == pytest.approx(known["criterion"] + 2 * k, abs=1e-6)
    assert row["BIC"] == pytest.approx(known["criterion"] + k * np.log(known["nobs"]), abs=1e-6)
    assert row["REMLcrit" if fit.reml else "deviance"] == pytest.approx(
        known["criterion"], abs=1e-6
    )
    assert row["df.residual"] == known["nobs"] - k


def test_augment(pair):
    fit, known = pair
    table = fit.augment()
    stored = known["fitted"]  # of the first rows
    np.testing.assert_allclose(table[".fitted"].head(len(stored)), stored, rtol=1e-5)
    np.testing.assert_allclose(table[".fitted"] + table[".resid"], fit.model.endog, rtol=1e-12)
    assert table[".hat"].sum() == pytest.approx(fit.effective_df, rel=1e-8)
    data = frame(known["data"])
    again = fit.augment(data.head(5))
    np.testing.assert_allclose(again[".fitted"], table[".fitted"].head(5), rtol=1e-10)
    np.testing.assert_allclose(again[".fixed"], table[".fixed"].head(5), rtol=1e-10)


def test_satterthwaite_is_in_the_table():
    fit = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", frame("sleepstudy")).fit()
    row = fit.tidy("fixed", conf_int=True).iloc[1]
    assert row.df == pytest.approx(17.0, abs=1e-3)
    assert row["p.value"] == pytest.approx(3.264e-6, rel=1e-3)
    assert [row["conf.low"], row["conf.high"]] == pytest.approx([7.206, 13.729], abs=1e-3)
    assert fit.tidy("fixed", ddf="z").df.isna().all()
    with pytest.raises(OptionError, match="ran_pars"):
        fit.tidy("random")
    components = lmmcore.MixedLM.from_formula(
        "Reaction ~ Days",
        frame("sleepstudy"),
        groups="Subject",
        vc_formula={"a": "0 + C(Days > 4)"},
    ).fit()
    with pytest.raises(OptionError, match="as bars"):
        components.tidy("ran_vals")
    assert "sd__" in " ".join(components.tidy().term)


def test_models_with_residual_structures():
    data = lmmcore.datasets.load_orthodont()
    fit = lmmcore.mixedlm("distance ~ age + (1 | Subject)", data, residual="ar1(1 | Subject)").fit()
    table = fit.tidy().set_index(["group", "term"])
    own = fit.covariance_parameters.set_index("parameter")
    assert table.loc[("Residual", "rho"), "estimate"] == own.estimate["rho"]
    assert table.loc[("Subject", "sd__Intercept"), "std.error"] == own.std_err["sd(Intercept)"]
    assert ".hat" not in fit.augment()
    assert fit.glance().nobs.item() == 108


def test_arrays_have_no_table():
    data = frame("sleepstudy")
    fit = lmmcore.MixedLM(data.Reaction, np.ones((180, 1)), data.Subject).fit()
    with pytest.raises(OptionError, match="model of arrays"):
        fit.augment()


def test_side_by_side():
    data = frame("sleepstudy")
    fits = [
        lmmcore.mixedlm(f"Reaction ~ Days + ({x} | Subject)", data).fit() for x in ("1", "Days")
    ]
    found = lmmcore.table(*fits, names=["one", "two"], stars=True)
    assert found.frame.loc[("fixed", "Days"), "two"] == "10.5 (1.55)***"
    assert found.frame.loc[("random", "SD Days | Subject")].tolist() == ["", "5.92"]
    assert [name for block, name in found.frame.index if block == "random"][-1] == "SD Residual"
    assert found.frame.loc[("fit", "Rows"), "one"] == "180"
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 80
    assert found.as_markdown().splitlines()[0] == "| | one | two |"
    assert "SD Days \\| Subject" in found.as_markdown()
    assert found.as_latex().count("\\\\") == len(found.frame) + 1
    assert "$|$" in found.as_latex()
    assert found.as_html().count("<tr>") == len(found.frame) + 1
    for arguments, words in (({}, "without results"), ({"names": ["a"]}, "1 entries for 2")):
        with pytest.raises(OptionError, match=words):
            lmmcore.table(*(fits if arguments else ()), **arguments)


def test_what_is_shown_unasked():
    data = frame("sleepstudy")
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data)
    assert "Reaction ~ Days + (Days | Subject)" in repr(model)
    assert "Levels of Subject  18" in repr(model)
    assert model._repr_html_().startswith("<table>")
    fit = model.fit()
    assert repr(fit) == str(fit.summary())
    assert "<table" in fit._repr_html_()
    structured = lmmcore.gls("Reaction ~ Days", data, "ar1(1 | Subject)")
    assert "ar1(1 | Subject)" in repr(structured)
    assert "Fixed effects" in repr(structured.fit())
    assert "<table" in structured.fit()._repr_html_()
    penalized = model.fit_regularized(alpha=1.0)
    assert repr(penalized) == str(penalized.summary())
    assert not {"np", "model", "likelihood", "design"} & set(dir(lmmcore))

"""Every public name of statsmodels' classes and each of their arguments is there, but those listed here.

What is listed is in "Coming from statsmodels" too, with the reason.
"""

import inspect
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression import mixed_linear_model as statsmodels

import lmmcore
import lmmcore.api

PAGE = (Path(__file__).parents[2] / "docs" / "from_statsmodels.md").read_text(encoding="utf-8")

NOT_THERE = {
    "model": {"fe_pen", "cov_pen", "re_pen"},
    "results": {
        "bsejac", "bsejhj", "covjac", "covjhj", "score_obsv", "hessv", "cov_pen", "initialize",
    },
    "data": {
        "attach_columns", "attach_columns_eq", "attach_cov", "attach_cov_eq", "attach_dates",
        "attach_generic_columns", "attach_generic_columns_2d", "attach_mv_confint", "attach_rows",
        "attach_ynames", "wrap_output", "handle_missing", "missing_row_idx", "frame", "model_spec",
    },
    "params": set(),
    "components": set(),
    "t_test": set(),
    "wald_test": set(),
    "wald_test_terms": {"dframe", "dist_args", "temp"},
    "summary": {
        "add_array", "add_base", "add_df", "add_dict", "add_text", "add_title", "extra_txt", "settings",
    },
}  # fmt: skip


def objects(package, by_formula):
    """One of each kind of object that a user holds."""
    data = lmmcore.datasets.load_pastes().astype({"batch": str, "cask": str})
    data["x"] = np.linspace(0, 1, len(data))
    if by_formula:
        model = package.MixedLM.from_formula(
            "strength ~ x", data=data, groups="batch", re_formula="1",
            vc_formula={"cask": "0 + C(cask)"},
        )  # fmt: skip
    else:
        exog = np.column_stack([np.ones(len(data)), data["x"]])
        model = package.MixedLM(data["strength"].to_numpy(), exog, data["batch"].to_numpy())
    fit = model.fit()
    return {
        "model": model, "results": fit, "data": model.data, "params": fit.params_object,
        "components": model.exog_vc, "t_test": fit.t_test(np.eye(2)),
        "wald_test": fit.wald_test(np.eye(fit.model.k_fe)) if package is lmmcore else
        fit.wald_test(np.eye(len(fit.params))[:2]),
        "wald_test_terms": fit.wald_test_terms(), "summary": fit.summary(),
    }  # fmt: skip


def public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("by_formula", [True, False])
def test_every_name_is_there(by_formula):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = objects(lmmcore, by_formula), objects(statsmodels, by_formula)
        for kind, thing in theirs.items():
            missing = public(thing) - public(mine[kind])
            assert missing <= NOT_THERE[kind], kind


def test_what_is_not_there_is_on_the_page():
    for names in NOT_THERE.values():
        for name in names:
            known = name in PAGE or any(
                f"{prefix}…" in PAGE for prefix in ("attach_", "add_") if name.startswith(prefix)
            )
            assert known, name


@pytest.mark.parametrize("name", ["MixedLM", "MixedLMResults", "MixedLMParams", "VCSpec"])
def test_arguments_have_their_names_places_and_defaults(name):
    mine, theirs = getattr(lmmcore, name), getattr(statsmodels, name)
    compared = 0
    for method in sorted(public(theirs) | {"__init__"}):
        own = getattr(mine, method, None)
        if not (inspect.isroutine(getattr(theirs, method)) and inspect.isroutine(own)):
            continue
        if (name, method) in {("MixedLMResults", "__init__"), ("MixedLMResults", "bootstrap")}:
            continue  # made by a fit alone; method=None there is the optimizer of the fit
        given = list(inspect.signature(own).parameters.values())
        positional = [p for p in given if p.kind is p.POSITIONAL_OR_KEYWORD]
        wanted = list(inspect.signature(getattr(theirs, method)).parameters.values())
        for place, p in enumerate(w for w in wanted if w.kind is w.POSITIONAL_OR_KEYWORD):
            assert positional[place].name == p.name, method
            if (method, p.name) == ("fit_regularized", "maxit"):
                assert positional[place].default is None  # 200 passes are too few for 1e-12
                continue
            # What statsmodels wants to be given may have a default.
            assert p.default is p.empty or positional[place].default == p.default, method
            compared += 1
    assert compared >= (3 if name != "MixedLM" else 40)


def test_names_of_the_module():
    assert lmmcore.api.mixedlm is lmmcore.mixedlm
    for name in ("MixedLM", "MixedLMParams", "MixedLMResults", "VCSpec"):
        assert inspect.isclass(getattr(lmmcore, name))
    assert set(inspect.signature(lmmcore.mixedlm).parameters) >= {
        "formula", "data", "re_formula", "vc_formula", "subset", "use_sparse", "missing",
    }  # fmt: skip


@pytest.mark.parametrize("by_formula", [True, False])
def test_labels_types_and_shapes(by_formula):
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = objects(lmmcore, by_formula), objects(statsmodels, by_formula)
        for kind in ("model", "results", "data", "params"):
            for name in sorted(public(theirs[kind]) - NOT_THERE[kind]):
                if name == "bse_re" and by_formula:
                    continue  # with components statsmodels raises
                their, own = (getattr(x[kind], name) for x in (theirs, mine))
                if isinstance(their, (pd.Series, pd.DataFrame)):
                    assert type(own) is type(their), name
                    assert own.index.equals(their.index), name
                    if own.ndim == 2:
                        assert own.columns.equals(their.columns), name
                elif isinstance(their, np.ndarray):
                    assert np.shape(own) == their.shape, name
                elif isinstance(their, (str, bool, int)):
                    assert own == their, name
                else:
                    continue
                compared += 1
    assert compared > 40


def test_data_of_a_model():
    frame = lmmcore.datasets.load_sleepstudy()
    frame.index = frame.index + 7
    data = lmmcore.MixedLM.from_formula("Reaction ~ Days", frame, groups="Subject").data
    pd.testing.assert_frame_equal(data.orig_endog, frame[["Reaction"]], check_dtype=False)
    assert data.orig_exog.columns.tolist() == ["Intercept", "Days"]
    assert data.orig_exog.index.equals(frame.index)
    assert (data.const_idx, data.k_constant) == (0, 1)
    arrays = lmmcore.MixedLM(frame["Reaction"], frame[["Days"]], frame["Subject"]).data
    pd.testing.assert_series_equal(arrays.orig_endog, frame["Reaction"], check_dtype=False)
    assert (arrays.const_idx, arrays.k_constant) == (None, 0)
    frame["late"] = (frame["Days"] > 4) * 1e-9
    frame["early"] = (frame["Days"] <= 4) * 1e9
    halves = lmmcore.MixedLM(frame["Reaction"], frame[["late", "early"]], frame["Subject"]).data
    assert (halves.const_idx, halves.k_constant) == (None, 1)
    fit = lmmcore.MixedLM(frame["Reaction"], frame[["Days"]], frame["Subject"]).fit()
    fit.remove_data()
    with pytest.raises(lmmcore.errors.DataRemovedError):
        _ = fit.model.data.orig_exog


def test_objects_of_statsmodels_are_read():
    """Parameters and patterns built by statsmodels' own class."""
    frame = lmmcore.datasets.load_sleepstudy()
    model = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", frame)
    theirs = statsmodels.MixedLMParams.from_components(np.ones(2), cov_re=np.eye(2))
    mine = lmmcore.MixedLMParams.from_components(np.ones(2), np.eye(2))
    assert theirs.k_tot == mine.k_tot == 5
    assert model.loglike(theirs, False) == model.loglike(mine, False)
    np.testing.assert_array_equal(model.score(theirs, False), model.score(mine, False))
    np.testing.assert_array_equal(model.predict(theirs), model.predict(mine))
    listed = lmmcore.MixedLMParams(2, 2, 0)  # lists and frames where arrays belong
    listed.fe_params, listed.cov_re, listed.vcomp = [1, 1], pd.DataFrame(np.eye(2)), []
    assert model.loglike(listed, False) == model.loglike(mine, False)
    assert model.fit(listed, free=listed).criterion == model.fit(mine, free=mine).criterion
    fit, same = model.fit(theirs, free=theirs), model.fit(mine, free=mine)
    assert fit.criterion == same.criterion
    assert fit.k_constr == same.k_constr == 1


def test_table_of_a_test():
    fit = lmmcore.mixedlm(
        "Reaction ~ Days + (Days | Subject)", lmmcore.datasets.load_sleepstudy()
    ).fit(ddf="z")
    test = fit.t_test(np.eye(2))
    table = test.summary(xname=["base", "slope"], alpha=0.1, title="Two")
    lines = table.as_text().splitlines()
    assert lines[0].strip() == "Two"
    assert lines[2].split() == ["coef", "std", "err", "z", "P>|z|", "[0.05", "0.95]"]
    assert lines[4].split()[:3] == [
        "base",
        f"{fit.fe_params.iloc[0]:.4f}",
        f"{fit.bse_fe.iloc[0]:.4f}",
    ]
    assert "<table" in table.as_html()
    assert "..." not in str(test)  # however narrow the terminal is
    t = fit.t_test("Days = 0", use_t=True)
    assert 2 * t.dist.sf(t.tvalue[0], *t.dist_args) == pytest.approx(t.pvalue[0])
    for joint, args in ((fit.wald_test(np.eye(2)), (2,)), (fit.f_test(np.eye(2)), (2, 178))):
        assert joint.dist_args == args
        assert joint.dist.sf(joint.statistic, *args) == pytest.approx(joint.pvalue, rel=1e-12)
        assert joint.summary() == str(joint)
    with pytest.raises(lmmcore.errors.OptionError, match="expected 2 names"):
        test.summary(xname=["one"])

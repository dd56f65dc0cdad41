"""Data of every kind give the same fit, and are never changed."""

import copy

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.datasets import load_sleepstudy

CRITERION = 1743.6282719584906
FORMULA = "Reaction ~ Days + (Days | Subject)"


def fit_of(data, formula=FORMULA, **keywords):
    return lmmcore.mixedlm(formula, data, **keywords).fit()


def changed(**columns):
    return load_sleepstudy().assign(**columns)


def days(kind):
    return load_sleepstudy()["Days"].astype(kind)


def frames():
    data = load_sleepstudy()
    shuffled = data.sample(frac=1.0, random_state=3)
    unused = data["Subject"].cat.add_categories(["nobody"])
    yield "integers", data
    for kind in (
        "int8",
        "int16",
        "int32",
        "uint8",
        "float32",
        "float16",
        "Int64",
        "Float64",
        "object",
    ):
        yield kind, changed(Days=days(kind))
    yield "longdouble", changed(Days=days("longdouble"))
    yield "big endian", changed(Days=days(">f8"))
    yield "unsorted", shuffled
    yield "text groups", changed(Subject=data["Subject"].astype(str))
    yield "string groups", changed(Subject=data["Subject"].astype("string"))
    yield "integer groups", changed(Subject=data["Subject"].astype(int))
    yield "unsorted text groups", shuffled.assign(Subject=shuffled["Subject"].astype(str))
    yield "unused categories", changed(Subject=unused)
    yield "repeated index", data.set_axis([0] * 180)
    yield "other index", data.set_axis(pd.MultiIndex.from_arrays([range(180), range(180)]))
    yield "mapping", {name: data[name] for name in data}
    yield "mapping of lists", {name: data[name].tolist() for name in data}
    yield "records", data.assign(Subject=data["Subject"].astype(int)).to_records()
    yield "more columns", data.assign(note="text", other=np.nan)


@pytest.mark.parametrize(("kind", "data"), list(frames()), ids=[kind for kind, _ in frames()])
def test_frames(kind, data):
    before = copy.deepcopy(data)
    assert fit_of(data).criterion == pytest.approx(CRITERION, rel=1e-12)
    if isinstance(data, pd.DataFrame):
        pd.testing.assert_frame_equal(data, before)


def test_names_with_spaces_and_other_letters():
    data = load_sleepstudy().rename(
        columns={"Reaction": "reaction time", "Days": "día №1", "Subject": "водитель"}
    )
    formula = "`reaction time` ~ `día №1` + (1 + `día №1` | водитель)"
    fit = fit_of(data, formula)
    assert fit.criterion == pytest.approx(CRITERION, rel=1e-12)
    assert list(fit.fe_params.index) == ["Intercept", "día №1"]
    quoted = "Q('reaction time') ~ Q('día №1') + (Q('día №1') | водитель)"
    assert fit_of(data, quoted).criterion == pytest.approx(CRITERION, rel=1e-12)
    assert "día №1" in fit.summary().as_text()


def test_boolean_and_categorical_columns():
    data = load_sleepstudy()
    data["late"] = data["Days"] > 4
    data["part"] = pd.Categorical(np.where(data["late"], "late", "early"))
    as_number = data.assign(late=data["late"].astype(int))
    expected = fit_of(as_number, "Reaction ~ late + (1 | Subject)").criterion
    assert fit_of(data, "Reaction ~ late + (1 | Subject)").criterion == pytest.approx(expected)
    assert fit_of(data, "Reaction ~ part + (1 | Subject)").criterion == pytest.approx(expected)
    kinds = {"late": ["boolean"], "part": ["string", "object", "string[python]"]}
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        kinds["late"].append("bool[pyarrow]")
        kinds["part"] += ["string[pyarrow]", pd.ArrowDtype(pyarrow.string())]
    own = "Reaction ~ Days + (1 + late | Subject)"
    expected_slope = fit_of(as_number, own).criterion
    for name, types in kinds.items():
        for kind in types:
            typed = data.assign(**{name: data[name].astype(kind)})
            fit = fit_of(typed, f"Reaction ~ {name} + (1 | Subject)")
            assert fit.criterion == pytest.approx(expected)
            fit = fit_of(typed, own.replace("late", name))
            assert fit.criterion == pytest.approx(expected_slope)
    y, x = data["Reaction"], np.column_stack([np.ones(180), data["Days"]])
    flag = np.column_stack([np.ones(180, dtype=bool), data["late"]])
    assert lmmcore.MixedLM(y, flag, data["Subject"]).fit().criterion == pytest.approx(expected)
    assert x.dtype == float


def test_patsy_does_what_patsy_can():
    data = load_sleepstudy()
    plain = fit_of(data.assign(d2=data["Days"] ** 2), "Reaction ~ Days + d2 + (1 | Subject)")
    fit = fit_of(data, "Reaction ~ Days + I(Days**2) + (1 | Subject)")
    assert fit.criterion == pytest.approx(plain.criterion, rel=1e-12)
    twice = 2.0
    formula = "np.log(Reaction) ~ bs(Days, df=4) + (1 + I(Days * twice) | Subject)"
    shifted = lmmcore.mixedlm(formula, data).fit()
    assert shifted.convergence.converged
    assert shifted.k_fe == 5
    assert fit_of(data, "Reaction ~ C(Days, Sum) + (1 | Subject)").k_fe == 10
    assert twice == 2.0


def arrays():
    data = load_sleepstudy()
    y = data["Reaction"].to_numpy()
    x = np.column_stack([np.ones(180), data["Days"]])
    return y, x, data["Subject"].to_numpy()


def layouts():
    y, x, g = arrays()
    wide = np.zeros((180, 6))
    wide[:, 1], wide[:, 4] = x[:, 0], x[:, 1]
    frozen = x.copy()
    frozen.flags.writeable = False
    records = np.zeros(180, dtype=[("a", "f8"), ("b", "i1"), ("c", "f8")])
    records["c"] = y
    return {
        "C order": (y, x, g, x),
        "Fortran order": (y, np.asfortranarray(x), g, np.asfortranarray(x)),
        "strided": (y, wide[:, 1::3], g, wide[:, 1::3]),
        "reversed": (y[::-1], x[::-1], g[::-1], x[::-1]),
        "read-only": (y, frozen, g, frozen),
        "not aligned": (records["c"], x, g, x),
        "float32 and integers": (y, x.astype(np.float32), g, x.astype(np.int32)),
        "lists": (y.tolist(), x.tolist(), g.tolist(), x.tolist()),
        "frames": (pd.Series(y), pd.DataFrame(x), pd.Series(g), pd.DataFrame(x)),
        "column vectors": (y[:, None], x, g[:, None], x),
    }


@pytest.mark.parametrize("layout", layouts())
def test_arrays(layout):
    y, x, g, z = layouts()[layout]
    before = copy.deepcopy((y, x, g, z))
    fit = lmmcore.MixedLM(y, x, g, exog_re=z).fit()
    assert fit.criterion == pytest.approx(CRITERION, rel=1e-12)
    for now, then in zip((y, x, g, z), before):
        np.testing.assert_array_equal(now, then)


def test_missing_rows_are_dropped_when_asked():
    data = load_sleepstudy()
    spoiled = data.astype({"Days": float, "Subject": object})
    spoiled.loc[3, "Reaction"] = np.nan
    spoiled.loc[50, "Days"] = np.nan
    spoiled.loc[99, "Subject"] = None
    expected = fit_of(data.drop(index=[3, 50, 99]))
    fit = fit_of(spoiled, missing="drop")
    assert fit.criterion == pytest.approx(expected.criterion, rel=1e-12)
    assert fit.nobs == 177
    assert "3 rows with missing values" in fit.summary().as_text()
    assert list(fit.fittedvalues.index) == list(data.drop(index=[3, 50, 99]).index)
    by_arrays = lmmcore.MixedLM(
        spoiled["Reaction"], spoiled[["Days"]].assign(one=1.0), spoiled["Subject"],
        exog_re=spoiled[["Days"]].assign(one=1.0)[["one", "Days"]], missing="drop",
    ).fit()  # fmt: skip
    assert by_arrays.criterion == pytest.approx(expected.criterion, rel=1e-12)
    with_patsy = fit_of(spoiled, "Reaction ~ I(Days) + (Days | Subject)", missing="drop")
    assert with_patsy.criterion == pytest.approx(expected.criterion, rel=1e-12)


def test_subset_and_groups_by_array():
    data = load_sleepstudy()
    part = data[data["Days"] > 1]
    expected = fit_of(part).criterion
    assert fit_of(data, subset=data["Days"] > 1).criterion == pytest.approx(expected)
    model = lmmcore.MixedLM.from_formula(
        "Reaction ~ Days", data, "1 + Days", groups=data["Subject"].to_numpy()
    )
    assert model.fit().criterion == pytest.approx(CRITERION)
    assert model.group_name == "Group"


def test_weights():
    """A weight of two counts like two observations in the fixed effects of a model without slopes."""
    data = load_sleepstudy()
    w = 1.0 + data["Days"] % 3
    by_name = fit_of(data.assign(w=w), weights="w")
    by_array = fit_of(data, weights=w.to_numpy())
    assert by_name.criterion == by_array.criterion
    scaled = fit_of(data, weights=100.0 * w)
    assert scaled.scale == pytest.approx(100.0 * by_name.scale)
    np.testing.assert_allclose(scaled.cov_re, by_name.cov_re, rtol=1e-6)
    np.testing.assert_allclose(scaled.fe_params, by_name.fe_params, rtol=1e-9)
    assert scaled.criterion == pytest.approx(by_name.criterion, rel=1e-12)


def test_a_subset_is_taken():
    """Also of the labels of rows; statsmodels takes all of them."""
    data = lmmcore.datasets.load_sleepstudy()
    data.index = [f"row {i}" for i in data.index]
    part = data[data["Days"] > 2]
    expected = lmmcore.mixedlm("Reaction ~ Days", part, groups="Subject").fit()
    for subset in (data["Days"] > 2, part.index):
        fit = lmmcore.mixedlm("Reaction ~ Days", data, groups="Subject", subset=subset).fit()
        assert fit.criterion == expected.criterion
        assert fit.resid.index.equals(part.index)

"""Functions that formulas know without an import."""

import numpy as np
import pandas as pd
import patsy
import pytest

import lmmcore
from lmmcore.design.functions import FUNCTIONS, NaturalSpline, Poly, Standardize
from lmmcore.errors import LmmcoreError

HEIGHT = np.arange(58.0, 73.0)
WEIGHT = np.array(
    [115, 117, 120, 123, 126, 129, 132, 135, 139, 142, 146, 150, 154, 159, 164], dtype=float
)


def transformed(transform, x, *args, new=None, **kwargs):
    transform.memorize_chunk(x, *args, **kwargs)
    transform.memorize_finish()
    return transform.transform(x if new is None else new, *args, **kwargs)


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    n = 240
    g = np.repeat(np.arange(24), 10)
    frame = pd.DataFrame(
        {"g": g, "x": rng.gamma(3.0, size=n) + 0.5, "k": rng.choice(list("abc"), n)}
    )
    frame["y"] = rng.normal(size=24)[g] + np.log(frame.x) + rng.normal(size=n)
    return frame


@pytest.mark.parametrize(
    ("term", "by_hand"),
    [
        ("log(x)", np.log), ("exp(x)", np.exp), ("sqrt(x)", np.sqrt), ("abs(x - 3)", lambda x: abs(x - 3)),
        ("log10(x)", np.log10), ("log(x, 2)", np.log2),
        ("log(x, base=10)", np.log10), ("log2(x)", np.log2), ("log1p(x)", np.log1p),
        ("center(x)", lambda x: x - x.mean()), ("scale(x)", lambda x: (x - x.mean()) / x.std(ddof=1)),
        ("scale(x, center=FALSE)", lambda x: x / np.sqrt(np.sum(x**2) / (len(x) - 1))),
        ("scale(x, scale=FALSE)", lambda x: x - x.mean()),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "where", ["fixed", "bar", "re_formula", "vc_formula", "response", "offset"]
)
def test_the_function_everywhere(data, term, by_hand, where):
    columns = data.assign(z=by_hand(data["x"]))

    def build(text):
        fit = {
            "fixed": lambda: lmmcore.mixedlm(f"y ~ {text} + (1 | g)", columns),
            "bar": lambda: lmmcore.mixedlm(f"y ~ x + (1 + {text} | g)", columns),
            "re_formula": lambda: lmmcore.mixedlm("y ~ x", columns, f"1 + {text}", groups="g"),
            "vc_formula": lambda: lmmcore.mixedlm(
                "y ~ x", columns, vc_formula={"v": f"0 + {text}"}, groups="g"
            ),
            "response": lambda: lmmcore.mixedlm(f"{text} ~ y + (1 | g)", columns),
            "offset": lambda: lmmcore.mixedlm(f"y ~ x + offset({text}) + (1 | g)", columns),
        }
        return fit[where]()

    found, expected = build(term), build("z")
    for part in ("endog", "exog", "exog_re"):
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), atol=1e-12)
    assert where != "offset" or np.allclose(found.design.offset, expected.design.offset, atol=1e-12)
    # Components are evaluated group by group, where the mean is that of the group.
    if where == "vc_formula" and "center" not in term and "scale" not in term:
        a, b = found.design.components, expected.design.components
        np.testing.assert_allclose(a.values, b.values, atol=1e-12)


def test_factors_have_the_columns_of_c(data):
    codes = data.assign(k=data["k"].map({"a": 1, "b": 2, "c": 3}))
    by_c = lmmcore.mixedlm("y ~ C(k) + (1 | g)", codes)
    for name in ("factor", "as_factor", "as.factor"):
        model = lmmcore.mixedlm(f"y ~ {name}(k) + (1 | g)", codes)
        assert model.exog_names == ["Intercept", f"{name}(k)[T.2]", f"{name}(k)[T.3]"]
        np.testing.assert_array_equal(model.exog, by_c.exog)
        predicted = model.fit().predict(codes.iloc[:7])
        np.testing.assert_allclose(predicted, by_c.fit().predict(codes.iloc[:7]), rtol=1e-10)


@pytest.mark.parametrize(
    "term", ["poly(x, 3)", "ns(x, df=4)", "bs(x, df=5)", "scale(x)", "center(x)", "log(x)", "x^2"]
)
def test_new_rows_keep_the_basis(data, term):
    fit = lmmcore.mixedlm(f"y ~ {term} + (1 | g)", data).fit()
    rows = data.iloc[[3, 50, 7]]
    expected = fit.model.exog[[3, 50, 7]] @ fit.fe_params.to_numpy()
    np.testing.assert_allclose(fit.predict(rows), expected, rtol=1e-12)


def test_what_data_or_the_caller_define_comes_first(data):
    def log(x):
        return np.log(x) + 7.0

    model = lmmcore.mixedlm("y ~ log(x) + sqrt(x) + (1 | g)", data)
    np.testing.assert_allclose(model.exog[:, 1], np.log(data["x"]) + 7.0)
    np.testing.assert_allclose(model.exog[:, 2], np.sqrt(data["x"]))
    assert log is not None
    column = lmmcore.mixedlm("y ~ scale + (1 | g)", data.assign(scale=data["x"] * 2.0))
    np.testing.assert_allclose(column.exog[:, 1], data["x"] * 2.0)


def test_a_column_named_as_a_function(data):
    """R looks for a function where a function stands."""
    named = data.assign(
        C=data["x"], log=data["x"], I=data["x"], Q=data["x"], center=data["x"] ** -1
    )
    named["my col"] = data["x"]
    formula = "y ~ C + C(k) + log(log) + I(I^2) + np.exp(`my col`) + center(center) + (C | g)"
    model = lmmcore.mixedlm(formula, named)
    assert model.exog_names[:5] == ["Intercept", "C(k)[T.b]", "C(k)[T.c]", "C", "log(log)"]
    expected = lmmcore.mixedlm(
        "y ~ x + C(k) + np.log(x) + I(x**2) + np.exp(x) + center(1 / x) + (x | g)", data
    )
    np.testing.assert_allclose(model.exog, expected.exog)
    fit = model.fit()
    np.testing.assert_allclose(
        fit.predict(named.iloc[:9]), model.exog[:9] @ fit.fe_params.to_numpy(), rtol=1e-10
    )


def test_poly_is_that_of_r():
    found = transformed(Poly(), np.arange(1.0, 6.0), 2)
    # R: poly(1:5, 2)
    np.testing.assert_allclose(
        found,
        [[-0.6324555, 0.5345225], [-0.3162278, -0.2672612], [0.0, -0.5345225],
         [0.3162278, -0.2672612], [0.6324555, 0.5345225]],
        atol=5e-8,
    )  # fmt: skip


def test_poly_is_orthonormal_and_spans_the_powers():
    x = np.random.default_rng(1).gamma(2.0, size=60) * 40 + 1000
    found = transformed(Poly(), x, 5)
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-9)
    powers = np.vander((x - x.mean()) / x.std(), 6)
    residual = found - powers @ np.linalg.lstsq(powers, found, rcond=None)[0]
    assert np.abs(residual).max() < 1e-9
    assert (np.polyfit(x - x.mean(), found, 5)[0, -1:] > 0).all()  # R's signs
    np.testing.assert_allclose(transformed(Poly(), x, 5, new=x[:4]), found[:4])


def test_raw_polynomials_are_powers():
    x = np.array([1.0, 2.0, 5.0])
    found = transformed(Poly(), x, 3, raw=True)
    np.testing.assert_array_equal(found, np.column_stack([x, x**2, x**3]))


def test_ns_is_that_of_r():
    """lm(weight ~ ns(height, df = 5), women) in R."""
    basis = transformed(NaturalSpline(), HEIGHT, df=5)
    x = np.column_stack([np.ones(15), basis])
    found = np.linalg.lstsq(x, WEIGHT, rcond=None)[0]
    expected = [114.74466, 15.94736, 25.16949, 33.25822, 50.78938, 45.03633]
    np.testing.assert_allclose(found, expected, atol=6e-6)


@pytest.mark.parametrize("df", [1, 2, 4, 7])
@pytest.mark.parametrize("intercept", [False, True])
def test_ns_spans_the_natural_splines(df, intercept):
    rng = np.random.default_rng(df)
    x = np.sort(rng.normal(size=80))
    df += intercept
    transform = NaturalSpline()
    basis = transformed(transform, x, df=df, intercept=intercept)
    assert basis.shape == (80, df)
    knots = np.unique(transform.knots)
    own = basis if intercept else np.column_stack([np.ones(80), basis])
    if len(knots) > 2:  # patsy's cubic regression splines have the same natural boundaries
        other = patsy.dmatrix("0 + cr(x, knots=inner)", {"x": x, "inner": knots[1:-1]})
    else:
        other = np.column_stack([np.ones(80), x])
    assert np.linalg.matrix_rank(own) == own.shape[1] == np.asarray(other).shape[1]
    residual = own - np.asarray(other) @ np.linalg.lstsq(np.asarray(other), own, rcond=None)[0]
    assert np.abs(residual).max() < 1e-8


def test_ns_goes_on_as_lines_beyond_the_data():
    new = np.array([50.0, 54.0, 58.0, 72.0, 80.0, 88.0])
    out = transformed(NaturalSpline(), HEIGHT, df=4, new=new)
    np.testing.assert_allclose(out[0] - 2 * out[1] + out[2], 0.0, atol=1e-12)
    np.testing.assert_allclose(out[3] - 2 * out[4] + out[5], 0.0, atol=1e-12)
    given = NaturalSpline()
    inner = transformed(
        given, HEIGHT, knots=[62, 67], boundary_knots=(60, 70), new=np.array([56.0, 58, 60])
    )
    np.testing.assert_allclose(inner[0] - 2 * inner[1] + inner[2], 0.0, atol=1e-12)
    near = transformed(NaturalSpline(), HEIGHT, df=4, new=np.array([72 - 1e-6, 72, 72 + 1e-6]))
    np.testing.assert_allclose(near[0] - 2 * near[1] + near[2], 0.0, atol=1e-10)


@pytest.mark.parametrize("transform", [Poly, NaturalSpline, Standardize])
def test_chunks_and_missing_values_do_not_change_a_basis(transform):
    x = np.random.default_rng(3).normal(size=30) + 50
    args = () if transform is Standardize else (3,)
    whole = transformed(transform(), x, *args)
    pieces = transform()
    for part in (x[:4], np.r_[x[4:], np.nan], np.zeros(0)):
        pieces.memorize_chunk(part, *args)
    pieces.memorize_finish()
    np.testing.assert_allclose(pieces.transform(x, *args), whole, atol=1e-11)
    assert np.isnan(pieces.transform(np.array([np.nan]), *args)).all()


def test_the_attributes_of_a_transform_are_all_of_it():
    for transform, args in ((Poly(), (2,)), (NaturalSpline(), (3,)), (Standardize(), ())):
        expected = transformed(transform, HEIGHT, *args)
        copy = type(transform).__new__(type(transform))
        copy.__dict__.update(transform.__dict__)
        np.testing.assert_array_equal(copy.transform(HEIGHT, *args), expected)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("poly(g, 24)", "24 different values"), ("poly(x, 0)", "1 or more"), ("poly(x, 1.5)", "whole number"),
        ("ns(x, df=0)", "1 or more"), ("ns(one, df=2)", "are equal"), ("scale(one)", "are equal"),
        ("ns(x, knots=[-5])", "boundary"), ("poly(k, 2)", r"poly\(x\).*expected numbers"),
    ],
)  # fmt: skip
def test_what_has_no_basis(data, term, message):
    with pytest.raises(LmmcoreError, match=message):
        lmmcore.mixedlm(f"y ~ {term} + (1 | g)", data.assign(one=1.0))


def test_arguments_with_dots(data):
    model = lmmcore.mixedlm("y ~ ns(x, df=3, Boundary.knots=[0, 20]) + (1 | g)", data)
    expected = lmmcore.mixedlm("y ~ ns(x, df=3, boundary_knots=[0, 20]) + (1 | g)", data)
    np.testing.assert_array_equal(model.exog, expected.exog)


def test_names_of_functions():
    expected = (
        "log exp sqrt abs log10 log2 log1p factor as_factor as.factor poly ns bs scale center I"
    )
    assert set(expected.split()) <= set(FUNCTIONS)


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint64", "int64", "float16", "float32"]
)
@pytest.mark.parametrize("caller", [False, True])
def test_numbers_of_small_types_do_not_overflow(kind, caller):
    rng = np.random.default_rng(1)
    x = rng.integers(1, 100, 60)
    frame = pd.DataFrame({"g": np.repeat(range(12), 5), "y": rng.standard_normal(60)})
    n = x.astype(kind)
    if not caller:
        frame["n"] = n
        del n
    terms = "I(n**4) + I(n^5) + I(n * n) + I(3 - n) + I((n + 1)**-1) + I(2**-n) + I(n ** 0.5)"
    model = lmmcore.mixedlm(f"y ~ 0 + {terms} + (1 | g)", frame)
    x = x.astype(float)
    expected = [x**4, x**5, x * x, 3 - x, 1 / (x + 1), 0.5**x, np.sqrt(x)]
    np.testing.assert_allclose(model.exog, np.column_stack(expected), rtol=1e-14)


def test_powers_of_plain_numbers_stay_whole():
    """An argument that has to be a whole number, and Python's own rules for scalars."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(range(12), 5), "x": rng.standard_normal(60)})
    frame["y"] = rng.standard_normal(60)
    model = lmmcore.mixedlm("y ~ bs(x, df=2**2) + I(abs(x) * 2**-1) + (1 | g)", frame)
    assert model.k_fe == 6
    np.testing.assert_allclose(model.exog[:, -1], frame["x"].abs() / 2)

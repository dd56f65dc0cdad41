"""Formulas: text to response, fixed part and bars."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.design.formula import parse_formula, parse_terms
from lmmcore.errors import FormulaError, LmmcoreError, NameNotFoundError


def bars(formula):
    return [(b.terms.plain, b.terms.intercept, b.group) for b in parse_formula(formula).bars]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y ~ x + (1 | g)", [((), True, ("g",))]),
        ("y ~ x + (1|g)", [((), True, ("g",))]),
        ("y ~ x + (x | g)", [(("x",), True, ("g",))]),
        ("y ~ x + (1 + x | g)", [(("x",), True, ("g",))]),
        ("y ~ x + (0 + x | g)", [(("x",), False, ("g",))]),
        ("y ~ x + (x - 1 | g)", [(("x",), False, ("g",))]),
        ("y ~ x + (x || g)", [((), True, ("g",)), (("x",), False, ("g",))]),
        ("y ~ x + (0 + x + z || g)", [(("x",), False, ("g",)), (("z",), False, ("g",))]),
        ("y ~ x + (1 | a:b)", [((), True, ("a", "b"))]),
        ("y ~ (1 | a/b)", [((), True, ("a",)), ((), True, ("a", "b"))]),
        ("y ~ (x | a/b/c)", [(("x",), True, g) for g in (("a",), ("a", "b"), ("a", "b", "c"))]),
        (
            "y ~ (x || a/b)",
            [(t, i, g) for g in (("a",), ("a", "b")) for t, i in (((), True), (("x",), False))],
        ),
        ("y ~ (1 | a:b/c)", [((), True, ("a", "b")), ((), True, ("a", "b", "c"))]),
        ("y ~ (1 | a) + (x | b)", [((), True, ("a",)), (("x",), True, ("b",))]),
        ("y ~ x + offset(z) + (1 | g)", [((), True, ("g",))]),
        ("y ~ (1 | g) + x", [((), True, ("g",))]),
        ("y ~ x + (1 | g) + (0 + x | g)", [((), True, ("g",)), (("x",), False, ("g",))]),
        ("y ~ x + (1 | `class room`)", [((), True, ("class room",))]),
        ("größe ~ α + (α | 学校)", [(("α",), True, ("学校",))]),
    ],
)
def test_bars(formula, expected):
    assert bars(formula) == expected


@pytest.mark.parametrize(
    ("formula", "text", "plain", "intercept"),
    [
        ("y ~ x + z + (1 | g)", "x + z", ("x", "z"), True),
        ("y ~ (1 | g)", "1", (), True),
        ("y ~ 0 + x + (1 | g)", "0 + x", ("x",), False),
        ("y ~ x - 1 + (1 | g)", "x - 1", ("x",), False),
        ("y ~ x + x + (1 | g)", "x + x", ("x",), True),
        ("y ~ x * z + (1 | g)", "x * z", None, True),
        ("y ~ C(x, Sum) + (1 | g)", "C(x, Sum)", None, True),
        ("y ~ bs(x, df=4) + I(x**2) + (1 | g)", "bs(x, df=4) + I(x**2)", None, True),
        ("y ~ `body mass` + (1 | g)", 'Q("body mass")', ("body mass",), True),
        ("y ~ Q('body mass') + (1 | g)", 'Q("body mass")', ("body mass",), True),
        ("y ~ (x + z)**2 + (1 | g)", "(x + z)**2", None, True),
        ("y ~ C(x, levels=['a|b', 'c']) + (1 | g)", "C(x, levels=['a|b', 'c'])", None, True),
    ],
)
def test_fixed_part(formula, text, plain, intercept):
    fixed = parse_formula(formula).fixed
    assert fixed.text == text
    assert fixed.plain == plain
    if plain is not None:
        assert fixed.intercept == intercept


def test_right_hand_sides():
    assert parse_terms("~1 + x").plain == ("x",)
    assert parse_terms("1").plain == ()
    assert not parse_terms("~ 0 + x").intercept
    assert parse_terms("0 + C(m)").plain is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 + C(k)", ("C", "k", "")), ("~0+C( k )", ("C", "k", "")),
        ("C(k) - 1", ("C", "k", "")),
        ("-1 + C(k):x", ("C", "k", "x")), ("0 + C(`a b`)", ("C", "a b", "")),
        ("0 + C(Q('a b')):z", ("C", "a b", "z")),
        ("C(k)", None), ("0 + C(k, Sum)", None), ("0 + C(k) + x", None), ("0 + f(k)", None),
        ("0 - C(k)", None),
        ("0 + C(k):x:z", None), ("0 + C(np.log(x))", None), ("0 + x", None),
    ],
)  # fmt: skip
def test_indicators_of_levels(text, expected):
    assert parse_terms(text).indicator == expected


def test_double_bar_with_a_factor_keeps_the_factor_together():
    parsed = parse_formula("y ~ x + (C(m) + x || g)")
    assert [b.terms.text for b in parsed.bars] == ["1", "0 + C(m)", "0 + x"]


@pytest.fixture
def data():
    rng = np.random.default_rng(11)
    n = 200
    frame = pd.DataFrame(
        {
            "g": np.repeat(np.arange(20), 10), "x": rng.integers(0, 9, n), "z": rng.normal(size=n) + 4,
            "k": rng.choice(list("abc"), n), "flag": rng.random(n) < 0.5,
            "Sepal.Length": rng.normal(size=n) + 9, "my col": rng.normal(size=n) + 9,
        }
    )  # fmt: skip
    slopes = rng.normal(size=(2, 20))[:, frame.g]
    frame["y"] = 50 + slopes[0] + 0.3 * slopes[1] * frame.z + 0.1 * frame.x + rng.normal(size=n)
    return frame


def same(found, expected):
    """Whether two models have the same columns, and predict the same."""
    for part in ("endog", "exog", "exog_re"):
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), rtol=1e-12)
    assert (found.design.offset is None) == (expected.design.offset is None)
    if found.design.offset is not None:
        np.testing.assert_allclose(found.design.offset, expected.design.offset, rtol=1e-12)
    if found.design.components is not None:
        a, b = found.design.components, expected.design.components
        np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
        np.testing.assert_array_equal(a.columns, b.columns)


POWERS = [
    ("I(x^2)", "I(x**2)"), ("x^2", "I(x**2)"), ("z^2", "I(z**2)"), ("I(z^-1)", "I(1 / z)"),
    ("I((1 + x)^-1)", "I(1 / (1 + x))"), ("x^0.5", "np.sqrt(x)"), ("I(2^x)", "I(2.0**x)"),
    ("I(-z^2)", "I(-z**2)"), ("I(z^2^0.5)", "I(z**(2**0.5))"), ("np.log(z^2)", "np.log(z**2)"),
    ("np.log(z)^2", "I(np.log(z)**2)"), ("I(x^30)", "I(x.astype(float)**30)"),
    ("`Sepal.Length`^2", "I(Q('Sepal.Length')**2)"), ("Sepal.Length^2", "I(Q('Sepal.Length')**2)"),
    ("z:x^2", "z:I(x**2)"), ("I((x + flag)^2)", "I((x + flag)**2)"),
    ("I(np.where(flag, x, z)^2)", "I(np.where(flag, x, z)**2)"),
    ("I(((x > 2) + z)^2)", "I(((x > 2) + z)**2)"), ("(x)^2", "I(x**2)"),
]  # fmt: skip


@pytest.mark.parametrize(("power", "python"), POWERS)
@pytest.mark.parametrize("where", ["fixed", "bar", "double", "re_formula", "vc_formula", "offset"])
def test_powers(data, power, python, where):
    def build(text):
        return {
            "fixed": lambda: lmmcore.mixedlm(f"y ~ {text} + (1 | g)", data),
            "bar": lambda: lmmcore.mixedlm(f"y ~ z + (1 + {text} | g)", data),
            "double": lambda: lmmcore.mixedlm(f"y ~ z + (1 + {text} || g)", data),
            "re_formula": lambda: lmmcore.mixedlm("y ~ z", data, f"1 + {text}", groups="g"),
            "vc_formula": lambda: lmmcore.mixedlm(
                "y ~ z", data, vc_formula={"v": f"0 + {text}"}, groups="g"
            ),
            "offset": lambda: lmmcore.mixedlm(f"y ~ z + offset({text}) + (1 | g)", data),
        }[where]()

    if where == "offset" and ":" in power:
        pytest.skip("an offset is one expression")
    same(build(power), build(python))


@pytest.mark.parametrize("power", ["I(x^2)", "x^2", "Sepal.Length^2", "np.log(z)^2"])
def test_powers_of_new_rows(data, power):
    fit = lmmcore.mixedlm(f"y ~ {power} + ({power} | g)", data).fit()
    assert fit.model.exog_names[1] == power
    new = data.iloc[[5, 190]]
    expected = fit.model.exog[[5, 190]] @ fit.fe_params.to_numpy()
    np.testing.assert_allclose(fit.predict(new), expected)
    np.testing.assert_allclose(
        fit.predict(new, random_effects=True), fit.fittedvalues.iloc[[5, 190]]
    )


def test_power_of_the_response(data):
    for text in ("I(y^2)", "y^2"):
        model = lmmcore.mixedlm(f"{text} ~ x + (1 | g)", data)
        np.testing.assert_allclose(model.endog, data["y"] ** 2)
        assert model.endog_names == text


@pytest.mark.parametrize(
    ("formula", "patsys"),
    [
        ("(x + z)^2", "(x + z)**2"), ("(x + z + k)^2", "(x + z + k)**2"), ("(x + z + k)^3", "(x + z + k)**3"),
        ("k^2", "k"), ("flag^2", "flag"), ("C(x)^2", "C(x)"), ("x**2", "x"), ("(x + k)^2 - x", "k + x:k"),
        ("(x + z^2)^2", "x * I(z**2)"),
    ],
)  # fmt: skip
def test_crossing(data, formula, patsys):
    found = lmmcore.mixedlm(f"y ~ {formula} + (1 | g)", data)
    same(found, lmmcore.mixedlm(f"y ~ {patsys} + (1 | g)", data))
    if "C" not in formula and "flag" not in formula and "^3" not in formula:
        bars = [lmmcore.mixedlm(f"y ~ (0 + {f} | g)", data) for f in (formula, patsys)]
        same(*bars)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("I(flag^2)", ["'flag'", "logical_xor"]), ("I(x^(flag))", ["'flag'", "logical_xor"]),
        ("I(flag ^ (x > 2))", ["'flag'", "logical_xor"]),
        ("I((x > 2) ^ (z > 4))", ["comparison", "logical_xor"]), ("x^-1", ["exponent", "I(x^-1)"]),
        ("x > 2^2", ["I("]), ("x^", ["exponent"]), ("^2", ["power"]),
    ],
)  # fmt: skip
def test_what_is_no_power(data, term, words):
    with pytest.raises(FormulaError) as caught:
        lmmcore.mixedlm(f"y ~ z + {term} + (1 | g)", data)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("name", ["Sepal.Length", "`Sepal.Length`", "Q('Sepal.Length')"])
def test_names_with_dots(data, name):
    other = data.rename(columns={"Sepal.Length": "s"})
    for pattern in (
        "y ~ {} + (1 | g)", "y ~ {} * C(k) + (1 | g)", "y ~ np.log({}) + (1 | g)", "y ~ z + ({} | g)",
        "y ~ z + (np.log({}) || g)", "{} ~ z + (1 | g)", "np.log({}) ~ z + (1 | g)",
        "y ~ offset({}) + (1 | g)",
        "y ~ I({} + {}) + (1 | g)", "y ~ I({}.abs()) + (1 | g)",
    ):  # fmt: skip
        if name[0] == "`" and ".abs" in pattern:
            continue
        found = lmmcore.mixedlm(pattern.replace("{}", name), data)
        same(found, lmmcore.mixedlm(pattern.replace("{}", "s"), other))
    found = lmmcore.mixedlm("y ~ z", data, f"1 + {name}", {"v": f"0 + {name}"}, groups="g")
    same(found, lmmcore.mixedlm("y ~ z", other, "1 + s", {"v": "0 + s"}, groups="g"))
    found = lmmcore.mixedlm("y ~ z", data, None, {"v": f"0 + C({name})"}, groups="g")
    same(found, lmmcore.mixedlm("y ~ z", other, None, {"v": "0 + C(s)"}, groups="g"))


def test_groups_with_dots(data):
    named = data.assign(**{"my.g": data["g"]})
    found = lmmcore.mixedlm("y ~ z + (z | my.g)", named)
    same(found, lmmcore.mixedlm("y ~ z + (z | g)", data))
    assert found.group_name == "my.g"


def test_a_dot_of_python_stays_one(data):
    class Box:
        shift = 3.0

        @staticmethod
        def twice(x):
            return 2 * x

    model = lmmcore.mixedlm("y ~ Box.twice(x) + I(z + Box.shift) + np.log(z) + (1 | g)", data)
    expected = np.column_stack([np.ones(200), 2 * data["x"], data["z"] + 3, np.log(data["z"])])
    np.testing.assert_allclose(model.exog, expected)
    assert Box is not None
    assert model.exog_names[3] == "np.log(z)"
    column = lmmcore.mixedlm("y ~ Box.twice + (1 | g)", data.assign(**{"Box.twice": data["z"]}))
    np.testing.assert_allclose(column.exog[:, 1], data["z"])


def test_a_dotted_name_that_nobody_knows(data):
    with pytest.raises(NameNotFoundError, match=r"'Sepal.Lenght'.*did you mean 'Sepal.Length'"):
        lmmcore.mixedlm("y ~ Sepal.Lenght + (1 | g)", data)


@pytest.mark.parametrize("name", ["Q('my col')", 'Q("my col")', "`my col`"])
def test_a_quoted_name_has_one_label(data, name):
    alone = lmmcore.mixedlm(f"y ~ {name} + ({name} | g)", data)
    assert alone.exog_names == ["Intercept", "my col"]
    assert alone.exog_re_names == ["g", "my col"]
    by_patsy = lmmcore.mixedlm(f"y ~ {name}*x + C(k) + (C(k) + {name} | g)", data)
    assert "my col" in by_patsy.exog_names
    assert "my col:x" in by_patsy.exog_names
    assert "my col" in by_patsy.exog_re_names
    assert lmmcore.mixedlm(f"{name} ~ x + (1 | g)", data).endog_names == "my col"
    fit = lmmcore.mixedlm(f"y ~ {name} + C(k) + (1 | g)", data).fit()
    position = fit.model.exog_names.index("my col")
    for text in ("my col = 0", f"{name} = 0", f"2 * {name} = 0"):
        assert fit.t_test(text).pvalue[0] == pytest.approx(fit.pvalues.iloc[position], rel=1e-4)
        assert fit.wald_test(text).pvalue == pytest.approx(fit.pvalues.iloc[position], rel=1e-4)
    assert "my col" in fit.wald_test_terms().table.index
    np.testing.assert_allclose(
        fit.predict(data.iloc[:4]), fit.model.exog[:4] @ fit.fe_params.to_numpy()
    )


def test_spellings_of_a_name_are_one_factor(data):
    found = names_of("y ~ Q('my col')*k + Q(\"my col\") + `my col` + Q('x') + x + (1 | g)", data)
    assert found == [
        "Intercept",
        "k[T.b]",
        "k[T.c]",
        "my col",
        "my col:k[T.b]",
        "my col:k[T.c]",
        "x",
    ]


def test_one_power_in_two_spellings(data):
    fit = lmmcore.mixedlm("y ~ I(x^2)*k + (I(x ^ 2) + k | g)", data).fit()
    assert fit.model.exog_names[3] == "I(x^2)"
    assert fit.model.exog_re_names[-1] == "I(x ^ 2)"
    new = data.iloc[[3, 99]]
    np.testing.assert_allclose(
        fit.predict(new, random_effects=True), fit.fittedvalues.iloc[[3, 99]], rtol=1e-8
    )


def names_of(formula, data, **arguments):
    return lmmcore.mixedlm(formula, data, **arguments).exog_names


def test_all_other_columns(data):
    every = ["Intercept", "k[T.b]", "k[T.c]", "flag[T.True]", "x", "z", "Sepal.Length", "my col"]
    assert names_of("y ~ . + (1 | g)", data) == every
    assert names_of("np.log(y) ~ . + (z | g)", data) == every
    assert names_of("y ~ .", data, groups="g") == every
    assert names_of("y ~ .", data, groups=data["g"]) == every
    without_z = [x for x in every if x != "z"]
    assert names_of("y ~ . - z + (1 | g)", data) == without_z
    assert names_of("y ~ . + offset(z) + (1 | g)", data) == without_z
    assert names_of("y ~ .", data, groups="g", weights="z") == without_z
    assert names_of("y ~ . + (1 | g)", data, weights=data["z"]) == without_z
    no_k = [x for x in every if not x.startswith("k")]
    assert names_of("y ~ . + (1 | g) + (1 | k)", data) == no_k
    assert names_of("y ~ .", data, groups="g", vc_formula={"v": "0 + C(k)", "w": "0 + z"}) == no_k
    numbers = data[["y", "g", "x", "z", "Sepal.Length"]]
    assert names_of("y ~ . - x + (1 | g)", numbers) == ["Intercept", "z", "Sepal.Length"]
    assert names_of("y ~ 0 + . + (1 | g)", numbers) == ["x", "z", "Sepal.Length"]
    expected = names_of("y ~ (x + z + Sepal.Length)**2 + (1 | g)", numbers)
    for formula in ("y ~ .^2 + (1 | g)", "y ~ (.)^2 + (1 | g)", "y ~ (.)**2 + (1 | g)"):
        assert names_of(formula, numbers) == expected
    assert names_of("y ~ .:x + (1 | g)", numbers) == ["Intercept", "x", "z:x", "Sepal.Length:x"]


def test_very_many_other_columns():
    rng = np.random.default_rng(2)
    wide = pd.DataFrame(rng.normal(size=(40, 1100))).add_prefix("x.")
    wide = wide.assign(y=rng.normal(size=40), g=np.arange(40) % 8, k=["a", "b"] * 20)
    found = names_of("y ~ . + (1 | g)", wide)
    assert found == ["Intercept", "k[T.b]", *(f"x.{j}" for j in range(1100))]


def test_what_is_taken_away_is_a_column(data):
    for formula in ("y ~ . - zz + (1 | g)", "y ~ . - `my colour` + (1 | g)"):
        with pytest.raises(NameNotFoundError, match="did you mean"):
            lmmcore.mixedlm(formula, data)


def test_predictions_from_all_other_columns(data):
    fit = lmmcore.mixedlm("y ~ . + (1 | g)", data).fit()
    new = data.drop(columns="y").assign(extra=1.0).iloc[:5]
    expected = fit.model.exog[:5] @ fit.fe_params.to_numpy()
    np.testing.assert_allclose(fit.predict(new), expected)


@pytest.mark.parametrize(
    ("formula", "arguments", "words"),
    [
        ("y ~ x + (. | g)", {}, ["random-effects term"]), ("y ~ log(.) + (1 | g)", {}, ["inside"]),
        ("y ~ x", {"groups": "g", "re_formula": "."}, ["random-effects term"]),
        ("y ~ x", {"groups": "g", "vc_formula": {"v": "."}}, ["variance component"]),
        (". ~ x + (1 | g)", {}, ["inside"]),
    ],
)  # fmt: skip
def test_where_all_columns_cannot_be(data, formula, arguments, words):
    with pytest.raises(FormulaError) as caught:
        lmmcore.mixedlm(formula, data, **arguments)
    assert "'.'" in str(caught.value)
    assert all(word in str(caught.value) for word in words)
    with pytest.raises(FormulaError, match="there are none"):
        lmmcore.mixedlm("y ~ . + (1 | g)", data[["y", "g"]])


def test_missing_values_are_found_through_every_spelling(data):
    holes = data.copy()
    for j, name in enumerate(("Sepal.Length", "my col", "z")):
        holes.loc[j, name] = np.nan
    for formula, dropped in (
        ("y ~ Sepal.Length + (1 | g)", 1), ("y ~ Q('my col') * x + (1 | g)", 1),
        ("y ~ np.log(`my col`) + Sepal.Length^2 + (1 | g)", 2), ("y ~ . + (1 | g)", 3),
        ("y ~ bs(x, df=4) + (z^2 | g)", 1),
    ):  # fmt: skip
        model = lmmcore.mixedlm(formula, holes, missing="drop")
        assert model.nobs == 200 - dropped
    spare = data.assign(df=np.nan)  # the name of an argument is no variable
    assert lmmcore.mixedlm("y ~ bs(x, df=4) + (1 | g)", spare, missing="drop").nobs == 200


def test_messages_show_what_was_written(data):
    for formula, text in (
        ("C(k) ~ x + (1 | g)", "the response 'C(k)'"),
        ("C(Sepal.Length) ~ x + (1 | g)", "'C(Sepal.Length)'"),
        ("no.where ~ x + (1 | g)", "no.where"), ("nowhere + 1 ~ x + (1 | g)", "the response 'nowhere + 1'"),
        ("y ~ x + (0 + np.lgo(x) || g)", "'np.lgo(x)'"),
    ):  # fmt: skip
        with pytest.raises(LmmcoreError) as caught:
            lmmcore.mixedlm(formula, data)
        message = str(caught.value)
        assert text in message
        assert "the the" not in message
        assert "0 +" not in message
        assert "Q(" not in message


def test_the_response_is_one_expression(data):
    model = lmmcore.mixedlm("y - x ~ z + (1 | g)", data)
    np.testing.assert_allclose(model.endog, data["y"] - data["x"])

"""Formulas: text to response, fixed part and bars."""

import pytest

from lmmcore.design.formula import parse_formula, parse_terms


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
        ("y ~ Q('body mass') + (1 | g)", "Q('body mass')", ("body mass",), True),
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


def test_double_bar_with_a_factor_keeps_the_factor_together():
    parsed = parse_formula("y ~ x + (C(m) + x || g)")
    assert [b.terms.text for b in parsed.bars] == ["1", "0 + C(m)", "0 + x"]

"""Tokens of formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmcore.design.tokens import source, tokenize, variable, variables
from lmmcore.errors import FormulaError


def pieces(text):
    return [(token.kind, token.text) for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sepal.Length", [("name", "Sepal.Length")]),
        (".x1", [("name", ".x1")]),
        (".", [("operator", ".")]),
        (". - x", [("operator", "."), ("operator", "-"), ("name", "x")]),
        (".5*x", [("number", ".5"), ("operator", "*"), ("name", "x")]),
        ("1e-5", [("number", "1e-5")]),
        ("x^2", [("name", "x"), ("operator", "^"), ("number", "2")]),
        ("x**2", [("name", "x"), ("operator", "**"), ("number", "2")]),
        ("a||b", [("name", "a"), ("operator", "||"), ("name", "b")]),
        ("`my col`", [("quoted", "my col")]),
        (r"'it\'s ~ | )'", [("string", r"'it\'s ~ | )'")]),
        ("größe", [("name", "größe")]),
        (
            "f(x).mean()",
            [("name", "f"), ("open", "("), ("name", "x"), ("close", ")"), ("access", "."), ("name", "mean"),
             ("open", "("), ("close", ")")],
        ),
    ],
)  # fmt: skip
def test_tokens(text, expected):
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f(x", "not closed"), ("f(x]", "not opened"), ("x)", "not opened"),
        ("Q('x)", "quote is not closed"), ("`x", "backtick is not closed"), ("``", "backtick"),
    ],
)  # fmt: skip
def test_what_is_not_closed(text, message):
    with pytest.raises(FormulaError, match=message):
        tokenize(text)


@given(st.text(alphabet="ab.~+-*^|()[]'\"` 01,=:/<\\", max_size=30))
def test_tokens_cover_the_text(text):
    try:
        found = tokenize(text)
    except FormulaError:
        return
    covered = "".join(source(text, [token]) for token in found)
    assert covered == "".join(covered.split()) or "'" in text or '"' in text or "`" in text
    ends = [0, *(token.end for token in found)]
    assert all(not text[a : t.start].strip() for a, t in zip(ends, found))
    assert not text[ends[-1] :].strip()
    assert all(token.depth >= 0 for token in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x + z", {"x", "z"}),
        ("np.log(x)", {"np", "np.log", "x"}),
        ("bs(x, df=4) + C(k)", {"x", "k"}),
        ("Q('my col') + `your col`", {"my col", "your col"}),
        ("Sepal.Length", {"Sepal", "Sepal.Length"}),
        ("f(x).mean()", {"x"}),
        ("C(x, levels=['a', 'b'])", {"x"}),
    ],
)
def test_variables(text, expected):
    assert variables(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("x", "x"), ("a.b", "a.b"), ("`a b`", "a b"), ("Q('a b')", "a b"), ('Q( "a b" )', "a b"),
     ("f(x)", None), ("x + z", None), ("Q(x)", None)],
)  # fmt: skip
def test_one_variable(text, expected):
    assert variable(tokenize(text)) == expected

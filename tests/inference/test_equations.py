"""Equations as text find the names of coefficients."""

import numpy as np
import patsy
import pytest

from lmmcore.errors import FormulaError
from lmmcore.inference.contrasts import constraints

NAMES = [
    "Intercept", "x", "x1", "x10", "Sepal.Length", "my col", "I(x ** 2)", "x^2", "poly(x, 2)[0]", "C(k)[T.b]",
    "x:C(k)[T.b]", "g[T.it's, so]",
]  # fmt: skip


def row(**values):
    out = np.zeros(len(NAMES))
    for j, value in values.items():
        out[int(j[1:])] = value
    return out


@pytest.mark.parametrize(
    ("text", "expected", "value"),
    [
        ("x = 0", row(_1=1), 0), ("x1 - 2*x10 = 3", row(_2=1, _3=-2), 3), ("Sepal.Length = 1", row(_4=1), 1),
        ("my col", row(_5=1), 0), ("Q('my col') = x", row(_5=1, _1=-1), 0),
        ("2 * `my col` = 1e2", row(_5=2), 100),
        ("I(x**2) + I( x ** 2 ) = 0", row(_6=2), 0), ("x^2 = x", row(_7=1, _1=-1), 0),
        ("poly(x,2)[0] = 0", row(_8=1), 0), ("C(k)[T.b] = x:C(k)[T.b]", row(_9=1, _10=-1), 0),
        ("g[T.it's, so] = -1", row(_11=1), -1), ("(x + x1) / 2 = 0", row(_1=0.5, _2=0.5), 0),
    ],
)  # fmt: skip
def test_one_equation(text, expected, value):
    matrix, right, labels = constraints(text, NAMES)
    np.testing.assert_allclose(matrix, [expected])
    np.testing.assert_allclose(right, [value])
    assert labels == (text,)


def test_labels_of_several_equations():
    _, _, labels = constraints("poly(x, 2)[0] = 0, x = 1, I(x**2) = 0", NAMES)
    assert labels == ("poly(x, 2)[0] = 0", "x = 1", "I(x**2) = 0")
    _, _, labels = constraints(["x = 0", "g[T.it's, so] = 0"], NAMES)
    assert labels == ("x = 0", "g[T.it's, so] = 0")


@pytest.mark.parametrize(
    "text", ["z = 0", "max = 0", "Sepal = 0", "Sepal.Lengths = 0", "x2 = 0", "my = 0", "x*x1"]
)
def test_other_names_are_refused(text):
    with pytest.raises(FormulaError, match="cannot be read"):
        constraints(text, NAMES)


def test_plain_names_are_read_as_patsy_does():
    names = ["Intercept", "x1", "x2", "C(k)[T.b]"]
    for text in ("x1 = x2, 2 * Intercept - x2 = 3", "C(k)[T.b] = 0, x1", "x1 = x2 = 4"):
        theirs = patsy.DesignInfo(names).linear_constraint(text)
        matrix, right, _ = constraints(text, names)
        np.testing.assert_array_equal(matrix, theirs.coefs)
        np.testing.assert_array_equal(right, theirs.constants[:, 0])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Q('my col'):b[T.q] = 0", 1), ("`my col` : b[T.q]", 1), ('Q("my col"):b[T.q]', 1),
        ("`my col`:`u v`", 2), ("Q('my col'):u v", 2), ("`my col:u v`", 2), ("`my col`", 0),
        ("Q('u v'):I(x^2):C(k)[T.a:b] = 0", 3),
    ],
)  # fmt: skip
def test_quoted_columns_in_interactions(text, place):
    names = ["my col", "my col:b[T.q]", "my col:u v", "u v:I(x^2):C(k)[T.a:b]"]
    matrix, _, labels = constraints(text, names)
    np.testing.assert_array_equal(matrix, np.eye(4)[[place]])
    assert labels == (text,)

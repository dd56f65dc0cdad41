"""Every built-in structure keeps the rules; broken ones are caught by the right rule."""

import numpy as np
import pytest

from lmmcore.covariance.linear import KnownMatrix
from lmmcore.covariance.unstructured import Unstructured
from lmmcore.errors import DataValueError, OptionError
from lmmcore.extension import DerivedStructure, find, plugins
from lmmcore.testing.check_covariance import RuleBroken, check_covariance

LISTED = [p.name for p in plugins() if p.kind == "covariance" and p.distribution == "lmmcore"]
FAMILIES = [name for name in LISTED if "{n}" in name]
NAMES = [name for name in LISTED if "{n}" not in name]
NAMES += [name.replace("{n}", str(n)) for name in FAMILIES for n in (1, 2, 3, 7)]


@pytest.mark.parametrize("name", NAMES)
def test_built_in(name):
    check_covariance(find("covariance", name))


def test_families_have_members_from_one_on():
    assert FAMILIES == ["fa{n}", "rr{n}", "toeph{n}", "toep{n}"]
    for name in FAMILIES:
        with pytest.raises(OptionError, match="expected 1 or more"):
            find("covariance", name.replace("{n}", "0"))


def test_known_matrix():
    check_covariance(KnownMatrix(np.array([[2.0, 1.0], [1.0, 3.0]])), sizes=(2,))
    for bad, match in (
        (np.ones((2, 3)), "symmetric square"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric square"),
        (-np.eye(2), "positive semidefinite"),
        (np.full((2, 2), np.nan), "finite"),
    ):
        with pytest.raises(DataValueError, match=match):
            KnownMatrix(bad)


class Plain(Unstructured):
    closed_under = "scaling"


class WrongSlope(Plain):
    def factor_derivative(self, theta, k):
        return 2.0 * super().factor_derivative(theta, k)


class WrongShape(Plain):
    def factor_derivative(self, theta, k):
        return super().factor_derivative(theta, k)[0]


class Text(Plain):
    def factor(self, theta, k):
        return np.full((k, k), "a")


class NotLinear(Plain):
    def factor(self, theta, k):
        return super().factor(np.sin(theta), k)

    def factor_derivative(self, theta, k):
        return super().factor_derivative(theta, k) * np.cos(theta)[:, None, None]


class Mutates(Plain):
    def factor(self, theta, k):
        out = super().factor(theta.copy(), k)
        theta *= 1.0 + 1e-12
        return out


class Reuses(Plain):
    def factor(self, theta, k):
        if not hasattr(self, "buffer") or self.buffer.shape != (k, k):
            self.buffer = np.zeros((k, k))
        self.buffer[:] = super().factor(theta, k)
        return self.buffer


class Forgets(Plain):
    def parameters(self, g):
        return np.ones(self.n_parameters(len(g)))


class Overstates(Plain):
    closed_under = "everything"


class Silent(Plain):
    def describe(self, theta, names, sigma):
        return None


class Swallows(Plain):
    def factor(self, theta, k):
        return super().factor(np.nan_to_num(theta), k)


class Local(Plain):
    def __init__(self):
        self.f = lambda: 0


class NotClosed(DerivedStructure):
    closed_under = "scaling"

    def n_parameters(self, k):
        return 1

    def parameters(self, g):
        return np.array([np.sqrt(g[0, 0])])

    def factor(self, theta, k):
        return theta[0] * np.eye(k, dtype=theta.dtype)

    def describe(self, theta, names, sigma):
        return {"sd": float(sigma * abs(theta[0]))}


@pytest.mark.parametrize(
    ("structure", "rule"),
    [
        (WrongSlope(), "derivative"),
        (WrongShape(), "shape"),
        (Text(), "finite"),
        (NotLinear(), "second derivative"),
        (Mutates(), "purity"),
        (Reuses(), "purity"),
        (Forgets(), "parameters"),
        (Overstates(), "closed_under"),
        (NotClosed(), "closed_under"),
        (Silent(), "describe"),
        (Swallows(), "nan"),
        (Local(), "pickling"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_broken_structures_are_caught(structure, rule):
    with pytest.raises(RuleBroken) as caught:
        check_covariance(structure)
    assert caught.value.rule == rule

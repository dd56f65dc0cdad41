"""Every built-in structure keeps the rules."""

import numpy as np
import pytest

from lmmcore.covariance.linear import KnownMatrix
from lmmcore.errors import DataValueError, OptionError
from lmmcore.extension import find, plugins
from lmmcore.testing import check_covariance

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
    check_covariance(KnownMatrix(np.ones((3, 3))), sizes=(3,))  # singular
    assert KnownMatrix(np.ones((3, 3))).rank(3) == 1
    for bad, match in (
        (np.ones((2, 3)), "symmetric square"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric square"),
        (-np.eye(2), "positive semidefinite"),
        (np.full((2, 2), np.nan), "finite"),
    ):
        with pytest.raises(DataValueError, match=match):
            KnownMatrix(bad)

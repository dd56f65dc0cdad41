"""Labels of another type."""

import datetime

import numpy as np
import pandas as pd
import pytest

from lmmcore.design.groups import code_groups, interaction
from lmmcore.design.levels import Levels, level_of, levels_of
from lmmcore.errors import DataValueError

TEXT = ["308", "309", "310"]


def objects(*values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


@pytest.mark.parametrize(
    ("known", "given", "levels"),
    [
        (TEXT, [310, 308], [2, 0]),
        (TEXT, [310.0, 308.0], [2, 0]),
        (TEXT, np.array([310, 7], dtype=np.int16), [2, -1]),
        ([308, 309, 310], TEXT, [0, 1, 2]),
        ([308, 309, 310], ["310.0", "x"], [2, -1]),
        ([308.0, 309.0], [309, 308], [1, 0]),
        ([0.5, 1.0], ["0.5", "1"], [0, 1]),
        (["007", "1e3"], [7, 1000], [0, 1]),
        (["a", "b"], [1, 2], [-1, -1]),
        ([True, False], ["False", "True"], [1, 0]),
        (["True", "False"], [True, False], [0, 1]),
        ([0, 1], [True, False], [-1, -1]),
        (["2020-01-02", "x"], [datetime.date(2020, 1, 2)], [0]),
        (np.array(["2020-01-02"], dtype="M8[ns]"), ["2020-01-02", "2020-01-03"], [0, -1]),
        (np.array(["2020-01-02"], dtype="M8[D]"), [datetime.date(2020, 1, 2)], [0]),
        (objects(pd.Interval(0, 1)), ["(0, 1]"], [0]),
        (objects(("a", 1), ("b", 2)), objects(("b", 2), ("c", 1)), [1, -1]),
        (["007", "7"], ["7"], [1]),  # of one type: nothing is converted
        (["007"], ["7"], [-1]),
        (objects(1, "1"), objects("1", 1), [1, 0]),
        ([10**17, 10**17 + 1], [str(10**17 + 1)], [1]),
        (["1" * 400], [1.5], [-1]),
    ],
)
def test_find(known, given, levels):
    assert Levels(np.asarray(known), "g").find(given).tolist() == levels


@pytest.mark.parametrize(
    ("known", "given"),
    [(["7", "07"], [7]), ([7], ["7", "07"]), (["7"], objects("7", 7)), ([1, 2], ["1", "1.0"])],
)
def test_what_is_not_one_to_one_is_refused(known, given):
    with pytest.raises(DataValueError, match=r"labels of 'g' are .* where the model has .*Convert"):
        Levels(np.asarray(known), "g").find(given)


def test_types_in_words():
    levels = Levels(np.array(["A1", "B2"]), "g")
    assert levels.types([3, 4]) == " (numbers such as 3, where the model has text such as 'A1')"
    assert levels.types(["c"]) == ""


def both(a, b):
    return interaction([code_groups(np.asarray(a), "a"), code_groups(np.asarray(b), "b")]).factor


def test_interactions_are_compared_factor_by_factor():
    known = both(["u", "u", "v"], [1, 2, 1])
    assert levels_of(known, both(["v", "u", "v"], ["1", "2", "2"])).tolist() == [1, 2, -1]
    given = both(["v", "u", "w"], [1.0, 2.0, 1.0])  # labels "u:2.0", "v:1.0", "w:1.0"
    assert levels_of(known, given).tolist() == [1, 2, -1]
    assert levels_of(known, code_groups(["v:1", "u:9"], "a:b").factor).tolist() == [-1, 2]


def test_one_label():
    known = both(["u", "u", "v"], [1, 2, 1])
    levels = Levels(known.labels, known.name)
    for label, level in (("v:1", 2), (("v", 1), 2), (("v", "1"), 2), (("v", 2), -1), (("v",), -1)):
        assert level_of(levels, known, label) == level

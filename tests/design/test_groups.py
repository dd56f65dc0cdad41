"""Grouping factors of every kind."""

import datetime

import numpy as np
import pandas as pd
import pytest

from lmmcore.design.groups import code_groups, interaction

CODES = [1, 0, 2, 2, 0, 1]
KINDS = {
    "int64": np.array([20, 10, 30, 30, 10, 20]),
    "int8": np.array([20, 10, 30, 30, 10, 20], dtype=np.int8),
    "uint64": np.array([2, 1, 2**63, 2**63, 1, 2], dtype=np.uint64),
    "far apart": np.array([20, -(10**15), 10**17, 10**17, -(10**15), 20]),
    "float": np.array([2.5, 1.5, 3.5, 3.5, 1.5, 2.5]),
    "text": np.array(["b", "a", "c", "c", "a", "b"]),
    "list of text": ["b", "a", "c", "c", "a", "b"],
    "object": np.array(["b", "a", "c", "c", "a", "b"], dtype=object),
    "Series": pd.Series(["b", "a", "c", "c", "a", "b"]),
    "string dtype": pd.Series(["b", "a", "c", "c", "a", "b"], dtype="string"),
    "nullable": pd.Series([2, 1, 3, 3, 1, 2], dtype="Int64"),
    "categorical": pd.Series(pd.Categorical(list("baccab"), categories=list("zaybxc"))),
    "bare categorical": pd.Categorical(list("baccab"), categories=list("zaybxc")),
    "dates": pd.to_datetime(["2020-02-01", "2020-01-01", "2020-03-01"] * 2).to_numpy()[
        [0, 1, 2, 2, 1, 0]
    ],
    "python dates": [datetime.date(2020, m, 1) for m in (2, 1, 3, 3, 1, 2)],
    "tuples": pd.Series([("b", 1), ("a", 2), ("c", 0), ("c", 0), ("a", 2), ("b", 1)]),
    "column": np.array([[20], [10], [30], [30], [10], [20]]),
    "big endian": np.array([20, 10, 30, 30, 10, 20], dtype=">i4"),
    "strided": np.array([20, 0, 10, 0, 30, 0, 30, 0, 10, 0, 20, 0])[::2],
}


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_in_the_order_of_the_labels(kind):
    grouping = code_groups(KINDS[kind], "g")
    assert grouping.codes.tolist() == CODES
    assert grouping.codes.dtype == np.int32
    assert grouping.n_levels == 3
    assert not grouping.in_order


def test_booleans():
    assert code_groups(np.array([True, False, True]), "g").codes.tolist() == [1, 0, 1]


def test_labels_come_back():
    assert code_groups(KINDS["categorical"], "g").labels.tolist() == ["a", "b", "c"]
    assert code_groups(KINDS["int8"], "g").labels.dtype == np.int8
    assert code_groups(np.array([5, 5, 9]), "g").in_order


def test_categories_keep_their_own_order():
    values = pd.Categorical(["low", "high", "low"], categories=["low", "mid", "high"])
    grouping = code_groups(values, "g")
    assert grouping.labels.tolist() == ["low", "high"]
    assert grouping.codes.tolist() == [0, 1, 0]


def test_labels_of_mixed_types():
    grouping = code_groups(np.array([1, "1", 2, 1], dtype=object), "g")
    assert grouping.n_levels == 3
    assert grouping.codes[0] == grouping.codes[3]


def test_interaction():
    a = code_groups(np.array(["u", "v", "u", "v", "u"]), "a")
    b = code_groups(np.array([3, 1, 1, 1, 3]), "b")
    both = interaction([a, b])
    assert both.name == "a:b"
    assert both.labels.tolist() == ["u:1", "u:3", "v:1"]
    assert both.codes.tolist() == [1, 2, 0, 2, 1]


def test_take_drops_levels():
    grouping = code_groups(np.array([1, 2, 3, 2]), "g").take(np.array([False, True, False, True]))
    assert grouping.labels.tolist() == [2]

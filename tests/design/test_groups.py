"""Grouping factors of every kind."""

import datetime

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.design.groups import code_groups, interaction, missing_labels
from lmmcore.errors import DataValueError

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


def test_masked_labels_are_missing():
    values = np.ma.array([3, 999, 1, 3], mask=[0, 1, 0, 0])
    assert missing_labels(values).tolist() == [False, True, False, False]
    with pytest.raises(DataValueError, match="missing in 1 of 4 rows"):
        code_groups(values, "g")
    assert code_groups(values[[0, 2, 3]], "g").labels.tolist() == [1, 3]
    assert missing_labels(np.ma.array(["a", None], mask=[0, 0])).tolist() == [False, True]


def test_a_list_of_text_and_missing_values():
    with pytest.raises(DataValueError, match="missing in 1 of 3 rows"):
        code_groups(["a", np.nan, "b"], "g")


def test_scalars_of_numpy_among_objects():
    values = np.array([np.int64(2), 1, np.str_("a"), np.float64(2.0), "a"], dtype=object)
    grouping = code_groups(values, "g")
    assert grouping.codes.tolist() == [1, 0, 2, 1, 2]
    assert [type(x) for x in grouping.labels] == [int, int, str]


def test_text_sorts_as_in_python():
    labels = ["b", "a", "Z", "é", "e", "a\0", "", "10", "9", "ü", "𝄞", "z"]
    for values in (np.array(labels, dtype=object), pd.array(labels, dtype="str"), labels):
        grouping = code_groups(values, "g")
        assert grouping.labels.tolist() == sorted(set(np.asarray(values).tolist()))


def test_text_that_differs_after_a_nul_is_different_text():
    """In groups, in categories of fixed effects, and in text with missing values."""
    labels = np.array(["a", "a\0", "a\0c", "b"] * 5, dtype=object)
    rng = np.random.default_rng(1)
    for values in (labels, pd.Series(labels), pd.array(labels, dtype="string")):
        grouping = code_groups(values, "g")
        assert grouping.labels.tolist() == ["a", "a\0", "a\0c", "b"]
        assert grouping.codes.tolist() == [0, 1, 2, 3] * 5
    frame = pd.DataFrame({"y": rng.standard_normal(20), "f": labels, "g": np.repeat(range(5), 4)})
    frame.loc[3, "f"] = None
    model = lmmcore.mixedlm("y ~ 0 + f + (1 | g)", frame)
    assert model.exog_names == ["f[a]", "f[a\0]", "f[a\0c]", "f[b]"]
    expected = labels[model.rows_used][:, None] == np.array(["a", "a\0", "a\0c", "b"], dtype=object)
    np.testing.assert_array_equal(model.exog, expected)


def test_two_columns_are_refused():
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    for values in (frame, frame.to_numpy(), np.ones((2, 2))):
        with pytest.raises(DataValueError, match=r"\(1 \| a\) \+ \(1 \| b\)"):
            code_groups(values, "g")
    assert code_groups(frame[["a"]], "g").labels.tolist() == [1, 2]


def test_interactions_know_their_parts():
    rng = np.random.default_rng(0)
    values = [rng.choice(list("xyz"), 50), rng.integers(0, 9, 50), rng.choice([0.5, 1.5], 50)]
    parts = [code_groups(v, name) for v, name in zip(values, "abc")]
    both = interaction(parts)
    expected = sorted(set(zip(*(v.tolist() for v in values))))
    assert both.labels.tolist() == [":".join(map(str, cell)) for cell in expected]
    cells = [
        tuple(p[i] for p, i in zip(both.factor.part_labels, own)) for own in both.factor.part_levels
    ]
    assert cells == expected
    assert [cells[c] for c in both.codes] == list(zip(*(v.tolist() for v in values)))
    few = both.take(np.arange(50) < 5)
    for row, code in enumerate(few.codes):
        cell = tuple(p[i] for p, i in zip(few.factor.part_labels, few.factor.part_levels[code]))
        assert cell == tuple(v[row] for v in values)


def test_many_levels_of_many_factors():
    """Whose product is beyond 64 bits."""
    parts = [code_groups(np.random.default_rng(s).permutation(5000), "abcdef"[s]) for s in range(6)]
    both = interaction(parts)
    assert both.n_levels == 5000
    expected = list(zip(*(p.labels[p.codes].tolist() for p in parts)))
    assert [both.labels[c] for c in both.codes] == [":".join(map(str, e)) for e in expected]


def test_labels_with_colons_that_would_be_one():
    a, b = (code_groups(np.array(v), n) for v, n in ((["x:y", "x"], "a"), (["z", "y:z"], "b")))
    with pytest.raises(DataValueError, match="two combinations of a:b have the label 'x:y:z'"):
        interaction([a, b])

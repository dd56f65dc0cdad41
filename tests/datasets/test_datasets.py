"""The data sets that ship: shape, types, order of levels, values, and what a wrong name says."""

import pandas as pd
import pytest

from lmmcore import datasets
from lmmcore.errors import DataNotFoundError, LmmcoreError

# name: rows; per column the sum of an integer column (int), the sum of a measured column (float),
# or the levels of a factor, joined by "|"
EXPECTED = {
    "bcg": (13, {"study": "|".join((
        "Aronson 1948", "Ferguson & Simes 1949", "Rosenthal et al. 1960", "Hart & Sutherland 1977",
        "Frimodt-Moller et al. 1973", "Stein & Aronson 1953", "Vandiviere et al. 1973", "TPT Madras 1980",
        "Coetzee & Berjak 1968", "Rosenthal et al. 1961", "Comstock et al. 1974", "Comstock & Webster 1969",
        "Comstock et al. 1976")), "treated_cases": 1065, "treated_healthy": 189999, "control_cases": 1510,
        "control_healthy": 164773, "latitude": 435,
        "log_rr": -9.628454955742171, "variance": 1.9864202240999673}),
    "cake": (270, {"replicate": "|".join(map(str, range(1, 16))), "recipe": "A|B|C",
                   "temperature": "175|185|195|205|215|225", "angle": 8673, "temp": 54000}),
    "dyestuff": (30, {"Batch": "A|B|C|D|E|F", "Yield": 45825}),
    "dyestuff2": (30, {"Batch": "A|B|C|D|E|F", "Yield": 169.968}),
    "ergostool": (36, {"effort": 369, "Type": "T1|T2|T3|T4", "Subject": "8|5|4|9|6|3|7|1|2"}),
    "machines": (54, {"Worker": "6|2|4|1|3|5", "Machine": "A|B|C", "score": 3221.1}),
    "oats": (72, {"Block": "VI|V|III|IV|II|I", "Variety": "Golden Rain|Marvellous|Victory",
                  "nitro": 21.6, "yield_": 7486}),
    "orthodont": (108, {"distance": 2594.5, "age": 1188,
                        "Subject": "M16|M05|M02|M11|M07|M08|M03|M12|M13|M14|M09|M15|M06|M04|M01|M10"
                                   "|F10|F09|F06|F01|F05|F07|F02|F08|F03|F04|F11",
                        "Sex": "Male|Female"}),
    "pastes": (60, {"strength": 3603.2, "batch": "|".join("ABCDEFGHIJ"), "cask": "a|b|c",
                    "sample": "|".join(f"{b}:{c}" for b in "ABCDEFGHIJ" for c in "abc")}),
    "penicillin": (144, {"diameter": 3308, "plate": "|".join("abcdefghijklmnopqrstuvwx"),
                         "sample": "A|B|C|D|E|F"}),
    "pixel": (102, {"Dog": "1|10|2|3|4|5|6|7|8|9", "Side": "L|R", "day": 764, "pixel": 110860.9}),
    "rail": (18, {"Rail": "2|5|1|6|3|4", "travel": 1197}),
    "sleepstudy": (180, {"Reaction": 53731.4205, "Days": 810,
                         "Subject": "308|309|310|330|331|332|333|334|335|337|349|350|351|352|369"
                                    "|370|371|372"}),
}  # fmt: skip

# A response summed by the levels of a factor, which a row out of place would change.
BY_LEVEL = {
    "cake": ("angle", "recipe", {"A": 2981, "B": 2848, "C": 2844}),
    "dyestuff": ("Yield", "Batch",
                 {"A": 7525, "B": 7640, "C": 7820, "D": 7490, "E": 8000, "F": 7350}),
    "ergostool": ("effort", "Type", {"T1": 77, "T2": 112, "T3": 97, "T4": 83}),
    "machines": ("score", "Machine", {"A": 942.4, "B": 1085.8, "C": 1192.9}),
    "oats": ("yield_", "Variety", {"Golden Rain": 2508, "Marvellous": 2635, "Victory": 2343}),
    "rail": ("travel", "Rail", {"2": 95, "5": 150, "1": 162, "6": 248, "3": 254, "4": 288}),
}  # fmt: skip


def test_names_are_the_expected_ones():
    assert datasets.names() == tuple(sorted(EXPECTED))


@pytest.mark.parametrize("name", EXPECTED)
def test_shape_and_columns(name):
    rows, columns = EXPECTED[name]
    frame = datasets.load(name)
    assert frame.shape == (rows, len(columns))
    assert list(frame) == list(columns)
    assert frame.notna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name, (_, cols) in EXPECTED.items() for column in cols]
)
def test_type_and_values_of_a_column(name, column):
    expected = EXPECTED[name][1][column]
    values = datasets.load(name)[column]
    if isinstance(expected, str):
        levels = expected.split("|")
        assert isinstance(values.dtype, pd.CategoricalDtype)
        assert not values.cat.ordered
        assert values.cat.categories.tolist() == levels
        assert all(type(level) is str for level in values.cat.categories)
        # No level without a row.
        assert set(values) == set(levels)
    else:
        assert values.dtype == ("int64" if isinstance(expected, int) else "float64")
        assert values.sum() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", BY_LEVEL)
def test_response_by_level(name):
    response, factor, expected = BY_LEVEL[name]
    sums = datasets.load(name).groupby(factor, observed=True)[response].sum()
    assert sums.to_dict() == pytest.approx(expected, rel=1e-12)


def test_sample_of_pastes_is_batch_and_cask():
    frame = datasets.load_pastes().astype(str)
    assert (frame["sample"] == frame["batch"] + ":" + frame["cask"]).all()


def test_temperature_of_cake_comes_as_factor_and_as_number():
    frame = datasets.load_cake()
    assert (frame["temperature"].astype(int) == frame["temp"]).all()


@pytest.mark.parametrize("name", EXPECTED)
def test_each_has_a_function(name):
    function = getattr(datasets, f"load_{name}")
    assert f"load_{name}" in datasets.__all__
    pd.testing.assert_frame_equal(function(), datasets.load(name))
    assert "References" in function.__doc__


@pytest.mark.parametrize("name", ["ergostool", "ergoStool", "ERGOSTOOL"])
def test_case_of_a_name_does_not_matter(name):
    assert len(datasets.load(name)) == 36


def test_a_changed_frame_does_not_change_the_next():
    frame = datasets.load_rail()
    frame["travel"] = 0
    frame["Rail"] = frame["Rail"].cat.rename_categories(list("abcdef"))
    assert datasets.load_rail()["travel"].sum() == 1197
    assert datasets.load_rail()["Rail"].cat.categories.tolist() == list("251634")


def test_unknown_name_suggests_the_near_one():
    with pytest.raises(DataNotFoundError) as error:
        datasets.load("sleepstudi")
    message = str(error.value)
    assert "'sleepstudi'" in message
    assert "did you mean 'sleepstudy'?" in message
    assert "names()" in message


def test_unknown_name_without_a_near_one_lists_all():
    with pytest.raises(DataNotFoundError) as error:
        datasets.load("zzz")
    assert all(repr(name) in str(error.value) for name in datasets.names())


@pytest.mark.parametrize("name", ["", "../sleepstudy", "levels.json"])
@pytest.mark.parametrize("builtin", [KeyError, LmmcoreError])
def test_only_a_known_name_reaches_a_file(name, builtin):
    with pytest.raises(builtin):
        datasets.load(name)

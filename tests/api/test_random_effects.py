"""random_effects and random_effects_cov: dicts that are filled when asked, and frames."""

import copy
import pickle
import time

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import NameNotFoundError, OptionError


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()
    return lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


def test_a_dict_in_every_way(sleep):
    for found in (sleep.random_effects, sleep.random_effects_cov):
        assert isinstance(found, dict)
        assert len(found) == 18
        assert list(found) == list(found.keys()) == sleep.model.group_labels
        plain = dict(found)
        kind = type(plain["308"])
        assert kind in (pd.Series, pd.DataFrame)
        same = found["308"].equals
        for other in (plain, {**found}, found.copy(), dict(found.items()), found | {}, {} | found,
                      dict(zip(found, found.values())), copy.deepcopy(found),
                      pickle.loads(pickle.dumps(found))):  # fmt: skip
            assert list(other) == list(found)
            assert same(other["308"])
        assert found["308"] is found["308"]
        assert found.get("nobody") is None
        assert same(found.get("308"))
        assert "308" in repr(found)
        assert "nobody" not in found
        first = next(iter(found.values()))
        assert same(first)
    frame = pd.DataFrame(sleep.random_effects).T
    pd.testing.assert_frame_equal(frame, sleep.random_effects_frame, check_names=False)
    frame = pd.DataFrame.from_dict(sleep.random_effects, orient="index")
    pd.testing.assert_frame_equal(frame, sleep.random_effects_frame, check_names=False)
    both = pd.concat(sleep.random_effects_cov)
    np.testing.assert_allclose(both, sleep.random_effects_cov_frame)


def test_a_dict_that_is_changed():
    data = lmmcore.datasets.load_sleepstudy()
    found = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit().random_effects
    one = found.pop("308")
    assert isinstance(one, pd.Series)
    found["new"] = one
    assert found["new"] is one
    assert "308" not in found
    assert len(found) == 18
    assert isinstance(found.setdefault("309", None), pd.Series)
    assert isinstance(found.popitem()[1], pd.Series)


def test_labels_of_another_type(sleep):
    for found in (sleep.random_effects, sleep.random_effects_cov):
        assert found[308] is found["308"]
        assert found[308.0] is found["308"]
        assert found.get(309) is found["309"]
        assert 308 in found
        with pytest.raises(
            NameNotFoundError, match=r"7 is no level of Subject.*text such as '308'"
        ):
            found[7]
        with pytest.raises(KeyError, match=r"'3080' is no level of Subject; did you mean '308"):
            found["3080"]
    data = lmmcore.datasets.load_sleepstudy().astype({"Subject": int})
    numbers = lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit().random_effects
    assert numbers["308"] is numbers[308]


def test_interactions_by_tuples():
    data = lmmcore.datasets.load_machines()
    found = lmmcore.mixedlm("score ~ Machine + (1 | Worker:Machine)", data).fit().random_effects
    assert found["1", "B"] is found["1:B"]
    assert found[1, "B"] is found["1:B"]
    with pytest.raises(KeyError):
        found[1, "Z"]


def test_dates_stay_dates():
    data = lmmcore.datasets.load_sleepstudy()
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(data["Subject"].astype(int), unit="D")
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | day)", data.assign(day=day)).fit()
    assert fit.model.group_labels[0] == pd.Timestamp("2020-11-04")
    assert fit.random_effects["2020-11-04"] is fit.random_effects[pd.Timestamp("2020-11-04")]


def test_frames(sleep):
    covariances = sleep.random_effects_cov_frame
    assert covariances.shape == (36, 2)
    assert covariances.index.names == ["Subject", "name"]
    for label, own in sleep.random_effects_cov.items():
        np.testing.assert_array_equal(covariances.loc[label], own)
        np.testing.assert_array_equal(
            sleep.random_effects_frame.loc[label], sleep.random_effects[label]
        )
    data = lmmcore.datasets.load_pastes()
    crossed = lmmcore.mixedlm("strength ~ 1 + (1 | batch) + (1 | cask)", data).fit()
    with pytest.raises(OptionError, match="random_effects_cov has a frame for each of batch, cask"):
        _ = crossed.random_effects_cov_frame


def test_groups_with_effects_of_their_own():
    data = lmmcore.datasets.load_pastes()
    fit = lmmcore.mixedlm("strength ~ 1", data, groups="batch", re_formula="1",
                          vc_formula={"cask": "0 + C(cask)"}).fit()  # fmt: skip
    effects, covariances = fit.random_effects["A"], fit.random_effects_cov["A"]
    assert list(effects.index) == list(covariances.index) == list(covariances.columns)
    np.testing.assert_allclose(fit.random_effects_frame.loc["A"], effects[:1])
    np.testing.assert_allclose(fit.random_effects_cov_frame.loc["A"], covariances.iloc[:1, :1])
    fit.remove_data()
    assert fit.random_effects["B"].shape == (4,)


def test_many_groups_take_no_time():
    q = 50_000
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(q), 3)
    x = rng.standard_normal(3 * q)
    data = pd.DataFrame(
        {"y": x + rng.standard_normal(q)[g] + rng.standard_normal(3 * q), "x": x, "g": g}
    )
    fit = lmmcore.mixedlm("y ~ x + (1 | g)", data).fit()
    _ = fit.random_effects
    start = time.process_time()
    assert fit.random_effects[7].shape == (1,)
    assert fit.random_effects_cov[7].shape == (1, 1)
    assert len(fit.random_effects_frame) == len(fit.random_effects_cov_frame) == q
    assert time.process_time() - start < 1.0  # a Series and a frame for each take several seconds

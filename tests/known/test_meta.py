"""Meta-analyses beside metafor and dense likelihoods."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import DataValueError, DesignError, NameNotFoundError, OptionError

STORED = json.loads(
    (Path(__file__).parents[1] / "reference" / "known_meta.json").read_text(encoding="utf-8")
)
BCG, SCHOOLS, BERKEY = (
    pd.DataFrame(STORED["data"][name]) for name in ("bcg", "konstantopoulos", "berkey")
)
OF_SCHOOLS, OF_BERKEY = (np.array(STORED["data"][f"{x}_V"]) for x in ("konstantopoulos", "berkey"))
NESTED, TRIAL = "(1 | district/school)", "(0 + outcome | trial)"
ANALYSES = {
    "bcg": (("yi", "vi", BCG), {}),
    "bcg_ablat": (("yi", "vi", BCG), {"mods": "ablat"}),
    "konstantopoulos": (("yi", "vi", SCHOOLS), {"random": NESTED}),
    "konstantopoulos_fullV": (("yi", OF_SCHOOLS, SCHOOLS), {"random": NESTED}),
    "berkey": (("yi", OF_BERKEY, BERKEY), {"mods": "0 + outcome", "random": TRIAL}),
}


@pytest.fixture(scope="module", params=STORED["fits"])
def pair(request):
    name, _, method = request.param.rpartition("_")
    given, keywords = ANALYSES[name]
    found = lmmcore.meta(*given, **keywords, reml=method == "reml")
    return found, STORED["fits"][request.param]


def test_fit(pair):
    found, stored = pair
    assert found.results.converged
    assert found.results.llf == pytest.approx(stored["loglik"], abs=1e-8)
    np.testing.assert_allclose(found.coefficients.estimate, stored["fixed"]["estimate"], rtol=1e-6)
    np.testing.assert_allclose(found.coefficients.se, stored["fixed"]["se"], rtol=2e-6)
    assert found.q["Q"] == pytest.approx(stored["QE"], rel=1e-10)
    assert found.q["p"] == pytest.approx(stored["QEp"], rel=1e-8)
    expected = stored["variance"]
    if "covariance" in expected:
        np.testing.assert_allclose(found.results.cov_re, expected["covariance"], rtol=1e-6)
        with pytest.raises(OptionError, match="several random coefficients"):
            found.tau2  # noqa: B018
    else:
        np.testing.assert_allclose(found.variances, list(expected.values()), rtol=3e-6)


def test_heterogeneity_of_one_effect_for_each_row(pair):
    found, stored = pair
    if stored["se_tau2"] is None:
        return
    assert found.se_tau2 == pytest.approx(stored["se_tau2"], rel=2e-6)
    if stored["I2"] is not None:
        assert found.i2 == pytest.approx(stored["I2"], rel=1e-6)
        assert found.h2 == pytest.approx(stored["H2"], rel=2e-6)
    for method, key in (("q-profile", "Q_profile"), ("profile", "profile_likelihood")):
        table, own = found.tau2_interval(method), stored["ci"][key]
        np.testing.assert_allclose(table.lower, own["lower"], rtol=2e-3, atol=1e-6)
        np.testing.assert_allclose(table.upper, own["upper"], rtol=1e-4)


def test_profiles_of_two_variances(pair):
    found, stored = pair
    if stored["ci"] is None or "own_profile" not in stored["ci"]:
        return
    table, own = found.tau2_interval("profile"), stored["ci"]["own_profile"]
    np.testing.assert_allclose(table.lower, own["lower"], rtol=1e-7)
    np.testing.assert_allclose(table.upper, own["upper"], rtol=1e-7)
    assert found.i2_by_level.sum() == pytest.approx(found.i2)
    with pytest.raises(OptionError, match="method='profile'"):
        found.tau2_interval()


def test_predictions(pair):
    found, stored = pair
    if stored["blup"] is None:
        return
    row, interval = found.predict().iloc[0], stored["prediction_interval"]
    assert row.prediction_lower == pytest.approx(interval["lower"], rel=1e-6)
    assert row.prediction_upper == pytest.approx(interval["upper"], rel=2e-6)
    effects = found.true_effects()
    np.testing.assert_allclose(effects.estimate, stored["blup"]["pred"], atol=1e-6)
    np.testing.assert_allclose(effects.se, stored["blup"]["se"], rtol=2e-6)
    again = lmmcore.meta("yi", "vi", BCG, reml=found.results.reml, test="knapp-hartung")
    own, expected = again.coefficients.iloc[0], stored["knapp_hartung"]
    assert own.se == pytest.approx(expected["se"], rel=1e-6)
    assert own.statistic == pytest.approx(expected["t"], rel=1e-6)
    assert (own.df, own.p) == (expected["df"], pytest.approx(expected["p"], rel=1e-5))


def test_moderators_and_the_common_effect():
    found = lmmcore.meta("yi", "vi", BCG, mods="ablat")
    table = found.predict(pd.DataFrame({"ablat": [10.0, 40.0]}))
    x = np.array([[1.0, 10.0], [1.0, 40.0]])
    np.testing.assert_allclose(table.estimate, x @ found.coefficients.estimate)
    np.testing.assert_allclose(table.se**2, np.einsum("ia,ab,ib->i", x, found.cov, x))
    with pytest.raises(OptionError, match="moderators"):
        found.predict()
    common = lmmcore.meta("yi", "vi", BCG, random=False)
    w = 1.0 / BCG.vi
    assert common.coefficients.estimate.item() == pytest.approx((w * BCG.yi).sum() / w.sum())
    assert common.coefficients.se.item() == pytest.approx(w.sum() ** -0.5)
    assert common.tau2 == 0.0
    assert "Common-effect" in common.summary()


def test_blocks_by_group_are_the_whole_matrix():
    rows = {t: np.flatnonzero(BERKEY.trial == t) for t in BERKEY.trial.unique()}
    blocks = {t: OF_BERKEY[np.ix_(at, at)] for t, at in rows.items()}
    _, keywords = ANALYSES["berkey"]
    whole = lmmcore.meta("yi", OF_BERKEY, BERKEY, **keywords)
    for v in (blocks, list(blocks.values())):
        again = lmmcore.meta("yi", lmmcore.known(v, groups="trial"), BERKEY, **keywords)
        assert again.results.llf == pytest.approx(whole.results.llf, abs=1e-10)


def test_rows_that_are_left_out_leave_v():
    data = BERKEY.copy()
    data.loc[3, "yi"] = np.nan
    _, keywords = ANALYSES["berkey"]
    found = lmmcore.meta("yi", OF_BERKEY, data, labels="outcome", **keywords)
    keep = np.delete(np.arange(10), 3)
    other = lmmcore.meta("yi", OF_BERKEY[np.ix_(keep, keep)], data.drop(index=3), **keywords)
    assert found.results.llf == pytest.approx(other.results.llf, abs=1e-10)
    assert found.q["Q"] == pytest.approx(other.q["Q"])
    assert found.labels == data.outcome.drop(index=3).tolist()


def test_forest():
    pytest.importorskip("matplotlib").use("Agg")
    found = lmmcore.meta("log_rr", "variance", lmmcore.datasets.load_bcg(), labels="study")
    ax = found.forest()
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == "Aronson 1948"
    assert labels[-2:] == ["Mean effect", "Prediction interval"]
    (points,) = [c for c in ax.collections if len(c.get_offsets()) == 13]
    np.testing.assert_allclose(points.get_offsets()[:, 0], BCG.yi, atol=1e-12)
    assert lmmcore.meta("yi", "vi", BCG, mods="ablat").forest(ax) is ax
    ax.figure.clear()


QUESTIONS = {
    "not symmetric": (lambda v: v + np.triu(v, 1), DataValueError, r"not symmetric.*row \d, column \d"),
    "not positive definite": (lambda v: np.ones_like(v), DesignError, "not positive definite.*eigen"),
    "another shape": (lambda v: v[:5, :5], DataValueError, r"shape \(5, 5\); expected \(10, 10\)"),
    "another length": (lambda v: np.ones(5), DataValueError, "5 numbers; expected 10"),
    "a variance of zero": (lambda v: np.zeros(10), DataValueError, "0 in row 0; expected positive"),
    "not finite": (lambda v: np.where(v > 0.0074, np.inf, v), DataValueError, "inf in row 0, column 0"),
    "an unknown column": (lambda v: "vii", NameNotFoundError, "did you mean 'vi'"),
    "blocks without groups": (lambda v: lmmcore.known({1: v}), OptionError, "no groups="),
    "a group without a block": (lambda v: lmmcore.known({1: v[:2, :2]}, groups="trial"), DataValueError,
                                "no matrix for the group 2"),
    "a block of another size": (lambda v: lmmcore.known([v[:3, :3]] * 5, groups="trial"), DataValueError,
                                r"shape \(3, 3\); expected \(2, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_covariance_matrix(question):
    change, error, words = QUESTIONS[question]
    with pytest.raises(error, match=words):
        lmmcore.meta("yi", change(OF_BERKEY.copy()), BERKEY, mods="0 + outcome", random=TRIAL)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"test": "f"}, "expected one of z, t"),
        ({"test": "knapp-hartung", "random": NESTED}, "one random effect for each row"),
        ({"random": "district"}, "expected bars"),
        ({"level": 1.5}, "alpha"),
    ],
)
def test_other_arguments(keywords, words):
    with pytest.raises(OptionError, match=words):
        lmmcore.meta("yi", "vi", SCHOOLS, **keywords)

"""Questions that have no answer: each gets an error that names the cause."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import LmmcoreError


class World:
    """Fits that the questions are about."""

    def __init__(self):
        rng = np.random.default_rng(1)
        n = 96
        data = pd.DataFrame({"g": np.repeat(np.arange(16), 6), "x": rng.standard_normal(n)})
        data["a"] = np.tile(np.repeat(["p", "q"], 3), 16)
        data["b"] = rng.choice(["u", "v", "w"], n)
        data["y"] = data.x + rng.standard_normal(16)[data.g] + rng.standard_normal(n)
        self.data = data
        self.fit = lmmcore.mixedlm("y ~ a * b + x + (1 | g)", data).fit()
        empty = data[~((data.a == "q") & (data.b == "w"))]
        with pytest.warns(lmmcore.errors.RankDeficientWarning):
            self.empty = lmmcore.mixedlm("y ~ a * b + x + (1 | g)", empty).fit()
        self.small = lmmcore.mixedlm("y ~ a + (1 | g)", data).fit()
        self.fewer = lmmcore.mixedlm("y ~ a * b + x + (1 | g)", data.iloc[:90]).fit()
        self.ml = lmmcore.mixedlm("y ~ a + (1 | g)", data).fit(reml=False)
        self.penalized = self.small.model.fit_regularized(alpha=0.1)
        free = lmmcore.MixedLMParams.from_components(np.ones(2), np.zeros((1, 1)))
        self.held = self.small.model.fit(self.small.params_object, free=free)
        self.arrays = lmmcore.MixedLM(data.y.to_numpy(), np.ones((n, 1)), data.g.to_numpy()).fit()
        self.new = data.iloc[:4]


QUESTIONS = {
    # Hypotheses
    "a contrast of the wrong width": (lambda w: w.fit.t_test(np.ones(3)), "should have 7 columns"),
    "an unknown coefficient": (lambda w: w.fit.t_test("z = 0"), "z"),
    "two rows that say the same": (
        lambda w: w.fit.f_test(np.vstack([np.eye(7)[1], 2 * np.eye(7)[1]])), "rank|same|determine"),
    "a coefficient of an empty cell": (lambda w: w.empty.t_test("a[T.q]:b[T.w]"), "a\\[T.q\\]:b\\[T.w\\]"),
    "an unknown method of df": (lambda w: w.fit.t_test("x", ddf="kenward"), "kenward.*did you mean"),
    "an unknown covariance": (lambda w: w.fit.t_test("x", vcov="cr9"), "cr9"),
    "df of another covariance": (
        lambda w: w.fit.t_test("x", ddf="satterthwaite", vcov="cr2") and
        w.fit.t_test("x", ddf="kenward-roger", vcov="cr2"), "does not go with vcov='cr2'"),
    "df of a penalized fit": (lambda w: w.penalized.t_test("a[T.q]", ddf="satterthwaite"),
                              "penalized|unexpected keyword"),
    "Kenward-Roger after ML": (lambda w: w.ml.t_test("a[T.q]", ddf="kenward-roger"), "reml=True"),
    # Analysis of variance, comparison
    "another type": (lambda w: w.fit.anova(4), "expected 1, 2 or 3"),
    "no term": (lambda w: w.arrays.anova(), "no fixed-effects term but the intercept"),
    "models of different rows": (lambda w: lmmcore.anova(w.fewer, w.small), "90 and 96|96 and 90"),
    "REML with other fixed effects": (
        lambda w: lmmcore.anova(w.small, w.fit, refit=False), "restricted likelihoods cannot be compared"),
    "models that are not nested": (
        lambda w: lmmcore.anova(lmmcore.mixedlm("y ~ x + (1 | g)", w.data).fit(reml=False), w.ml,),
        "nested"),
    "one model": (lambda w: lmmcore.anova(w.fit), "two or more"),
    "a deletion of what is not there": (lambda w: w.fit.step(keep="c"), "keep has 'c'"),
    "random effects of a held fit": (lambda w: w.held.ranova(), "held"),
    # Intervals
    "a profile of no parameter": (lambda w: w.fit.profile("z"), "which has 'z'"),
    "a profile of a held parameter": (lambda w: w.held.profile(), "held fixed"),
    "an unknown interval": (lambda w: w.fit.conf_int(method="credible"), "method='credible'"),
    "a level of two": (lambda w: w.fit.conf_int(alpha=2), "alpha=2"),
    "draws of nothing": (lambda w: w.fit.bootstrap(10, kind="rows"), "kind='rows'"),
    "levels of no factor": (lambda w: w.fit.bootstrap(10, level="h"), "level='h'"),
    # Means
    "means of an unknown factor": (lambda w: w.fit.means("c"), "'c'"),
    "means at an unknown variable": (lambda w: w.fit.means("a", at={"z": 1}), "'z'"),
    "means at an unknown level": (lambda w: w.fit.means("a", at={"b": "t"}), "'t'"),
    "a slope of a factor": (lambda w: w.fit.slopes("a"), "'a' is no covariate"),
    "another adjustment": (lambda w: w.fit.means("b").contrast("pairwise", adjust="tuckey"), "tuckey"),
    "another contrast": (lambda w: w.fit.means("b").contrast("paired"), "paired"),
    "a contrast of too few means": (lambda w: w.fit.means("b").contrast({"d": [1, -1]}), "expected"),
    "other weights": (lambda w: w.fit.means("a", weights="some"), "some"),
    "means of arrays": (lambda w: w.arrays.means("a"), "arrays"),
    # Prediction
    "a new group": (lambda w: w.fit.predict(w.new.assign(g=99), random_effects=True), "99"),
    "a new level of a factor": (lambda w: w.fit.predict(w.new.assign(b="t")), "'t'"),
    "a column that is missing": (lambda w: w.fit.predict(w.new.drop(columns="x")), "'x'"),
    "a group column that is missing": (
        lambda w: w.fit.predict(w.new.drop(columns="g"), random_effects=True), "'g'"),
    "another interval": (lambda w: w.fit.predict(interval="tolerance"), "tolerance"),
    "an unknown random effect": (lambda w: w.fit.predict(random_effects="h"), "'h'"),
    "an interval of a penalized fit": (
        lambda w: w.penalized.predict(w.new, interval="confidence"), "penalized|unexpected"),
    # Deletions, residuals, tests by simulation
    "deletions of no level": (lambda w: w.fit.get_influence("h"), "level='h'"),
    "another kind of residual": (lambda w: w.fit.residuals("student"), "student"),
    "clusters that divide groups": (
        lambda w: w.fit.t_test("x", vcov=lmmcore.cluster_robust("cr2", np.arange(96))), "nest|inside|divide"),
    "a permutation of nothing": (lambda w: w.fit.permutation_test("c"), "term='c'"),
    "a test of several variances": (
        lambda w: lmmcore.mixedlm("y ~ x + (1 + x | g)", w.data).fit().rlrt(), "several coefficients"),
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_cause_is_named(world, question):
    ask, words = QUESTIONS[question]
    with pytest.raises((LmmcoreError, TypeError), match=words):
        ask(world)


def test_what_cannot_be_estimated_is_named_not_a_number(world):
    found = world.empty.means(["a", "b"])
    frame = found.frame()
    row = frame[(frame.a == "q") & (frame.b == "w")]
    assert row["mean"].isna().all()
    assert frame["mean"].notna().sum() == 5
    assert "not estimable" in str(found).lower() or "cannot be estimated" in str(found).lower()

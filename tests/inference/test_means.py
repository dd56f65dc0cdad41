"""Marginal means, contrasts and slopes beside R's emmeans, and their errors."""

import numpy as np
import pandas as pd
import pytest
from reference_models import frame, inference_reference
from scipy import stats

import lmmcore
from lmmcore.errors import (
    DataValueError,
    DesignError,
    LmmcoreError,
    OptionError,
    RankDeficientWarning,
)

REFERENCE = inference_reference("means")
DDF = ("satterthwaite", "kenward_roger")


def derived(name):
    data = frame(REFERENCE[name]["data"]).copy()
    if name == "oats_split_plot":
        data["nitrof"] = pd.Categorical([f"{x:g}" for x in data["nitro"]])
    if name == "penicillin_covariate":
        plate, sample = (data[c].cat.codes.astype(int) + 1 for c in ("plate", "sample"))
        data["half"] = pd.Categorical(np.where(plate <= 12, "lo", "hi"), ["lo", "hi"])
        data["x"] = ((7 * plate + 3 * sample) % 11) / 10
    return data


def fitted(name):
    return lmmcore.mixedlm(REFERENCE[name]["formula"], derived(name)).fit()


def in_order(ours, theirs, columns):
    """Return our rows in the order of theirs, by the labels in some columns."""
    key = [tuple(str(v) for v in row) for row in zip(*(theirs[c] for c in columns))]
    mine = [tuple(map(_plain, row)) for row in ours[columns].itertuples(index=False, name=None)]
    return ours.iloc[[mine.index(k) for k in key]]


def _plain(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("ddf", DDF)
@pytest.mark.parametrize("name", list(REFERENCE))
def test_emmeans(name, ddf):
    fit = fitted(name)
    for known in REFERENCE[name][ddf]["means"]:
        specs, _, by = (part.strip() for part in known["specs"].lstrip("~").partition("|"))
        specs = [s.strip() for s in specs.split("*")]
        found = fit.means(specs, by=by or None, at=known["at"], ddf=ddf.replace("_", "-"))
        means = known["means"]
        table = in_order(found.frame(), means, [*specs, *([by] if by else [])])
        for ours, theirs in (
            ("mean", "emmean"), ("se", "SE"), ("df", "df"), ("lower", "lower.CL"), ("upper", "upper.CL"),
        ):  # fmt: skip
            assert table[ours].to_numpy() == pytest.approx(np.array(means[theirs]), rel=2e-5), ours
        for adjust in ("none", "tukey", "holm", "bonferroni"):
            pairs = known.get(f"pairs_{adjust}")
            if not pairs or by or len(specs) > 1:
                continue
            contrasts = found.contrast("pairwise", adjust=adjust).frame()
            assert len(contrasts) == len(pairs["contrast"])
            for i, row in contrasts.iterrows():  # in the order of the levels, as emmeans has them
                assert abs(row["difference"]) == pytest.approx(abs(pairs["estimate"][i]), rel=1e-6)
                assert row["se"] == pytest.approx(pairs["SE"][i], rel=2e-5)
                assert row["df"] == pytest.approx(pairs["df"][i], rel=2e-5)
                assert row["pvalue"] == pytest.approx(pairs["p.value"][i], rel=1e-3, abs=1e-8)


def test_slopes_are_coefficients():
    data = lmmcore.datasets.load_orthodont()
    fit = lmmcore.mixedlm("distance ~ age * Sex + (1 | Subject)", data).fit()
    found = fit.slopes("age", by="Sex").frame().set_index("Sex")
    assert found.slope["Male"] == pytest.approx(fit.fe_params["age"], rel=1e-9)
    both = fit.t_test("age + age:Sex[T.Female] = 0")
    assert found.slope["Female"] == pytest.approx(both.effect[0], rel=1e-9)
    assert found.se["Female"] == pytest.approx(both.sd[0], rel=1e-8)
    assert found.df["Female"] == pytest.approx(both.df_denom, rel=1e-8)
    curved = lmmcore.mixedlm("distance ~ np.log(age) + (1 | Subject)", data).fit()
    at = curved.slopes("age", at={"age": [10.0]}).frame()
    assert at.slope[0] == pytest.approx(curved.fe_params["np.log(age)"] / 10.0, rel=1e-6)


@pytest.fixture(scope="module")
def machines():
    data = lmmcore.datasets.load_machines().iloc[:-4]
    return lmmcore.mixedlm("score ~ Machine + (1 | Worker)", data).fit()


def test_contrasts_by_name(machines):
    means = machines.means("Machine")
    assert means.contrast("polynomial").frame().contrast.tolist() == ["linear", "quadratic"]
    linear = means.contrast("polynomial").L[0] @ np.linalg.pinv(means.L)
    assert linear == pytest.approx([-1.0, 0.0, 1.0])
    first, last = means.estimate[[0, 2]]
    table = means.contrast({"ends": [-1, 0, 1]}).frame()
    assert table.difference[0] == pytest.approx(last - first)
    assert means.contrast("consecutive").frame().contrast.tolist() == ["B - A", "C - B"]
    assert means.contrast("dunnett").frame().contrast.tolist() == ["B - A", "C - A"]
    assert means.contrast("mean").frame().difference.sum() == pytest.approx(0.0, abs=1e-9)


def test_joint_test_is_that_of_the_term(machines):
    joint = machines.means("Machine").joint_tests()
    anova = machines.anova().table
    assert joint.F[0] == pytest.approx(anova.F["Machine"], rel=1e-8)
    assert joint.pvalue[0] == pytest.approx(anova.pvalue["Machine"], rel=1e-3)


def test_multivariate_t_is_that_of_scipy(machines):
    found = machines.means("Machine").contrast("dunnett", adjust="mvt")
    table = found.frame()
    cov = found.choice(found.fit, found.L).covariance
    sd = np.sqrt(np.diag(cov))
    df = table["df"][0]
    for t, p in zip(table["t"], table["pvalue"]):
        inside = stats.multivariate_t(shape=cov / np.outer(sd, sd), df=df).cdf(
            np.full(2, abs(t)), lower_limit=np.full(2, -abs(t)), random_state=1
        )
        assert p == pytest.approx(1.0 - inside, abs=2e-4)
    low, high = table["lower"][0], table["upper"][0]
    reach = (high - low) / 2 / table["se"][0]
    inside = stats.multivariate_t(shape=cov / np.outer(sd, sd), df=df).cdf(
        np.full(2, reach), lower_limit=np.full(2, -reach), random_state=1
    )
    assert inside == pytest.approx(0.95, abs=5e-4)


def test_logarithms_come_back_as_ratios():
    data = lmmcore.datasets.load_machines()
    fit = lmmcore.mixedlm("np.log(score) ~ Machine + (1 | Worker)", data).fit()
    plain, back = fit.means("Machine").frame(), fit.means("Machine", transform="log").frame()
    assert back.response.to_numpy() == pytest.approx(np.exp(plain["mean"].to_numpy()))
    assert back.lower.to_numpy() == pytest.approx(np.exp(plain.lower.to_numpy()))
    ratio = fit.means("Machine", transform="log").pairs().frame().ratio[0]
    assert ratio == pytest.approx(back.response[0] / back.response[1])


def unbalanced():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {"a": rng.choice(list("xyz"), 60, p=[0.6, 0.3, 0.1]), "b": rng.choice(list("uv"), 60)}
    )
    data["g"] = np.arange(60) % 10
    data["y"] = rng.standard_normal(60) + (data.a == "y") + rng.standard_normal(10)[data.g]
    return data


def test_weights():
    data = unbalanced()
    fit = lmmcore.mixedlm("y ~ a * b + (1 | g)", data).fit()
    cells = fit.means(["a", "b"]).frame().set_index(["a", "b"])["mean"]
    share = data.b.value_counts(normalize=True)
    proportional = fit.means("a", weights="proportional").frame().set_index("a")["mean"]
    assert proportional["x"] == pytest.approx(sum(cells["x", b] * share[b] for b in "uv"))
    own = data[data.a == "x"].b.value_counts(normalize=True)
    found = fit.means("a", weights="cells").frame().set_index("a")["mean"]
    assert found["x"] == pytest.approx(sum(cells["x", b] * own[b] for b in "uv"))


def test_what_cannot_be_estimated_is_named():
    data = unbalanced()
    data = data[~((data.a == "z") & (data.b == "v"))]
    with pytest.warns(RankDeficientWarning):
        fit = lmmcore.mixedlm("y ~ a * b + (1 | g)", data).fit()
    means = fit.means("a")
    assert means.frame().set_index("a")["mean"].isna().to_dict() == {
        "x": False,
        "y": False,
        "z": True,
    }
    assert "Not estimable from these data: a=z" in means.note
    assert np.isfinite(means.contrast({"x - y": [1, -1, 0]}).frame().difference[0])
    with pytest.raises(DataValueError, match="a joint test of all rows is not possible"):
        means.joint_tests()
    with pytest.raises(DataValueError, match="no row with a=z, b=v"):
        fit.means(["a", "b"], weights="cells")


def test_errors(machines):
    with pytest.raises(OptionError, match=r"'machine' is no variable.*did you mean 'Machine'"):
        machines.means("machine")
    with pytest.raises(OptionError, match=r"level \['D'\] of 'Machine'"):
        machines.means("Machine", at={"Machine": ["D"]})
    with pytest.raises(OptionError, match="weights='even'"):
        machines.means("Machine", weights="even")
    with pytest.raises(OptionError, match=r"contrast 'pairwize'.*did you mean 'pairwise'"):
        machines.means("Machine").contrast("pairwize")
    with pytest.raises(DataValueError, match="expected finite numbers in 3 columns"):
        machines.means("Machine").contrast([1, -1])
    with pytest.raises(OptionError, match="adjust='tuckey'"):
        machines.means("Machine").contrast(adjust="tuckey")
    with pytest.raises(OptionError, match="'Machine' is no covariate"):
        machines.slopes("Machine")
    data = lmmcore.datasets.load_sleepstudy()
    fit = lmmcore.mixedlm("Reaction ~ Days + (1 | Subject)", data).fit()
    with pytest.raises(OptionError, match=r"'Days' is a covariate and has no levels"):
        fit.means("Days")
    arrays = lmmcore.MixedLM(
        data.Reaction.to_numpy(), np.ones((180, 1)), data.Subject.to_numpy()
    ).fit()
    with pytest.raises(DesignError, match="given arrays"):
        arrays.means("x")


def test_after_a_refit_a_file_and_missing_rows(tmp_path):
    data = lmmcore.datasets.load_machines().copy()
    data["z"] = np.random.default_rng(0).standard_normal(len(data))
    data.loc[3, "score"] = np.nan
    formula = "score ~ Machine * z + (1 | Worker)"
    fit = lmmcore.mixedlm(formula, data).fit()
    known, slopes = fit.means("Machine").frame(), fit.slopes("z", by="Machine").frame()
    fit.save(tmp_path / "fit.pickle")
    loaded = lmmcore.MixedLMResults.load(tmp_path / "fit.pickle")
    pd.testing.assert_frame_equal(loaded.means("Machine").frame(), known)
    pd.testing.assert_frame_equal(loaded.slopes("z", by="Machine").frame(), slopes)
    y = data.score.dropna() * 2.0
    for again in (fit.refit(y.to_numpy()), loaded.refit(y.to_numpy())):
        found = again.means("Machine").frame()
        np.testing.assert_allclose(found["mean"], 2.0 * known["mean"], rtol=1e-6)
        assert again.refit(y.to_numpy() + 1.0).means("Machine").frame().shape == known.shape
    drawn = []
    loaded.bootstrap(2, rng=1, fun=lambda f: drawn.append(f.means("Machine")) or 1.0)
    assert len(drawn) == 3
    fit.remove_data()
    with pytest.raises(LmmcoreError, match="remove_data"):
        fit.means("Machine")

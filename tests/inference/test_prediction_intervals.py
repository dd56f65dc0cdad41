"""Standard errors of predictions beside Henderson's equations, solved by R and densely here."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_models import frame, inference_reference
from scipy import stats

import lmmcore
from lmmcore.errors import DataValueError, OptionError

REFERENCE = inference_reference("predict")


@pytest.mark.parametrize("name", list(REFERENCE))
def test_r(name):
    known = REFERENCE[name]
    data = frame(known["data"])
    fit = lmmcore.mixedlm(known["formula"], data, weights=known["weights"]).fit(
        reml=known["method"] == "REML"
    )
    new = pd.DataFrame(known["newdata"])
    new = new.apply(lambda c: c.astype(str) if not pd.api.types.is_numeric_dtype(c) else c)
    population = fit.predict(new, interval="confidence")
    assert population.se.to_numpy() == pytest.approx(np.array(known["population"]["se"]), rel=1e-6)
    for case in known["cases"]:
        rows = new.assign(**dict.fromkeys(case["new_level_columns"], "unseen"))
        options = {"random_effects": "all", "new_groups": "zero"}
        found = fit.predict(rows, interval="confidence", **options)
        assert found.fit.to_numpy() == pytest.approx(np.array(case["prediction"]), rel=1e-7)
        assert found.se.to_numpy() == pytest.approx(np.array(case["se_prediction"]), rel=1e-6)
        added = np.array(case["se_new_observation"]) ** 2 - np.array(case["se_prediction"]) ** 2
        weights = fit.scale / added
        wide = fit.predict(rows, interval="prediction", weights=weights, level=0.9, **options)
        assert wide.se.to_numpy() == pytest.approx(np.array(case["se_new_observation"]), rel=1e-6)
        reach = stats.norm.ppf(0.95) * wide.se
        assert (wide.upper - wide.fit).to_numpy() == pytest.approx(reach.to_numpy())
    for group in known["ranef"]:
        frames = fit.random_effects_se
        own = frames if isinstance(frames, pd.DataFrame) else frames.get(group["group"])
        theirs = np.array(group["se"])
        if own is None or own.shape != theirs.shape:
            continue  # R has the parts of a:b in another order, and (x || g) in two
        own = own.set_axis([str(i) for i in own.index])
        by_level = dict(zip(group["levels"], theirs))
        ours = np.array([own.loc[level] for level in by_level])
        assert np.sort(ours, axis=1) == pytest.approx(np.sort(theirs, axis=1), rel=1e-6)


SHAPES = {
    "slope": "y ~ x + (1 + x | g)", "two": "y ~ x + (1 | g) + (0 + x | g)",
    "crossed": "y ~ x + (1 | g) + (1 + x | h)",
    "nested": "y ~ x + (1 | g/h)",
}  # fmt: skip


@given(st.integers(0, 10_000), st.sampled_from(list(SHAPES)), st.booleans())
def test_henderson(seed, shape, weighted):
    rng = np.random.default_rng(seed)
    n = 40
    data = pd.DataFrame({"g": rng.integers(0, 6, n), "h": rng.integers(0, 4, n)})
    data["x"], data["w"] = rng.standard_normal(n), rng.uniform(0.5, 2, n)
    data["y"] = rng.standard_normal(6)[data.g] + rng.standard_normal(4)[data.h] * data.x
    data["y"] += rng.standard_normal(n)
    fit = lmmcore.mixedlm(SHAPES[shape], data, weights="w" if weighted else None).fit()
    w = data.w.to_numpy() if weighted else np.ones(n)
    x = np.column_stack([np.ones(n), data.x])
    parts, blocks = [], []
    for t, g in zip(fit.model.spec.terms, fit.fit.relative):
        codes = fit.model.design.groupings[t.factor].codes
        q = codes.max() + 1
        columns = [x[:, 1] if name == "x" else np.ones(n) for name in t.names]
        z = np.zeros((n, q, len(columns)))
        z[np.arange(n), codes] = np.column_stack(columns)
        parts.append(z.reshape(n, -1))
        blocks.append(np.kron(np.eye(q), g))
    z = np.hstack(parts)
    g = np.zeros((z.shape[1],) * 2)
    at = 0
    for block in blocks:
        g[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    v = np.linalg.inv(np.diag(1 / w) + z @ g @ z.T)
    h = np.linalg.inv(x.T @ v @ x)
    rows = np.hstack([x, z])[:9]
    # Var(x'β̂ + z'b̂ − x'β − z'b) from the definition: β̂ = HX'Vy, b̂ = GZ'V(y − Xβ̂).
    to_beta = h @ x.T @ v
    to_b = g @ z.T @ v @ (np.eye(n) - x @ to_beta)
    a = rows[:, :2] @ to_beta + rows[:, 2:] @ to_b  # of y
    cov_y, cov_yb = np.diag(1 / w) + z @ g @ z.T, z @ g
    wanted = (
        np.einsum("in,nm,im->i", a, cov_y, a)
        - 2 * np.einsum("in,nb,ib->i", a, cov_yb, rows[:, 2:])
        + np.einsum("ib,bc,ic->i", rows[:, 2:], g, rows[:, 2:])
    )
    found = fit.predict(data.iloc[:9], random_effects="all", interval="confidence")
    assert found.se.to_numpy() ** 2 == pytest.approx(
        fit.scale * wanted, rel=1e-6, abs=1e-9 * fit.scale
    )
    own = fit.predict(random_effects="all", interval="confidence")
    assert own.se.to_numpy()[:9] == pytest.approx(found.se.to_numpy(), rel=1e-9)


@pytest.fixture(scope="module")
def sleep():
    data = lmmcore.datasets.load_sleepstudy()
    return data, lmmcore.mixedlm("Reaction ~ Days + (Days | Subject)", data).fit()


def test_degrees_of_freedom_of_the_population(sleep):
    _, fit = sleep
    new = pd.DataFrame({"Days": [0.0, 3.0, 3.0]})
    found = fit.predict(new, interval="confidence")
    test = fit.t_test([1.0, 3.0])
    assert (found.upper - found.fit)[1] == pytest.approx(
        stats.t.ppf(0.975, test.df_denom) * test.sd[0]
    )
    normal = fit.predict(new, interval="confidence", ddf="z")
    assert (normal.upper - normal.fit)[1] == pytest.approx(stats.norm.ppf(0.975) * test.sd[0])


def test_missing_labels_and_drawn_groups(sleep):
    _, fit = sleep
    new = pd.DataFrame({"Days": [0.0, 3.0, 3.0], "Subject": ["308", None, "new"]})
    found = fit.predict(new, random_effects="all", new_groups="zero", interval="confidence")
    assert found.isna().all(axis=1).tolist() == [False, True, False]
    one, two = (
        fit.predict(new, random_effects="all", new_groups="draw", rng=seed) for seed in (1, 2)
    )
    assert one[0] == two[0]
    assert one[2] != two[2]
    many = pd.DataFrame({"Days": np.zeros(4000), "Subject": [f"n{i}" for i in range(4000)]})
    drawn = fit.predict(many, random_effects="all", new_groups="draw", rng=1)
    assert drawn.std() == pytest.approx(np.sqrt(fit.cov_re.iloc[0, 0]), rel=0.05)


def test_errors(sleep):
    data, fit = sleep
    new = data.iloc[:2]
    with pytest.raises(OptionError, match="interval='both'"):
        fit.predict(new, interval="both")
    with pytest.raises(OptionError, match="alpha=-1"):
        fit.predict(new, interval="confidence", level=2.0)
    with pytest.raises(DataValueError, match="not in the model"):
        fit.predict(new.assign(Subject="x"), random_effects="all", interval="confidence")
    with pytest.raises(DataValueError, match="expected 2 positive numbers"):
        fit.predict(new, interval="prediction", weights=[1.0, 2.0, 3.0])
    with pytest.raises(OptionError, match="with new_groups='draw'"):
        fit.predict(new, random_effects="all", new_groups="draw", interval="confidence")
    penalized = fit.model.fit_regularized(alpha=1.0)
    with pytest.raises(OptionError, match="of a penalized fit"):
        penalized.predict(new, interval="confidence")

"""Cluster-robust covariances beside clubSandwich and beside their definition in n × n matrices."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_models import frame, inference_reference
from scipy import stats

import lmmcore
from lmmcore.errors import DataValueError, OptionError

REFERENCE = inference_reference("robust")


@pytest.mark.parametrize("name", list(REFERENCE))
def test_clubsandwich(name):
    known = REFERENCE[name]
    data = frame(known["data"])
    if name == "exam_int":
        data = data[data.school.isin(list(data.school.cat.categories[:20]))]
    build = lmmcore.mixedlm if "|" in known["formula"] else lmmcore.gls
    model = build(known["formula"], data, residual=known.get("residual"))
    fit = model.fit(reml=known["method"] == "REML")
    # The same columns in another order, or with another name of a level.
    order = [int(np.argmin(np.abs(fit.fe_params.to_numpy() - e))) for e in known["estimate"]]
    found = fit.fe_params.to_numpy()[order]
    if not np.allclose(found, known["estimate"], rtol=1e-5):
        pytest.fail(f"{dict(fit.fe_params)} and {known['names']} are not the same columns")
    L = np.eye(len(order))[order]
    for kind, theirs in known["types"].items():
        test = fit.t_test(L, vcov=kind.lower())
        assert test.sd == pytest.approx(np.array(theirs["se"]), rel=1e-6)
        df = np.broadcast_to(test.df_denom, len(order))
        assert df == pytest.approx(np.array(theirs["df_satterthwaite"]), rel=1e-6)
        assert test.pvalue == pytest.approx(np.array(theirs["p_satterthwaite"]), rel=1e-4)
        if "wald" in theirs:
            rows = L[[known["names"].index(n) for n in theirs["wald"]["tested"]]]
            joint, table = fit.f_test(rows, vcov=kind.lower()), theirs["wald"]["table"]
            i = table["test"].index("HTZ")
            assert joint.statistic == pytest.approx(table["Fstat"][i], rel=1e-5)
            assert joint.df_denom == pytest.approx(table["df_denom"][i], rel=1e-5)
            assert joint.pvalue == pytest.approx(table["p_val"][i], rel=1e-4)


def drawn(seed, crossed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, 9)
    c = np.repeat(np.arange(9), sizes)
    n = len(c)
    data = pd.DataFrame({"c": c, "x": rng.standard_normal(n), "b": 1.0 * (c % 2)})
    data["w"] = rng.uniform(0.5, 2.0, n)
    data["g"] = c * 10 + rng.integers(0, 2, n)
    data["h"] = c * 10 + rng.integers(0, 2, n)
    data["y"] = rng.standard_normal(n) * (1 + data.b) + rng.standard_normal(9)[c] + data.x
    return data, "y ~ x + b + (1 | c) + (1 | g)" + (" + (1 | h)" if crossed else "")


@given(
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["cr0", "cr1s", "cr2", "cr3"]),
)
def test_definition(seed, crossed, weighted, kind):
    """Also where factors cross inside of the clusters."""
    data, formula = drawn(seed, crossed)
    fit = lmmcore.mixedlm(formula, data, weights="w" if weighted else None).fit()
    x, n = np.asarray(fit.model.exog), len(data)
    w = np.sqrt(data.w.to_numpy()) if weighted else np.ones(n)
    v = np.eye(n)
    for grouping, g in zip(fit.model.design.groupings, fit.fit.relative):
        same = grouping.codes[:, None] == grouping.codes[None, :]
        v += g[0, 0] * same * np.outer(w, w)
    xw, e = x * w[:, None], (data.y.to_numpy() - x @ fit.fe_params.to_numpy()) * w
    inverse = np.linalg.inv(v)
    m = np.linalg.inv(xw.T @ inverse @ xw)
    hat = xw @ m @ xw.T @ inverse
    rest = (np.eye(n) - hat) @ v @ (np.eye(n) - hat).T
    scores, vectors = [], []
    codes = data.c.to_numpy()
    for j in np.unique(codes):
        i = np.flatnonzero(codes == j)
        own = v[np.ix_(i, i)]
        a = np.eye(len(i))
        if kind == "cr2":
            values, u = np.linalg.eigh(own)
            d = (u * np.sqrt(values)) @ u.T
            values, u = np.linalg.eigh(d @ rest[np.ix_(i, i)] @ d)
            keep = values > 1e-9 * values.max()
            a = d @ (u[:, keep] / np.sqrt(values[keep])) @ u[:, keep].T @ d
        if kind == "cr3":
            a = np.linalg.pinv(np.eye(len(i)) - hat[np.ix_(i, i)], rcond=1e-9)
        left = m @ xw[i].T @ np.linalg.inv(own) @ a
        scores.append(left @ e[i])
        vectors.append(left @ (np.eye(n) - hat)[i])
    total = sum(np.outer(s, s) for s in scores)
    if kind == "cr1s":
        total *= 9 * (n - 1) / (8 * (n - 3))
    L = np.array([[0.0, 1.0, 0.3]])
    test = fit.t_test(L, vcov=kind)
    assert test.sd[0] ** 2 == pytest.approx((L @ total @ L.T).item(), rel=1e-6)
    p = np.array([(L @ b).ravel() for b in vectors])
    gram = p @ v @ p.T
    assert test.df_denom == pytest.approx(np.trace(gram) ** 2 / np.sum(gram**2), rel=1e-6)


@pytest.fixture(scope="module")
def machines():
    data = lmmcore.datasets.load_machines()
    return data, lmmcore.mixedlm("score ~ Machine + (1 | Worker)", data).fit(vcov="cr2")


def test_the_choice_is_kept_without_rows(machines):
    data, fit = machines
    test = fit.t_test("Machine[T.B]")
    assert fit.summary().parameters["df"].iloc[1] == f"{float(test.df_denom):.2f}"
    assert "CR2" in str(fit.summary())
    assert test.pvalue[0] == pytest.approx(2 * stats.t.sf(abs(test.statistic[0]), test.df_denom))
    again = pickle.loads(pickle.dumps(fit))
    assert again.t_test("Machine[T.B]").sd[0] == test.sd[0]
    other = fit.refit(data.score + np.sin(np.arange(len(data))))
    fresh = lmmcore.mixedlm(
        "score ~ Machine + (1 | Worker)",
        data.assign(score=data.score + np.sin(np.arange(len(data)))),
    ).fit(vcov="cr2")
    assert other.t_test("Machine[T.B]").sd[0] == pytest.approx(
        fresh.t_test("Machine[T.B]").sd[0], rel=1e-6
    )
    assert fit.t_test("Machine[T.B]", vcov="cr2", ddf="satterthwaite").df_denom == test.df_denom
    assert fit.t_test("Machine[T.B]", vcov="cr0", ddf="z").distribution == "norm"


def test_other_clusters_and_errors(machines):
    data, fit = machines
    by_name = fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("CR3", "Worker"))
    labels = data.Worker.astype(str).to_numpy()
    by_label = fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("cr3", labels))
    assert by_name.sd[0] == pytest.approx(by_label.sd[0], rel=1e-12)
    with pytest.raises(OptionError, match=r"kind='cr4'.*expected one of cr0, cr1"):
        lmmcore.cluster_robust("cr4")
    with pytest.raises(OptionError, match="cluster='worker' is no column of the data"):
        fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("cr2", "worker"))
    with pytest.raises(OptionError, match="Worker are not nested in the clusters Machine"):
        fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("cr2", "Machine"))
    with pytest.raises(DataValueError, match="expected a label for each of the 54 rows"):
        fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("cr2", [1, 2]))
    with pytest.raises(OptionError, match="with 1 cluster; expected two or more"):
        fit.t_test("Machine[T.B]", vcov=lmmcore.cluster_robust("cr2", np.zeros(54)))
    data = lmmcore.datasets.load_penicillin()
    with pytest.raises(OptionError, match="plate are not nested in the clusters sample"):
        lmmcore.mixedlm("diameter ~ 1 + (1 | plate) + (1 | sample)", data).fit(vcov="cr2")

"""Permutation tests of fixed effects: by brute force, their size, what cannot be tested."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.errors import DesignError, OptionError


def _data(seed, effect=0.0, q=8, m=5):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(q), m)
    data = pd.DataFrame({"g": g, "x": rng.standard_normal(q * m), "z": rng.standard_normal(q * m)})
    data["f"] = rng.choice(list("abc"), q * m)
    data["between"] = rng.standard_normal(q)[g]
    data["y"] = effect * data.x + data.z + rng.standard_normal(q)[g] + rng.standard_normal(q * m)
    return data


@pytest.mark.parametrize("term", ["x", "f"])
def test_beside_refits(term):
    data = _data(1, 0.3)
    formula = "y ~ x + z + f + (1 | g)"
    fit = lmmcore.mixedlm(formula, data).fit()
    found = fit.permutation_test(term, 30, rng=3)
    null = lmmcore.mixedlm(formula.replace(f"{term} + ", ""), data).fit()
    fitted, residual = null.fittedvalues.to_numpy(), null.resid.to_numpy()
    rng = np.random.default_rng(3)
    names = [n for n in fit.fe_params.index if n == term or n.startswith(f"{term}[")]

    def f(results):
        b = results.fe_params[names].to_numpy()
        return b @ np.linalg.solve(results.cov_fe.loc[names, names], b) / len(b)

    known = []
    for _ in range(30):
        order = np.lexsort((rng.permutation(40), data.g))
        data["y2"] = fitted + residual[order]  # the rows are sorted by group
        known.append(f(lmmcore.mixedlm(formula.replace("y ~", "y2 ~"), data).fit()))
    assert found.distribution == pytest.approx(np.array(known), rel=1e-4)
    assert found.statistic == pytest.approx(f(fit))
    assert found.pvalue == (1 + np.sum(np.array(known) >= f(fit))) / 31
    assert "Permutation test" in str(found)


def test_size_and_power():
    small = [
        lmmcore.mixedlm("y ~ x + z + (1 | g)", _data(s))
        .fit()
        .permutation_test("x", 39, rng=s)
        .pvalue
        for s in range(100)
    ]
    assert 3 <= np.sum(np.array(small) <= 0.1) <= 20  # 10 expected
    strong = lmmcore.mixedlm("y ~ x + z + (1 | g)", _data(1, 2.0)).fit()
    assert strong.permutation_test("x", 99, rng=1).pvalue == 0.01


def test_crossed_weights_and_refusals():
    data = _data(2)
    data["h"] = np.tile(np.arange(5), 8)
    data["w"] = np.random.default_rng(0).uniform(0.5, 2.0, 40)
    crossed = lmmcore.mixedlm("y ~ x + (1 | g) + (1 | h)", data, weights="w").fit()
    assert 0 < crossed.permutation_test("x", 19, level="h", rng=1).pvalue <= 1
    fit = lmmcore.mixedlm("y ~ x + between + f + (1 | g)", data).fit()
    with pytest.raises(OptionError, match="expected level='g'"):
        crossed.permutation_test("x")
    with pytest.raises(DesignError, match="'between' does not vary within the levels of 'g'"):
        fit.permutation_test("between")
    with pytest.raises(OptionError, match="term='betwen'; did you mean 'between'"):
        fit.permutation_test("betwen")
    with pytest.raises(OptionError, match="n=0"):
        fit.permutation_test("x", 0)

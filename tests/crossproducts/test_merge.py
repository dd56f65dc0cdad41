"""Cross-products of two chunks of rows, added, are those of both."""

import numpy as np
import pandas as pd
import pytest
from drawn import examples
from hypothesis import given
from hypothesis import strategies as st

import lmmcore
from lmmcore.crossproducts.accumulate import cross_products
from lmmcore.design.arrays import from_arrays
from lmmcore.design.build import from_formula
from lmmcore.errors import DataValueError
from lmmcore.extension import find
from lmmcore.fitting.estimate import estimate
from lmmcore.likelihood.profiled import ProfiledLikelihood
from lmmcore.testing.strategies import grouped_models


def optimum(cp, design, reml=True):
    n_own = len(cp.term_columns) - len(design.terms)
    structures = [find("covariance", "unstructured")] * len(cp.term_columns)
    sizes = [len(t.names) for t in design.terms] + [1] * n_own
    likelihood = ProfiledLikelihood(cp, structures, sizes, reml)
    found = estimate(
        likelihood, [("newton", find("optimizer", "newton"))], cp.term_columns, ["g"] * len(sizes)
    )
    beta = likelihood.coordinates.beta(found.point.state)
    covariances = [
        t.to_user(g) for t, g in zip(likelihood.terms, likelihood.covariances(found.point.theta))
    ]
    return found.point.value, beta, covariances


def test_halves_of_a_data_set_give_the_same_fit():
    data = lmmcore.datasets.load_sleepstudy()
    formula = "Reaction ~ Days + (Days | Subject)"
    for rows in (np.arange(180) < 77, np.arange(180) % 2 == 0):
        parts = [from_formula(formula, data[m]) for m in (rows, ~rows)]
        whole = from_formula(formula, data)
        merged = cross_products(parts[0]) + cross_products(parts[1])
        value, beta, (g,) = optimum(merged, whole)
        value0, beta0, (g0,) = optimum(cross_products(whole), whole)
        assert value == pytest.approx(value0, rel=1e-12)
        np.testing.assert_allclose(beta, beta0, rtol=1e-11)
        np.testing.assert_allclose(g, g0, rtol=1e-6)


def test_halves_with_columns_of_their_own():
    data = lmmcore.datasets.load_pastes()
    arguments = {"groups": "batch", "re_formula": "1", "vc_formula": {"cask": "0 + C(cask)"}}
    rows = np.arange(60) % 3 != 1
    parts = [from_formula("strength ~ 1", data[m], **arguments) for m in (rows, ~rows)]
    whole = from_formula("strength ~ 1", data, **arguments)
    merged = cross_products(parts[1]) + cross_products(parts[0])
    value, beta, g = optimum(merged, whole)
    value0, beta0, g0 = optimum(cross_products(whole), whole)
    assert value == pytest.approx(value0, rel=1e-12)
    np.testing.assert_allclose(beta, beta0, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate(g), np.concatenate(g0), rtol=1e-6)


@examples(20)
@given(grouped_models(max_k=3, max_p=3), st.integers(0, 2**32 - 1))
def test_merging_drawn_models(problem, seed):
    """The criterion at a point, from two parts and from the whole."""
    n = len(problem.y)
    mask = np.random.default_rng(seed).random(n) < 0.5
    if min(mask.sum(), n - mask.sum()) <= problem.x.shape[1] + 1:
        return

    def design(rows):
        weights = None if problem.weights is None else problem.weights[rows]
        return from_arrays(
            problem.y[rows], problem.x[rows], problem.groups[rows], problem.z[rows],
            weights=weights,
        )  # fmt: skip

    try:
        parts = [cross_products(design(rows)) for rows in (mask, ~mask)]
    except lmmcore.LmmcoreError:
        return  # a part too small to be a model of its own
    whole = cross_products(design(np.ones(n, dtype=bool)))
    if whole.basis.dependent or any(p.basis.dependent for p in parts):
        return
    k = problem.z.shape[1]
    structures = [find("covariance", "unstructured")]
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((k, k))
    values = []
    for cp in (parts[0] + parts[1], whole):
        likelihood = ProfiledLikelihood(cp, structures, [k], True)
        (term,) = likelihood.terms
        size = np.sqrt(np.mean(problem.z**2, axis=0))
        g = term.to_engine(a @ a.T / np.outer(size, size))
        values.append(likelihood.value(likelihood.parameters([g])))
    assert values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-8)


def test_a_factor_level_that_one_chunk_lacks():
    """A column that is dependent in one part is a column like any other in the sum."""
    data = lmmcore.datasets.load_orthodont()
    data["male"] = (data["Sex"] == "Male").astype(float)
    formula = "distance ~ age + male + (1 | Subject)"
    rows = (data["Sex"] == "Male").to_numpy()
    parts = [cross_products(from_formula(formula, data[m])) for m in (rows, ~rows)]
    assert parts[0].basis.dependent
    whole = from_formula(formula, data)
    value, beta, _ = optimum(parts[0] + parts[1], whole)
    value0, beta0, _ = optimum(cross_products(whole), whole)
    assert value == pytest.approx(value0, rel=1e-12)
    np.testing.assert_allclose(beta, beta0, rtol=1e-10)


def test_other_columns_cannot_be_added():
    data = lmmcore.datasets.load_sleepstudy()
    one = cross_products(from_formula("Reaction ~ Days + (1 | Subject)", data))
    two = cross_products(from_formula("Reaction ~ 1 + (1 | Subject)", data))
    with pytest.raises(DataValueError, match="fixed_names"):
        one + two


def test_order_of_addition_and_labels():
    data = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9, 7, 8], "g": list("bbaaccbd"), "x": range(8)})
    parts = [
        cross_products(from_formula("y ~ x", data[m], "g"))
        for m in (np.arange(8) < 4, np.arange(8) >= 4)
    ]
    assert (parts[0] + parts[1]).labels.tolist() == ["a", "b", "c", "d"]
    assert (parts[1] + parts[0]).blocks[0].counts.tolist() == [2, 3, 2, 1]

"""Responses on a design that has been read: the same products as those of a fresh model."""

import numpy as np
import pandas as pd
import pytest

import lmmcore
from lmmcore.crossproducts import responses
from lmmcore.crossproducts.crossed import CrossedProducts
from lmmcore.errors import DesignError
from lmmcore.linalg.matrices import symmetric


def data_of(seed=0, n=300):
    rng = np.random.default_rng(seed)
    g = np.sort(rng.integers(0, 25, n))
    frame = pd.DataFrame({
        "g": g, "item": rng.integers(0, 8, n), "cls": rng.integers(0, 3, n),
        "x": rng.standard_normal(n), "t": 1e9 + 1e4 * rng.random(n), "w": rng.uniform(0.5, 2.0, n),
    })  # fmt: skip
    frame["twice"] = 2.0 * frame["x"]
    frame["y"] = rng.standard_normal(n) + rng.standard_normal(25)[g]
    return frame, rng


MODELS = {
    "intercept": lambda d: lmmcore.mixedlm("y ~ x + (1 | g)", d),
    "slopes": lambda d: lmmcore.mixedlm("y ~ x + t + (1 + t + x | g)", d),
    "weights": lambda d: lmmcore.mixedlm("y ~ x + (1 + x | g)", d, weights="w"),
    "no constant": lambda d: lmmcore.mixedlm("y ~ 0 + x + (0 + x | g)", d),
    "components": lambda d: lmmcore.mixedlm(
        "y ~ x", d, groups="g", re_formula="1 + x", vc_formula={"c": "0 + C(cls)"}, weights="w"
    ),
    "crossed": lambda d: lmmcore.mixedlm("y ~ x + t + (1 + t | g) + (1 | item)", d, weights="w"),
    "nested": lambda d: lmmcore.mixedlm("y ~ x + (1 | g/cls)", d),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("at_once", [1 << 18, 64])
def test_products_equal_those_of_a_fresh_model(name, at_once, monkeypatch):
    monkeypatch.setattr(responses, "AT_ONCE", at_once)
    monkeypatch.setattr(responses, "KEPT", at_once)
    data, rng = data_of()
    model = MODELS[name](data)
    new = np.column_stack([rng.standard_normal(len(data)), 1e6 + data["x"] * 50 + rng.random(len(data)),
                           rng.integers(0, 9, len(data))] + [rng.random(len(data))] * 3)  # fmt: skip
    block = responses.ResponseReader(model.design, model.crossproducts).read(new)
    for j in range(3):
        fresh = MODELS[name](data.assign(y=new[:, j])).crossproducts
        mine = block.products(model.crossproducts, j)
        np.testing.assert_allclose(mine.basis.map, fresh.basis.map, rtol=1e-8, atol=1e-12)
        size = float(symmetric(fresh.total)[-1, -1])
        np.testing.assert_allclose(symmetric(mine.total), symmetric(fresh.total), atol=1e-9 * size)
        parts = (mine.factors, fresh.factors) if isinstance(mine, CrossedProducts) else (
            mine.blocks, fresh.blocks)  # fmt: skip
        for a, b in zip(*parts):
            np.testing.assert_allclose(a.w, b.w, atol=1e-8 * (1 + np.abs(b.w).max()))


def test_a_dependent_column():
    data, rng = data_of()
    with pytest.warns(lmmcore.errors.RankDeficientWarning):
        model = lmmcore.mixedlm("y ~ x + twice + (1 | g)", data)
    new = rng.standard_normal(len(data))
    block = responses.ResponseReader(model.design, model.crossproducts).read(new[:, None])
    with pytest.warns(lmmcore.errors.RankDeficientWarning):
        fresh = lmmcore.mixedlm("y ~ x + twice + (1 | g)", data.assign(y=new)).crossproducts
    mine = block.products(model.crossproducts, 0)
    np.testing.assert_allclose(symmetric(mine.total), symmetric(fresh.total), atol=1e-10)


def test_a_constant_response_is_refused():
    data, _ = data_of()
    model = MODELS["intercept"](data)
    with pytest.raises(DesignError, match="response in column 1 is constant"):
        responses.ResponseReader(model.design, model.crossproducts).read(
            np.column_stack([data["x"], np.full(len(data), 3.0)])
        )

"""From entries of G to parameters: products of matrices and loops."""

import numpy as np
import pytest

import lmmcore
from lmmcore.likelihood import chain
from lmmcore.likelihood.independent import _groups


@pytest.mark.parametrize("name", ["us", "csh", "fa2"])
def test_products_equal_loops(name, monkeypatch):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20), 9)
    z = np.column_stack([np.ones(180), rng.standard_normal((180, 3))])
    y = rng.standard_normal(180) + rng.standard_normal(20)[g]
    model = lmmcore.MixedLM(y, z, g, exog_re=z, covariance=name)
    likelihood = model._likelihood(True)
    theta = rng.uniform(0.2, 1.0, likelihood.n_parameters)
    loops = likelihood.value_gradient_hessian(theta)
    monkeypatch.setattr(chain, "MANY", 0)
    likelihood._last = None
    products = likelihood.value_gradient_hessian(theta)
    for one, other in zip(loops, products):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)


def test_many_parameters_go_by_products(monkeypatch):
    """The loops cost O(m² k² w): 32 times as much for twice the columns, and m itself grows."""
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(30), 12)
    z = np.column_stack([np.ones(360), rng.standard_normal((360, 9))])
    model = lmmcore.MixedLM(rng.standard_normal(360), z[:, :1], g, exog_re=z)
    likelihood = model._likelihood(True)
    monkeypatch.setattr(_groups, "chain_rule", None)
    assert likelihood.point(np.full(55, 0.3), order=2).hessian.shape == (55, 55)

"""The four variants of Kenward and Roger for structures in which V is not linear, beside dense algebra."""

import numpy as np
import pandas as pd
import pytest
from dense_inference import kenward_roger_of
from hypothesis import given, settings
from hypothesis import strategies as st

import lmmcore
from lmmcore.inference import kenward_roger as kr

VARIANTS = {  # observed information, second derivatives
    kr.KENWARD_ROGER: (False, False),
    kr.KENWARD_ROGER_BENT: (False, True),
    kr.KENWARD_ROGER_SAS: (True, True),
    kr.KENWARD_ROGER_SAS_LINEAR: (True, False),
}


def _ar1(psi, t, same, n, noise):
    v, rho, sigma2 = psi
    distance = np.abs(t[:, None] - t[None, :])
    return v * np.power(rho + 0j, distance) * same + sigma2 * noise


def _csh(psi, t, same, n, noise):
    variances, rho, sigma2 = psi[:3], psi[3], psi[4]
    root = np.sqrt(variances.astype(complex))[t]
    correlation = np.where(t[:, None] == t[None, :], 1.0, rho)
    return root[:, None] * correlation * root[None, :] * same + sigma2 * noise


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["ar1", "csh"]), st.booleans())
def test_beside_dense_algebra(seed, structure, weighted):
    rng = np.random.default_rng(seed)
    q, k, rep = 9, 4 if structure == "ar1" else 3, 2
    g, t = np.repeat(np.arange(q), k * rep), np.tile(np.repeat(np.arange(k), rep), q)
    keep = rng.random(len(g)) < 0.85
    g, t = g[keep], t[keep]
    n = len(g)
    data = pd.DataFrame({"g": g, "t": pd.Categorical(t), "x": rng.standard_normal(n)})
    data["w"] = rng.uniform(0.5, 2.0, n)
    corr = 0.6 ** np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    b = rng.standard_normal((q, k)) @ np.linalg.cholesky(corr).T
    data["y"] = data.x + b[g, t] + rng.standard_normal(n)
    formula = f"y ~ x + {structure}(0 + t | g)"
    fit = lmmcore.mixedlm(formula, data, weights="w" if weighted else None).fit()
    named = fit.covariance_parameters["estimate"]
    if fit.convergence.boundary or not fit.convergence.identified or abs(named).min() < 0.02:
        return
    same = (g[:, None] == g[None, :]).astype(float)
    noise = np.diag(1.0 / data.w if weighted else np.ones(n))
    cov = fit.cov_re.to_numpy()
    correlation = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    variances = [cov[0, 0]] if structure == "ar1" else list(np.diag(cov))
    psi = np.array([*variances, correlation, fit.scale])
    make = _ar1 if structure == "ar1" else _csh
    x, y = fit.model.exog, np.asarray(fit.model.endog)
    for method, (observed, bent) in VARIANTS.items():
        known = kenward_roger_of(x, y, lambda p: make(p, t, same, n, noise), psi, observed, bent)
        found = method.covariance(fit.fit)
        assert found == pytest.approx(known, rel=2e-6, abs=1e-7 * np.abs(known).max()), method.title

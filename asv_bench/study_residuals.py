"""Do fits with residual structures end at the best optimum? Run: python asv_bench/study_residuals.py [models]

Models are drawn: structure, variance function, random effects (crossed ones too), missing visits. Each fit is
compared with four searches of L-BFGS-B from drawn starts. A fit that is worse by more than 1e-4 and says
nothing is a false convergence. Prints the models, and how many there are of each kind.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter

import numpy as np
import pandas as pd
from scipy import optimize

import lmmcore
from lmmcore.repeated.likelihood import JointLikelihood

RESIDUALS = (
    "ar1(t | g)", "ar1h(visit | g)", "cs(1 | g)", "csh(visit | g)", "toep(visit | g)", "toeph(visit | g)",
    "anteh(visit | g)", "un(visit | g)", "car1(time | g)", "arma(t | g, p=1, q=1)", "exp(time | g)",
    "gau(time | g, nugget=True)", "matern(time | g)", "sph(time | g)", "toep(visit | g, bands=2)",
    "un(visit | g, bands=2)", "diag(visit | g)", "un(side) * ar1(half) | g", None,
)  # fmt: skip
VARIANCES = (None, None, "by(sex)", "power(p)", "by(sex) * power(p)")
FORMULAS = (
    "y ~ x + (1 | g)", "y ~ x + (1 + x | g)", "y ~ x", "y ~ x + (1 | school / g)",
    "y ~ x + (1 | g) + (1 | item)", "y ~ x + (1 | item)",
)  # fmt: skip


def drawn(seed: int) -> tuple[lmmcore.RepeatedLM, bool, np.random.Generator, str]:
    """Return a model, whether to use REML, a generator for starts, and the model in words."""
    rng = np.random.default_rng(seed)
    groups, visits = rng.integers(6, 25), rng.integers(3, 7)
    g, t = np.repeat(np.arange(groups), visits), np.tile(np.arange(visits), groups)
    keep = rng.random(len(g)) < 0.85
    keep[:visits] = True
    g, t = g[keep], t[keep]
    n, rho = len(g), rng.choice([-0.4, 0.0, 0.3, 0.7, 0.95])
    lag = np.abs(np.subtract.outer(np.arange(visits), np.arange(visits)))
    root = np.linalg.cholesky(rho**lag) if rho else np.eye(visits)
    e = (rng.standard_normal((groups, visits)) @ root.T)[g, t]
    data = pd.DataFrame({"g": g, "t": t, "visit": pd.Categorical(t, categories=range(visits))})
    data["time"], data["x"] = t + rng.uniform(0, 0.4, n), rng.standard_normal(n)
    data["p"], data["school"] = rng.uniform(1, 3, n), g // 4
    data["item"], data["side"], data["half"] = (
        rng.integers(0, 6, n),
        np.where(t % 2, "u", "v"),
        t // 2,
    )
    data["sex"] = np.where(rng.random(n) < 0.5, "a", "b")
    b = rng.standard_normal((groups, 2)) * rng.choice([0.0, 1.0, 0.5])
    item = rng.standard_normal(6) * rng.choice([0.0, 1.0])
    data["y"] = data.x + b[g, 0] + b[g, 1] * data.x + item[data["item"]]
    data["y"] += e * np.where(data.sex == "a", 1.0, 1.5)
    residual, variance = RESIDUALS[seed % len(RESIDUALS)], VARIANCES[rng.integers(5)]
    formula = FORMULAS[rng.integers(6)]
    if residual is None and variance is None:
        variance = "by(sex)"
    words = f"{seed}: {formula}, {residual}, {variance}, {n} rows"
    if "|" in formula:
        model = lmmcore.mixedlm(formula, data, residual=residual, variance=variance)
    else:
        model = lmmcore.gls(formula, data, residual, variance)
    return model, bool(rng.integers(2)), rng, words


def best_of_others(
    model: lmmcore.RepeatedLM, fit: lmmcore.RepeatedResults, rng: np.random.Generator
) -> float:
    """Return the lowest criterion of four searches from drawn starts."""
    residual = fit.fit.residual
    joint = JointLikelihood(model.equations, residual.products, fit.reml)
    best = np.inf

    def objective(psi: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = joint.value_and_gradient(psi)
        return (value, gradient) if np.isfinite(value) else (1e10, np.zeros(len(psi)))

    starts = residual.structure.starts
    for k in range(4):
        u = starts[k % len(starts)] + rng.normal(0.0, 0.7, len(residual.u))
        psi = np.concatenate([rng.uniform(-1.5, 1.5, joint.m_theta), u])
        if np.isfinite(joint.value(psi)):
            found = optimize.minimize(
                objective, psi, jac=True, method="L-BFGS-B", options={"maxiter": 400}
            )
            best = min(best, float(found.fun))
    return best


def main(count: int) -> None:
    """Print the study."""
    warnings.simplefilter("ignore")
    kinds: Counter[str] = Counter()
    for seed in range(count):
        model, reml, rng, words = drawn(seed)
        try:
            fit = model.fit(reml=reml)
        except lmmcore.LmmcoreError as exc:
            kinds[type(exc).__name__] += 1
            print(words, type(exc).__name__, str(exc)[:80])
            continue
        certificate = fit.convergence
        silent = certificate.converged and certificate.identified
        worse = fit.criterion - best_of_others(model, fit, rng)
        kinds["boundary" if certificate.boundary and silent else "ok" if silent else "warned"] += 1
        if worse > 1e-4:
            kinds["false" if silent else "warned and worse"] += 1
            print(words, f"worse by {worse:.2g}", "" if silent else "(warned)")
    print(dict(kinds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)

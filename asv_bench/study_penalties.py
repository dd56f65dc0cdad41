"""A simulated study: selection with and without the groups. Its table is in docs/penalties.md."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

import lmmcore
from lmmcore.extension import find
from lmmcore.penalties.problem import PenalizedQuadratic
from lmmcore.penalties.quadratic import Whitened

PENALTIES = ("lasso", "adaptive_lasso", "scad", "mcp")
GROUPS, SIZE, INSIDE, BETWEEN = 60, 8, 40, 20
SD, SLOPE = 1.5, 0.7  # of the random intercept and of the slope of x1; the residual's is 1


def draw(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns that vary inside groups, then columns of the groups, and the labels."""
    n = groups * SIZE
    g = np.repeat(np.arange(groups), SIZE)
    root = np.linalg.cholesky(
        0.5 ** np.abs(np.subtract.outer(np.arange(INSIDE), np.arange(INSIDE)))
    )
    inside = rng.standard_normal((n, INSIDE)) @ root.T
    between = rng.standard_normal((groups, BETWEEN))[g]
    return np.column_stack([inside, between]), g


def truth() -> np.ndarray:
    beta = np.zeros(INSIDE + BETWEEN)
    beta[[0, 4, 9, 14, 19]] = [1.0, -0.5, 0.3, -0.3, 0.2]
    beta[[INSIDE, INSIDE + 5]] = [1.0, -1.0]
    return beta


def response(rng: np.random.Generator, x: np.ndarray, g: np.ndarray) -> np.ndarray:
    q = int(g.max()) + 1
    effects = SD * rng.standard_normal(q)[g] + SLOPE * rng.standard_normal(q)[g] * x[:, 0]
    return 2.0 + x @ truth() + effects + rng.standard_normal(len(g))


def ignoring(x: np.ndarray, y: np.ndarray, model: lmmcore.MixedLM, penalty: str) -> np.ndarray:
    """Return coefficients with V = σ²I, by BIC over the same grid of relative weights."""
    n = len(y)
    terms = model.fit_regularized_path("lasso", n_alphas=2, standardize=True).terms
    full = np.linalg.lstsq(model.exog, y, rcond=None)[0]
    sigma = np.sqrt(np.sum((y - model.exog @ full) ** 2) / (n - len(full)))
    rows = Whitened(np.asfortranarray(model.exog / sigma), y / sigma)
    problem = PenalizedQuadratic(rows, terms, find("penalty", penalty))
    top = problem.largest_strength()
    best, least = full, np.inf
    for strength, found in zip(
        np.geomspace(top, 1e-3 * top, 100), problem.path(np.geomspace(top, 1e-3 * top, 100))
    ):
        beta = problem.coefficients(found)
        rss = np.sum((y - model.exog @ beta) ** 2)
        bic = n * np.log(rss / n) + np.log(n) * problem.degrees_of_freedom(found, strength)
        if bic < least:
            best, least = beta, bic
    return best


def one(seed: int, scales: str) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    x, g = draw(rng, GROUPS)
    y = response(rng, x, g)
    new_x, new_g = draw(rng, 200)
    new_y = response(rng, new_x, new_g)
    frame = pd.DataFrame(x, columns=[f"x{j + 1}" for j in range(x.shape[1])]).assign(y=y, g=g)
    names = " + ".join(frame.columns[:-2])
    model = lmmcore.mixedlm(f"y ~ {names} + (1 + x1 | g)", frame)
    out = []
    for penalty in PENALTIES:
        fits = {
            "mixed": model.fit_regularized_path(penalty, standardize=scales == "sd" or scales)
            .select()
            .fe_params.to_numpy(),
            "groups ignored": ignoring(x, y, model, penalty),
        }
        for way, beta in fits.items():
            on, true = beta[1:] != 0.0, truth() != 0.0
            between = np.arange(len(true)) >= INSIDE
            out.append(
                {
                    "penalty": penalty, "way": way,
                    "found of 7": int((on & true).sum()),
                    "false, inside": int((on & ~true & ~between).sum()),
                    "false, between": int((on & ~true & between).sum()),
                    "exact": bool((on == true).all()),
                    "error of β": float(np.sqrt(np.sum((beta[1:] - truth()) ** 2))),
                    "error, new groups": float(
                        np.mean((new_y - beta[0] - new_x @ beta[1:]) ** 2)
                    ),
                }
            )  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--scales", choices=("information", "sd"), default="information")
    options = parser.parse_args()
    replications = options.replications
    rows = [row for seed in range(replications) for row in one(seed, options.scales)]
    table = pd.DataFrame(rows).groupby(["penalty", "way"], sort=False).mean()
    print(
        f"{replications} replications, {GROUPS} groups of {SIZE} rows, {INSIDE} + {BETWEEN} columns"
    )
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()

"""Size of tests and coverage of intervals on small unbalanced designs, by simulation.

Usage: python asv_bench/study_inference.py [--seed 1] [--draws 2000]

Each design is drawn once; responses are drawn from its model under the hypothesis, by the seed. The table
has the part of p-values below 0.05 (nominal: 5 %) and of 95 % intervals that hold the true value, with
the Monte Carlo standard error. `docs/inference.md` has its result.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

import lmmcore

METHODS = ("z", "residual", "satterthwaite", "kenward-roger", "between-within", "containment")
LEVEL = 0.05


def designs(rng: np.random.Generator) -> dict[str, tuple[pd.DataFrame, str, list[str], str]]:
    """Return for each design its frame, formula, the coefficients under test and one that is covered."""
    out = {}
    sizes = [2, 3, 3, 4, 5, 6, 2, 3, 4, 6]
    g = np.repeat(np.arange(10), sizes)
    frame = pd.DataFrame(
        {"g": g, "arm": np.array(list("abc"))[g % 3], "x": rng.standard_normal(len(g))}
    )
    arms = ["arm[T.b]", "arm[T.c]"]
    out["10 groups, arm between"] = (frame, "y ~ arm + x + (1 | g)", arms, "arm[T.b]")
    g = np.repeat(np.arange(8), [3, 4, 5, 6, 3, 4, 5, 6])
    frame = pd.DataFrame({"g": g, "x": rng.standard_normal(len(g)), "w": 1.0 * (g % 2)})
    out["8 groups, random slope"] = (frame, "y ~ x + w + (1 + x | g)", ["x", "w"], "x")
    n = 40
    frame = pd.DataFrame({"s": rng.integers(0, 8, n), "i": rng.integers(0, 6, n)})
    frame["c"] = 1.0 * (frame.i % 2)
    frame["x"] = rng.standard_normal(n)
    out["8 x 6 crossed"] = (frame, "y ~ c + x + (1 | s) + (1 | i)", ["c", "x"], "c")
    return out


def response(frame: pd.DataFrame, formula: str, rng: np.random.Generator) -> np.ndarray:
    """Draw a response whose fixed effects are zero."""
    y = rng.standard_normal(len(frame))
    if "1 + x | g" in formula:
        b = rng.standard_normal((frame.g.max() + 1, 2)) * [0.8, 0.6]
        return y + b[frame.g, 0] + b[frame.g, 1] * frame.x
    for name in ("g", "s", "i"):
        if f"| {name})" in formula:
            y = y + 0.8 * rng.standard_normal(frame[name].max() + 1)[frame[name]]
    return y


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=2000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(given.seed)
    print(f"seed {given.seed}, {given.draws} draws; Monte Carlo error of 5 %: "
          f"{100 * np.sqrt(0.05 * 0.95 / given.draws):.2f} %")  # fmt: skip
    print("| design | method | size of F test, % | size of t test, % | coverage, % |")
    print("| --- | --- | --- | --- | --- |")
    for name, (frame, formula, tested, covered) in designs(rng).items():
        frame = frame.assign(y=response(frame, formula, rng))
        first = lmmcore.mixedlm(formula, frame).fit()
        names = list(first.fe_params.index)
        joint = np.eye(len(names))[[names.index(t) for t in tested]]
        one = np.eye(len(names))[[names.index(covered)]]
        methods = METHODS if "(1 | i)" not in formula else METHODS[:4]  # of nested factors
        counts = {m: np.zeros(3) for m in methods}
        for _ in range(given.draws):
            fit = first.refit(response(frame, formula, rng))
            for m in methods:
                f = fit.wald_test(joint, ddf=m).pvalue < LEVEL
                t = fit.t_test(one, ddf=m)
                low, high = t.conf_int()[0]
                counts[m] += [f, t.pvalue[0] < LEVEL, low <= 0.0 <= high]
        for m in methods:
            f, t, c = 100 * counts[m] / given.draws
            print(f"| {name} | {m} | {f:.1f} | {t:.1f} | {c:.1f} |", flush=True)


if __name__ == "__main__":
    main()

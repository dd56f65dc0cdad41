"""Fits of one crossed model in several threads: the time beside one after another, and equality.

    OPENBLAS_NUM_THREADS=1 python asv_bench/threads.py [--rows 73421] [--repeat 5]

The model has the size of InstEval: y ~ x + (1 | s) + (1 | d) + (1 | dept).
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import lmmcore


def model_of(rows: int) -> lmmcore.MixedLM:
    rng = np.random.default_rng(0)
    s, d = rng.integers(0, 2972, rows), rng.integers(0, 1128, rows)
    dept, x = d % 14, rng.standard_normal(rows)
    y = 3.0 + 0.1 * x + 0.3 * rng.standard_normal(2972)[s] + 0.5 * rng.standard_normal(1128)[d]
    y += 0.1 * rng.standard_normal(14)[dept] + 1.2 * rng.standard_normal(rows)
    data = {"y": y, "x": x, "s": s, "d": d, "dept": dept}
    return lmmcore.mixedlm("y ~ x + (1 | s) + (1 | d) + (1 | dept)", data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=73_421)
    parser.add_argument("--fits", type=int, default=12)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    model = model_of(chosen.rows)
    alone = model.fit()
    ratios = []
    for _ in range(chosen.repeat):
        began = time.perf_counter()
        one = [model.fit() for _ in range(chosen.fits)]
        middle = time.perf_counter()
        with ThreadPoolExecutor(chosen.threads) as pool:
            many = list(pool.map(lambda _: model.fit(), range(chosen.fits)))
        ratios.append((time.perf_counter() - middle) / (middle - began))
        for fit in (*one, *many):
            assert abs(fit.criterion - alone.criterion) <= 1e-12 * abs(alone.criterion)
            np.testing.assert_allclose(fit.theta, alone.theta, rtol=1e-12)
        print(f"one after another {middle - began:.2f} s, threads / that {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} of {chosen.repeat}")


if __name__ == "__main__":
    main()

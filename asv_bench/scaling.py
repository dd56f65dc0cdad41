"""Time and memory of crossed fits against rows, levels and terms, as a plot.

    python asv_bench/scaling.py docs/scaling.png

Needs matplotlib. Each point is a fit in a process of its own; the time is the median of three fits.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

import numpy as np
import pandas as pd

BASE = {"rows": 200_000, "users": 10_000, "items": 1_000, "terms": 2}
SERIES = {
    "rows": [20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000],
    "users": [2_000, 5_000, 10_000, 20_000, 50_000, 100_000],
    "items": [100, 200, 500, 1_000, 2_000, 4_000],
    "terms": [1, 2, 3, 4, 5],
}


def measure(rows: int, users: int, items: int, terms: int) -> tuple[float, float]:
    """Return the seconds of a fit, data frame to estimates, and by how many MB it raised the peak."""
    import lmmcore

    rng = np.random.default_rng(1)
    levels = [users, items, 50, 20, 10][:terms]
    frame = pd.DataFrame({"x": rng.standard_normal(rows)})
    y = rng.standard_normal(rows) + 0.5 * frame["x"].to_numpy()
    for i, q in enumerate(levels):
        codes = rng.integers(0, q, rows)
        frame[f"f{i}"] = codes
        y += 0.5 * rng.standard_normal(q)[codes]
    frame["y"] = y
    formula = "y ~ x + " + " + ".join(f"(1 | f{i})" for i in range(terms))
    lmmcore.mixedlm(formula, frame[:2000]).fit()
    before = _peak()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        lmmcore.mixedlm(formula, frame).fit()
        seconds.append(time.perf_counter() - start)
    return median(seconds), (_peak() - before) / 1e6


def _peak() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main(path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(12, 5), sharey="row")
    for column, (name, values) in enumerate(SERIES.items()):
        points = []
        for value in values:
            arguments = {**BASE, name: value}
            command = [sys.executable, __file__, "--one", *map(str, arguments.values())]
            found = subprocess.check_output(command, text=True).split()
            points.append((float(found[0]), float(found[1])))
            print(name, value, *points[-1], flush=True)
        for row, label in enumerate(("seconds", "MB beyond the data")):
            axis = axes[row, column]
            axis.plot(values, [max(p[row], 1e-3) for p in points], "o-", color="#1f4e79")
            axis.set_yscale("log")
            axis.set_xscale("linear" if name == "terms" else "log")
            axis.grid(True, which="major", alpha=0.3)
            if column == 0:
                axis.set_ylabel(label)
            if row == 1:
                axis.set_xlabel(name)
    figure.suptitle(
        "A fit of crossed random intercepts; where not varied: 200,000 rows, "
        "10,000 users x 1,000 items"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(*measure(*map(int, sys.argv[2:])))
    else:
        main(sys.argv[1])

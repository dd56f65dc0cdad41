"""Models with residual structures."""

from __future__ import annotations

import numpy as np
import pandas as pd

import lmmcore


def _rows(groups: int, visits: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    e = rng.standard_normal((groups, visits))
    for j in range(1, visits):
        e[:, j] = 0.5 * e[:, j - 1] + np.sqrt(0.75) * e[:, j]
    b = rng.standard_normal((groups, 2)) * [1.0, 0.3]
    g, t = np.repeat(np.arange(groups), visits), np.tile(np.arange(visits), groups)
    data = pd.DataFrame(
        {"g": g, "t": t, "x": rng.standard_normal(len(g)), "c": t - 0.5 * (visits - 1)}
    )
    data["y"] = 1 + data.x + b[g, 0] + b[g, 1] * data.c + e.ravel()
    data["visit"] = pd.Categorical(t)
    data["arm"] = np.where(g % 2, "a", "b")
    return data


class AR1:
    """AR(1) with a random intercept and slope, 100,000 rows in 10,000 groups; without it beside."""

    params = ("ar1(t | g)", "none")
    param_names = ("residual",)

    def setup(self, residual: str) -> None:
        self.data = _rows(10_000, 10)

    def time_model_and_fit(self, residual: str) -> None:
        given = None if residual == "none" else residual
        lmmcore.mixedlm("y ~ x + c + (1 + c | g)", self.data, residual=given).fit()


class RepeatedMeasures:
    """1,000 patients, 10 unstructured visits."""

    def setup(self) -> None:
        self.data = _rows(1000, 10)

    def time_mmrm(self) -> None:
        lmmcore.mmrm("y ~ arm * visit", self.data, "un(visit | g)").fit()

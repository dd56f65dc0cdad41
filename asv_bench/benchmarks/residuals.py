"""Models with residual structures."""

from __future__ import annotations

import numpy as np
import pandas as pd

import lmmcore
from lmmcore.repeated.fit import products_of
from lmmcore.repeated.likelihood import JointLikelihood


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


class Evaluation:
    """One value and gradient, 500 groups of 10, 40 or 160 rows: products with a few matrices read no rows."""

    params = ((10, 40, 160), ("ar1(t | g)", "cs(1 | g)"))
    param_names = ("visits", "residual")

    def setup(self, visits: int, residual: str) -> None:
        model = lmmcore.mixedlm("y ~ x + (1 | g)", _rows(500, visits), residual=residual)
        products = products_of(model, model.residual_structure)
        self.joint = JointLikelihood(model.equations, products, True)
        self.psi = np.array([0.8, 0.3])

    def time_value_and_gradient(self, visits: int, residual: str) -> None:
        self.psi = self.psi + 1e-6  # a point that is not known yet
        self.joint.value_and_gradient(self.psi)


class Crossed:
    """AR(1) within the subject beside crossed subjects and items: 73,000 rows, 2,972 x 1,128 levels."""

    params = ("ar1(1 | s)", "none")
    param_names = ("residual",)

    def setup(self, residual: str) -> None:
        rng, n, subjects, items = np.random.default_rng(0), 73_421, 2972, 1128
        s, d = np.sort(rng.integers(0, subjects, n)), rng.integers(0, items, n)
        self.data = pd.DataFrame({"s": s, "d": d, "x": rng.standard_normal(n)})
        effects = 0.3 * rng.standard_normal(subjects)[s] + 0.5 * rng.standard_normal(items)[d]
        self.data["y"] = self.data.x + effects + 1.2 * rng.standard_normal(n)

    def time_model_and_fit(self, residual: str) -> None:
        given = None if residual == "none" else residual
        lmmcore.mixedlm("y ~ x + (1 | s) + (1 | d)", self.data, residual=given).fit()


class Irregular:
    """Continuous AR(1) at times of their own in 1,000 or 10,000 groups of 10 rows."""

    params = (1000, 10_000)
    param_names = ("groups",)

    def setup(self, groups: int) -> None:
        rng = np.random.default_rng(0)
        time = np.sort(rng.uniform(0, 10, (groups, 10)), axis=1)
        e = rng.standard_normal((groups, 10))
        for j in range(1, 10):
            a = 0.5 ** (time[:, j] - time[:, j - 1])
            e[:, j] = a * e[:, j - 1] + np.sqrt(1 - a * a) * e[:, j]
        g = np.repeat(np.arange(groups), 10)
        self.data = pd.DataFrame({"g": g, "t": time.ravel(), "x": rng.standard_normal(len(g))})
        self.data["y"] = self.data.x + rng.standard_normal(groups)[g] + e.ravel()

    def time_model_and_fit(self, groups: int) -> None:
        lmmcore.mixedlm("y ~ x + (1 | g)", self.data, residual="car1(t | g)").fit()

"""Degrees of freedom, after a fit whose second derivatives are not kept."""

from __future__ import annotations

import numpy as np

import lmmcore

from .base import OnProblem


class DegreesOfFreedom(OnProblem):
    """t tests of all fixed effects; the fit is made again each time, as it keeps what it computes."""

    params = (("P1", "P4", "P7", "P8"), ("satterthwaite", "kenward-roger"))
    param_names = ("problem", "ddf")

    def setup(self, name: str, ddf: str) -> None:
        super().setup(name)
        self.fit = self.model().fit(ddf="z")
        self.L = np.eye(len(self.fit.fe_params))

    def time_t_test(self, name: str, ddf: str) -> None:
        self.fit.fit.kept.clear()
        self.fit.fit.point.sums = None
        self.fit.t_test(self.L, ddf=ddf)

    def peakmem_t_test(self, name: str, ddf: str) -> None:
        self.fit.t_test(self.L, ddf=ddf)


class Robust:
    """CR2 with its degrees of freedom: 10,000 clusters of 10 rows."""

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        g = np.repeat(np.arange(10_000), 10)
        x = rng.standard_normal(len(g))
        y = x + rng.standard_normal(10_000)[g] + rng.standard_normal(len(g))
        self.fit = lmmcore.mixedlm("y ~ x + (1 | g)", {"g": g, "x": x, "y": y}).fit()

    def time_cr2(self) -> None:
        self.fit.t_test("x", vcov="cr2")


class Influence:
    """Deletion of each of 10,000 groups, beside model and fit."""

    params = ("exact", "one-step", "fixed", "model and fit")
    param_names = ("method",)

    def setup(self, method: str) -> None:
        rng = np.random.default_rng(0)
        g, x = np.repeat(np.arange(10_000), 10), rng.standard_normal(100_000)
        b = rng.standard_normal((10_000, 2)) * [1.0, 0.5]
        self.data = {
            "g": g,
            "x": x,
            "y": b[g, 0] + (1.0 + b[g, 1]) * x + rng.standard_normal(len(g)),
        }
        self.fit = self._fitted()

    def _fitted(self) -> lmmcore.MixedLMResults:
        return lmmcore.mixedlm("y ~ x + (1 + x | g)", self.data).fit()

    def time_influence(self, method: str) -> None:
        if method == "model and fit":
            self._fitted()
        else:
            self.fit.get_influence(method=method)

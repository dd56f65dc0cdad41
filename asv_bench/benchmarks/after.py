"""What comes after a fit: refits, summary, leverages, bootstrap, profile."""

from __future__ import annotations

import numpy as np

import lmmcore

from .base import OnProblem


class AfterAFit(OnProblem):
    """Each of these starts from the results of a fit; nothing is kept between two calls."""

    params = ("P1", "P2", "P3")

    def setup(self, name: str) -> None:
        super().setup(name)
        self.fit = self.model().fit()
        self.y = self.fit.model.endog + 0.1 * np.sin(np.arange(self.fit.nobs))
        self.fit.refit(self.y)  # what reads responses is kept with the model

    def _fresh(self) -> lmmcore.MixedLMResults:
        return lmmcore.MixedLMResults(self.fit.model, self.fit.fit)

    def time_refit(self, name: str) -> None:
        self.fit.refit(self.y)

    def time_summary(self, name: str) -> None:
        self._fresh().summary().as_text()

    def time_leverages(self, name: str) -> None:
        _ = self._fresh().hat_values


class Bootstrap(OnProblem):
    """A thousand responses drawn from the fit, each with its own fit."""

    params = ("P1", "P3")

    def setup(self, name: str) -> None:
        super().setup(name)
        self.fit = self.model().fit()

    def time_parametric_bootstrap(self, name: str) -> None:
        self.fit.bootstrap(1000, kind="parametric", rng=1)


class Profile:
    """Ten restricted fits of a variance."""

    params = ("(Days | Subject)", "csh(1 + Days | Subject)")
    param_names = ("term",)

    def setup(self, term: str) -> None:
        data = lmmcore.datasets.load_sleepstudy()
        self.fit = lmmcore.mixedlm(f"Reaction ~ Days + {term}", data).fit()

    def time_profile(self, term: str) -> None:
        self.fit.profile_re(1, "re", dist_low=20.0, dist_high=20.0)

"""Whole fits: from the data to the estimates."""

from __future__ import annotations

import problems

import lmmcore

from .base import OnProblem


class FormulaFit(OnProblem):
    params = problems.NAMES

    def time_fit_formula(self, name: str) -> None:
        self.model().fit()

    def peakmem_fit(self, name: str) -> None:
        self.model().fit()

    def track_evaluations(self, name: str) -> int:
        return self.model().fit().nfev

    track_evaluations.unit = "evaluations"  # type: ignore[attr-defined]


class ArraysFit(OnProblem):
    params = ("P1", "P2")

    def setup(self, name: str) -> None:
        super().setup(name)
        problem = self.problem
        self.endog = problem.frame[problem.response].to_numpy()
        self.exog, self.exog_re = problem.exog(), problem.exog_re()
        self.groups = problem.frame[problem.groups].to_numpy()

    def time_fit_arrays(self, name: str) -> None:
        lmmcore.MixedLM(self.endog, self.exog, self.groups, self.exog_re).fit()

"""Penalized fits: whole paths, their dependence on the rows, cross-validation."""

from __future__ import annotations

import problems

import lmmcore


def _model(problem: problems.Problem) -> lmmcore.MixedLM:
    groups = problem.frame[problem.groups]
    return lmmcore.MixedLM.from_formula(
        problem.formula, problem.frame, groups=groups, re_formula=problem.re_formula
    )


class Path:
    params = ("lasso", "adaptive_lasso", "group_lasso", "scad", "mcp", "slope", "fused")
    param_names = ("penalty",)

    def setup(self, penalty: str) -> None:
        self.model = _model(problems.penalized())

    def time_path(self, penalty: str) -> None:
        """The unpenalized fit and 100 weights."""
        self.model.fit_regularized_path(penalty)


class PathByRows:
    params = (10_000, 1_000_000)
    param_names = ("rows",)

    def setup(self, rows: int) -> None:
        self.model = _model(problems.penalized(rows, 500, 20))

    def time_path(self, rows: int) -> None:
        """No dearer with a hundred times the rows."""
        self.model.fit_regularized_path("lasso")


class Choice:
    def setup(self) -> None:
        self.path = _model(problems.penalized()).fit_regularized_path("lasso")

    def time_cross_validation(self) -> None:
        self.path.cross_validate(10, rng=0)

    def time_stability(self) -> None:
        self.path.stability(20, rng=0)

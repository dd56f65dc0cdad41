"""What all benchmarks share: one problem as a parameter, made once and read from disk."""

from __future__ import annotations

from pathlib import Path

import problems
from problems import Problem

import lmmcore


class OnProblem:
    params: tuple[str, ...] = problems.SINGLE
    param_names = ("problem",)
    timeout = 300.0

    def setup_cache(self) -> None:
        for name in problems.NAMES:
            problems.make(name).save(Path())

    def setup(self, name: str) -> None:
        self.problem: Problem = problems.load(Path(), name)

    def model(self) -> lmmcore.MixedLM:
        problem = self.problem
        if problem.bars:
            return lmmcore.mixedlm(problem.lmer, problem.frame)
        groups = problem.frame[problem.groups]
        return lmmcore.MixedLM.from_formula(
            problem.formula, problem.frame, groups=groups, re_formula=problem.re_formula
        )

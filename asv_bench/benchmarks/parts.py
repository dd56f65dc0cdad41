"""The parts of a fit: the design, its cross-products, one evaluation of the criterion."""

from __future__ import annotations

import timeit
from itertools import cycle
from statistics import median

from lmmcore.crossproducts.accumulate import cross_products
from lmmcore.design.build import from_formula
from lmmcore.extension import find
from lmmcore.likelihood.profiled import ProfiledLikelihood
from lmmcore.likelihood.start import start_values

from .base import OnProblem


class Design(OnProblem):
    def time_design(self, name: str) -> None:
        problem = self.problem
        groups = problem.frame[problem.groups]
        from_formula(problem.formula, problem.frame, groups, problem.re_formula)


class CrossProducts(OnProblem):
    def setup(self, name: str) -> None:
        super().setup(name)
        self.design = self.model().design

    def time_crossproducts(self, name: str) -> None:
        cross_products(self.design)


class Evaluation(OnProblem):
    def setup(self, name: str) -> None:
        super().setup(name)
        model = self.model()
        sizes = [len(term.names) for term in model.design.terms]
        structures = [find("covariance", term.covariance) for term in model.design.terms]
        self.likelihood = ProfiledLikelihood(model.crossproducts, structures, sizes, reml=True)
        start = start_values(self.likelihood)
        self.thetas = cycle([start, 1.01 * start])  # the last point is remembered

    def time_evaluation(self, name: str) -> None:
        """The criterion with gradient and Hessian."""
        self.likelihood.value_gradient_hessian(next(self.thetas))


class AtParameters(OnProblem):
    def setup(self, name: str) -> None:
        super().setup(name)
        self.model_ = self.model()
        self.params_ = self.model_.fit().params_object

    def time_loglike(self, name: str) -> None:
        self.model_.loglike(self.params_)

    def time_hessian(self, name: str) -> None:
        self.model_.hessian(self.params_)

    def track_hessian(self, name: str) -> float:
        """In evaluations of the log-likelihood, measured in turn: no more than ten."""
        ratios = []
        for _ in range(15):
            times = [
                min(timeit.repeat(lambda call=call: call(self.params_), number=3, repeat=3))
                for call in (self.model_.loglike, self.model_.hessian)
            ]
            ratios.append(times[1] / times[0])
        return median(ratios)

    track_hessian.unit = "evaluations"  # type: ignore[attr-defined]

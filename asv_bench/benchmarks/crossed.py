"""One evaluation of the likelihood of models with several grouping factors."""

from __future__ import annotations

from itertools import cycle

import problems

from .base import OnProblem


class CrossedEvaluation(OnProblem):
    params = problems.SEVERAL

    def setup(self, name: str) -> None:
        super().setup(name)
        model = self.model()
        self.likelihood = model.equations.likelihood(reml=True)
        theta = model.fit().fit.point.theta
        self.thetas = cycle([theta, 1.01 * theta])  # the last point is remembered

    def time_criterion(self, name: str) -> None:
        self.likelihood.value(next(self.thetas))

    def time_gradient(self, name: str) -> None:
        """The criterion with its gradient: no more than three times the criterion."""
        self.likelihood.value_and_gradient(next(self.thetas))

    def time_information(self, name: str) -> None:
        """The criterion with gradient and average information."""
        self.likelihood.value_gradient_hessian(next(self.thetas))

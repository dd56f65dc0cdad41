"""Structures without a fault, in forms that are easy to break."""

import numpy as np

from lmmcore.covariance.correlation import Exchangeable
from lmmcore.covariance.linear import FactorAnalytic
from lmmcore.covariance.scaled import Homogeneous
from lmmcore.covariance.unstructured import Unstructured
from lmmcore.extension import DerivedStructure


class Plain(Unstructured):
    """A closed family, sound."""

    closed_under = "scaling"


class Open(Homogeneous):
    """Compound symmetry, an open family, sound."""

    def __init__(self):
        super().__init__(Exchangeable(), "cs")


class One(DerivedStructure):
    """θ I with one sd, sound."""

    def n_parameters(self, k):
        return 1

    def parameters(self, g):
        return np.array([np.sqrt(max(np.trace(g), 0.0) / len(g))])

    def factor(self, theta, k):
        return theta[0] * np.eye(k, dtype=np.asarray(theta).dtype)

    def describe(self, theta, names, sigma):
        return {"sd": float(sigma * abs(theta[0]))}


class Reduced(FactorAnalytic):
    def __init__(self):
        super().__init__(1, specific=False)


class Placed(One):
    """Has `bind`, sound: columns weigh by their number."""

    def __init__(self, weights=None):
        self.weights = weights

    def bind(self, names):
        return type(self)(1.0 + 0.1 * np.arange(len(names)) + 0.01 * len(names))

    def factor(self, theta, k):
        return theta[0] * np.diag(self.weights)

    def parameters(self, g):
        return np.array([np.sqrt(max(np.trace(g), 0.0) / np.sum(self.weights**2))])

    def describe(self, theta, names, sigma):
        return {"sd(unit)": float(sigma * abs(theta[0]))}

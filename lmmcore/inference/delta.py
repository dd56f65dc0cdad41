"""The delta method: functions of the parameters, their standard errors and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..arguments import numbers
from ..errors import DataTypeError, DataValueError
from .wald import interval, p_values


class DeltaMethod:
    """A function of the parameters, evaluated at the estimates.

    Its covariance matrix is J C J', where C is the covariance matrix of the parameters and J the
    Jacobian, which is computed by central differences unless it is given.

    Parameters
    ----------
    fun : callable
        Takes params (k,), returns a number or a vector (m,).
    params : array (k,)
    cov_params : array (k, k)
    deriv : callable, optional
        Takes params, returns the Jacobian (m, k).

    Raises
    ------
    DataTypeError
        `fun` cannot be called.
    DataValueError
        `fun` returns something other than finite numbers, or depends on parameters that have no
        standard errors.
    """

    def __init__(
        self,
        fun: Callable[[np.ndarray], Any],
        params: np.ndarray,
        cov_params: np.ndarray,
        deriv: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        if not callable(fun):
            raise DataTypeError(
                f"fun={fun!r}; expected a function of the parameters that returns a number or a vector"
            )
        self.fun, self.deriv = fun, deriv
        self.params, self.cov_params = np.array(params, dtype=float), np.asarray(cov_params)
        self._value = self._at(self.params)

    def _at(self, params: np.ndarray) -> np.ndarray:
        value = np.atleast_1d(
            numbers(self.fun(params.copy()), "what fun returns", "a number or a vector")
        )
        if value.ndim != 1 or not np.isfinite(value).all():
            raise DataValueError(
                f"fun returned {value!r}; expected a finite number or a vector of finite numbers"
            )
        return value

    def predicted(self) -> np.ndarray:
        """Return the value at the estimates (m,)."""
        return self._value.copy()

    def grad(self) -> np.ndarray:
        """Return the Jacobian at the estimates (m, k)."""
        x = self.params
        if self.deriv is not None:
            given = np.atleast_2d(
                numbers(self.deriv(x.copy()), "what deriv returns", "the Jacobian of fun")
            )
            if given.shape != (len(self._value), len(x)):
                raise DataValueError(
                    f"deriv returned shape {given.shape}; expected ({len(self._value)}, {len(x)})"
                )
            return given
        out = np.empty((len(self._value), len(x)))
        # Two step sizes cancel the error of third order (Richardson).
        step = np.finfo(float).eps ** 0.2 * np.maximum(np.abs(x), 0.1)
        for j, h in enumerate(step):
            e = np.zeros(len(x))
            e[j] = h
            wide = (self._at(x + e) - self._at(x - e)) / (2 * h)
            half = (self._at(x + e / 2) - self._at(x - e / 2)) / h
            out[:, j] = (4.0 * half - wide) / 3.0
        return out

    def cov(self) -> np.ndarray:
        """Return the covariance matrix (m, m)."""
        jacobian = self.grad()
        used = np.any(jacobian != 0.0, axis=0)
        part = self.cov_params[np.ix_(used, used)]
        if np.isnan(part).any():
            raise DataValueError(
                "fun depends on parameters that have no standard errors: covariance parameters on the "
                "boundary or not identified (see cov_params_note), or coefficients that a penalty has at "
                "zero; expected a function of other parameters"
            )
        return jacobian[:, used] @ part @ jacobian[:, used].T

    def var(self) -> np.ndarray:
        """Return the variances (m,)."""
        return np.diag(self.cov()).copy()

    def se_vectorized(self) -> np.ndarray:
        """Return the standard errors (m,)."""
        return np.sqrt(self.var())

    def conf_int(self, alpha: float = 0.05) -> np.ndarray:
        """Return confidence limits (m, 2) of level 1 − alpha, from normal quantiles."""
        return interval(self._value, self.se_vectorized(), alpha)

    def wald_test(self, value: Any = 0.0) -> tuple[float, float]:
        """Return the χ² statistic and the p-value for the hypothesis that the function has a given value."""
        distance = self._value - np.asarray(value, dtype=float)
        cov = self.cov()
        if np.linalg.matrix_rank(cov) < len(cov):
            raise DataValueError(
                f"the {len(cov)} values of fun depend on each other, so they cannot be tested "
                "jointly; leave out the redundant ones"
            )
        statistic = float(distance @ np.linalg.solve(cov, distance))
        return statistic, float(chdtrc(len(cov), statistic))

    def summary(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return a table: value, standard error, z, p-value and limits."""
        se = self.se_vectorized()
        z = self._value / se
        limits = interval(self._value, se, alpha)
        return pd.DataFrame(
            {
                "coef": self._value, "std err": se, "z": z, "P>|z|": p_values(z),
                "Conf. Int. Low": limits[:, 0], "Conf. Int. Upp.": limits[:, 1],
            },
            index=[f"f{i}" for i in range(len(se))],
        )  # fmt: skip

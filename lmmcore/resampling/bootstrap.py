"""The bootstrap: refits of resampled groups, of responses drawn from the fitted model, or of residuals."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from ..errors import ConvergenceWarning, LmmcoreError, LmmcoreWarning, OptionError, users_line
from ..fitting.options import optimizers_of
from ..inference.wald import level as checked_level
from .jackknife import acceleration
from .replicates import KINDS, Replicates
from .run import run
from .statistics import (
    named_parameters,
    names_of_function,
    params_and_scale,
    vector_of,
)

INTERVALS = ("percentile", "basic", "normal", "bca")
AT_ONE = 1e-7  # distance of a correlation from ±1 that counts as none


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The replicates of a bootstrap. ``mean, std, values = bootstrap`` works as in statsmodels.

    Attributes
    ----------
    kind : str
    estimate : Series (m,)
        What the fit itself has.
    frame : DataFrame (nrep, m)
        Fixed effects, standard deviations, correlations and σ of each refit, or what `fun` returned. The row
        of a refit that failed is NaN.
    values : array (nrep, k)
        `params` of each refit, or what `fun` returned.
    failures : tuple of str
        Why refits failed.
    """

    kind: str
    estimate: pd.Series
    frame: pd.DataFrame
    values: np.ndarray
    failures: tuple[str, ...]
    origin: Replicates = field(repr=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        good = self.values[self._good]
        return iter((good.mean(axis=0), good.std(axis=0), self.values))

    def __getitem__(self, i: int) -> np.ndarray:
        return tuple(self)[i]

    def __len__(self) -> int:
        return 3

    @property
    def _good(self) -> np.ndarray:
        return ~np.isnan(self.values).any(axis=1)

    @property
    def se(self) -> pd.Series:
        """Standard errors: the standard deviation of the replicates."""
        return self.frame[self._good].std(ddof=1)

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates less the estimate."""
        return self.frame[self._good].mean() - self.estimate

    @property
    def n_singular(self) -> int:
        """Refits with a standard deviation of zero or a correlation of ±1."""
        at = np.zeros(len(self.frame), dtype=bool)
        for name in self.frame.columns:
            column = self.frame[name].to_numpy()
            if name.startswith("sd("):
                at |= column <= 1e-6 * np.nanmax(column, initial=0.0)
            elif name.startswith("corr("):
                at |= np.abs(column) > 1.0 - AT_ONE
        return int(at.sum())

    def conf_int(self, alpha: float = 0.05, method: str = "percentile") -> pd.DataFrame:
        """Return confidence limits of level 1 − alpha (m, 2).

        Parameters
        ----------
        method : {"percentile", "basic", "normal", "bca"}
            With q the quantiles of the replicates and t the estimate. "percentile": q(α/2), q(1 − α/2).
            "basic": 2t − q(1 − α/2), 2t − q(α/2). "normal": t − bias ∓ z se. "bca": percentiles that are
            corrected for bias and skewness; its acceleration comes from the jackknife over the levels of a
            grouping factor (Efron 1987, JASA 82, 171–185; Davison and Hinkley 1997, Bootstrap Methods and
            their Application, chapter 5).

        Raises
        ------
        OptionError
            Another method.
        """
        tail = checked_level(alpha) / 2.0
        if method not in INTERVALS:
            raise OptionError(f"method={method!r}; expected one of {', '.join(INTERVALS)}")
        values, t = self.frame[self._good].to_numpy(), self.estimate.to_numpy()
        if method == "normal":
            reach = -ndtri(tail) * self.se.to_numpy()
            middle = t - self.bias.to_numpy()
            limits = np.column_stack([middle - reach, middle + reach])
        elif method == "bca":
            limits = self._bca(values, t, tail)
        else:
            low, high = _quantiles(values, tail), _quantiles(values, 1.0 - tail)
            limits = np.column_stack([low, high])
            if method == "basic":
                limits = np.column_stack([2.0 * t - high, 2.0 * t - low])
        return pd.DataFrame(limits, index=self.frame.columns)

    def _bca(self, values: np.ndarray, t: np.ndarray, tail: float) -> np.ndarray:
        a = acceleration(self.origin, self.frame.columns)
        below = np.mean(values < t, axis=0) + 0.5 * np.mean(values == t, axis=0)
        z0 = ndtri(below)
        limits = np.empty((len(t), 2))
        for side, probability in enumerate((tail, 1.0 - tail)):
            z = z0 + ndtri(probability)
            with np.errstate(invalid="ignore"):
                at = ndtr(z0 + z / (1.0 - a * z))
            for j, q in enumerate(at):  # all replicates on one side of the estimate: no correction
                use = q if np.isfinite(q) else probability
                limits[j, side] = _quantiles(values[:, j : j + 1], float(use))[0]
        return limits

    def __str__(self) -> str:
        limits = self.conf_int()
        table = pd.DataFrame({"estimate": self.estimate, "bias": self.bias, "se": self.se})
        table["2.5 %"], table["97.5 %"] = limits[0], limits[1]
        failed = f"; {len(self.failures)} failed" if self.failures else ""
        singular = f"; {self.n_singular} singular" if self.n_singular else ""
        return (
            f"{table.to_string()}\nBootstrap ({self.kind}), {len(self.frame)} refits{failed}{singular}; "
            "percentile intervals"
        )

    def __repr__(self) -> str:
        return str(self)


def _quantiles(values: np.ndarray, probability: float) -> np.ndarray:
    """Return quantiles of the columns; a correlation is NaN where a standard deviation is zero."""
    return np.array([
        np.quantile(own, probability) if len(own) else np.nan
        for own in (column[~np.isnan(column)] for column in values.T)
    ])  # fmt: skip


def bootstrap(
    results: Any,
    nrep: int = 100,
    method: str | None = None,
    disp: bool = False,
    store: bool = True,
    rng: Any = None,
    *,
    kind: str = "groups",
    level: str | None = None,
    fun: Callable[[Any], Any] | None = None,
    callback: Callable[[int, int], None] | None = None,
    executor: Executor | None = None,
    progress: bool = False,
    resume: Any = None,
) -> Bootstrap:
    """Refit the model to resampled data, with the same penalty if there is one.

    Parameters
    ----------
    nrep : int
        Number of replications.
    method : str, optional
        Optimizer; by default that of `fit`.
    disp : bool
        Accepted for compatibility; has no effect. See `progress`.
    store : bool
        Whether ``results.bootstrap_results`` keeps the estimates.
    rng : Generator, RandomState or int, optional
        The seed. Replicates do not depend on the number of workers.
    kind : {"groups", "parametric", "residual"}
        "groups": whole groups are drawn with replacement. "parametric": responses are drawn from the fitted
        model. "residual": BLUPs and residuals are drawn with replacement, scaled to the estimated variances
        (Carpenter, Goldstein and Rasbash 2003, Applied Statistics 52, 431–443).
    level : str, optional
        The grouping factor whose levels "groups" draws; needed if there are several.
    fun : callable, optional
        Takes the results of a refit, returns a number or a vector; by default ``params``.
    callback : callable, optional
        Called with the number of refits that are done, and `nrep`.
    executor : concurrent.futures.Executor, optional
        Computes chunks of replicates side by side. With processes, `fun` must be a function of a module.
    progress : bool
        Whether to show a bar (by tqdm, if it is installed).
    resume : path, optional
        A file (.npz) that holds what is done. A call that was interrupted goes on from it.

    Returns
    -------
    Bootstrap
        Replicates, standard errors, bias and intervals. It unpacks into mean (k,), std (k,) and values
        (nrep, k). A warning says how many refits failed.

    Raises
    ------
    OptionError
        Another kind, level, optimizer or executor.
    DataValueError
        The file holds another bootstrap.

    Notes
    -----
    In a model with one grouping factor, the parametric bootstrap of `params` draws the cross-products of a
    response instead of its rows, because the likelihood needs no more. It refits many replicates at once.

    statsmodels resamples single rows. This is wrong for mixed models, because the rows of a group are
    dependent.
    """
    if isinstance(nrep, bool) or not isinstance(nrep, (int, np.integer)) or nrep < 2:
        raise OptionError(f"nrep={nrep!r}; expected a whole number of replications, 2 or more")
    if kind not in KINDS:
        raise OptionError(f"kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    if method in KINDS:
        raise OptionError(f"method={method!r} is not an optimizer; did you mean kind={method!r}?")
    optimizers_of(method)  # an unknown one is an error now, not the failure of each refit
    if level is not None and kind != "groups":
        raise OptionError(
            f"level={level!r} with kind={kind!r}; expected it with kind='groups' only"
        )
    whole = params_and_scale(results) if fun is None else vector_of(own := fun(results))
    replicates = Replicates(results, kind, level, method, fun, len(whole))
    replicates.prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LmmcoreWarning)
        told = callback if callback is not None else progress
        values, reasons = run(replicates, int(nrep), rng, executor, told, resume)
    _tell_failures(reasons, int(nrep))
    spec = results.fit.spec
    if fun is None:
        names = list(spec.exog_names)
        frame = named_parameters(spec.layout, names, values)
        estimate = named_parameters(spec.layout, names, whole[None]).iloc[0]
        values = values[:, :-1]
    else:
        frame = pd.DataFrame(values, columns=names_of_function(own))
        estimate = pd.Series(whole, index=frame.columns)
    if store:
        results.__dict__["bootstrap_results"] = values
    return Bootstrap(kind, estimate, frame, values, tuple(reasons), replicates)


def _tell_failures(reasons: Sequence[str], nrep: int) -> None:
    if len(reasons) > nrep - 2:
        raise LmmcoreError(
            f"{len(reasons)} of {nrep} refits failed; expected data that can still be fitted after "
            f"resampling. Use kind='parametric', or a smaller model. The first error: {reasons[0]}"
        )
    if reasons:
        warnings.warn(
            f"{len(reasons)} of {nrep} refits failed. Their rows are NaN, and the mean and "
            f"standard deviation leave them out. The first error: {reasons[0]}",
            ConvergenceWarning,
            stacklevel=users_line(),
        )

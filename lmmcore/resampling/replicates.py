"""One chunk of replicates of a bootstrap: what is drawn, refitted and kept."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import LmmcoreError, LmmcoreWarning, OptionError
from ..fitting.many import Refits
from ..linalg.matrices import semidefinite_cholesky
from ..prediction import fittedvalues
from ..random_effects import random_effects_of
from ..refitting import reader_of, refit_to
from .groups import Generator, drawing_groups
from .statistics import Function, statistic_of

KINDS = ("groups", "parametric", "residual")
TOGETHER, ONE_BY_ONE = 250, 25  # replicates of a chunk, fitted in lock-step or in turn
AT_ONCE = 1 << 22  # numbers of responses that are held together


@dataclass(frozen=True, eq=False)
class Replicates:
    """How to make replicates. It can be sent to another process.

    Attributes
    ----------
    results : results
        Of the fit that is bootstrapped.
    kind : str
    level : str or None
        The grouping factor whose levels "groups" draws.
    method : str or None
        Optimizer.
    fun : callable or None
        Statistic; None is `params` and σ².
    width : int
        Length of the statistic.
    """

    results: Any
    kind: str
    level: str | None
    method: Any
    fun: Function | None
    width: int
    kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    @property
    def refits(self) -> Refits | None:
        """What refits many responses at once; None where results, or another optimizer, are asked for."""
        if self.kind == "groups" or self.fun is not None or self.method is not None:
            return None
        if not self.results.fit.is_plain or _has_structure(self.results):
            return None
        if "refits" not in self.kept:
            self.kept["refits"] = Refits(self.results.fit)
        found: Refits = self.kept["refits"]
        return found

    @property
    def chunk(self) -> int:
        """Replicates of a chunk. It depends on the model alone, so that no draw depends on the workers."""
        refits = self.refits
        if refits is None or not refits.is_rowless:
            return ONE_BY_ONE
        if self.kind == "parametric":
            return min(TOGETHER, refits.at_once)
        rows = int(self.results.fit.spec.nobs)
        return max(1, min(TOGETHER, refits.at_once, AT_ONCE // rows))

    def run(self, count: int, seed: np.random.SeedSequence) -> tuple[np.ndarray, dict[int, str]]:
        """Return the statistics of a chunk (count, width), NaN where a refit failed, and why it failed."""
        rng = np.random.default_rng(seed)
        if threading.current_thread() is not threading.main_thread():
            return self._run(count, rng)  # filters of warnings belong to all threads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmcoreWarning)
            return self._run(count, rng)

    def _run(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[int, str]]:
        refits, fit = self.refits, self.results.fit
        if refits is not None:
            if self.kind == "parametric" and refits.is_rowless:
                found = refits.of_drawn(count, rng)
            else:
                responses = np.column_stack([self._draw(rng) for _ in range(count)])
                found = refits.of_block(reader_of(self.results.model).read(responses))
            return np.column_stack([found.params(fit.layout), found.scale]), found.reasons
        out, reasons = np.full((count, self.width), np.nan), dict[int, str]()
        for i in range(count):
            try:
                out[i] = statistic_of(self._again(rng), self.fun, self.width)
            except LmmcoreError as exc:
                reasons[i] = str(exc)
        return out, reasons

    def prepare(self) -> None:
        """Read the rows that replicates need.

        Raises
        ------
        LmmcoreError
            Whatever is wrong with the model, not with a refit.
        """
        refits = self.refits
        if self.kind == "groups":
            self.kept["groups"] = drawing_groups(self.results.model.design, self.level)
        elif refits is None or not refits.is_rowless or self.kind != "parametric":
            self._draw  # noqa: B018 — kept

    @property
    def _draw(self) -> Callable[[Generator], np.ndarray]:
        """Draws a response without the offset."""
        if "draw" not in self.kept:
            of = drawing_responses if self.kind == "parametric" else drawing_residuals
            self.kept["draw"] = of(self.results)
        found: Callable[[Generator], np.ndarray] = self.kept["draw"]
        return found

    def _again(self, rng: Generator) -> Any:
        """Return the results of one refit."""
        results, model = self.results, self.results.model
        if self.kind != "groups":
            y = self._draw(rng)
            if _has_structure(results):
                return results._refit(model._rebuilt(replace(model.design, endog=y)), self.method)
            return refit_to(results, y, reader_of(model).read(y[:, None]), 0, self.method)
        if "groups" not in self.kept:
            self.prepare()
        return results._refit(model._rebuilt(self.kept["groups"](rng)), self.method)


def _has_structure(results: Any) -> bool:
    """Return whether the residuals have a structure."""
    return hasattr(results.model, "residual_structure")


def drawing_responses(results: Any) -> Callable[[Generator], np.ndarray]:
    """Return a function that draws a response, without the offset, from the fitted model."""
    model, fit = results.model, results.fit
    if _has_structure(results):
        own = 0.0 if model.design.offset is None else model.design.offset
        return lambda rng: np.asarray(results.simulate(1, rng=rng)[:, 0] - own)
    distribution = model.get_distribution(fit.params_object, fit.scale)
    offset = model.design.offset

    def draw(rng: Generator) -> np.ndarray:
        y: np.ndarray = distribution.rvs(rng=rng)
        return y if offset is None else y - offset

    return draw


def drawing_residuals(results: Any) -> Callable[[Generator], np.ndarray]:
    """Return a function that draws a response from resampled random effects and residuals.

    The BLUPs of a grouping factor are centered and multiplied by a matrix that gives them the estimated
    covariance matrix. Residuals are centered and scaled to σ̂. Both are shrunken otherwise (Carpenter,
    Goldstein and Rasbash 2003, Applied Statistics 52, 431–443).

    Raises
    ------
    OptionError
        Variance components of vc_formula.
    """
    fit, model = results.fit, results.model
    design = model.design
    if fit.spec.has_components:
        raise OptionError(
            "kind='residual' with variance components of vc_formula; expected components that are written as "
            "bars, such as (1 | g:a), or kind='parametric'"
        )
    fitted = np.asarray(fittedvalues(results), dtype=float)
    root = np.ones(len(fitted)) if design.weights is None else np.sqrt(np.asarray(design.weights))
    residual = (np.asarray(model.endog, dtype=float) - fitted) * root
    residual = residual - residual.mean()
    residual *= np.sqrt(fit.scale / np.mean(residual**2))
    mean = model.exog @ np.asarray(fit.beta)
    factors = []
    for f, grouping in enumerate(design.groupings):
        at = fit.layout.columns_of_factor(f)
        if at:
            b = _effects(results, f, grouping.n_levels, len(at))
            cov = fit.scale * fit.params_object.cov_re[np.ix_(at, at)]
            factors.append((grouping, [design.random[j] for j in at], _reflated(b, cov)))

    def draw(rng: Generator) -> np.ndarray:
        y = mean.copy()
        for grouping, columns, b in factors:
            q = grouping.n_levels
            drawn = b[rng.choice(q, q)]
            for j, column in enumerate(columns):
                own = drawn[grouping.codes, j]
                y += own if column is None else own * column
        y += rng.choice(residual, len(y)) / root
        return y

    return draw


def _effects(results: Any, f: int, q: int, k: int) -> np.ndarray:
    found: Any = random_effects_of(results.fit)
    means: np.ndarray = found.factors[f].means if results.fit.is_crossed else found.means(q, k)
    return means


def _reflated(b: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Return centered effects (q, k) times a matrix that gives them the covariance matrix `cov`."""
    b = b - b.mean(axis=0)
    own = semidefinite_cholesky(b.T @ b / len(b))
    out: np.ndarray = b @ np.linalg.pinv(own).T @ semidefinite_cholesky(cov).T
    return out

"""Packages to compare with, each behind one small function.

A peer takes a problem, prepares the data as the package wants them, and returns a function that
builds and fits the model once. A package that is not installed shows as an ImportError.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from problems import Problem


class Run(NamedTuple):
    """One fit: its time and −2 log restricted likelihood (NaN: the peer has none)."""

    seconds: float
    criterion: float


Fit = Callable[[], Run]
Peer = Callable[[Problem], Fit]


def _one_factor(problem: Problem) -> None:
    if problem.bars:
        raise ImportError("left out: it takes one grouping factor, or forms a dense matrix")


def timed(peer: Callable[[Problem], Callable[[], float]]) -> Peer:
    """Time a fit in this process that returns the criterion."""

    def prepare(problem: Problem) -> Fit:
        fit = peer(problem)

        def run() -> Run:
            start = time.perf_counter()
            criterion = fit()
            return Run(time.perf_counter() - start, criterion)

        return run

    return prepare


@timed
def lmmcore(problem: Problem) -> Callable[[], float]:
    from lmmcore import MixedLM
    from lmmcore import mixedlm as by_formula

    frame, groups = problem.frame, problem.groups

    def fit() -> float:
        if problem.bars:
            return by_formula(problem.lmer, frame).fit().criterion
        model = MixedLM.from_formula(
            problem.formula, frame, groups=frame[groups], re_formula=problem.re_formula
        )
        return model.fit().criterion

    return fit


@timed
def statsmodels(problem: Problem) -> Callable[[], float]:
    from statsmodels.regression.mixed_linear_model import MixedLM

    _one_factor(problem)
    frame, groups = problem.frame, problem.groups

    def fit() -> float:
        model = MixedLM.from_formula(
            problem.formula, frame, groups=frame[groups], re_formula=problem.re_formula
        )
        return -2.0 * model.fit().llf

    return fit


@timed
def mixedlm_rs(problem: Problem) -> Callable[[], float]:
    from mixedlm_rs import MixedLM

    _one_factor(problem)

    def fit() -> float:
        model = MixedLM.from_formula(
            problem.formula, problem.frame, groups=problem.groups, re_formula=problem.re_formula
        )
        return -2.0 * model.fit().llf

    return fit


@timed
def mixedlm(problem: Problem) -> Callable[[], float]:
    from mixedlm import lmer

    return lambda: lmer(problem.lmer, problem.frame).deviance


@timed
def lme_python(problem: Problem) -> Callable[[], float]:
    import polars
    from lme_python import lmer

    frame = polars.DataFrame({str(name): c.to_numpy() for name, c in problem.frame.items()})
    return lambda: lmer(problem.lmer, frame, reml=True).reml_criterion or math.nan


@timed
def lstsq(problem: Problem) -> Callable[[], float]:
    """Least squares of y on X, as a yardstick."""
    x, y = problem.exog(), problem.frame[problem.response].to_numpy()

    def fit() -> float:
        np.linalg.lstsq(x, y, rcond=None)
        return math.nan

    return fit


def lme4(problem: Problem) -> Fit:
    """A process of R that lives as long as the returned function and keeps time itself."""
    if shutil.which("Rscript") is None:
        raise ImportError("there is no Rscript")
    script = Path(__file__).with_name("lme4.R")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "columns"
        problem.frame.to_numpy(dtype=np.float64).T.tofile(data)
        names = ",".join(problem.frame.columns)
        process = subprocess.Popen(
            ["Rscript", "--vanilla", script, data, names, problem.groups, problem.lmer],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        orders, answers = process.stdin, process.stdout
        assert orders is not None
        assert answers is not None
        if answers.readline() != "ready\n":
            raise ImportError("R has no lme4")

    def run() -> Run:
        print("fit", file=orders, flush=True)
        seconds, criterion = answers.readline().split()
        return Run(float(seconds), float(criterion))

    return run


PEERS: dict[str, Peer] = {
    "lmmcore": lmmcore,
    "statsmodels": statsmodels,
    "mixedlm-rs": mixedlm_rs,
    "mixedlm": mixedlm,
    "lme_python": lme_python,
    "lme4": lme4,
    "lstsq": lstsq,
}

# Minutes for one fit.
SLOW = {
    ("statsmodels", "P4"), ("lme4", "P4"), ("lme4", "P5"), ("lme_python", "P7"), ("lme_python", "P8"),
    ("lme4", "P8b"), ("lme_python", "P8b"), ("mixedlm", "P8b"),
}  # fmt: skip

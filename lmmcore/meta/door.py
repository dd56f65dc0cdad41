"""``lmmcore.meta``: from columns of effects and variances to a fitted meta-analysis."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from ..arguments import numbers
from ..design.build import as_frame, from_formula
from ..errors import DataValueError, NameNotFoundError, OptionError, suggest
from ..inference.wald import level as checked_level
from ..model import MixedLM
from ..repeated.known import Known, KnownBlocks, known_blocks
from ..repeated.model import RepeatedLM
from .analysis import MetaAnalysis
from .heterogeneity import KnownEffects

EFFECT, ROW = "effect", "row"
TESTS = ("z", "t", "knapp-hartung")


def meta(
    effects: Any,
    variances: Any,
    data: Any = None,
    *,
    mods: str | None = None,
    random: str | bool | None = None,
    labels: Any = None,
    reml: bool = True,
    test: str = "z",
    level: float = 0.95,
) -> MetaAnalysis:
    """Fit a meta-analysis or meta-regression.

    Parameters
    ----------
    effects : str or array_like (k,)
        The effects, such as log odds ratios: a column of `data`, or numbers.
    variances : str, array_like or Known
        Their sampling variances, or their covariance matrix (k, k); ``lmmcore.known(…)`` also takes blocks
        by group.
    data : DataFrame, optional
    mods : str, optional
        Moderators: the right side of a formula, such as ``"ablat"`` or ``"0 + outcome"``. By default, one
        mean.
    random : str or bool, optional
        Random effects as bars, such as ``"(1 | district/school)"`` or ``"(0 + outcome | trial)"``. By default
        one for each row. False: none, the common-effect model.
    labels : str or array_like (k,), optional
        Names of the rows; by default the index of `data`.
    reml : bool
        Restricted maximum likelihood, or maximum likelihood.
    test : {"z", "t", "knapp-hartung"}
        Normal quantiles; those of t with k − p degrees of freedom; these and the covariance of Knapp and
        Hartung, for one random effect for each row.
    level : float
        Of all intervals.

    Returns
    -------
    MetaAnalysis

    Raises
    ------
    OptionError, DataValueError, NameNotFoundError
        Wrong arguments.

    Examples
    --------
    >>> import lmmcore
    >>> bcg = lmmcore.datasets.load_bcg()
    >>> found = lmmcore.meta("log_rr", "variance", bcg)
    >>> round(found.tau2, 4), round(found.i2, 1)
    (0.3132, 92.2)
    >>> found.coefficients.round(3).loc["Intercept", ["estimate", "lower", "upper"]].tolist()
    [-0.715, -1.067, -0.362]
    """
    if test not in TESTS:
        raise OptionError(f"test={test!r}; expected one of {', '.join(TESTS)}")
    if test == "knapp-hartung" and random is not None:
        raise OptionError(
            f"test={test!r} with random={random!r}; expected one random effect for each row, or test='t'"
        )
    frame, known = _table(effects, variances, data)
    if random is None:
        frame[_free(frame, ROW)] = np.arange(len(frame))
        bars = f" + (1 | {_free(frame.iloc[:, :-1], ROW)})"
    elif random is False:
        bars = ""
    elif isinstance(random, str) and "|" in random:
        bars = f" + {random}"
    else:
        raise OptionError(
            f"random={random!r}; expected bars such as '(1 | district/school)', False for none, or None for "
            "a random effect for each row"
        )
    formula = f"{EFFECT} ~ {mods or '1'}{bars}"
    weights = 1.0 / known.variances
    caller = sys._getframe(1)
    design = from_formula(
        formula, frame, weights=weights, frame=caller, random=random is not False, scale=1.0
    )
    model: Any = MixedLM._from_design(design, formula, True)
    if known.blocks or random is False:
        model = RepeatedLM(model, known)
    results = model.fit(reml=reml, ddf="z")
    kept = np.arange(len(frame)) if design.in_table is None else design.in_table
    names = _labels(labels, frame)
    return MetaAnalysis(
        results, _known_effects(results, known, kept), [names[i] for i in kept.tolist()], test,
        random is None, 1.0 - checked_level(1.0 - level),
    )  # fmt: skip


def _free(frame: pd.DataFrame, name: str) -> str:
    """Return a name that no column has."""
    while name in frame.columns:
        name += "_"
    return name


def _table(effects: Any, variances: Any, data: Any) -> tuple[pd.DataFrame, KnownBlocks]:
    """Return a table with the column of effects, and the known covariances of its rows."""
    if data is None:
        if isinstance(effects, str):
            raise OptionError(
                f"effects={effects!r} names a column, and there is no data; expected data="
            )
        frame = pd.DataFrame({EFFECT: numbers(effects, "effects", "numbers")})
    else:
        frame = as_frame(data).copy()
        if isinstance(effects, str):
            if effects not in frame.columns:
                names = map(str, frame.columns)
                raise NameNotFoundError(
                    f"effects={effects!r} is no column of data{suggest(effects, names)}"
                )
            effects = frame[effects]
        values = numbers(effects, "effects", "numbers")
        if len(values) != len(frame):
            raise DataValueError(
                f"effects has {len(values)} numbers; expected {len(frame)}, as data has rows"
            )
        frame[EFFECT] = values
    term = variances if isinstance(variances, Known) else Known(variances)
    if (
        not isinstance(variances, (str, Known))
        and np.ndim(variances) == 1
        and len(variances) != len(frame)
    ):
        raise DataValueError(
            f"variances has {len(variances)} numbers; expected {len(frame)}, one for each effect"
        )
    return frame, known_blocks(term, frame, {})


def _labels(labels: Any, frame: pd.DataFrame) -> list[Any]:
    if labels is None:
        return list(frame.index)
    if isinstance(labels, str):
        if labels not in frame.columns:
            names = map(str, frame.columns)
            raise NameNotFoundError(
                f"labels={labels!r} is no column of data{suggest(labels, names)}"
            )
        return frame[labels].tolist()
    if len(labels) != len(frame):
        raise DataValueError(f"labels has {len(labels)} entries; expected {len(frame)}")
    return list(labels)


def _known_effects(results: Any, known: KnownBlocks, kept: np.ndarray) -> KnownEffects:
    """Return effects and covariances in the rows used."""
    place = np.full(len(known.variances), -1)
    place[kept] = np.arange(len(kept))
    blocks = []
    for rows, matrix in known.blocks:
        used = place[rows] >= 0
        if used.sum() > 1:
            blocks.append((place[rows[used]], matrix[np.ix_(used, used)]))
    model = results.model
    y, x = np.asarray(model.endog, dtype=float), np.asarray(model.exog, dtype=float)
    return KnownEffects(y, x.reshape(len(y), -1), known.variances[kept], blocks)

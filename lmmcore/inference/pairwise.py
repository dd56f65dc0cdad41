"""Pairwise comparisons of the levels of a categorical variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ..design.spec import ModelSpec
from ..errors import DataValueError, DesignError, OptionError, suggest
from .contrasts import ContrastResults
from .multiplicity import adjust


@dataclass(frozen=True, eq=False)
class PairwiseTests:
    """Differences between the levels of a categorical variable.

    Attributes
    ----------
    result_frame : DataFrame
        A row for each pair "b-a": estimate, standard error, statistic, p-value, interval (not
        adjusted), and ``pvalue-m`` and ``reject-m`` for each method m of adjustment.
    contrasts : array (pairs, k_fe)
        The hypotheses.
    contrast_labels : tuple of str
    term_encoding_matrix : array (levels, columns of the term)
    """

    result_frame: pd.DataFrame
    contrasts: np.ndarray
    contrast_labels: tuple[str, ...]
    term_encoding_matrix: np.ndarray

    def __str__(self) -> str:
        return self.result_frame.to_string()

    def __repr__(self) -> str:
        return str(self)


def pairwise(
    spec: ModelSpec,
    test: Callable[[np.ndarray], ContrastResults],
    term_name: str,
    method: str | Sequence[str],
    alpha: float,
    factor_labels: Sequence[str] | None,
    left_out: Sequence[str] = (),
    reason: str = "",
) -> PairwiseTests:
    """Compare the levels of a categorical variable; see ``MixedLMResults.t_test_pairwise``."""
    encoding, columns, levels = _encoding(spec, term_name)
    none = [name for name in left_out if name in [spec.exog_names[j] for j in columns]]
    if none:
        raise DataValueError(
            f"the levels of {term_name} cannot be compared: {', '.join(none)} "
            f"{'has' if len(none) == 1 else 'have'} no standard error, as {reason}. "
            "Test the others with t_test. A group penalty selects a categorical variable as a whole"
        )
    if factor_labels is not None:
        if len(factor_labels) != len(levels):
            raise DataValueError(
                f"factor_labels has {len(factor_labels)} labels; expected {len(levels)}, for "
                f"{', '.join(levels)}"
            )
        levels = [str(x) for x in factor_labels]
    pairs = list(combinations(range(len(levels)), 2))
    contrasts = np.zeros((len(pairs), spec.k_fe))
    for row, (i, j) in enumerate(pairs):
        contrasts[row, columns] = encoding[j] - encoding[i]
    labels = tuple(f"{levels[j]}-{levels[i]}" for i, j in pairs)
    found = test(contrasts)
    frame = found.summary_frame(alpha).set_axis(list(labels), axis=0)
    for name in [method] if isinstance(method, str) else list(method):
        adjusted = adjust(found.pvalue, name)
        frame[f"pvalue-{name}"] = adjusted
        frame[f"reject-{name}"] = adjusted <= alpha
    return PairwiseTests(frame, contrasts, labels, encoding)


def _encoding(spec: ModelSpec, term_name: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the rows that code the levels, the columns of the term in the fit, and the levels."""
    info: Any = spec.fixed_info
    factors: dict[str, Any] = getattr(info, "factors", {})
    if term_name not in factors:
        raise OptionError(
            f"term_name={term_name!r} is not a categorical variable of the "
            f"formula{suggest(str(term_name), factors)}; "
            + (
                f"expected one of {', '.join(factors)}"
                if factors
                else "it has no categorical variable as a main effect"
            )
        )
    where = info.term_name_slices[term_name]
    kept = spec.built
    columns = np.flatnonzero((kept >= where.start) & (kept < where.stop))
    if len(columns) != where.stop - where.start:
        raise DesignError(
            f"the levels of {term_name} cannot be compared: some of its columns are not in the fit"
            + (
                f", because other columns determine them ({', '.join(spec.dropped)})"
                if spec.dropped
                else ""
            )
        )
    matrix, levels = factors[term_name]
    return matrix, columns, [str(x) for x in levels]

"""Which level of a grouping factor a label means, also a label of another type.

A model fitted to text ``"308"`` meets the number 308 after another reading of the same file. Labels
are compared as they are first. One that is not found is compared in a common form with the labels
of other types; it is taken where that is one to one, and refused where it is not.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataValueError
from .groups import GroupingFactor

_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATES = (datetime.date, np.datetime64)  # a Timestamp and a datetime are dates


class Levels:
    """The labels of a grouping factor, to be looked up.

    Parameters
    ----------
    labels : array (q,)
        Different labels.
    name : str
        Name of the factor, for errors.
    """

    def __init__(self, labels: Any, name: str) -> None:
        self.labels = labels
        self.name = name

    @cached_property
    def _index(self) -> pd.Index:
        return _as_index(self.labels)

    @cached_property
    def _by_form(self) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = {}
        for level, label in enumerate(self.labels):
            found.setdefault(common_form(label), []).append(level)
        return found

    def find(self, given: Any) -> np.ndarray:
        """Return the level of each of different labels (m,), -1 where there is none.

        Raises
        ------
        DataValueError
            A label of another type that may be several levels, or several that may be one.
        """
        at = np.full(len(given), -1, dtype=np.intp)
        index, other = self._index, _as_index(given)
        if (index.dtype.kind in "mM") == (other.dtype.kind in "mM"):
            at[:] = index.get_indexer(other)
        taken = set(at.tolist())
        for i in np.flatnonzero(at < 0).tolist():
            label = given[i]
            kind = kind_of(label)
            levels = [j for j in self._by_form.get(common_form(label), ())
                      if kind == "dates" or kind_of(self.labels[j]) != kind]  # fmt: skip
            if not levels:
                continue
            if len(levels) > 1 or levels[0] in taken:
                raise self._ambiguous(label, levels)
            at[i] = levels[0]
            taken.add(levels[0])
        return at

    def _ambiguous(self, label: Any, levels: Sequence[int]) -> DataValueError:
        known = ", ".join(repr(_plain(self.labels[j])) for j in levels[:3])
        types = f"{kind_of(label)} ({_plain(label)!r})"
        return DataValueError(
            f"labels of {self.name!r} are {types} where the model has {kind_of(self.labels[levels[0]])} "
            f"({known}), and the match is not one to one; expected labels of the type in "
            "the model. Convert them first"
        )

    def types(self, given: Any) -> str:
        """Return in words that labels have another type than those of the model, "" if not."""
        mine = {kind_of(label) for label in self.labels[:1000]}
        theirs = {kind_of(label) for label in given[:1000]}
        if mine & theirs or not len(given) or not len(self.labels):
            return ""
        return (
            f" ({' and '.join(sorted(theirs))} such as {_plain(given[0])!r}, where the model has "
            f"{' and '.join(sorted(mine))} such as {_plain(self.labels[0])!r})"
        )


def levels_of(known: GroupingFactor, given: GroupingFactor) -> np.ndarray:
    """Return the level of `known` for each level of `given`, -1 where there is none.

    Combinations of two factors are compared factor by factor.
    """
    if known.part_levels is None or given.part_levels is None:
        return Levels(known.labels, known.name).find(given.labels)
    names = known.name.split(":") if known.name.count(":") + 1 == len(known.part_labels) else ()
    mine = np.zeros(known.n_levels, dtype=np.int64)
    theirs = np.zeros(given.n_levels, dtype=np.int64)
    unknown = np.zeros(given.n_levels, dtype=bool)
    for p, labels in enumerate(known.part_labels):
        own = Levels(labels, names[p] if names else known.name).find(given.part_labels[p])
        found = own[given.part_levels[:, p]]
        unknown |= found < 0
        # The levels of the parts so far, as one number each that stays below q * (its levels).
        both = np.concatenate([mine, theirs]) * len(labels)
        both += np.concatenate([known.part_levels[:, p], np.maximum(found, 0)])
        codes, _ = pd.factorize(both)
        mine, theirs = codes[: len(mine)], codes[len(mine) :]
    at = np.asarray(pd.Index(mine).get_indexer(pd.Index(theirs)))
    at[unknown] = -1
    return at


def level_of(levels: Levels, factor: GroupingFactor, label: Any) -> int:
    """Return the level that one label means, -1 for none; of an interaction also a tuple of labels."""
    parts = factor.part_levels
    if isinstance(label, tuple) and parts is not None and len(label) == parts.shape[1]:
        same = np.ones(len(parts), dtype=bool)
        for p, labels in enumerate(factor.part_labels):
            same &= parts[:, p] == Levels(labels, factor.name).find([label[p]])[0]
        return int(np.argmax(same)) if same.any() else -1
    return int(levels.find([label])[0])


def kind_of(label: Any) -> str:
    """Return the type of a label in words."""
    if isinstance(label, (bool, np.bool_)):
        return "booleans"
    if isinstance(label, (int, float, np.integer, np.floating)):
        return "numbers"
    if isinstance(label, str):
        return "text"
    return "dates" if isinstance(label, _DATES) else f"values of type {type(label).__name__}"


def common_form(label: Any) -> Any:
    """Return what a label is in any type: a number, a date, a truth value, or else text."""
    if isinstance(label, (bool, np.bool_)):
        return str(label)
    if isinstance(label, (int, np.integer)):
        return int(label)
    if isinstance(label, (float, np.floating)):
        return int(label) if float(label).is_integer() else float(label)
    if isinstance(label, _DATES):
        return pd.Timestamp(label)
    text = str(label)
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else common_form(float(text))
    if _DATE.match(text):
        try:
            return pd.Timestamp(text)
        except ValueError:
            return text
    return text


def _as_index(labels: Any) -> pd.Index:
    """Return an index of labels as they are: pandas would make dates and tuples something else."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind != "O":
        return pd.Index(labels)
    values = np.empty(len(labels), dtype=object)
    values[:] = labels
    return pd.Index(values, dtype=object, tupleize_cols=False).infer_objects()


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label

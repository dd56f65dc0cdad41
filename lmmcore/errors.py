"""Errors and warnings. Each message says what was given, what was expected and what to do.

Every error is a `LmmcoreError`, and also a subclass of the built-in exception that other scientific packages
raise in the same situation. So an ``except ValueError`` clause goes on working.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable

__all__ = [
    "ConvergenceError",
    "ConvergenceWarning",
    "DataNotFoundError",
    "DataRemovedError",
    "DataTypeError",
    "DataValueError",
    "DeprecatedFormatWarning",
    "DesignError",
    "FormulaError",
    "LmmcoreError",
    "LmmcoreWarning",
    "NameNotFoundError",
    "NotFiniteError",
    "NotIdentifiedWarning",
    "OptionError",
    "PluginError",
    "RankDeficientWarning",
    "UnknownArgumentError",
    "UnusedArgumentWarning",
]


class LmmcoreError(Exception):
    """Base of all errors that lmmcore raises on purpose."""

    # KeyError shows repr(args[0]); a sentence reads better as it stands.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FormulaError(LmmcoreError, ValueError):
    """A formula that cannot be parsed or does not describe a mixed model."""


class DataValueError(LmmcoreError, ValueError):
    """Data that a model cannot use: NaN, infinity, wrong lengths, no rows."""


class NotFiniteError(DataValueError):
    """A missing value or an infinity in the data."""


class DataTypeError(LmmcoreError, TypeError):
    """Text or other objects instead of numbers."""


class DesignError(LmmcoreError, ValueError):
    """A design that cannot identify the model: one group, a group per row, no residual."""


class NameNotFoundError(LmmcoreError, KeyError):
    """A variable that is not in the data."""


class DataNotFoundError(LmmcoreError, KeyError):
    """A data set that is not part of lmmcore, or a file that does not exist."""


class DataRemovedError(LmmcoreError, RuntimeError):
    """Something that needs the rows of the data was used after ``remove_data``."""


class OptionError(LmmcoreError, ValueError):
    """An argument has a value that the function does not accept."""


class UnknownArgumentError(LmmcoreError, TypeError):
    """The function has no argument with this name."""


class PluginError(LmmcoreError, RuntimeError):
    """A plugin raised an exception, or returned something that its protocol does not allow."""


class ConvergenceError(LmmcoreError, RuntimeError):
    """No optimum was found: the likelihood has none, or the optimizer could not continue."""


class LmmcoreWarning(UserWarning):
    """Base of all warnings. Each names something that the user can change."""


class RankDeficientWarning(LmmcoreWarning):
    """Columns of the fixed effects were dropped because other columns determine them."""


class UnusedArgumentWarning(LmmcoreWarning, FutureWarning):
    """An argument that has an effect elsewhere in statsmodels, but not here."""


class DeprecatedFormatWarning(LmmcoreWarning, FutureWarning):
    """A kind of input that statsmodels has deprecated."""


class ConvergenceWarning(LmmcoreWarning):
    """The optimizer stopped at a point that is not certified as an optimum."""


class NotIdentifiedWarning(LmmcoreWarning):
    """The data cannot tell some covariance parameters apart: other values have the same likelihood."""


def users_line() -> int:
    """Return the stacklevel of a warning, issued where this is called, that points outside the package."""
    frame, level = sys._getframe(1), 1
    package = __name__.partition(".")[0]
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != package:
            break
        frame, level = frame.f_back, level + 1
    return level


def rows_removed() -> DataRemovedError:
    """Return the error for a use of rows that were removed."""
    return DataRemovedError(
        "the rows of the data are not available: remove_data() removed them from these results and "
        "their model. Compute what needs them before you call remove_data(), or fit again"
    )


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 group"``, ``"2,000 groups"`` for a message."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def refuse_sparse(given: object, name: str) -> None:
    """Raise a DataTypeError if `given` is a sparse matrix, which NumPy cannot convert to a matrix."""
    if hasattr(given, "toarray"):
        raise DataTypeError(
            f"{name} is a {type(given).__name__}, a sparse matrix; expected a dense array or a data frame. "
            "Convert it with its method toarray()"
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` or the list of what is known, for an error message."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(repr(k) for k in known[:20]) + (", …" if len(known) > 20 else "")
    return f"; known: {shown}" if known else ""

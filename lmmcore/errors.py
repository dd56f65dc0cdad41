"""Errors and warnings: each says what was given, what was expected and what to do.

Every error is a `LmmcoreError` and also the built-in exception that the scientific Python
ecosystem raises in the same place, so that existing ``except ValueError`` clauses hold.
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
    """A formula that does not parse or that states no mixed model."""


class DataValueError(LmmcoreError, ValueError):
    """Values in the data that no model can use: NaN, infinity, wrong lengths, no rows."""


class NotFiniteError(DataValueError):
    """A missing value or an infinity in the rows."""


class DataTypeError(LmmcoreError, TypeError):
    """Text or objects where numbers belong."""


class DesignError(LmmcoreError, ValueError):
    """A design that cannot identify the model: one group, a group per row, no residual."""


class NameNotFoundError(LmmcoreError, KeyError):
    """A variable that the data frame does not have."""


class DataNotFoundError(LmmcoreError, KeyError):
    """A data set that the package does not ship, or a file that does not exist."""


class DataRemovedError(LmmcoreError, RuntimeError):
    """What needs the rows of the data after ``remove_data``."""


class OptionError(LmmcoreError, ValueError):
    """An argument with a value that the called function does not know."""


class UnknownArgumentError(LmmcoreError, TypeError):
    """An argument with a name that the called function does not have."""


class PluginError(LmmcoreError, RuntimeError):
    """A plugin that raised or returned what its contract forbids."""


class ConvergenceError(LmmcoreError, RuntimeError):
    """No optimum was found: the likelihood has none, or an optimizer could not go on."""


class LmmcoreWarning(UserWarning):
    """Base of all warnings; each names something that the user can act on."""


class RankDeficientWarning(LmmcoreWarning):
    """Columns of the fixed effects were dropped, as others determine them."""


class UnusedArgumentWarning(LmmcoreWarning, FutureWarning):
    """An argument that statsmodels knows elsewhere and that does nothing here."""


class DeprecatedFormatWarning(LmmcoreWarning, FutureWarning):
    """A form of input that statsmodels has deprecated."""


class ConvergenceWarning(LmmcoreWarning):
    """The optimizer stopped before the certificate of an optimum held."""


class NotIdentifiedWarning(LmmcoreWarning):
    """Covariance parameters that the data cannot tell apart: the likelihood is as high elsewhere."""


def users_line() -> int:
    """Return the stacklevel of a warning, issued where this is called, that points outside the package."""
    frame, level = sys._getframe(1), 1
    package = __name__.partition(".")[0]
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] != package:
            break
        frame, level = frame.f_back, level + 1
    return level


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 group"``, ``"2,000 groups"`` for a message."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def refuse_sparse(given: object, name: str) -> None:
    """Raise a DataTypeError if `given` is a sparse matrix, of which NumPy makes an array of no dimension."""
    if hasattr(given, "toarray"):
        raise DataTypeError(
            f"{name} is a {type(given).__name__}, a sparse matrix; expected a dense array or a data frame. "
            "Convert it by its method toarray()"
        )


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` or the list of what is known, for an error message."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(repr(k) for k in known[:20]) + (", …" if len(known) > 20 else "")
    return f"; known: {shown}" if known else ""

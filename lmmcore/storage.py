"""Files of pickled objects, written whole or not at all."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .errors import DataTypeError
from .refitting import forget_rows


def write_pickle(thing: Any, fname: Any) -> None:
    """Pickle an object to a file; if that fails, a file that was there stays as it was."""
    path = Path(os.path.realpath(fname))
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        with open(path, "wb") as file:
            pickle.dump(thing, file)
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "xb") as file:
            pickle.dump(thing, file)
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove_data(results: Any) -> None:
    """Take the rows of the data out of these results and their model, to make them small.

    Estimates, inference, random effects, `summary` and `predict` for new rows go on working;
    what needs the rows (`fittedvalues`, `resid`, `predict` without an argument, the data of
    the model) raises `DataRemovedError`. Other results of the same model lose the rows too.
    """
    model = results.model
    model.group_sizes  # noqa: B018 — kept, as the summary shows them
    for name in ("fittedvalues", "resid", "hat_values", "weight_derivative"):
        results.__dict__.pop(name, None)
    for name in (
        "endog", "exog", "exog_re", "exog_vc", "groups", "row_indices", "endog_li", "exog_li",
        "exog_re_li", "exog_re2_li",
    ):  # fmt: skip
        model.__dict__.pop(name, None)
    forget_rows(model)
    model.rows = None


def save(results: Any, fname: Any, remove_data: bool = False) -> None:
    """Write the results to a file (pickle); `load` reads them.

    The file is written whole or not at all: where writing fails, a file that was there stays. Modules
    and functions that the formula uses are saved by their names. A function without one, such as a
    lambda, is missed when new rows are predicted after loading; everything else works without it.

    Parameters
    ----------
    fname : str or path
    remove_data : bool
        Whether to leave out the rows of the data (`remove_data`).
    """
    if remove_data:
        results.remove_data()
    write_pickle(results, fname)


@runtime_checkable
class Saved(Protocol):
    """What files of results hold: an ordinary result or a penalized one."""

    model: Any
    fit: Any

    def remove_data(self) -> None: ...
    def summary(self) -> Any: ...


def load(fname: Any) -> Any:
    """Read results that `save` wrote. Load only files that you trust: pickle runs their code.

    Raises
    ------
    DataTypeError
        The file holds something else.
    """
    with open(fname, "rb") as file:
        try:
            found = pickle.load(file)
        except (
            pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError, IndexError,
        ) as exc:  # fmt: skip
            raise DataTypeError(
                f"{fname} cannot be read ({exc}); expected results written by save()"
            ) from exc
    if not isinstance(found, Saved):
        raise DataTypeError(
            f"{fname} holds a {type(found).__name__}; expected results written by save()"
        )
    return found

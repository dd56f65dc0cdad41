"""Files of pickled objects, written whole or not at all."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any


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

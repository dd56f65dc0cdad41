"""Tables in files: CSV with any of the usual separators, and Parquet."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from . import datasets
from .errors import DataNotFoundError, DataValueError, suggest

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 1000  # rows that are looked at for the decimal mark
# What pandas raises for a file that is no table.
_UNREADABLE = (OSError, ValueError, EOFError, zlib.error)


def read_table(source: str) -> pd.DataFrame:
    """Return a data set that ships with the package, or a CSV or Parquet file.

    The separator is the one of comma, semicolon, tab and bar by which the header has most columns. Beside
    another separator than the comma, numbers may have a decimal comma.

    Raises
    ------
    DataNotFoundError
        Neither a data set nor a file has that name.
    DataValueError
        The file is no table.
    """
    path = Path(source)
    if source.lower() in datasets.names() and not path.exists():
        return datasets.load(source)
    if path.is_dir():
        raise DataNotFoundError(f"{source!r} is a folder; expected a CSV or Parquet file")
    if not path.is_file():
        order = "; the formula comes first, then the data" if "~" in source else ""
        raise DataNotFoundError(
            f"{source!r} is neither a file nor a data set of the package; expected the path of a CSV or "
            f"Parquet file{order}" + suggest(source, datasets.names())
        )
    endings = [s.lower() for s in path.suffixes]
    if endings[-1:] in ([".parquet"], [".pq"]):
        table = _parquet(path)
    elif any(e in endings for e in (".csv", ".tsv", ".txt")):
        table = _csv(path, "\t" if ".tsv" in endings else ",")
    else:
        raise DataValueError(
            f"{source!r} ends in {''.join(endings) or 'nothing'}; expected .csv, .tsv, .txt or .parquet"
        )
    if not len(table):
        raise DataValueError(
            f"{source!r} has column names but no rows; expected a row for each observation"
        )
    return table


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError as exc:
        raise DataNotFoundError(
            f"reading {str(path)!r} needs pyarrow: pip install 'lmmcore[parquet]'"
        ) from exc
    except _UNREADABLE as exc:
        raise DataValueError(f"{str(path)!r} is not a Parquet file: {exc}") from exc


def _csv(path: Path, usual: str) -> pd.DataFrame:
    try:
        separator, names = _header(path, usual)
        decimal = "." if separator == "," else _decimal_mark(path, separator)
        table = pd.read_csv(path, sep=separator, decimal=decimal, skipinitialspace=True)
    except UnicodeDecodeError as exc:
        raise DataValueError(
            f"{str(path)!r} is not a table in UTF-8 (byte 0x{exc.object[exc.start]:02x} at position "
            f"{exc.start}); save it as CSV in UTF-8"
        ) from exc
    except pd.errors.EmptyDataError as exc:
        raise DataValueError(
            f"{str(path)!r} is empty; expected a row of column names and a row for each observation"
        ) from exc
    except pd.errors.ParserError as exc:
        raise DataValueError(
            f"{str(path)!r} does not have the same number of columns in all rows: {exc}"
        ) from exc
    except _UNREADABLE as exc:
        raise DataValueError(f"{str(path)!r} cannot be read: {exc}") from exc
    if _has_nul(path) or any("\0" in name for name in names):
        raise DataValueError(f"{str(path)!r} is not text; expected a CSV file")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataValueError(
            f"{str(path)!r} has several columns named {', '.join(map(repr, twice))}; expected different names"
        )
    return table


def _has_nul(path: Path) -> bool:
    """Return whether the start of a file that is not compressed has a NUL character, as no text has."""
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return False
    with path.open("rb") as file:
        return b"\0" in file.read(1 << 16)


def _header(path: Path, usual: str) -> tuple[str, list[str]]:
    """Return the separator and the names as they stand in the first row."""
    found = {}
    for separator in sorted(_SEPARATORS, key=lambda s: s != usual):
        row = _text(path, separator, header=None, nrows=1)
        found[separator] = [str(name) for name in row.iloc[0]]
    return max(found.items(), key=lambda pair: len(pair[1]))  # the first of equals


def _decimal_mark(path: Path, separator: str) -> str:
    """Return "," where numbers have commas in them and none has a point."""
    fields = [str(v) for v in _text(path, separator, nrows=_SAMPLE).to_numpy().ravel()]
    with_mark = {m[1] for m in (re.fullmatch(r"[+-]?\d*([.,])\d+", f.strip()) for f in fields) if m}
    return "," if with_mark == {","} else "."


def _text(path: Path, separator: str, **keywords: Any) -> pd.DataFrame:
    return pd.read_csv(
        path, sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True, **keywords
    )

"""The command line: ``lmmcore fit FORMULA DATA`` and ``lmmcore plugins``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from . import __version__, datasets
from .errors import DataNotFoundError, DataValueError, LmmcoreError, suggest
from .extension import plugins
from .model import DEFAULT_METHOD, mixedlm


def read_table(source: str) -> pd.DataFrame:
    """Return a data set that ships with the package, or a CSV or Parquet file.

    Raises
    ------
    DataNotFoundError
        Neither a data set nor a file has that name.
    """
    path = Path(source)
    if source.lower() in datasets.names() and not path.exists():
        return datasets.load(source)
    if not path.is_file():
        raise DataNotFoundError(
            f"{source!r} is neither a file nor a data set of the package"
            + suggest(source, datasets.names())
            + " Give the path of a CSV or Parquet file"
        )
    endings = [s.lower() for s in path.suffixes]
    if endings[-1:] in ([".parquet"], [".pq"]):
        try:
            return pd.read_parquet(path)
        except ImportError as exc:
            raise DataNotFoundError(
                f"reading {source!r} needs pyarrow: pip install 'lmmcore[parquet]'"
            ) from exc
    if ".csv" in endings or ".tsv" in endings or ".txt" in endings:
        try:
            return pd.read_csv(path, sep="\t" if ".tsv" in endings else ",")
        except (ValueError, UnicodeDecodeError) as exc:
            raise DataValueError(
                f"{source!r} is not a table of comma-separated values: {exc}"
            ) from exc
    raise DataValueError(
        f"{source!r} ends in {''.join(endings) or 'nothing'}; expected .csv, .tsv, .txt or .parquet"
    )


def fit(args: argparse.Namespace) -> None:
    """Fit a model and print its summary."""
    model = mixedlm(
        args.formula, read_table(args.data), missing=args.missing, weights=args.weights,
        groups=args.groups, re_formula=args.re_formula,
    )  # fmt: skip
    print(model.fit(reml=not args.ml, method=args.method).summary(alpha=1 - args.level))


def list_plugins(args: argparse.Namespace) -> None:
    """Print the installed plugins."""
    found = plugins()
    wide = max(len(p.name) for p in found)
    for p in found:
        print(f"{p.kind:11} {p.name:{wide}} {p.distribution} {p.version}  {p.help}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="lmmcore", description="Linear mixed-effects models.")
    top.add_argument("--version", action="version", version=f"lmmcore {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("fit", help="fit a model and print the summary")
    one.add_argument("formula", help="such as 'Reaction ~ Days + (Days | Subject)'")
    one.add_argument("data", help="a CSV or Parquet file, or " + ", ".join(datasets.names()))
    one.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    one.add_argument(
        "--missing", choices=("drop", "raise"), default="drop",
        help="leave out rows with missing values (default), or refuse them",
    )  # fmt: skip
    one.add_argument("--weights", metavar="COLUMN", help="column of prior weights")
    one.add_argument(
        "--groups", metavar="COLUMN", help="grouping column, for a formula without bars"
    )
    one.add_argument("--re-formula", metavar="TERMS", help="random terms, for use with --groups")
    one.add_argument("--method", default=DEFAULT_METHOD, help="optimizer (see: lmmcore plugins)")
    one.add_argument("--level", type=float, default=0.95, help="level of the intervals")
    one.set_defaults(run=fit)
    listing = commands.add_parser("plugins", help="list optimizers, structures and penalties")
    listing.set_defaults(run=list_plugins)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line; errors of lmmcore are one sentence on stderr and exit status 2."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except LmmcoreError as exc:
        print(f"lmmcore: {exc}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output went away
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
